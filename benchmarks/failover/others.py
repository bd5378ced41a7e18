"""Many nodes in one process, as far as BFD goes: OURS ADDRESS...; from each address a session with OURS."""

import asyncio
import sys
from ipaddress import ip_address

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.settings import Settings

__all__: list[str] = []

_PACE = Settings(transmit_interval=100_000, receive_interval=100_000)
"""As speakers watch each other."""


async def main(ours: str, *addresses: str) -> None:
    """Have the sessions."""
    async with Bfd() as bfd:
        for address in addresses:
            bfd.add(Peer(ip_address(ours), local=ip_address(address)), _PACE, lambda *_: None)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
