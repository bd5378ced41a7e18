"""What the daemons have written into the API, read as anybody may who is allowed to: as `netlb show` needs it."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from netlb.api import keys
from netlb.errors import NetlbError, SettingError
from netlb.findings import ObjectRef
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import GATEWAY_NODES, REPORTS, SERVICES, SPEAKER_STATUSES, Resource
from netlb.source.kube_status import read_condition
from netlb.source.reflector import List
from netlb.source.reports import (
    AnsweredAddress,
    BgpReport,
    GatewayReport,
    HeldBy,
    NodeReport,
    Reports,
    ToldAddress,
    gateway_report,
)

__all__ = ["read_cluster_reports", "reports_of"]

A = TypeVar("A", AnsweredAddress, ToldAddress)

_READ: Mapping[str, Resource] = {**REPORTS, SERVICES.kind: SERVICES, GATEWAY_NODES.kind: GATEWAY_NODES}
_PAGE = 500
_PATIENCE = 30.0
"""Seconds for the API server to tell everything."""
_MEANINGS = {"True": "note", "False": "error", "Unknown": "pending"}
"""What the message of a condition is to an address, by the condition's status."""


def read_cluster_reports(kubeconfig: Path | None, kinds: Iterable[str]) -> Reports:
    """Ask an API server for these kinds and no others, which may need other rights. Raises SettingError."""
    return asyncio.run(_read(kubeconfig, [_READ[kind] for kind in kinds]))


async def _read(kubeconfig: Path | None, resources: Sequence[Resource]) -> Reports:
    client = KubeClient(kubeconfig, field_manager="netlb")
    client.check()
    try:
        async with asyncio.timeout(_PATIENCE):
            found = {resource.kind: await _list(client, resource) for resource in resources}
    except TimeoutError:
        raise SettingError("--source", f"not all was told within {_PATIENCE:g} s", "try again") from None
    except NetlbError as error:
        raise SettingError("--source", str(error), f"try `kubectl get {resources[0]}`") from None
    finally:
        await client.close()
    return reports_of(found)


async def _list(client: KubeClient, resource: Resource) -> list[Any]:
    found: list[Any] = []
    page = List(_PAGE)
    while True:
        answer = await client.list_page(resource, page)
        found += answer.items
        if not answer.continue_token:
            return found
        page = List(_PAGE, answer.continue_token)


@dataclass(slots=True)
class _Gathered:
    """What the objects of one node say."""

    speaker: NodeReport
    answered: dict[str, AnsweredAddress] = field(default_factory=dict)
    told: dict[str, ToldAddress] = field(default_factory=dict)

    def report(self) -> NodeReport:
        """Return all of it in one."""
        bgp = msgspec.structs.replace(self.speaker.bgp, announcing=tuple(self.told.values()))
        return msgspec.structs.replace(self.speaker, announcing=tuple(self.answered.values()), bgp=bgp)


def reports_of(objects: Mapping[str, Sequence[Any]]) -> Reports:
    """Return the reports that these objects are, as the API has them, by kind. Pure."""
    problems: list[str] = []
    nodes: dict[str, _Gathered] = {}
    for body in objects.get(SPEAKER_STATUSES.kind, ()):
        try:
            report = msgspec.convert(body.get("status") or {}, NodeReport)
        except msgspec.ValidationError as error:
            problems.append(f"speakerstatuses/{body['metadata']['name']}: no report of a speaker: {error}")
        else:
            nodes[report.node] = _Gathered(report)
    for kind in ("ServiceL2Status", "ServiceBGPStatus"):
        for body in objects.get(kind, ()):
            metadata = body["metadata"]
            try:
                _gather(kind, body.get("status") or {}, nodes)
            except (LookupError, TypeError, msgspec.ValidationError) as error:
                name = f"{REPORTS[kind].plural}/{metadata['name']} -n {metadata['namespace']}"
                problems.append(f"{name}: no report of a speaker: {error}")
    gateways: list[GatewayReport] = []
    for body in objects.get(GATEWAY_NODES.kind, ()):
        try:
            gateways.append(gateway_report(body))
        except (LookupError, TypeError, msgspec.ValidationError) as error:
            problems.append(f"{GATEWAY_NODES.plural}/{body['metadata']['name']}: no report of a gateway: {error}")
    held = [found for body in objects.get(SERVICES.kind, ()) if (found := _held(body)) is not None]
    return Reports(
        tuple(nodes[name].report() for name in sorted(nodes)),
        tuple(sorted(held, key=lambda one: one.service)),
        tuple(problems),
        tuple(sorted(gateways, key=lambda report: report.node)),
    )


def _gather(kind: str, status: Mapping[str, Any], nodes: dict[str, _Gathered]) -> None:
    """Take in what a node says of one Service."""
    node, service = status["node"], f"{status['serviceNamespace']}/{status['serviceName']}"
    gathered = nodes.setdefault(node, _Gathered(NodeReport(node=node, bgp=BgpReport())))
    addresses = [entry["ip"] for entry in status["addresses"]]
    standings = dict(_standings(status, addresses))
    for entry in status["addresses"]:
        said = {**entry, "address": entry["ip"], "services": [service], **standings.get(entry["ip"], {})}
        if kind == "ServiceL2Status":
            _put(gathered.answered, msgspec.convert(said, AnsweredAddress))
        else:
            _put(gathered.told, msgspec.convert(said, ToldAddress))


def _put(known: dict[str, A], one: A) -> None:
    """Note an address; one that several Services share is one."""
    others: tuple[str, ...] = known[one.address].services if one.address in known else ()
    known[one.address] = msgspec.structs.replace(one, services=(*others, *one.services))


def _standings(status: Mapping[str, Any], addresses: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield how it stands with those addresses that the condition names; its message has them in this order."""
    condition, _ = read_condition(status, keys.ANNOUNCED)
    if condition is None or not condition.message:
        return
    names = "|".join(map(re.escape, addresses))
    _, *parts = re.split(rf"(?:^|; )({names}): ", condition.message)
    for address, message in zip(parts[::2], parts[1::2], strict=True):
        text = f"{condition.reason}: {message}" if condition.status == "False" else message
        yield address, {_MEANINGS[condition.status]: text}


def _held(body: Mapping[str, Any]) -> HeldBy | None:
    """Return what a Service holds, or waits for; None for one that netlb says nothing of."""
    status, metadata = body.get("status") or {}, body["metadata"]
    condition, _ = read_condition(status, keys.ALLOCATED)
    pool = keys.annotation(metadata.get("annotations") or {}, keys.ALLOCATED_FROM)
    if condition is None and pool is None:
        return None
    ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
    return HeldBy(
        ObjectRef(SERVICES.kind, metadata["namespace"], metadata["name"]),
        pool[1] if pool else "",
        tuple(entry["ip"] for entry in ingress if entry.get("ip")),
        f"{condition.reason}: {condition.message}" if condition is not None and condition.status != "True" else "",
    )
