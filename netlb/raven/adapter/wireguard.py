"""WireGuard as a backend, wherever its device is; how it is spoken to is a `Socket`'s affair."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven.adapter.links import Link
from netlb.raven.backend import DEVICE, Choice, Device, Part, PeerState, Remote
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.mtu import ANY
from netlb.raven.nat import Destination
from netlb.raven.wireguard import OVERHEAD, DeviceDump, View, Write, found, removal, writes

__all__ = ["Socket", "WireGuard"]

_LOOKS, _PAUSE = 100, 0.01
"""How often a link that should go is looked at, and the seconds in between."""


class Socket(Protocol):
    """Where a WireGuard device is spoken to."""

    @property
    def choice(self) -> Choice:
        """See `Backend`."""
        ...

    @property
    def kind(self) -> str:
        """The kind of link that it is."""
        ...

    def watch(self, lost: Callable[[], None]) -> None:
        """Call `lost` when the device ends without being asked to."""
        ...

    async def link(self) -> Link | None:
        """Return its link; None if there is none."""
        ...

    async def configure(self, link: Link, mtu: int) -> None:
        """Give its link our mark and this MTU, and bring it up; what it has already is not written."""
        ...

    async def make(self) -> None:
        """Make the device, whose link is not there."""
        ...

    async def dump(self) -> DeviceDump | None:
        """Return what the device says; None if nobody answers for it. DataplaneError: it refuses."""
        ...

    async def write(self, write: Write) -> None:
        """Write to the device. DataplaneError: it refuses, and may have taken a part of it."""
        ...

    async def remove(self, link: Link) -> None:
        """Remove the device."""
        ...

    async def close(self) -> None:
        """Let go of the device and leave it running."""
        ...


class WireGuard:
    """A `Backend` over one device.

    A device of its name is ours if it bears our mark or our key, or has none yet. Anything else is left alone.
    """

    overhead: Final = OVERHEAD
    widest: Final = ANY

    def __init__(self, device: str, socket: Socket, *, clock: Callable[[], float] | None = None) -> None:
        """Keep the device of this name; `clock` returns seconds since 1970."""
        self.device = device
        self.choice: Final = socket.choice
        self._socket = socket
        self._clock = clock or _since_1970
        self._keys: Keys | None = None
        self._asked: dict[str, Destination | None] = {}

    def use(self, keys: Keys) -> None:
        """See `Backend`."""
        self._keys = keys

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Backend`."""
        self._socket.watch(lost)

    async def key(self) -> PrivateKey | None:
        """See `Backend`. One that only has our name is not asked for its key."""
        link = await self._socket.link()
        if link is None or not link.ours or link.kind != self._socket.kind:
            return None
        dump = await self._socket.dump()
        return None if dump is None else dump.private

    async def observe(self) -> Mapping[str, Part]:
        """See `Backend`."""
        link, dump = await self._look()
        if link is None or dump is None:
            self._asked.clear()
            return {}
        self._asked = {key: asked for key, asked in self._asked.items() if key in dump.peers}
        view = self._view()
        public = dump.private.public if dump.private else ""
        device: Mapping[str, Part] = {DEVICE: Device(key=public, port=dump.port, mtu=link.mtu, up=link.up)}
        return {**device, **{key: found(key, peer, view) for key, peer in dump.peers.items()}}

    async def apply(self, changes: Mapping[str, Part]) -> Mapping[str, Exception]:
        """See `Backend`. A batch of peers that the device refuses is tried again one by one."""
        device = changes.get(DEVICE)
        if isinstance(device, Device):
            await self._make(device)
        peers = {key: part for key, part in changes.items() if isinstance(part, Remote)}
        if not peers:
            return {}
        try:
            await self._change(peers)
        except DataplaneError as error:
            if len(peers) == 1:
                return dict.fromkeys(peers, error)
            return await self._one_by_one(peers)
        return {}

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """See `Backend`."""
        link, dump = await self._look()
        if DEVICE in keys:
            self._asked.clear()
            if link is not None:
                await self._socket.remove(link)
        elif dump is not None and (peers := removal(dump, keys)):
            await self._socket.write(Write(peers=peers))
        for key in keys:
            self._asked.pop(key, None)
        return {}

    async def states(self) -> Mapping[str, PeerState]:
        """See `Backend`."""
        link, dump = await self._look()
        now = self._clock()
        return {} if link is None or dump is None else {key: peer.state(now) for key, peer in dump.peers.items()}

    async def close(self) -> None:
        """See `Backend`."""
        await self._socket.close()

    async def _make(self, want: Device) -> None:
        keys = self._view().keys
        if want.key != keys.public:
            raise NetlbError(f"{self.device}: it is wanted with another key than the one that is in use")
        link, dump = await self._look()
        if link is None or dump is None:
            self._asked.clear()
            if link is not None:
                await self._socket.remove(link)
            await self._socket.make()
            link, dump = await self._look()
        if link is None or dump is None:
            raise TransientError(f"{self.device}: it was made, and is gone")
        await self._socket.configure(link, want.mtu)
        write = Write(
            private=keys.private if dump.private != keys.private else None,
            port=want.port if dump.port != want.port else None,
        )
        if write:
            await self._socket.write(write)

    async def _one_by_one(self, peers: Mapping[str, Remote]) -> Mapping[str, Exception]:
        failures: dict[str, Exception] = {}
        for key, peer in peers.items():
            try:
                await self._change({key: peer})
            except DataplaneError as error:
                failures[key] = error
        return failures

    async def _change(self, peers: Mapping[str, Remote]) -> None:
        _, dump = await self._look()
        if dump is None:
            raise TransientError(f"{self.device}: it is gone")
        write = Write(peers=writes(dump, peers, self._view()))
        if write:
            await self._socket.write(write)
        self._asked.update({key: peer.destination for key, peer in peers.items()})

    async def _look(self) -> tuple[Link | None, DeviceDump | None]:
        """Return link and device, both None if there is none, and no device where ours is another backend's.

        NetlbError where the name is somebody else's.
        """
        link = await self._socket.link()
        if link is None:
            return None, None
        if link.kind != self._socket.kind and link.ours:
            return link, None
        dump = await self._socket.dump() if link.kind == self._socket.kind else None
        if dump is None and link.ours:
            await self._vanished()
            return None, None
        if dump is None:
            found = f"a device of kind {link.kind or 'unknown'} that nobody answers for has this name"
            raise NetlbError(f"{self.device}: {found}; remove it, or name another device for the tunnels")
        if not link.ours and dump.private not in (None, self._keys and self._keys.private):
            raise NetlbError(
                f"{self.device}: another program has made it; stop that and remove the device, or name another one"
            )
        return link, dump

    async def _vanished(self) -> None:
        """Wait until the link of a device that ended is gone as well: the kernel removes it a moment later."""
        for _ in range(_LOOKS):
            if await self._socket.link() is None:
                return
            await asyncio.sleep(_PAUSE)
        raise TransientError(f"{self.device}: nobody answers for it")

    def _view(self) -> View:
        assert self._keys is not None, "use() comes first"
        return View(asked=self._asked, keys=self._keys, now=self._clock())


def _since_1970() -> float:
    return time.time_ns() / 1e9
