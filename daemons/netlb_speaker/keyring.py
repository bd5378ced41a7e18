"""The key by which the speakers of a segment believe each other, and how another one takes its place."""

from pathlib import Path
from typing import Any, Final

from netlb.bfd.adapter.keyfile import read_key
from netlb.bfd.packet import Key
from netlb.errors import SettingError

__all__ = ["KEY_OPTION", "ROLLOVER", "Keyring"]

KEY_OPTION: Final = "--bfd-key-file"
ROLLOVER: Final = 300.0
"""Seconds for which a key that was replaced is used and believed too: a Secret reaches all nodes within two minutes."""


class Keyring:
    """Follows the file. What sessions use is `key` and `former`."""

    def __init__(self, path: Path, log: Any, *, unauthenticated: bool = False) -> None:
        """With `unauthenticated`, speakers that have no key yet are believed, and can believe us."""
        self._path = path
        self._log = log
        self._unauthenticated = unauthenticated
        self._until: dict[Key, float] = {}
        self._told = ""
        self.key: Key | None = None

    @property
    def former(self) -> tuple[Key | None, ...]:
        """What others may use in place of the key."""
        return (*self._until, *((None,) if self._unauthenticated else ()))

    def begin(self) -> None:
        """Read the file for the first time; SettingError where that cannot be."""
        self.key = read_key(self._path, KEY_OPTION)

    def look(self, now: float) -> bool:
        """Read the file again, and say whether what sessions use has changed; `now` are seconds.

        A file that cannot be read changes nothing but the log.
        """
        before = (self.key, self.former)
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
            self._log.info("former BFD key forgotten", file=str(self._path))
        try:
            key = read_key(self._path, KEY_OPTION)
        except SettingError as error:
            if str(error) != self._told:
                self._told = str(error)
                self._log.warning("BFD key not read, the last one stays", problem=self._told)
        else:
            self._told = ""
            if self.key is not None and key != self.key:
                self._until.pop(key, None)
                self._until[self.key] = now + ROLLOVER
                self.key = key
                self._log.info("BFD key changed", file=str(self._path), former_believed_for=f"{ROLLOVER:g} s")
        return (self.key, self.former) != before
