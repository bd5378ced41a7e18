"""The status tree, read as anybody may: what speakers report, and who holds what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from netlb.api.documents import parse_value
from netlb.errors import ConfigError, SettingError
from netlb.findings import ObjectRef
from netlb.source.gateway_status import FOLDER
from netlb.source.status import read_service_status

__all__ = [
    "AnsweredAddress",
    "BgpReport",
    "GatewayReport",
    "HeldBy",
    "NodeReport",
    "PeerReport",
    "Reports",
    "RouteReport",
    "ToldAddress",
    "gateway_report",
    "read_reports",
]


class _Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is written of something; fields that are not known are passed over, since a newer speaker may write them."""


class PeerReport(_Report, frozen=True):
    """How the session with one router is."""

    name: str
    router: str
    asn: int | str
    state: str
    since: str = ""
    last_error: str = ""
    advertised: int = 0
    received: int = 0
    bfd: str = ""


class RouteReport(_Report, frozen=True):
    """One route, with its attributes, and the names of the BGPPeers that it is for."""

    prefix: str
    next_hop: str
    local_pref: int | None = None
    med: int | None = None
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()
    as_path_prepend: int | None = None
    peers: tuple[str, ...] = ()


class _Standing(_Report, frozen=True):
    """An address, and what is not as planned."""

    address: str
    services: tuple[str, ...] = ()
    pending: str = ""
    error: str = ""
    note: str = ""

    @property
    def problem(self) -> str:
        """What is the matter, empty if nothing is."""
        return self.error or (f"pending: {self.pending}" if self.pending else self.note)


class ToldAddress(_Standing, frozen=True):
    """An address that routers are told of."""

    routes: tuple[RouteReport, ...] = ()


class AnsweredAddress(_Standing, frozen=True):
    """An address that is answered for on segments."""

    interfaces: tuple[str, ...] = ()
    announce: str = "reply"


class BgpReport(_Report, frozen=True):
    """What routers are told."""

    problem: str = ""
    draining: bool = False
    peers: tuple[PeerReport, ...] = ()
    announcing: tuple[ToldAddress, ...] = ()


class NodeReport(_Report, frozen=True):
    """What one node's speaker says."""

    node: str
    announcing: tuple[AnsweredAddress, ...] = ()
    bgp: BgpReport = BgpReport()


class TunnelReport(_Report, frozen=True):
    """How the tunnel to one endpoint is."""

    site: str = ""
    node: str = ""
    state: str = ""


class WayReport(_Report, frozen=True):
    """How another site is reached."""

    site: str = ""
    endpoint: str = ""
    link: str = ""


class GatewayReport(_Report, frozen=True):
    """What one node's netlb-gateway says."""

    node: str
    site: str = ""
    role: str = ""
    gateway: str = ""
    backend: str = ""
    hub: str = ""
    active: tuple[str, ...] = ()
    peers: tuple[TunnelReport, ...] = ()
    ways: tuple[WayReport, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldBy:
    """A Service, and what it holds."""

    service: ObjectRef
    pool: str
    addresses: tuple[str, ...]
    reason: str
    """Why it does not hold what it asks for, empty if it does."""


@dataclass(frozen=True, slots=True)
class Reports:
    """Everything that could be read."""

    nodes: tuple[NodeReport, ...]
    services: tuple[HeldBy, ...]
    problems: tuple[str, ...]
    """What could not, with its path and why."""
    gateways: tuple[GatewayReport, ...] = ()


def read_reports(root: Path) -> Reports:
    """Read a status tree. SettingError if there is none."""
    if not root.is_dir():
        remedy = "name the --status-dir of the daemons, or their --source; it is made when the first of them starts"
        raise SettingError("--status-dir", f"{root} is no directory", remedy)
    problems: list[str] = []
    nodes = [
        report for path, text in _files(root, "nodes", problems) if (report := _node(path, text, problems)) is not None
    ]
    services = [
        held
        for path, text in _files(root, "services", problems)
        if (held := _service(path, text, problems)) is not None
    ]
    gateways = [_gateway(path, text, problems) for path, text in _files(root, FOLDER, problems)]
    found = sorted((one for one in gateways if one is not None), key=lambda one: one.node)
    return Reports(
        tuple(sorted(nodes, key=lambda report: report.node)),
        tuple(sorted(services, key=lambda held: held.service)),
        tuple(problems),
        tuple(found),
    )


def _files(root: Path, folder: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    for path in sorted((root / folder).glob("[!.]*.yaml")):
        name = str(path.relative_to(root))
        try:
            yield name, path.read_text("utf-8")
        except FileNotFoundError:
            continue  # its speaker stopped, or its Service was deleted, a moment ago
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
        except UnicodeDecodeError:
            problems.append(f"{name}: the file is not UTF-8 text")


def _node(path: str, text: str, problems: list[str]) -> NodeReport | None:
    try:
        return msgspec.convert(parse_value(text, path), NodeReport)
    except ConfigError as error:
        problems.append(f"{path}: {error.finding.problem}")
    except msgspec.ValidationError as error:
        problems.append(f"{path}: no report of a speaker: {error}")
    return None


def _gateway(path: str, text: str, problems: list[str]) -> GatewayReport | None:
    try:
        return gateway_report(parse_value(text, path))
    except ConfigError as error:
        problems.append(f"{path}: {error.finding.problem}")
    except (TypeError, LookupError, msgspec.ValidationError) as error:
        problems.append(f"{path}: no report of a gateway: {error}")
    return None


def gateway_report(document: Any) -> GatewayReport:
    """Return what a GatewayNodeStatus says; LookupError, TypeError or msgspec.ValidationError where it is none."""
    return msgspec.convert(document["status"], GatewayReport)


def _service(path: str, text: str, problems: list[str]) -> HeldBy | None:
    read = read_service_status(text)
    if read is None:
        problems.append(f"{path}: it does not say which addresses its Service holds")
        return None
    ref, holding = read
    return HeldBy(ref, holding.pool, tuple(map(str, holding.addresses)), _refusal(parse_value(text, path)))


def _refusal(document: Mapping[str, Any]) -> str:
    """Return why a Service does not have what it asks for; the file is known to say what it holds."""
    conditions = document["status"].get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("status") != "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""
