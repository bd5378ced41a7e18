"""Hand routes to a gobgpd and do nothing else: what gobgpd alone needs. Paths are encoded before they are asked for.

COMMANDS REPLIES DIRECTORY ADDRESS ROUTERS. See `feeders` for what is said on the two pipes.
"""

import asyncio
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.bgp.feeding import commands, peers, reply, routes, speaker
from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path, encode_withdrawal
from netlb.bgp.peers import encode_global, encode_peer
from netlb.errors import TransientError

__all__: list[str] = []


async def main(asked: Path, answered: Path, directory: Path, address: str, routers: str) -> None:
    """Do as the commands say until there are no more."""
    async with Gobgpd(directory=directory) as gobgpd:
        client = await GobgpClient.connect(gobgpd.target)
        owner = Owner(speaker(address).asn, 1)
        prepared = routes(IPv4Address(address))
        additions = [encode_path(client.dialect, owner, route) for route in prepared]
        withdrawals = [encode_withdrawal(client.dialect, route.prefix) for route in prepared]

        async def start(number: int) -> None:
            await client.start_bgp(encode_global(speaker(address)))
            await client.send_paths(additions[:number])
            for peer in peers(routers):
                await client.add_peer(encode_peer(owner, speaker(address), peer))

        await start(0)
        there = 0
        async for word, number in commands(asked):
            begun = time.monotonic_ns()
            if word == "kill":
                await client.close()
                client = await _another(gobgpd)
                await start(there)
            else:
                await client.send_paths(additions[there:number] + withdrawals[number:there])
                there = number
            reply(answered, begun, time.monotonic_ns())
        await client.close()


async def _another(gobgpd: Gobgpd) -> GobgpClient:
    """Kill gobgpd, and connect to the one that is started in its place as soon as it listens."""
    before = gobgpd.pid
    gobgpd.kill()
    while True:
        try:
            if gobgpd.pid not in (None, before):
                return await GobgpClient.connect(gobgpd.target)
        except TransientError:
            pass
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]))
