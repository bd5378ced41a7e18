"""Tunnels in memory: the backend that daemons use over a device that is a value, for what has to be fast or to fail."""

import errno
from collections.abc import Callable
from dataclasses import replace

from netlb.errors import DataplaneError
from netlb.raven.adapter.links import Link
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.backend import Choice
from netlb.raven.nat import Destination
from netlb.raven.wireguard import NO_SHARED_KEY, DeviceDump, PeerDump, PeerWrite, Write

__all__ = ["FakeDevice", "fake_backend"]

NOW = 1_700_000_000.0


class FakeDevice:
    """A device as the kernel would have it: it outlives the backend. A `Socket`, with what a test does to it."""

    choice = Choice.KERNEL
    kind = "fake"

    def __init__(self) -> None:
        self.dumped = DeviceDump()
        self.found: Link | None = None
        self.now = NOW
        """Seconds since 1970, on every clock that looks at it."""
        self.written: list[Write] = []
        """What was written, in order; nothing else changes the device."""
        self.refused: set[str] = set()
        """Public keys of peers that it refuses to have (EINVAL)."""
        self.broken = 0
        """The errno of every operation; 0: it works."""
        self._lost: list[Callable[[], None]] = []

    # -- what happens to it

    def hear(self, key: str, endpoint: Destination, received: int = 148, sent: int = 92) -> None:
        """A peer agrees on keys, from somewhere."""
        peer = self.dumped.peers[key]
        heard = replace(
            peer,
            endpoint=endpoint,
            handshake=self.now,
            received=peer.received + received,
            sent=peer.sent + sent,
        )
        self.dumped = replace(self.dumped, peers={**self.dumped.peers, key: heard})

    def kill(self) -> None:
        """It is gone, and whoever watches is told."""
        self.vanish()
        for lost in self._lost:
            lost()

    def vanish(self) -> None:
        """It is gone, and nobody is told."""
        self.found, self.dumped = None, DeviceDump()

    # -- `Socket`

    def watch(self, lost: Callable[[], None]) -> None:
        """Tell `lost` when it is killed."""
        self._lost = [lost]

    async def link(self) -> Link | None:
        """Return the link."""
        self._check("look at it")
        return self.found

    async def configure(self, link: Link, mtu: int) -> None:
        """Set it up."""
        self._check("set it up")
        self.found = replace(link, mtu=mtu, up=True, ours=True)

    async def make(self) -> None:
        """Make it."""
        self._check("make it")
        self.found = Link(index=2, kind=self.kind, mtu=1420, up=False, ours=False)

    async def dump(self) -> DeviceDump | None:
        """Return what it says."""
        self._check("read it")
        return self.dumped if self.found else None

    async def write(self, write: Write) -> None:
        """Take it line by line, as wireguard-go does, until one is refused."""
        self._check("write to it")
        self.written.append(write)
        self.dumped = replace(
            self.dumped, private=write.private or self.dumped.private, port=write.port or self.dumped.port
        )
        for peer in write.peers:
            if peer.key in self.refused:
                raise DataplaneError("write to it", errno.EINVAL)
            self.dumped = replace(self.dumped, peers=_after(dict(self.dumped.peers), peer))

    async def remove(self, link: Link) -> None:
        """Remove it."""
        self._check("remove it")
        self.vanish()

    async def close(self) -> None:
        """Let go of it."""

    def _check(self, operation: str) -> None:
        if self.broken:
            raise DataplaneError(operation, self.broken)


def fake_backend(device: FakeDevice, name: str = "raven-wg0") -> WireGuard:
    """Return a new backend over a device that may be there already."""
    return WireGuard(name, device, clock=lambda: device.now)


def _after(peers: dict[str, PeerDump], write: PeerWrite) -> dict[str, PeerDump]:
    """Return the peers after one was written."""
    peer = peers.pop(write.key, PeerDump(shared=NO_SHARED_KEY))
    if write.remove:
        return peers
    taken = frozenset(write.add)
    others = {key: replace(other, allowed=other.allowed - taken) for key, other in peers.items()}
    changed = replace(
        peer,
        shared=peer.shared if write.shared is None else write.shared,
        endpoint=write.endpoint or peer.endpoint,
        keepalive=peer.keepalive if write.keepalive is None else write.keepalive,
        allowed=peer.allowed | taken,
    )
    return {**others, write.key: changed}
