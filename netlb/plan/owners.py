"""Which node owns each address: one that will do for all Services that share it, and for all addresses of its group."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from netlb.api.v1alpha1 import L2Advertisement
from netlb.findings import ObjectRef
from netlb.l2.election import owner
from netlb.net import Address

__all__ = ["NOBODY", "Claims", "Willing", "contest", "elect"]

_EQUAL: Mapping[str, int] = MappingProxyType({})
NOBODY: Mapping[Address, frozenset[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Willing:
    """The nodes that may announce an address for one Service, and the advertisements that say so."""

    nodes: frozenset[str]
    advertisements: tuple[L2Advertisement, ...]
    profile: str
    """The BFDProfile that the pool names, or nothing."""
    group: str = ""
    """Whose addresses are on one node; empty: the address is by itself."""
    places: Mapping[str, int] = field(default_factory=lambda: _EQUAL)
    """Which nodes are preferred: the lowest place first; who has none has place 0."""

    @property
    def revertive(self) -> bool:
        """Whether an address goes back to a better node."""
        return all(record.spec.revertive for record in self.advertisements)


Claims = Mapping[ObjectRef, Willing]
"""What the Services that share an address ask for."""


def elect(
    claims: Mapping[Address, Claims], dead: frozenset[str], holders: Mapping[Address, frozenset[str]] = NOBODY
) -> dict[Address, str | None]:
    """Return the owner of each address among the living, or None where nobody lives who may.

    `holders` has the nodes that announce an address now. Addresses of a group that no node may announce all together
    are each by themselves; so are addresses without a group.
    """
    groups: dict[str, list[Address]] = {}
    owners: dict[Address, str | None] = {}
    for address, services in claims.items():
        group = next((one.group for one in services.values() if one.group), "")
        if group:
            groups.setdefault(group, []).append(address)
        else:
            owners[address] = _owner(str(address), [services], dead, holders.get(address, frozenset()))
    for group, addresses in groups.items():
        for key, some in _parts(group, addresses, claims, dead):
            present = frozenset[str]().union(*(holders.get(address, frozenset()) for address in some))
            elected = _owner(key, [claims[address] for address in some], dead, present)
            owners |= dict.fromkeys(some, elected)
    return owners


def _parts(
    group: str, addresses: Collection[Address], claims: Mapping[Address, Claims], dead: frozenset[str]
) -> Iterator[tuple[str, Collection[Address]]]:
    if _common([claims[address] for address in addresses], dead):
        yield group, addresses
    else:
        yield from ((str(address), (address,)) for address in addresses)


def _owner(key: str, claims: Sequence[Claims], dead: frozenset[str], holders: frozenset[str]) -> str | None:
    """Elect one living node."""
    return owner(key, *contest(claims, dead, holders))


def contest(
    claims: Sequence[Claims], dead: frozenset[str], holders: frozenset[str]
) -> tuple[frozenset[str], Mapping[str, int]]:
    """Return who is elected from, those that will do for each of the Services, if any will; and who is preferred."""
    all_of_them = [one for services in claims for one in services.values()]
    nodes = _common(claims, dead) or frozenset[str]().union(*(one.nodes - dead for one in all_of_them))
    if not all(one.revertive for one in all_of_them):
        nodes = nodes & holders or nodes
    return nodes, _places(all_of_them)


def _common(claims: Iterable[Claims], dead: frozenset[str]) -> frozenset[str]:
    sets = [one.nodes for services in claims for one in services.values()]
    return frozenset.intersection(*sets) - dead if sets else frozenset()


def _places(willing: Sequence[Willing]) -> Mapping[str, int]:
    """Return the places of nodes for several Services: the sums of those for each."""
    said = [one.places for one in willing if one.places]
    if len(said) <= 1:
        return said[0] if said else _EQUAL
    return {node: sum(places.get(node, 0) for places in said) for node in set().union(*said)}
