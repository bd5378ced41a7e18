"""What keeps the tunnels of an endpoint: one protocol for WireGuard, in the kernel or beside it, and for IPsec.

A backend has one device and any number of peers. They are `Operations` of the reconcile engine: the device under the
key `DEVICE`, and each peer under its public key, which is all that a device itself knows of it. So a new process
recognises what an earlier one left, and has nothing to remember.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from netlb.raven.dataplane import Tunnel
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.model import Prefix, TunnelProtocol
from netlb.raven.nat import Destination

__all__ = ["DEVICE", "Backend", "Choice", "Device", "Part", "PeerState", "Remote", "parts"]

DEVICE: Final = ""
"""The device itself, among the parts of a tunnel; every other part is a peer, under its public key in base64."""


class Choice(StrEnum):
    """Which backend is to be used."""

    AUTO = "auto"
    """WireGuard: in the kernel where it has it, else beside it."""
    KERNEL = "kernel"
    """WireGuard in the kernel."""
    USERSPACE = "userspace"
    """WireGuard in a process of its own, wireguard-go."""
    IPSEC = "ipsec"
    """IPsec by a strongSwan that runs here."""

    @property
    def protocol(self) -> TunnelProtocol:
        """What its tunnels speak."""
        return TunnelProtocol.IPSEC if self is Choice.IPSEC else TunnelProtocol.WIREGUARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device of the tunnels."""

    key: str
    """Our own public key, in base64: the device has the private one that belongs to it."""
    port: int
    """Where it listens (UDP)."""
    mtu: int
    up: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A peer, as far as a backend is concerned."""

    allowed: frozenset[Prefix] = frozenset()
    """What is sent to it, and taken from it. A prefix belongs to one peer: giving it to another one takes it away."""
    destination: Destination | None = None
    """Where it is said to be; None: it comes by itself. Where it was seen since counts for more (see `observe`)."""
    keepalive: int = 0
    """Seconds; 0: none."""
    shared: bool = True
    """Whether it is bound by the key that all share as it is now, or by none if there is none. Nobody wants another."""


Part = Device | Remote
"""A part of a tunnel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerState:
    """What is seen of a peer."""

    endpoint: Destination | None = None
    """Where its packets come from, or where it is sent to; None: nobody knows."""
    handshake: float | None = None
    """Seconds since the two last agreed on keys; None: never."""
    received: int = 0
    """Octets, as encrypted."""
    sent: int = 0


class Backend(Protocol):
    """Keeps one device and its peers. It is an `Operations[str, Part]` of the reconcile engine.

    Routes, rules and filters are somebody else's. What other programs made is neither changed nor removed: a device
    of our name that is not ours makes every operation fail with a `DataplaneError` or `NetlbError` that says so.
    """

    @property
    def device(self) -> str:
        """The name of the interface, for routes; it is there when the part `DEVICE` has been applied."""
        ...

    @property
    def choice(self) -> Choice:
        """Which backend it is; never `auto`."""
        ...

    @property
    def overhead(self) -> int:
        """Octets that a packet grows by on its way, at most: outer headers over IPv6, and padding."""
        ...

    @property
    def widest(self) -> int:
        """The longest packet that the device takes, in octets, whatever MTU it is given."""
        ...

    def use(self, keys: Keys) -> None:
        """Use these keys from the next operation on; only `key`, `close` and pruning `DEVICE` do without any."""
        ...

    def watch(self, lost: Callable[[], None]) -> None:
        """Call `lost`, in the event loop, when what was there may have gone: as `Reconciler.lost`."""
        ...

    async def key(self) -> PrivateKey | None:
        """Return the private key of a device of ours that runs already; None if there is none, or it has no key."""
        ...

    async def observe(self) -> Mapping[str, Part]:
        """Return the device and its peers, as they are.

        A peer's destination is what was last asked for, unless nobody knows that, or the peer is silent elsewhere:
        then it is where the device would send. So a peer that roams is as it was wanted, and one that was lost while
        roaming is sent to again where it was said to be.
        """
        ...

    async def apply(self, changes: Mapping[str, Part]) -> Mapping[str, Exception]:
        """Make or change parts; return the failures by key.

        All peers go to the device in one call, so that prefixes move from one to another at once. What is as wanted
        already is not written. A destination is written when the peer is new, when another one was asked for last, or
        when nothing was heard of the peer where it is.
        """
        ...

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Remove parts; return the failures by key. Without the device there are no peers, either."""
        ...

    async def states(self) -> Mapping[str, PeerState]:
        """Return what is seen of each peer, by public key; nothing while there is no device."""
        ...

    async def close(self) -> None:
        """Let go of the device and leave it running."""
        ...


def parts(tunnel: Tunnel, keys: Keys) -> dict[str, Part]:
    """Return what a backend has to have for a tunnel. A peer with our own key is ourselves, and left out."""
    peers = {
        peer.key: Remote(allowed=frozenset(peer.allowed), destination=peer.destination, keepalive=peer.keepalive)
        for peer in tunnel.peers
        if peer.key != keys.public
    }
    return {DEVICE: Device(key=keys.public, port=tunnel.port, mtu=tunnel.mtu), **peers}
