"""Answer as the speaker does: `python answer_netlb.py INTERFACE ADDRESS COUNT auto|off|require`.

It holds COUNT addresses: IPv4 addresses from ADDRESS on, or IPv6 addresses that count in their fifth and sixth group,
so that all of them are in one solicited-node group. It says "quiet" when they have been announced for the last time.
"""

import asyncio
import sys
from ipaddress import ip_address

from netlb.l2.adapter.announcer import Announcer
from netlb.l2.announces import FastPath
from netlb.l2.burst import ROUNDS, frames
from netlb.net import Address


async def main(interface: str, first: str, count: int, fastpath: str) -> None:
    """Answer until killed."""
    start = ip_address(first)
    step = 1 if start.version == 4 else 1 << 32
    addresses = [start + number * step for number in range(count)]
    async with Announcer(interfaces=[interface], fastpath=FastPath(fastpath), on_event=print) as announcer:
        await announcer.hold_many(dict.fromkeys(addresses))
        print("answering", flush=True)
        last = ROUNDS * len(frames(bytes(6), start.packed))
        if count > 1:
            await until_announced(announcer, addresses[-1], last)
        print("quiet", flush=True)
        await asyncio.Event().wait()


async def until_announced(announcer: Announcer, address: Address, times: int) -> None:
    """Wait until that many frames have announced an address."""
    while (await announcer.stats()).addresses[address].gratuitous_sent < times:  # noqa: ASYNC110 - it has to be asked
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
