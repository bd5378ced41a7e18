"""Answer ARP requests, or neighbour solicitations, for one address on one interface: run as root.

python examples/answer_arp.py eth0 192.0.2.10 --seconds 60
"""

import asyncio
from contextlib import suppress

import click

from netlb.l2.adapter.announcer import Announcer
from netlb.l2.announces import FastPath


async def answer(interface: str, address: str, fastpath: FastPath, seconds: float | None) -> None:
    async with Announcer(interfaces=[interface], fastpath=fastpath, on_event=print) as announcer:
        await announcer.hold(address)
        print("answering:", announcer.held(), flush=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), seconds)


@click.command()
@click.argument("interface")
@click.argument("address")
@click.option(
    "--fastpath",
    type=click.Choice([mode.value for mode in FastPath]),
    default="auto",
    help="Whether the kernel may answer for us.",
)
@click.option("--seconds", type=float, help="Stop after that time; otherwise at Ctrl-C.")
def main(interface: str, address: str, fastpath: str, seconds: float | None) -> None:
    """Answer for ADDRESS on INTERFACE."""
    asyncio.run(answer(interface, address, FastPath(fastpath), seconds))


if __name__ == "__main__":
    main()
