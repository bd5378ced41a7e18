"""Which Services hold which addresses, and which of them another load balancer serves, as their statuses say. Pure."""

from collections.abc import Mapping

from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.source.kube_status import ServiceSeen

__all__ = ["Holders"]


class Holders:
    """Takes in Services one by one, each by its origin."""

    def __init__(self, *, leaves_others: bool, takes_over: bool) -> None:
        """With `leaves_others` Services of other load balancers are told apart. What a Service got from a system whose
        results can be taken over counts at once, or, without `takes_over`, once netlb's controller has done so."""
        self._leaves_others = leaves_others
        self._takes_over = takes_over
        self._now: dict[ObjectRef, Holding] = {}
        self._told: Mapping[ObjectRef, Holding] = {}
        self._changed = False
        self._ours: dict[str, frozenset[str]] = {}
        """By origin, what those had that bore our mark."""

    def see(self, origin: str, ref: ObjectRef, seen: ServiceSeen | None) -> None:
        """Note what a Service holds, if a load balancer whose results we take over says so; None: it is gone."""
        before = self._now.pop(ref, None)
        if seen is None:
            self._ours.pop(origin, None)
        elif seen.marked:
            if self._leaves_others:
                self._ours[origin] = frozenset(seen.ingress)
            if seen.holding is not None and (seen.ours or self._takes_over):
                self._now[ref] = seen.holding
        self._changed |= self._now.get(ref) != before

    def is_others(self, origin: str, seen: ServiceSeen) -> bool:
        """Say whether another load balancer serves a Service.

        One that has what it had with our mark, and no mark any more, is still ours: its addresses are not free.
        """
        others = self._leaves_others and bool(seen.ingress) and not seen.marked
        return others and not self._ours.get(origin, frozenset()) & set(seen.ingress)

    def holdings(self) -> Mapping[ObjectRef, Holding]:
        """Return who holds what: the very same mapping for as long as nothing of it changes."""
        if self._changed:
            self._told, self._changed = dict(self._now), False
        return self._told
