"""WireGuard in the kernel: its link by rtnetlink, and all else by generic netlink."""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

from netlb.errors import DataplaneError, NetlbError
from netlb.raven import wgnetlink
from netlb.raven.adapter.links import Link, NetLink
from netlb.raven.backend import Choice
from netlb.raven.wireguard import DeviceDump, Write

__all__ = ["GenericNetlink", "Kernel", "Messages", "missing"]

_GENERIC: Final = 16
_HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr: length with this header, type, flags, sequence number, port."""
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_PATIENCE: Final = 5.0
_LARGEST: Final = 1 << 20


class Messages(Protocol):
    """Exchanges messages with WireGuard in the kernel."""

    def exchange(self, request: bytes, *, dump: bool = False) -> list[bytes]:
        """Return the messages of the answer, behind their headers; OSError: the kernel refuses."""
        ...


async def missing() -> str | None:
    """Return why the kernel cannot do it, after it has had the chance to load its module; None if it can."""
    try:
        await asyncio.to_thread(GenericNetlink().exchange, b"")
    except OSError as error:
        if error.errno == errno.ENOENT:
            return "this kernel has no WireGuard"
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            return f"the kernel does not say whether it has WireGuard: {error.strerror or error}"
    return None


class Kernel(NetLink):
    """A device in the kernel (a `Socket`). It ends with its link only, which nobody tells us: see `Socket.watch`."""

    choice: Final = Choice.KERNEL
    kind: Final = "wireguard"

    def __init__(self, device: str, messages: Messages | None = None) -> None:
        super().__init__(device)
        self._messages = messages or GenericNetlink()

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Socket`: nothing here ends unless its link is removed, which whoever follows links hears of."""

    async def make(self) -> None:
        """See `Socket`."""
        await self.add_link(self.kind)

    async def dump(self) -> DeviceDump | None:
        """See `Socket`."""
        try:
            answer = await asyncio.to_thread(self._messages.exchange, wgnetlink.dump_request(self.device), dump=True)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise DataplaneError(f"read {self.device}", error.errno or errno.EIO) from error
        try:
            return wgnetlink.read_dump(answer)
        except wgnetlink.MessageError as error:
            raise NetlbError(f"{self.device}: what the kernel answers is not understood: {error}") from error

    async def write(self, write: Write) -> None:
        """See `Socket`."""
        try:
            for request in wgnetlink.write_requests(self.device, write):
                await asyncio.to_thread(self._messages.exchange, request)
        except OSError as error:
            raise DataplaneError(f"write to {self.device}", error.errno or errno.EIO) from error

    async def remove(self, link: Link) -> None:
        """See `Socket`."""
        await self.delete_link(link)

    async def close(self) -> None:
        """See `Socket`."""


class GenericNetlink:
    """Messages to the family of WireGuard, over a socket of their own each time."""

    def exchange(self, request: bytes, *, dump: bool = False) -> list[bytes]:
        """See `Messages`; ENOENT: the kernel has no such family."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC) as netlink:
            netlink.settimeout(_PATIENCE)
            netlink.bind((0, 0))
            name = wgnetlink.pack(_FAMILY_NAME, wgnetlink.FAMILY.encode() + b"\0")
            found = _exchange(netlink, _CONTROL, struct.pack("=BBH", _GET_FAMILY, 1, 0) + name, _ACK)
            family = dict(wgnetlink.attributes(found[0][4:]))[_FAMILY_ID]
            return _exchange(netlink, struct.unpack("=H", family)[0], request, _DUMP if dump else _ACK)


def _exchange(netlink: socket.socket, kind: int, payload: bytes, flags: int) -> list[bytes]:
    netlink.send(_HEADER.pack(_HEADER.size + len(payload), kind, _REQUEST | flags, 1, 0) + payload)
    answers: list[bytes] = []
    while True:
        data = netlink.recv(_LARGEST)
        while data:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            body, data = data[_HEADER.size : length], data[length + -length % 4 :]
            if kind in (_ERROR, _DONE):
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return answers
            answers.append(body)
