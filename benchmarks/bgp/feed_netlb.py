"""Keep routes in a gobgpd by netlb's library, as the speaker does: supervised, reconciled, verified.

COMMANDS REPLIES DIRECTORY ADDRESS ROUTERS. See `feeders` for what is said on the two pipes.
"""

import asyncio
import sys
import time
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.bgp.feeding import commands, peers, reply, routes, speaker
from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.adapter.speaker import GobgpSpeaker
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted, Event
from netlb.bgp.messages import Message
from netlb.bgp.model import BgpState, Key, Record
from netlb.reconcile import Reconciler

__all__: list[str] = []


class Timed:
    """When AddPathStream was last answered."""

    def __init__(self) -> None:
        self.answered = 0
        send = GobgpClient.send_paths

        async def send_and_note(client: GobgpClient, paths: Iterable[Message]) -> None:
            await send(client, paths)
            self.answered = time.monotonic_ns()

        GobgpClient.send_paths = send_and_note  # type: ignore[assignment, method-assign]


async def main(asked: Path, answered: Path, directory: Path, address: str, routers: str) -> None:
    """Do as the commands say until there are no more."""
    timed, back = Timed(), asyncio.Event()

    def hear(event: Event) -> None:
        match event:
            case DaemonLost():
                reconciler.lost()
            case DaemonBack():
                reconciler.refresh()
                back.set()
            case Drifted():
                reconciler.refresh()

    def bug(_: str, error: Exception) -> None:
        raise error

    def state(number: int) -> BgpState:
        return BgpState(speaker(address), peers(routers), prepared[:number])

    prepared = routes(IPv4Address(address))
    async with Gobgpd(directory=directory, on_event=hear) as gobgpd, asyncio.TaskGroup() as tasks:
        kept = GobgpSpeaker(gobgpd.target, on_event=hear, tenancy=Tenancy.OWN)
        reconciler: Reconciler[Key, Record] = Reconciler("bgp", kept.operations, on_bug=bug)
        running = [tasks.create_task(kept.run()), tasks.create_task(reconciler.run())]
        async for word, number in commands(asked):
            begun = time.monotonic_ns()
            if word == "kill":
                back.clear()
                gobgpd.kill()
                await back.wait()
            else:
                wanted = state(number)
                begun = time.monotonic_ns()
                reconciler.want(wanted.records())
            await reconciler.settled()
            reply(answered, begun, timed.answered, time.monotonic_ns())
        for task in running:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]))
