"""`netlb-speaker`, which bears with workers that a busy machine holds up: run as a script.

The real one kills a worker that leaves two beats of 0.2 s unanswered; until its successor is there, others step in. This
one also makes a mistake at SIGUSR1, and ends of it.
"""

import asyncio
import signal
from unittest.mock import patch

from netlb.bfd.adapter import process as bfd
from netlb.errors import NetlbError
from netlb.l2.adapter import process as l2
from netlb.worker.adapter import process as workers
from netlb.worker.adapter import shelter
from netlb_speaker.__main__ import main
from netlb_speaker.speaker import Speaker

BEATS = 15
ANSWER = 3.0
"""Seconds: as long as those beats."""
IN_WORKERS = f"from netlb.worker.adapter import line; line.MOST_UNANSWERED = {BEATS}; from {{module}}"

_count = Speaker.count


async def _count_or_fail(speaker: Speaker) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    ways = [asyncio.ensure_future(_count(speaker)), asyncio.ensure_future(told.wait())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
    raise NetlbError("a mistake")


if __name__ == "__main__":
    with (
        patch.object(Speaker, "count", _count_or_fail),
        patch.object(l2, "MOST_UNANSWERED", BEATS),
        patch.object(bfd, "MOST_UNANSWERED", BEATS),
        patch.object(bfd, "_ANSWER_TIMEOUT", ANSWER),
        patch.object(shelter, "_ANSWER", ANSWER),
        patch.object(workers, "_BOOTSTRAP", workers._BOOTSTRAP.replace("from {module}", IN_WORKERS)),
    ):
        main()
