"""PureLB's configuration: ServiceGroup and LBNodeAgent of `purelb.io/v2`, translated into native kinds.

Only PureLB's own namespace counts, as since its version 0.17. Objects of `purelb.io/v1` are refused: there `local`
meant the nodes' own segment and routed addresses alike, depending on each node's interfaces, so that only who wrote
them knows whether an address has to be announced by ARP or by BGP.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.dialects.purelb_agents import Agent, LBNodeAgent, Where, place, read_agent
from netlb.api.dialects.purelb_groups import Group, ServiceGroup, read_group
from netlb.api.dialects.purelb_namespaces import Terms, settle
from netlb.api.meta import ObjectMeta, Record
from netlb.api.v1alpha1 import (
    AddressPool,
    AddressPoolSpec,
    BGPAdvertisement,
    BGPAdvertisementSpec,
    L2Advertisement,
    L2AdvertisementSpec,
)
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.net import Family

__all__ = ["KINDS", "LBNodeAgentV1", "ServiceGroupV1", "translate"]


class ServiceGroupV1(Record, frozen=True, kw_only=True):
    """`purelb.io/v1 ServiceGroup`."""

    KIND: ClassVar[str] = "ServiceGroup"

    spec: dict[str, Any]


class LBNodeAgentV1(Record, frozen=True, kw_only=True):
    """`purelb.io/v1 LBNodeAgent`."""

    KIND: ClassVar[str] = "LBNodeAgent"

    spec: dict[str, Any]


KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("purelb.io/v1", "LBNodeAgent"): LBNodeAgentV1,
    ("purelb.io/v1", "ServiceGroup"): ServiceGroupV1,
    ("purelb.io/v2", "LBNodeAgent"): LBNodeAgent,
    ("purelb.io/v2", "ServiceGroup"): ServiceGroup,
}
_OURS = (LBNodeAgent, LBNodeAgentV1, ServiceGroup, ServiceGroupV1)


def translate(objects: Mapping[ObjectRef, Foreign], compatibility: Compatibility) -> Translation:
    """Translate all groups and agents of PureLB's namespace; one that is wrong is refused alone."""
    groups: list[Group] = []
    agents: list[Agent] = []
    findings: list[Finding] = []
    refused: dict[ObjectRef, Finding] = {}
    for ref in sorted(objects):
        foreign = objects[ref]
        if not isinstance(foreign.record, _OURS):
            continue
        if ref.namespace != compatibility.purelb_namespace:
            findings.append(_elsewhere(foreign, compatibility.purelb_namespace))
            continue
        try:
            match foreign.record:
                case ServiceGroup(spec=spec):
                    groups.append(read_group(foreign, spec))
                case LBNodeAgent(spec=spec):
                    agents.append(read_agent(foreign, spec))
                case _:
                    refused[ref] = _old(foreign)
        except ConfigError as error:
            refused[ref] = error.finding
    terms, undecided = settle(groups)
    where = place(agents)
    findings.extend(finding for group in groups for finding in group.findings)
    findings.extend(finding for agent in agents for finding in agent.findings)
    return Translation(
        records=tuple(
            Translated(record, group.foreign.record.ref)
            for group in groups
            for record in _records(group, terms[group.name], where)
        ),
        findings=(*findings, *undecided, *where.findings),
        refused=refused,
    )


def _elsewhere(foreign: Foreign, namespace: str) -> Finding:
    return foreign.warning(
        "metadata.namespace",
        f"PureLB reads its objects from namespace {namespace!r} only, and so does netlb",
        "move the object there, or remove it",
    )


def _old(foreign: Foreign) -> Finding:
    if isinstance(foreign.record, LBNodeAgentV1):
        remedy = "write purelb.io/v2, where localint is localInterface, extlbint dummyInterface, sendgarp garpConfig"
        return foreign.error("apiVersion", "agents of purelb.io/v1 are not read", remedy)
    return foreign.error(
        "apiVersion",
        "in purelb.io/v1 a group does not say whether its addresses are the nodes' own or routed to them",
        "write purelb.io/v2, with `local` for addresses of the nodes' own segment and `remote` for those announced "
        "by BGP",
    )


def _records(group: Group, terms: Terms, where: Where) -> tuple[Record, Record]:
    theirs, metadata = group.foreign.record.metadata, ObjectMeta(name=group.name)
    pool = AddressPool(
        metadata=ObjectMeta(name=group.name, labels=theirs.labels, creation_timestamp=theirs.creation_timestamp),
        spec=AddressPoolSpec(
            addresses=tuple(map(str, group.spans)),
            auto_assign=terms.auto_assign,
            auto_assign_namespaces=terms.auto_assign_namespaces,
            sharing="cluster",
            protocol=group.protocol,
            service_allocation=terms.service_allocation,
        ),
    )
    if group.protocol == "layer2":
        announced = L2AdvertisementSpec(
            ip_address_pools=(group.name,), node_selectors=where.node_selectors, interfaces=where.interfaces
        )
        return pool, L2Advertisement(metadata=metadata, spec=announced)
    routed = BGPAdvertisementSpec(
        ip_address_pools=(group.name,),
        aggregation_length=group.aggregation.get(Family.IPV4, 32),
        aggregation_length_v6=group.aggregation.get(Family.IPV6, 128),
    )
    return pool, BGPAdvertisement(metadata=metadata, spec=routed)
