"""`netlb-speaker`, which makes a mistake at SIGUSR1 and ends of it."""

import asyncio
import signal
from unittest.mock import patch

from netlb.errors import NetlbError
from netlb_speaker.__main__ import main
from netlb_speaker.speaker import Speaker


async def _fail(_: Speaker) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    await told.wait()
    raise NetlbError("a mistake")


if __name__ == "__main__":
    with patch.object(Speaker, "count", _fail):
        main()
