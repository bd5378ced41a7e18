"""What the status tree's files say: plans to texts, and texts back to holdings. Pure.

controller.yaml                     what is wrong with the manifests, as the controller sees it
services/NAMESPACE.NAME.yaml        who holds which address, and why somebody holds none
addresspools/NAME.yaml              how full each pool is
nodes/NODE.yaml                     what a speaker announces, and why it does not announce the rest
servicel2statuses/NODE/NAMESPACE.NAME.yaml
                                    how far a speaker has come with the addresses of one Service that it owns
servicebgpstatuses/NODE/NAMESPACE.NAME.yaml
                                    and with those that it tells routers of
speakerstatuses/NODE.yaml           what a speaker holds that does not go back to a better node; other speakers read it
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from netlb.api.documents import parse_value
from netlb.api.holdings import read_holding
from netlb.api.keys import ALLOCATED, ALLOCATED_FROM, ANNOUNCED
from netlb.api.snapshot import Holding
from netlb.api.v1alpha1 import API_VERSION, Announce
from netlb.errors import ConfigError, SettingError
from netlb.findings import ObjectRef
from netlb.ipam import PoolUsage, Result
from netlb.net import Address, Family
from netlb.plan import ClusterPlan, NodePlan
from netlb.plan.bgp import BgpPlan
from netlb.plan.render import Told, findings_data, in_order, route_data, routes_told, service_name, silent_data, to_yaml
from netlb.reasons import Silence

__all__ = [
    "SPEAKERS",
    "Announcement",
    "Standing",
    "cluster_status",
    "findings_status",
    "is_controllers",
    "is_speakers",
    "node_data",
    "node_path",
    "node_status",
    "pool_path",
    "pool_status",
    "read_holdings",
    "read_service_status",
    "service_bgp_path",
    "service_bgp_statuses",
    "service_l2_path",
    "service_l2_statuses",
    "service_path",
    "service_status",
    "tenancy_path",
    "tenancy_status",
]

_L2, _BGP = "servicel2statuses", "servicebgpstatuses"
_CONTROLLERS = "# Written by netlb-controller; what is changed here by hand is put back.\n"
_LONGEST = 150  # of the 255 bytes of a file's name
_SPEAKERS = "# Written by netlb-speaker.\n"
SPEAKERS = "speakerstatuses"
"""Where speakers say what others read."""


def is_controllers(path: str) -> bool:
    """Say whether a file of the tree is the controller's to write."""
    return path == "controller.yaml" or path.startswith(("services/", "addresspools/"))


def is_speakers(path: str, node: str) -> bool:
    """Say whether a file of the tree is for that node's speaker to write."""
    folders = tuple(f"{folder}/{_file_name(node)}/" for folder in (_L2, _BGP))
    return path in (node_path(node), tenancy_path(node)) or path.startswith(folders)


def node_path(node: str) -> str:
    """Return the file in which a node's speaker reports."""
    return f"nodes/{_file_name(node)}.yaml"


def tenancy_path(node: str) -> str:
    """Return the file in which a node's speaker says what it holds that does not go back to a better node."""
    return f"{SPEAKERS}/{_file_name(node)}.yaml"


def service_path(service: ObjectRef) -> str:
    """Return the file of a Service's status."""
    return f"services/{_file_name(service.namespace)}.{_file_name(service.name)}.yaml"


def service_l2_path(node: str, service: ObjectRef) -> str:
    """Return the file in which a node's speaker says how it announces a Service."""
    return f"{_L2}/{_file_name(node)}/{_file_name(service.namespace)}.{_file_name(service.name)}.yaml"


def service_bgp_path(node: str, service: ObjectRef) -> str:
    """Return the file in which a node's speaker says whom it tells of a Service."""
    return f"{_BGP}/{_file_name(node)}/{_file_name(service.namespace)}.{_file_name(service.name)}.yaml"


def cluster_status(plan: ClusterPlan) -> dict[str, str]:
    """Return every file that the controller keeps, by path."""
    result = plan.addresses
    return {
        **findings_status(plan),
        **{service_path(ref): service_status(ref, result) for ref in (*result.allocations, *result.refusals)},
        **{pool_path(pool): pool_status(pool, usage) for pool, usage in result.usage.items()},
    }


def findings_status(plan: ClusterPlan) -> dict[str, str]:
    """Return the file that says what is wrong with the manifests."""
    return {"controller.yaml": _CONTROLLERS + to_yaml({"findings": findings_data(plan.findings)})}


def pool_path(pool: str) -> str:
    """Return the file of a pool's status."""
    return f"addresspools/{_file_name(pool)}.yaml"


def pool_status(pool: str, usage: Mapping[Family, PoolUsage]) -> str:
    """Return how full a pool is; numbers as text, since they may be larger than those of JSON (2^53)."""
    status = {
        family.lower(): {"total": str(count.size), "used": str(count.held), "free": str(count.free)}
        for family, count in usage.items()
        if count.size
    }
    data = {"apiVersion": API_VERSION, "kind": "AddressPool", "metadata": {"name": pool}, "status": status}
    return _CONTROLLERS + to_yaml(data)


def service_status(ref: ObjectRef, result: Result) -> str:
    """Return what a Service holds, or why it holds nothing; its annotation and status read as in Kubernetes."""
    allocation = result.allocations.get(ref)
    refused = allocation.refused if allocation else result.refusals[ref]
    condition = {
        "type": ALLOCATED,
        "status": "True" if allocation and refused is None else "False",
        "reason": str(refused.reason) if refused else "IPAllocated",
        "message": refused.message if refused else "",
    }
    ingress = [{"ip": str(address), "ipMode": "VIP"} for address in (allocation.addresses if allocation else ())]
    return _CONTROLLERS + to_yaml(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "annotations": {ALLOCATED_FROM[0]: allocation.pool if allocation else ""},
            },
            "status": {"loadBalancer": {"ingress": ingress}, "conditions": [condition]},
        }
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with an address that a node announces, to routers where no more is said."""

    silence: Silence | None = None
    """Why it is not announced as planned, or None."""
    message: str = ""
    """What goes with the reason: what is the matter, and the remedy."""

    def data(self) -> dict[str, str]:
        """Return it as plain data: whether it is pending, an error, or as planned but for something."""
        if self.silence is Silence.PENDING:
            return {"pending": self.message}
        if self.silence is not None:
            return {"error": f"{self.silence}: {self.message}"}
        return {"note": self.message} if self.message else {}


@dataclass(frozen=True, slots=True)
class Announcement(Standing):
    """How it stands with an address that a node owns."""

    interfaces: tuple[str, ...] = ()
    """Names of the interfaces on which it is answered for now."""
    announce: Announce = "reply"
    """By whom."""


def node_data(
    plan: NodePlan,
    *,
    announcements: Mapping[Address, Announcement],
    interfaces: Mapping[str, str],
    nodes: Mapping[str, str],
    bgp: Mapping[str, Any] | None = None,
    holding: Sequence[Mapping[str, Any]] = (),
    notes: Iterable[str] = (),
    whole: bool = True,
) -> dict[str, Any]:
    """Return what a speaker says of its node; unless it is to be the `whole`, without what grows with the Services.

    `announcements` says of every address in `plan.l2` how it stands, `interfaces` gives the MAC address of each
    interface in use, `nodes` how the other nodes are, as far as they are watched, `bgp` what routers are told,
    `holding` what does not go back to a better node (`netlb.plan.tenure`), and `notes` what the network told:
    conflicts with strangers, interfaces that are missing.
    """
    services: list[dict[str, Any]] = []
    for address, announced in in_order(plan.l2) if whole else ():
        announcement = announcements[address]
        services.append(
            {
                "address": str(address),
                "services": [service_name(ref) for ref in announced.services],
                "interfaces": list(announcement.interfaces),
                **_by_kernel(announcement),
                **announcement.data(),
            }
        )
    return {
        "node": plan.node,
        "interfaces": dict(sorted(interfaces.items())),
        "nodes": dict(sorted(nodes.items())),
        "announcing": services,
        "silent": silent_data(plan) if whole else [],
        **({"bgp": bgp} if bgp else {}),
        **({"holding": holding} if holding else {}),
        "notes": list(notes),
        "findings": findings_data(plan.findings),
    }


def node_status(node: Mapping[str, Any]) -> str:
    """Return the file in which a speaker says that: `node` as of `node_data`."""
    return _SPEAKERS + to_yaml(node)


def tenancy_status(node: Mapping[str, Any]) -> str:
    """Return the file in which a speaker says what it holds: of `node`, as of `node_data`, what others read."""
    status = {"node": node["node"], "holding": node["holding"]}
    return _SPEAKERS + to_yaml(
        {"apiVersion": API_VERSION, "kind": "SpeakerStatus", "metadata": {"name": node["node"]}, "status": status}
    )


def service_l2_statuses(plan: NodePlan, announcements: Mapping[Address, Announcement]) -> dict[str, str]:
    """Return, by path, a file for each Service that has an address which this node owns."""
    owned: dict[ObjectRef, list[tuple[Address, Announcement]]] = {}
    for address, announced in in_order(plan.l2):
        for ref in announced.services:
            owned.setdefault(ref, []).append((address, announcements[address]))
    return {
        service_l2_path(plan.node, ref): _service_l2_status(plan.node, ref, tuple(addresses))
        for ref, addresses in owned.items()
    }


@lru_cache(maxsize=1 << 14)  # writing YAML is what takes time, and of thousands of files a change concerns a few
def _service_l2_status(node: str, ref: ObjectRef, addresses: tuple[tuple[Address, Announcement], ...]) -> str:
    """Return one Service's file."""
    listed = [
        {"ip": str(address), "interfaces": list(announcement.interfaces), **_by_kernel(announcement)}
        for address, announcement in addresses
    ]
    return _service_node_status("ServiceL2Status", node, ref, {"addresses": listed}, addresses)


def _by_kernel(announcement: Announcement) -> dict[str, str]:
    return {"announce": announcement.announce} if announcement.announce != "reply" else {}


def service_bgp_statuses(plan: BgpPlan, standings: Mapping[Address, Standing]) -> dict[str, str]:
    """Return, by path, a file for each Service that has an address which this node tells routers of.

    As in MetalLB's kind of that name, `peers` are those that are meant, whatever their sessions do; the condition says
    what came of it, which MetalLB's does not.
    """
    routes = routes_told(plan)
    return {
        service_bgp_path(plan.node, ref): _service_bgp_status(
            plan.node, ref, tuple((address, routes[address], standings[address]) for address in addresses)
        )
        for ref, addresses in plan.services.items()
    }


@lru_cache(maxsize=1 << 14)
def _service_bgp_status(
    node: str, ref: ObjectRef, addresses: tuple[tuple[Address, tuple[Told, ...], Standing], ...]
) -> str:
    """Return one Service's file."""
    status = {
        "peers": sorted({peer for _, routes, _ in addresses for told in routes for peer in told.peers}),
        "addresses": [
            {"ip": str(address), "routes": [route_data(*told) for told in routes]} for address, routes, _ in addresses
        ],
    }
    standings = [(address, standing) for address, _, standing in addresses]
    return _service_node_status("ServiceBGPStatus", node, ref, status, standings)


def _service_node_status(
    kind: str, node: str, ref: ObjectRef, status: Mapping[str, Any], standings: Sequence[tuple[Address, Standing]]
) -> str:
    """Return what a node says of one Service: what is worst for one of its addresses is its condition."""
    pending = [entry for entry in standings if entry[1].silence is Silence.PENDING]
    failed = [entry for entry in standings if entry[1].silence not in {None, Silence.PENDING}]
    word, told = ("False", failed) if failed else ("Unknown", pending) if pending else ("True", standings)
    condition = {
        "type": ANNOUNCED,
        "status": word,
        "reason": str(told[0][1].silence) if failed or pending else "Announced",
        "message": "; ".join(f"{address}: {entry.message}" for address, entry in told if entry.message),
    }
    return _SPEAKERS + to_yaml(
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": f"{ref.namespace}.{ref.name}.{node}"},
            "status": {
                "node": node,
                "serviceNamespace": ref.namespace,
                "serviceName": ref.name,
                **status,
                "conditions": [condition],
            },
        }
    )


def read_service_status(text: str) -> tuple[ObjectRef, Holding] | None:
    """Return who holds what by one file under services/; None if it says nothing that can be understood."""
    try:
        document = parse_value(text, "status")
        document["metadata"]["annotations"][ALLOCATED_FROM[0]]  # without it, the file is not whole
    except (ConfigError, LookupError, TypeError):
        return None
    return read_holding(document)


def read_holdings(files: Mapping[str, str]) -> dict[ObjectRef, Holding]:
    """Return who holds what by the files of a tree; SettingError if one of them cannot be understood.

    What such a file said is not known, so any address might be given to a second Service.
    """
    holdings: dict[ObjectRef, Holding] = {}
    for path, text in files.items():
        if path.startswith("services/"):
            parsed = read_service_status(text)
            if parsed is None:
                raise SettingError(
                    "--status-dir",
                    f"{path} does not say any more which addresses its Service holds",
                    "mend it, or remove it: then the Service may get other addresses",
                )
            holdings[parsed[0]] = parsed[1]
    return holdings


def _file_name(name: str) -> str:
    """Make a name safe as (part of) a file's name: pool names of MetalLB may hold anything, at any length."""
    if len(quote(name)) > _LONGEST:
        name = f"{quote(name)[: _LONGEST // 2]}~{sha256(name.encode()).hexdigest()}"
    return quote(name, safe=" ").replace(".", "%2E") if name.startswith(".") else quote(name, safe=" ")
