"""Our nftables table, by `nft`: one transaction makes it anew."""

import asyncio
import contextlib
import errno

from netlb.errors import DataplaneError, TransientError
from netlb.raven.adapter.errors import ForeignStateError
from netlb.raven.objects import Key, TableKey, Value
from netlb.raven.ruleset import Ruleset, foreign, marked, observed, seal
from netlb.reasons import Foreign

__all__ = ["Tables"]

_PATIENCE = 30.0
"""Seconds; nft waits for nobody but the kernel."""


class Tables:
    """One table of family inet."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def observe(self) -> dict[Key, Value]:
        """Return the table, if it is there and ours."""
        listing = await self._listing()
        return {} if listing is None or foreign(listing) else {TableKey(self._name): observed(listing)}

    async def apply(self, key: TableKey, wanted: Ruleset) -> None:
        """Put the table in place of ours, or of none; ForeignStateError if it is somebody else's."""
        listing = await self._listing()
        if listing is not None and foreign(listing):
            raise ForeignStateError(
                Foreign.TABLE, key, "there is a table of that name", "remove it, or choose another name"
            )
        await self._load(key, marked(wanted))
        made = await self._listing()
        if made is not None:
            await self._load(key, seal(self._name, made))

    async def prune(self, key: TableKey) -> None:
        """Remove the table, if it is ours."""
        listing = await self._listing()
        if listing is not None and not foreign(listing):
            await self._load(key, f"delete table inet {self._name}\n")

    async def _listing(self) -> str | None:
        """Return the table as nft lists it; None if there is none."""
        code, out, words = await _nft("list", "table", "inet", self._name)
        if code == 0:
            return out
        if "No such file or directory" in words:
            return None
        raise DataplaneError(f"list nftables table inet {self._name}: {words}", errno.EIO)

    async def _load(self, key: TableKey, text: str) -> None:
        code, _, words = await _nft("-f", "-", text=text)
        if code:
            raise DataplaneError(f"{key}: {words}", errno.EINVAL)


async def _nft(*arguments: str, text: str = "") -> tuple[int, str, str]:
    """Run nft; return its status, what it printed, and the first line of its complaint."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec("nft", *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError:
        raise DataplaneError("nft: the command is not found; install nftables", errno.ENOENT) from None
    try:
        async with asyncio.timeout(_PATIENCE):
            out, words = await process.communicate(text.encode())
    except TimeoutError:
        raise TransientError(f"nft: no answer within {_PATIENCE:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace"), words.decode(errors="replace").partition("\n")[0]
