"""Who lives, by a Lease (coordination.k8s.io/v1) that each node renews of its own: no I/O, no clock, no randomness.

Rule 1: time is an argument: `now`, in seconds of a steady clock of this machine. What a Lease says of times tells that
it was written anew, and is never compared with a clock.
Rule 2: a view is as fresh as the last renewal of our own that has come back in it. It has all that was written before
that renewal was sent, whatever stands still: the network, the API server, a replica of it, this machine.

From the two follows who is dead, which is client-go's rule for who may take a Lease: a node is dead when its Lease was
not seen to change for the Lease's own `leaseDurationSeconds`, up to a renewal of ours that was sent after that time and
has come back. So nobody who is cut off finds anybody dead, and nobody does who cannot write.

What may have kept us from renewing may have kept the others: an API server that is away, or takes no writes. After a
pause of more than `gap` all have their whole time again, from when renewals come back. `gap` must leave the others time
to try again: half a duration, where each renews four times in one.

What a Lease says by itself counts at once: its node left (nobody holds it), or cannot answer, or others have found it
dead and said so. One that was never seen to answer, and says that it is about to, counts as if it did: nodes that start
together must not take over from each other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Life", "Sign", "Vigil"]

_MOST_SENT = 64
"""Renewals whose return is waited for: more than are sent while one could come back."""


class Life(StrEnum):
    """How it is with a node."""

    ALIVE = "alive"
    NOT_READY = "not ready"
    """It runs, and cannot answer for addresses."""
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a node's Lease says."""

    holder: str
    """Empty: its speaker has left, or is dead as others say."""
    ready: bool
    starting: bool = False
    """Not ready, and begun no longer ago than a Lease lasts."""
    duration: int
    """For how many seconds it lives from when this was seen first."""
    renewed: int | None
    """Whatever the writer's calendar said, in microseconds: another one in each renewal."""
    transitions: int = 0


@dataclass(slots=True)
class _Known:
    sign: Sign | None = None
    since: float = float("-inf")
    """When it was first seen to be so."""
    life: Life = Life.UNKNOWN
    coming: bool = False
    """Whether it is about to be ready, and was never seen to be."""

    @property
    def dead(self) -> bool:
        return self.life is Life.DEAD or (self.life is Life.NOT_READY and not self.coming)


class Vigil:
    """What one node knows of the others."""

    def __init__(self, identity: str, *, duration: int) -> None:
        """`identity` holds our own Lease; `duration`, in seconds, is that of nodes that have no Lease at all."""
        self._identity = identity
        self._duration = duration
        self._gap = duration / 2
        self._sent: dict[int, float] = {}
        self._known: dict[str, _Known] = {}
        self._fresh: float | None = None
        """When that renewal of ours was sent which came back last."""
        self._began = float("inf")
        """Since when renewals come back without a pause."""
        self.judgements = 0
        """How often another thing was found of a node than before."""

    # What happens

    def arrange(self, nodes: Collection[str]) -> None:
        """Judge these nodes, and no others."""
        self._known = {node: self._known.get(node) or _Known() for node in nodes}

    def sent(self, renewed: int, now: float) -> None:
        """Take note that a renewal of our own goes out, which bears this time."""
        self._sent[renewed] = now
        while len(self._sent) > _MOST_SENT:
            del self._sent[next(iter(self._sent))]

    def saw(self, node: str, sign: Sign | None, now: float) -> None:
        """Take in a Lease as it is seen; None: there is none. Of what is seen at once, our own comes last."""
        known = self._known.get(node)
        if known is None or known.sign == sign:
            return
        first, known.sign, known.since = known.sign is None, sign, now
        if sign is None:
            return
        if not sign.holder:
            self._judge(known, Life.DEAD)
        elif not sign.ready:
            coming = sign.starting and (known.coming or known.life is Life.UNKNOWN)
            self._judge(known, Life.NOT_READY, coming=coming)
        elif not first:
            self._judge(known, Life.ALIVE)

    def saw_own(self, sign: Sign | None, now: float) -> None:
        """Take in our own Lease as it is seen, and judge the others."""
        if sign is None or sign.holder != self._identity or sign.renewed not in self._sent:
            return
        sent = self._sent[sign.renewed]
        if self._fresh is None or sent - self._fresh > self._gap:
            self._began = now
        self._fresh = sent
        self._sent = {renewed: at for renewed, at in self._sent.items() if at > sent}
        for known in self._known.values():
            duration = known.sign.duration if known.sign else self._duration
            if sent - max(known.since, self._began) >= duration:
                self._judge(known, Life.DEAD)

    def _judge(self, known: _Known, life: Life, *, coming: bool = False) -> None:
        self.judgements += (known.life, known.coming) != (life, coming)
        known.life, known.coming = life, coming

    # What is known

    def life(self, node: str) -> Life:
        """Return how it is with a node."""
        known = self._known.get(node)
        return known.life if known else Life.UNKNOWN

    def sign(self, node: str) -> Sign | None:
        """Return the Lease of a node as last seen."""
        known = self._known.get(node)
        return known.sign if known else None

    @property
    def dead(self) -> frozenset[str]:
        """The nodes that cannot answer."""
        return frozenset(node for node, known in self._known.items() if known.dead)

    @property
    def settled(self) -> bool:
        """Whether it is known of every node how it is."""
        return self._fresh is not None and all(known.life is not Life.UNKNOWN for known in self._known.values())
