"""From what a node hears to what it takes for true: who is dead, who was active. Pure; takes time as an argument.

Every node of a site watches its endpoints itself (BFD), and so do endpoints through their tunnels. What a node cannot
see it is told by those who can (`netlb.raven.hello`): of several the one counts that hears the most of its site.
Whoever has heard the same concludes the same.

Where nobody seems left all stays as it is: a tunnel may work though those that watched it are silent, and packets are
lost in any case if it does not. For the same reason an endpoint that fell silent while it was active stays the gateway
of its own pods: if its machine is dead so are they, and if only its agent is, they send through its tunnels as before.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from netlb.raven.election import Health, HoldDown
from netlb.raven.hello import Claim
from netlb.raven.model import Election, Site

__all__ = ["FIRST_CONTACT_SECONDS", "UNFIT_SECONDS", "Evidence", "Published", "View", "Views"]

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
UNFIT_SECONDS: Final = 2.0
"""For how long an endpoint must reach nobody while another one does before it is passed over: tunnels come up one after
the other when a hub returns."""
FIRST_CONTACT_SECONDS: Final = 10.0
"""The same for one that has reached nobody yet: WireGuard repeats a lost handshake after 5 s (whitepaper, 6.4), and BFD
begins at one packet a second."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a node has published of itself, which may be old."""

    active: tuple[str, ...] = ()
    hub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a node hears at a moment."""

    alive: frozenset[str] = frozenset()
    """Nodes of the own site, and endpoints at the other ends of tunnels, that are heard."""
    dead: frozenset[str] = frozenset()
    """Those of the own site that were heard and are not any more, or were not within a while."""
    unheard: frozenset[str] = frozenset()
    """Those at the other ends of tunnels of which that is so."""
    left: frozenset[str] = frozenset()
    """Those of both that went on purpose."""
    claims: Mapping[str, Claim] = field(default_factory=lambda: _NOTHING)
    """What endpoints, this node too if it is one, have said a moment ago."""
    published: Mapping[str, Published] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class View:
    """What is taken for true."""

    health: Health
    incumbents: Mapping[str, tuple[str, ...]]
    hub: str
    lost: frozenset[str] = frozenset()
    """Sites none of whose endpoints seems to be alive."""
    fallen: frozenset[str] = frozenset()
    """Endpoints that fell silent while they were active, and have not said anything since."""


class Views:
    """Remembers what a single look does not show: who was active, who was lost, and for how long who reaches nobody."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._active: dict[str, tuple[str, ...]] = {}
        self._hub = ""
        self._held: dict[str, tuple[float, HoldDown]] = {}
        self._unfit_from: dict[str, float] = {}
        """When who reaches nobody counts as unfit."""
        self._connected: set[str] = set()
        """Who has reached somebody since it spoke first."""
        self._left: set[str] = set()
        self._fallen: set[str] = set()

    def remember(self, elections: Mapping[str, Election], hub: str) -> None:
        """Take note of who is active now, and of the site of the hub; of a site without any, who was before."""
        self._active.update({site: election.active for site, election in elections.items() if election.active})
        self._hub = hub or self._hub

    def conclude(self, sites: Iterable[Site], evidence: Evidence, now: float) -> View:
        """Return what is taken for true of these sites."""
        dead: set[str] = set()
        alive = set(evidence.alive)
        held: set[str] = set()
        lost: set[str] = set()
        incumbents: dict[str, tuple[str, ...]] = {}
        for site in sites:
            names = [endpoint.node for endpoint in site.endpoints if endpoint.node in site.nodes]
            believed = _believed(names, evidence)
            gone = self._gone(site, names, believed, evidence, now)
            left = [name for name in names if name not in gone]
            self._mourn(site, names, gone, evidence)
            held |= self._observe(site, left, now)
            if left and any(site.nodes[name].ready or name in alive for name in left):
                dead |= gone
            elif names:
                # All of them seem lost, or are not ready by the word of a cluster that may not see them.
                alive |= set(left or names)
                dead |= gone if left else set()
                lost |= set() if left else {site.name}
            before = believed.active if believed else self._active.get(site.name) or _published(site, names, evidence)
            incumbents[site.name] = tuple(name for name in before if name in names)
        hub = self._hub or _most_published(evidence)
        health = Health(frozenset(alive - dead), frozenset(dead), frozenset(held))
        return View(health, incumbents, hub, frozenset(lost), frozenset(self._fallen))

    def next_change(self, now: float) -> float | None:
        """Return when to conclude anew though nothing is heard; None: never."""
        times = [at for _, one in self._held.values() if (at := one.next_release(now)) is not None]
        times += [due for due in self._unfit_from.values() if due > now]
        return min(times, default=None)

    def _gone(
        self, site: Site, names: Collection[str], believed: Claim | None, evidence: Evidence, now: float
    ) -> frozenset[str]:
        """Return the endpoints of a site that do not count."""
        leaving = {name for name in names if name in evidence.claims and evidence.claims[name].leaving}
        if self._node not in names and (believed is None or leaving & set(believed.active)):
            leaving = set()  # it goes on until its successor, who is one of them, says that it has taken over
        seen: frozenset[str] = frozenset()
        said: tuple[str, ...] = ()
        if self._node in site.nodes:
            seen = evidence.dead
        elif believed is not None:  # a long way loses packets, and whoever is near knows better
            said = believed.dead
        else:
            seen = evidence.unheard
        unfit = self._unfit([name for name in names if name not in seen | leaving], evidence, now)
        return frozenset(name for name in names if name in seen or name in leaving or name in said or name in unfit)

    def _mourn(self, site: Site, names: Iterable[str], gone: Collection[str], evidence: Evidence) -> None:
        """Take note of who fell silent while active, until it says something; who left on purpose did not."""
        for name in names:
            claim = evidence.claims.get(name)
            if claim is not None or name in evidence.left:
                self._fallen.discard(name)
                (self._left.add if claim is None or claim.leaving else self._left.discard)(name)
            elif name in gone and name in self._active.get(site.name, ()) and name not in self._left:
                self._fallen.add(name)

    def _unfit(self, names: Collection[str], evidence: Evidence, now: float) -> frozenset[str]:
        """Return those that have reached nobody for a while, where another one does reach somebody."""
        claims = {name: evidence.claims[name] for name in names if name in evidence.claims}
        some = any(claim.reaches for claim in claims.values())
        for name in names:
            if name not in claims:
                self._connected.discard(name)
            elif claims[name].reaches:
                self._connected.add(name)
            if some and name in claims and not claims[name].reaches:
                patience = UNFIT_SECONDS if name in self._connected else FIRST_CONTACT_SECONDS
                self._unfit_from.setdefault(name, now + patience)
            else:
                self._unfit_from.pop(name, None)
        return frozenset(name for name in names if now >= self._unfit_from.get(name, math.inf))

    def _observe(self, site: Site, left: Iterable[str], now: float) -> frozenset[str]:
        """Return the endpoints that are held down."""
        hold, known = self._held.get(site.name, (site.hold_down, None))
        if known is None or hold != site.hold_down:
            known = HoldDown(site.hold_down)
            self._held[site.name] = site.hold_down, known
        known.observe(frozenset(left), now)
        return known.held(now)


def _believed(names: list[str], evidence: Evidence) -> Claim | None:
    """Return the claim of the endpoint that hears the most of its site; of two that hear as much, the one that is
    preferred."""
    known = evidence.dead | evidence.unheard
    claims = [
        evidence.claims[name]
        for name in names
        if name in evidence.claims and name not in known and not evidence.claims[name].leaving
    ]
    return max((claim for claim in claims if claim.active), key=lambda claim: claim.hears, default=None)


def _published(site: Site, names: Collection[str], evidence: Evidence) -> tuple[str, ...]:
    """Return who was active by what the endpoints themselves have published."""
    said = [evidence.published[name].active for name in names if name in evidence.published]
    return tuple(
        name for name in names if name in evidence.published and name in evidence.published[name].active
    ) or next((active for active in said if active), ())


def _most_published(evidence: Evidence) -> str:
    """Return the site that most nodes take for the hub; of several, the first by name."""
    counts = Counter(published.hub for published in evidence.published.values() if published.hub)
    return min(counts, key=lambda hub: (-counts[hub], hub), default="")
