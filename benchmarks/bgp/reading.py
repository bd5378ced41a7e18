"""What datagrams say about a node that fails behind a router. Pure; times in nanoseconds of one clock."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Datagram", "Moved", "read"]

Datagram = tuple[int, str | None]
"""When it was sent, and who answered it; None: nobody did."""

_UNDER_WAY = 20_000_000
"""What was sent so shortly before a fault may be lost by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of the traffic when a node failed, or was taken out."""

    share: float
    """Of the traffic that the node had before."""
    moved_ms: float
    """From the fault until the last datagram was sent that was lost, or that this node answered; 0: none was."""
    lost: int
    """Datagrams that nobody answered."""
    interrupted_ms: float
    """From the first of those to the last one; 0 if there are none."""


def read(datagrams: Sequence[Datagram], *, node: str, fault: int) -> Moved:
    """Read what was seen of a fault of a node; ValueError where the address did not work before it.

    A datagram that was lost before the fault counts as lost: nothing may be.
    """
    ordered = sorted(datagrams, key=lambda each: each[0])
    before = [who for at, who in ordered if at < fault - _UNDER_WAY]
    if not before or None in before or node not in before:
        raise ValueError(f"{node} did not take its part of the traffic before it failed")
    lost = [at for at, who in ordered if who is None]
    wrong = [at for at, who in ordered if at >= fault and who in (None, node)]
    return Moved(
        share=before.count(node) / len(before),
        moved_ms=(max(wrong) - fault) / 1e6 if wrong else 0.0,
        lost=len(lost),
        interrupted_ms=(max(lost) - min(lost)) / 1e6 if lost else 0.0,
    )
