"""Which prefixes belong to which node of which site. A prefix that two sites claim goes to one of them, whole."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from netlb.net import Address
from netlb.raven.model import Claim, ClaimKind, Prefix, Site

__all__ = ["Coverage", "Dispute", "Subnets", "merged", "settle"]


@dataclass(frozen=True, slots=True)
class Dispute:
    """A prefix that a site does not get, because another one has addresses of it."""

    site: str
    node: str
    """Empty: it belongs to no single node."""
    claim: Claim
    holder: str
    """The site that has them."""


@dataclass(frozen=True, slots=True)
class Subnets:
    """What belongs to whom."""

    nodes: Mapping[str, tuple[Prefix, ...]]
    """By node, merged; a node without any is not there."""
    extra: Mapping[str, tuple[Prefix, ...]]
    """By site: what belongs to no single node of it, merged."""
    sites: Mapping[str, tuple[Prefix, ...]]
    """By site: all that belongs to it, merged."""
    disputes: tuple[Dispute, ...] = ()

    def of(self, site: Site) -> tuple[Prefix, ...]:
        """Return all that belongs to a site, merged."""
        return self.sites.get(site.name, ())


def merged(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Return the fewest prefixes that hold the same addresses, IPv4 first, in the order of addresses."""
    listed = list(prefixes)
    four = [prefix for prefix in listed if isinstance(prefix, IPv4Network)]
    six = [prefix for prefix in listed if isinstance(prefix, IPv6Network)]
    return (*collapse_addresses(four), *collapse_addresses(six))


class Coverage:
    """Some prefixes, asked about single addresses; the cost is that of the lengths that occur among them."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._firsts: dict[tuple[int, int], set[int]] = {}
        for prefix in prefixes:
            self._firsts.setdefault((prefix.version, prefix.prefixlen), set()).add(int(prefix.network_address))

    def __contains__(self, address: Address) -> bool:
        return any(
            version == address.version
            and int(address) >> (address.max_prefixlen - length) << (address.max_prefixlen - length) in firsts
            for (version, length), firsts in self._firsts.items()
        )


def settle(sites: Iterable[Site]) -> Subnets:
    """Give each prefix to the site that claims it.

    Of two claims that overlap, of different sites, the surer one is right (`ClaimKind`), then that of the older site,
    then by name; so a site that comes later takes nothing from one that was there. Within a site they may overlap.
    The work grows with the number of claims and the lengths that occur among them.
    """
    taken = _Taken()
    nodes: dict[str, list[Prefix]] = {}
    extra: dict[str, list[Prefix]] = {}
    whole: dict[str, list[Prefix]] = {}
    disputes = []
    for site, node, claim in sorted(_claims(sites), key=_order):
        holder = taken.holder(claim.prefix, site.name)
        if holder is not None:
            disputes.append(Dispute(site.name, node, claim, holder))
            continue
        taken.take(claim.prefix, site.name)
        whole.setdefault(site.name, []).append(claim.prefix)
        if node:
            nodes.setdefault(node, []).append(claim.prefix)
        else:
            extra.setdefault(site.name, []).append(claim.prefix)
    return Subnets(
        {node: merged(nodes[node]) for node in sorted(nodes)},
        {site: merged(extra[site]) for site in sorted(extra)},
        {site: merged(whole[site]) for site in sorted(whole)},
        tuple(disputes),
    )


def _claims(sites: Iterable[Site]) -> Iterator[tuple[Site, str, Claim]]:
    for site in sites:
        for node in site.nodes.values():
            for claim in node.claims:
                yield site, node.name, claim
        for prefix in site.extra:
            yield site, "", Claim(prefix, ClaimKind.EXTRA)


def _order(one: tuple[Site, str, Claim]) -> tuple[int, tuple[str, str], str, int, int, int]:
    site, node, claim = one
    prefix = claim.prefix
    return claim.kind, site.seniority, node, prefix.version, int(prefix.network_address), prefix.prefixlen


class _Taken:
    """Prefixes and their holders. Two prefixes are apart, or one holds the other: there is nothing between."""

    def __init__(self) -> None:
        self._holders: dict[tuple[int, int, int], set[str]] = {}
        self._lengths: dict[int, set[int]] = {4: set(), 6: set()}
        self._firsts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}

    def holder(self, prefix: Prefix, site: str) -> str | None:
        """Return another site that has addresses of a prefix."""
        version, first, bits = prefix.version, int(prefix.network_address), prefix.max_prefixlen
        for length in self._lengths[version]:
            if length <= prefix.prefixlen:
                around = (version, first >> (bits - length) << (bits - length), length)
                if others := self._holders.get(around, set()) - {site}:
                    return min(others)
        inside = self._firsts[version]
        index = bisect_left(inside, (first, 0))
        while index < len(inside) and inside[index][0] <= int(prefix.broadcast_address):
            if others := self._holders[(version, *inside[index])] - {site}:
                return min(others)
            index += 1
        return None

    def take(self, prefix: Prefix, site: str) -> None:
        """Note a prefix of a site."""
        key = (prefix.version, int(prefix.network_address), prefix.prefixlen)
        if key not in self._holders:
            self._holders[key] = set()
            self._lengths[prefix.version].add(prefix.prefixlen)
            insort(self._firsts[prefix.version], key[1:])
        self._holders[key].add(site)
