"""Which endpoints of a site are active. Pure: nodes that see the same compute the same, without a word.

Raven elects in the cloud, by kubelet's Ready alone and in the order of a Go map where there are too many. Here the
order is total, and whoever watches the nodes themselves is believed first.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from netlb.raven.model import Election, Endpoint, Site
from netlb.reasons import Idle

__all__ = ["Health", "elect"]


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of nodes beside what the cluster says; who is in no set is as ready as the cluster says."""

    alive: frozenset[str] = frozenset()
    """Seen alive a moment ago, as by BFD: they count even if the cluster has lost sight of them."""
    dead: frozenset[str] = frozenset()
    """Not heard any more: they do not count even if the cluster has not noticed."""
    held: frozenset[str] = frozenset()
    """Alive, and lost a short while ago (`HoldDown`): they come behind others."""

    def healthy(self, node: str, ready: bool) -> bool:
        """Say whether a node can be active."""
        return node not in self.dead and (ready or node in self.alive)


_UNKNOWN = Health()


def elect(site: Site, incumbents: Collection[str] = (), health: Health = _UNKNOWN) -> Election:
    """Elect `site.replicas` endpoints among the healthy ones.

    First come those that are active already, unless the site is revertive; then those that were not lost lately; then
    by priority, the highest first; then in the order of the declaration.
    """
    preference = {endpoint.node: (-endpoint.priority, place) for place, endpoint in enumerate(site.endpoints)}
    idle = {
        endpoint.node: why for endpoint in site.endpoints if (why := _idle(site, endpoint.node, health)) is not None
    }

    def order(endpoint: Endpoint) -> tuple[bool, bool, tuple[int, int]]:
        incumbent = endpoint.node in incumbents
        held = endpoint.node in health.held and not incumbent
        return held, not incumbent and not site.revertive, preference[endpoint.node]

    able = [endpoint.node for endpoint in sorted(site.endpoints, key=order) if endpoint.node not in idle]
    active = sorted(able[: site.replicas], key=lambda node: preference[node])
    return Election(tuple(active), tuple(able[site.replicas :]) if site.replicas else (), idle)


def _idle(site: Site, node: str, health: Health) -> Idle | None:
    if not site.replicas:
        return Idle.SWITCHED_OFF
    if node not in site.nodes:
        return Idle.NOT_A_MEMBER
    if node in health.dead:
        return Idle.DEAD
    return None if health.healthy(node, site.nodes[node].ready) else Idle.NOT_READY


class HoldDown:
    """Keeps nodes that come and go from being preferred. Takes time as an argument, in seconds of any clock that runs
    on.

    A node that was lost and is back is held for a while; each loss before it has stayed for as long again doubles the
    while, up to 16 times. Nodes that nobody has lost are not held, so a start is no loss.
    """

    _LIMIT = 16

    def __init__(self, hold: float) -> None:
        """Hold nodes for so many seconds after their first loss."""
        self._hold = hold
        self._alive: frozenset[str] = frozenset()
        self._lost: set[str] = set()
        self._factor: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def observe(self, alive: AbstractSet[str], now: float) -> None:
        """Take note of which nodes are alive now."""
        for node in self._alive - alive:
            calm = node not in self._until or now >= self._until[node] + self._hold * self._factor[node]
            self._factor[node] = 1 if calm else min(2 * self._factor[node], self._LIMIT)
            self._lost.add(node)
        for node in alive & self._lost:
            self._lost.discard(node)
            self._until[node] = now + self._hold * self._factor[node]
        self._alive = frozenset(alive)

    def held(self, now: float) -> frozenset[str]:
        """Return the nodes that are alive and are held."""
        return frozenset(node for node in self._alive if now < self._until.get(node, now))

    def next_release(self, now: float) -> float | None:
        """Return when the next node is released, or None if none is held."""
        return min((self._until[node] for node in self.held(now)), default=None)
