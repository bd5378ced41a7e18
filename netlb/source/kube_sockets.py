"""What becomes of requests that are given up."""

import socket
from collections.abc import Mapping
from struct import pack
from typing import Any, Final

__all__ = ["discard_unsent"]

_AT_ONCE: Final = pack("=ii", 1, 0)
"""`struct linger`: on, for no time."""


async def discard_unsent(event: str, about: Mapping[str, Any]) -> None:
    """Have a new connection discard what could not be sent when it is closed; an httpcore `trace` extension.

    Otherwise the kernel goes on trying, for minutes: where the network is away for a while, a write that was given up
    would be carried out when it is back, after those that came later.
    """
    if event == "connection.connect_tcp.complete":
        about["return_value"].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
