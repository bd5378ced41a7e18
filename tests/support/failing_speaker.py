"""`netlb-speaker`, which makes a mistake at SIGUSR1 and ends of it, and bears with workers that are held up."""

import asyncio
import signal
from unittest.mock import patch

from netlb.bfd.adapter import process as bfd
from netlb.errors import NetlbError
from netlb.l2.adapter import process as l2
from netlb_speaker.__main__ import main
from netlb_speaker.speaker import Speaker

MOST_UNANSWERED = 15
"""Beats of 0.2 s: on a busy machine a worker may not be let run for longer than half a second."""


async def _fail(_: Speaker) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    await told.wait()
    raise NetlbError("a mistake")


if __name__ == "__main__":
    with (
        patch.object(Speaker, "count", _fail),
        patch.object(l2, "MOST_UNANSWERED", MOST_UNANSWERED),
        patch.object(bfd, "MOST_UNANSWERED", MOST_UNANSWERED),
    ):
        main()
