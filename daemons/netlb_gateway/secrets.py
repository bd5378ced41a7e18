"""Follows the file with the secret that all endpoints share, as of a mounted Secret, which the kubelet replaces."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from netlb.errors import SettingError
from netlb.raven.adapter.keys import read_shared_key
from netlb.raven.keys import Keys
from netlb_gateway.carrier import Carrier
from netlb_gateway.settings import SHARED_KEY_FILE

__all__ = ["LOOK_SECONDS", "SharedSecret"]

LOOK_SECONDS: Final = 5.0
"""Between two looks at the file: a mounted Secret changes by a link, of which its directory alone would tell."""


class SharedSecret:
    """Uses what is in the file. Tunnels go on for up to three minutes with what their ends agreed on before."""

    def __init__(self, path: Path, keys: Keys, carrier: Carrier, log: Any, *, every: float = LOOK_SECONDS) -> None:
        """`keys` are those that are used at first."""
        self._path = path
        self._keys = keys
        self._carrier = carrier
        self._log = log
        self._every = every
        self._told = ""

    async def follow(self) -> None:
        """Look at the file again and again."""
        while True:
            await asyncio.sleep(self._every)
            self.look()

    def look(self) -> None:
        """Read the file; one that cannot be read changes nothing but the log."""
        try:
            shared = read_shared_key(self._path, SHARED_KEY_FILE)
        except SettingError as error:
            if str(error) != self._told:
                self._told = str(error)
                self._log.warning("shared secret not read, the last one stays", problem=self._told)
            return
        self._told = ""
        if shared != self._keys.shared:
            self._keys = replace(self._keys, shared=shared)
            self._carrier.rekeyed(self._keys)
            self._log.info("shared secret changed", file=str(self._path))
