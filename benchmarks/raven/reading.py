"""What datagrams say about a gateway that fails, or is replaced. Pure; times in nanoseconds of one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

__all__ = ["Datagram", "Interruption", "read"]

Datagram = tuple[int, int | None]
"""When it was sent, and when its answer came; None: never."""

_UNDER_WAY: Final = 20_000_000
"""What was sent so shortly before a fault may be lost by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """What became of a pod's datagrams when something happened to its site's gateway."""

    restored_ms: float | None
    """From what happened until the first answer to a datagram that was sent after the last one that was lost; 0: none
    was lost. None: all were, to the end."""
    silent_ms: float
    """The longest time in which no answer came, from the last one before it happened on."""
    lost: int
    """Datagrams that were never answered."""


def read(datagrams: Sequence[Datagram], *, fault: int) -> Interruption:
    """Read what was seen of a fault; ValueError where nothing was answered before it.

    What was lost long before is the doing of something else.
    """
    known = [each for each in datagrams if each[1] is not None or each[0] >= fault - _UNDER_WAY]
    ordered = sorted(known, key=lambda each: each[0])
    answers = sorted(answered for _, answered in ordered if answered is not None)
    before = max((at for at in answers if at < fault), default=None)
    if before is None:
        raise ValueError("nothing was answered before anything happened")
    lost = [sent for sent, answered in ordered if answered is None]
    after = [answered for sent, answered in ordered if answered is not None and sent > max(lost, default=0)]
    points = [before, *(at for at in answers if at > before)]
    if not after:
        points.append(lost[-1])
    return Interruption(
        restored_ms=0.0 if not lost else (min(after) - fault) / 1e6 if after else None,
        silent_ms=max((later - sooner for sooner, later in pairwise(points)), default=0) / 1e6,
        lost=len(lost),
    )
