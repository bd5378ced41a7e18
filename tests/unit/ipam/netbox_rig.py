"""A NetBox in memory and clients of it, for tests of the client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from netlb.findings import ObjectRef
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.adapter.settings import NetBoxSettings, TokenFile
from netlb.ipam.source import Claim, Lessee
from netlb.net import Family
from netlb.testing.netbox import NetBoxDouble

T = TypeVar("T")

FOUR, SIX = "192.0.2.0/29", "2001:db8::/120"
EDGE = Lessee("edge", "default")


def claim(name: str = "web", family: Family = Family.IPV4) -> Claim:
    return Claim(ObjectRef("Service", "default", name), family)


class NetBoxRig:
    """A NetBox with one prefix of each family, and the file that holds our token."""

    def __init__(self, folder: Path) -> None:
        self.netbox = NetBoxDouble()
        self.http = self.netbox.http
        self.token = next(iter(self.netbox.tokens))
        self.file = folder / "token"
        self.file.write_text(f"{self.token}\n")
        self.netbox.add_prefix(FOUR)
        self.netbox.add_prefix(SIX)
        self.url = ""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a scenario while the server serves."""

        async def served() -> T:
            async with self.http.serving() as self.url:
                return await scenario()

        return asyncio.run(served())

    def settings(self, **changes: Any) -> NetBoxSettings:
        defaults: dict[str, Any] = {
            "url": self.url,
            "token": TokenFile(self.file),
            "addresses": (FOUR, SIX),
            "timeout": 30.0,
        }
        return NetBoxSettings(**(defaults | changes))

    @asynccontextmanager
    async def source(self, lessee: Lessee = EDGE, **changes: Any) -> AsyncIterator[NetBox]:
        source = NetBox(self.settings(**changes), lessee)
        try:
            yield source
        finally:
            await source.close()

    def entries(self) -> dict[str, str]:
        """Return every address that is entered, and its description."""
        assert len({(row.host, row.vrf) for row in self.netbox.entries.values()}) == len(self.netbox.entries)
        return {row.host: row.description for row in self.netbox.entries.values()}

    def asked(self, method: str) -> list[str]:
        """Return the paths of the requests of one method."""
        return [request.path for request in self.http.requests if request.method == method]
