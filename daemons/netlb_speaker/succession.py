"""What an earlier speaker of this node has left running, and what this one leaves: its responder and its BFD process.

A speaker that dies without a word, or of a mistake of ours, leaves both for a while. The next one takes them over, both
or neither, and goes on as if nothing had been: the others have heard this node all the time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from netlb.bfd.adapter.bfd import WORKER as BFD
from netlb.errors import SettingError
from netlb.l2.adapter.announcer import WORKER as RESPONDER
from netlb.worker.adapter.shelter import Shelter

__all__ = ["GRACE_OPTION", "Succession", "SuccessionSettings", "parse_orphan_grace"]

GRACE_OPTION: Final = "--orphan-grace"
DIRECTORY_OPTION: Final = "--worker-dir"
_SHORTEST: Final = 5.0
"""Planning the largest cluster takes two seconds, in which nothing else turns; and a speaker is to be up again."""
_LONGEST: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessionSettings:
    """For how long the workers outlive a speaker, and where they are found."""

    grace: float
    """Seconds."""
    directory: Path


def parse_orphan_grace(grace: str, directory: str) -> SuccessionSettings | None:
    """Read the values of --orphan-grace and --worker-dir; None: nothing outlives a speaker. Raises `SettingError`."""
    remedy = f"give 0, or {_SHORTEST:g} to {_LONGEST:g} seconds"
    try:
        seconds = float(grace)
    except ValueError:
        raise SettingError(GRACE_OPTION, f"{grace!r} is no number of seconds", remedy) from None
    if seconds == 0:
        return None
    if not _SHORTEST <= seconds <= _LONGEST:
        raise SettingError(GRACE_OPTION, f"{seconds:g} seconds cannot be", remedy)
    if not directory.startswith("/"):
        raise SettingError(DIRECTORY_OPTION, f"{directory!r} is not absolute", "give a path from / on")
    return SuccessionSettings(grace=seconds, directory=Path(directory))


class Succession:
    """Begins once, before anything else that announces or watches."""

    def __init__(self, settings: SuccessionSettings | None, identity: str, log: Any) -> None:
        """`identity` is what two speakers must have in common."""
        self.shelter = (
            Shelter(settings.directory, identity, settings.grace, DIRECTORY_OPTION) if settings is not None else None
        )
        """None: nothing outlives a speaker."""
        self._log = log
        self._inherited: bool | None = None

    def begin(self) -> bool:
        """Take over what is there, and say whether there was something to take over. Raises as `Shelter.claim`."""
        if self._inherited is None:
            self._inherited = self.shelter is not None and self._claim(self.shelter)
        return self._inherited

    def leave(self) -> None:
        """Leave the workers to the next speaker."""
        if self.shelter is not None:
            self.shelter.leaves = True
            self._log.warning("responder and BFD are left to the next speaker")

    def _claim(self, shelter: Shelter) -> bool:
        outcome = shelter.claim((RESPONDER, BFD))
        self._log.info("responder and BFD of an earlier speaker", outcome=outcome)
        return shelter.has(RESPONDER)
