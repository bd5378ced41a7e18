"""What datagrams say about a gateway that fails, or is replaced. Pure; times in nanoseconds of one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Datagram", "Interruption", "read"]

Datagram = tuple[int, int | None]
"""When it was sent, and when its answer came; None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """What became of a pod's datagrams when something happened to its site's gateway."""

    restored_ms: float | None
    """From what happened until the first answer after the last datagram that was lost: from then on all is well. 0:
    none was lost. None: all were lost to the end."""
    silent_ms: float
    """The longest time in which no answer came, from the last one before it happened on."""
    lost: int
    """Datagrams that were never answered."""


def read(datagrams: Sequence[Datagram], *, fault: int) -> Interruption:
    """Read what was seen of a fault; ValueError where nothing was answered before it.

    A datagram that was lost before the fault counts as lost: nothing may be.
    """
    ordered = sorted(datagrams, key=lambda each: each[0])
    answers = sorted(answered for _, answered in ordered if answered is not None)
    before = max((at for at in answers if at < fault), default=None)
    if before is None:
        raise ValueError("nothing was answered before anything happened")
    lost = [sent for sent, answered in ordered if answered is None]
    after = [answered for sent, answered in ordered if answered is not None and sent > max(lost, default=0)]
    restored = (min(after) - fault) / 1e6 if after else None
    end = max(sent for sent, _ in ordered)
    points = [before, *(at for at in answers if at > before), *([end] if not after else [])]
    return Interruption(
        restored_ms=max(0.0, restored) if lost and restored is not None else 0.0 if not lost else None,
        silent_ms=max((later - sooner for sooner, later in pairwise(points)), default=0) / 1e6,
        lost=len(lost),
    )
