"""A node of a large segment: watches two others by BFD, hears of the rest, and writes down who is dead.

python -m tests.support.watcher NAME FILE NAME=ADDRESS...
"""

import asyncio
import json
import sys
from ipaddress import ip_address
from pathlib import Path

import structlog

from netlb.bfd.adapter.bfd import Bfd
from netlb.bfd.circles import neighbours
from netlb.plan.segment import Watched
from netlb.plan.timers import SEGMENT_TIMERS
from netlb_speaker.liveness import Liveness


async def watch(name: str, file: Path, addresses: dict[str, str]) -> None:
    """Write down who is dead after every change, when it is known."""
    graph = neighbours(addresses, most=2)

    def look() -> None:
        if liveness.settled:
            liveness.be_ready(True)
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps(sorted(liveness.dead)))
            fresh.rename(file)

    log = structlog.get_logger()
    liveness = Liveness(name, log, look, lambda: None, lambda: None, keyring=None, grace=3.0)
    async with Bfd() as bfd:
        peers = {other: Watched(ip_address(addresses[other]), SEGMENT_TIMERS) for other in sorted(graph[name])}
        liveness.watch(peers, graph)
        liveness.begin(bfd)
        await liveness.attend()


if __name__ == "__main__":
    _, own, path, *others = sys.argv
    asyncio.run(watch(own, Path(path), dict(other.split("=") for other in others)))
