"""Which gobgpd a speaker uses: what it is told, without what it takes to use it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["GobgpSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GobgpSettings:
    """Whose gobgpd is used."""

    target: str = ""
    """Where its API is; empty: one of our own, started when a peer is declared."""
    shared: bool = False
    """Whether somebody else speaks through it too."""
    directory: Path
    """Where the socket of our own is."""
