"""What systemd wants to be told (sd_notify(3), systemd.service(5)), if it started us with Type=notify."""

import asyncio
import os
import socket

__all__ = ["notify", "watchdog"]


def notify(state: str) -> None:
    """Send one state, such as READY=1; without systemd, or if it does not listen, do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return


async def watchdog() -> None:
    """Tell that the event loop turns, twice in each watchdog period, for as long as the daemon runs."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    period = int(microseconds) / 2_000_000 if microseconds.isdigit() else 0
    while period:
        notify("WATCHDOG=1")
        await asyncio.sleep(period)
    await asyncio.Event().wait()
