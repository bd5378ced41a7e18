"""Contradictions between MetalLB's objects, as MetalLB finds them; the younger object of two is the wrong one.

What is only not there yet, as a BFDProfile or a peer that somebody names, is no contradiction.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from netlb.api.dialects.metallb_rules import MetalLBRecord, check_aggregation
from netlb.api.meta import Record, selects
from netlb.api.v1alpha1 import AddressPool, BFDProfile, BGPAdvertisement, BGPAdvertisementSpec, BGPPeer, Community
from netlb.api.v1alpha1.base import is_community
from netlb.findings import Finding, ObjectRef
from netlb.net import Family, parse_range
from netlb.reasons import ManifestProblem

__all__ = ["Declared", "conflicts"]

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Declared:
    """An object of MetalLB, where it was declared, and what it says in native terms."""

    origin: str
    record: MetalLBRecord
    native: tuple[Record, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "native", self.record.native())

    @property
    def seniority(self) -> tuple[bool, str, str]:
        """What sorts the older object first; an AddressPool of v1beta1 after everything else."""
        meta = self.record.metadata
        return self.record.kind() == "AddressPool", meta.creation_timestamp or "~", meta.name

    def wrong(self, path: str, problem: str, remedy: str) -> Finding:
        """Return the finding that refuses the object."""
        return Finding(
            origin=self.origin,
            subject=self.record.ref,
            field=path,
            reason=ManifestProblem.CONFLICTING_OBJECTS,
            problem=problem,
            remedy=remedy,
        )


def conflicts(declared: Sequence[Declared]) -> Mapping[ObjectRef, Finding]:
    """Return the objects that contradict older ones, and how; the objects come oldest first."""
    refused: dict[ObjectRef, Finding] = {}
    for check in _CHECKS:
        standing = [each for each in declared if each.record.ref not in refused]
        for finding in check(standing):
            assert finding.subject is not None
            refused.setdefault(finding.subject, finding)
    return refused


def _of(kind: type[R], declared: Sequence[Declared]) -> list[tuple[Declared, R]]:
    return [(each, record) for each in declared for record in each.native if isinstance(record, kind)]


def _pools_of_one_name(declared: Sequence[Declared]) -> Iterator[Finding]:
    names: dict[str, Declared] = {}
    for each, pool in _of(AddressPool, declared):
        first = names.setdefault(pool.metadata.name, each)
        if first is not each:
            yield each.wrong(
                "metadata.name", f"{first.record.ref} has the same name", "rename or remove one of the two"
            )


def _aliases_given_twice(declared: Sequence[Declared]) -> Iterator[Finding]:
    names: dict[str, Declared] = {}
    for each, community in _of(Community, declared):
        for index, alias in enumerate(community.spec.communities):
            first = names.setdefault(alias.name, each)
            if first is not each:
                problem = f"{first.record.ref} gives {alias.name!r} a value, too"
                yield each.wrong(f"spec.communities[{index}].name", problem, "remove one of the two")


def _identical_peers(declared: Sequence[Declared]) -> Iterator[Finding]:
    older: list[tuple[Declared, BGPPeer]] = []
    for each, peer in _of(BGPPeer, declared):
        if twin := next((other for other, its in older if its.spec == peer.spec), None):
            yield each.wrong("spec", f"it is the same peer as {twin.record.ref}", "remove one of the two")
        else:
            older.append((each, peer))


def _advertisements_of_something_else(declared: Sequence[Declared]) -> Iterator[Finding]:
    aliases = {alias.name for _, record in _of(Community, declared) for alias in record.spec.communities}
    pools = [pool for _, pool in _of(AddressPool, declared)]
    for each, advertisement in _of(BGPAdvertisement, declared):
        for index, text in enumerate(advertisement.spec.communities):
            # An unknown name may be given a value later; a number will not become right.
            if ":" in text and text not in aliases and not is_community(text):
                problem = f"{text!r} is neither a community nor the name of one"
                yield each.wrong(f"spec.communities[{index}]", problem, "write 65000:100 or large:65000:1:2")
        for pool in _selected(advertisement.spec, pools):
            try:
                check_aggregation(advertisement.spec, pool.spec)
            except ValueError as error:
                path, _, problem = str(error).partition(": ")
                whole = f"{problem} of pool {pool.metadata.name!r}: more would be announced than the pool holds"
                yield each.wrong(f"spec.{path}", whole, "raise it, or announce that pool by another BGPAdvertisement")


def _echo_for_ipv6(declared: Sequence[Declared]) -> Iterator[Finding]:
    profiles = {record.metadata.name for _, record in _of(BFDProfile, declared) if record.spec.echo_mode}
    echoing = [peer.metadata.name for _, peer in _of(BGPPeer, declared) if peer.spec.bfd_profile in profiles]
    pools = [pool for _, pool in _of(AddressPool, declared) if Family.IPV6 in _families(pool)]
    for each, advertisement in _of(BGPAdvertisement, declared):
        told = [name for name in echoing if not advertisement.spec.peers or name in advertisement.spec.peers]
        if told and (announced := next(_selected(advertisement.spec, pools), None)):
            name = announced.metadata.name
            problem = f"BFD's echo mode, which peer {told[0]!r} is watched by, is for IPv4; pool {name!r} holds IPv6"
            yield each.wrong("spec.peers", problem, "switch echoMode off, or name other peers or pools")


def _contradicting_preferences(declared: Sequence[Declared]) -> Iterator[Finding]:
    pools = [pool for _, pool in _of(AddressPool, declared)]
    older: list[tuple[Declared, BGPAdvertisement]] = []
    for each, advertisement in _of(BGPAdvertisement, declared):
        spec = advertisement.spec
        for other, its in older:
            shared = [pool for pool in _selected(spec, pools) if pool in list(_selected(its.spec, pools))]
            if other is each or not any(_contradict(spec, its.spec, pool) for pool in shared):
                continue
            problem = (
                f"localPref is {spec.local_pref or 0} here and {its.spec.local_pref or 0} in {other.record.ref}, "
                "for the same prefixes"
            )
            yield each.wrong("spec.localPref", problem, "give both the same, or keep their pools, peers or nodes apart")
            break
        else:
            older.append((each, advertisement))


_CHECKS: tuple[Callable[[Sequence[Declared]], Iterator[Finding]], ...] = (
    _pools_of_one_name,
    _aliases_given_twice,
    _identical_peers,
    _advertisements_of_something_else,
    _echo_for_ipv6,
    _contradicting_preferences,
)


def _selected(spec: BGPAdvertisementSpec, pools: Sequence[AddressPool]) -> Iterator[AddressPool]:
    names, selectors = spec.ip_address_pools, spec.ip_address_pool_selectors
    for pool in pools:
        by_label = bool(selectors) and selects(selectors, pool.metadata.labels)
        if not (names or selectors) or pool.metadata.name in names or by_label:
            yield pool


def _families(pool: AddressPool) -> set[Family]:
    return {parse_range(text).family for text in pool.spec.addresses}


def _contradict(one: BGPAdvertisementSpec, other: BGPAdvertisementSpec, pool: AddressPool) -> bool:
    """Say whether two advertisements certainly give one prefix of a pool different preferences.

    Which Services and nodes selectors stand for is not known here: a doubtful case is none.
    """
    if one.local_pref == other.local_pref or one.service_selectors or other.service_selectors:
        return False
    if one.peers and other.peers and not set(one.peers) & set(other.peers):
        return False
    selectors = one.node_selectors and other.node_selectors
    if selectors and not any(selector in selectors for selector in one.node_selectors):
        return False
    same = {
        Family.IPV4: one.aggregation_length == other.aggregation_length,
        Family.IPV6: one.aggregation_length_v6 == other.aggregation_length_v6,
    }
    return any(same[family] for family in _families(pool))
