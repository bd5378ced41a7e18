"""A data plane as single objects of the kernel, each under a key that says which one it is: what is wanted, in the
terms in which what is there is observed.

What a device carries is ours with it: nobody else has business on a device of ours. The tunnels' device is not among
these objects: whoever makes tunnels makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from netlb.net import Address, Family
from netlb.raven.dataplane import DataPlane, Numbers, Overlay, Route, Rule
from netlb.raven.model import Prefix
from netlb.raven.ruleset import Ruleset

__all__ = [
    "AddressKey",
    "Assigned",
    "Device",
    "DeviceKey",
    "ForwardingKey",
    "Key",
    "NeighbourKey",
    "RouteKey",
    "RuleKey",
    "Strange",
    "TableKey",
    "Value",
    "objects",
]


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The overlay's device."""

    name: str

    def __str__(self) -> str:
        return f"device {self.name}"


@dataclass(frozen=True, slots=True)
class AddressKey:
    """An address of ours on the overlay's device."""

    device: str
    address: Address

    def __str__(self) -> str:
        return f"address {self.address} on {self.device}"


@dataclass(frozen=True, slots=True)
class ForwardingKey:
    """An entry of the overlay's forwarding database."""

    device: str
    mac: str

    def __str__(self) -> str:
        return f"forwarding entry {self.mac} on {self.device}"


@dataclass(frozen=True, slots=True)
class NeighbourKey:
    """A permanent neighbour on the overlay."""

    device: str
    address: Address

    def __str__(self) -> str:
        return f"neighbour {self.address} on {self.device}"


@dataclass(frozen=True, slots=True)
class RouteKey:
    """A route: of one prefix, table and metric there is one."""

    prefix: Prefix
    table: int
    metric: int

    def __hash__(self) -> int:
        """Hash the number alone: a prefix takes four times as long, and there are ten thousand."""
        return hash((int(self.prefix.network_address), self.table, self.metric))

    def __str__(self) -> str:
        metric = f" metric {self.metric}" if self.metric else ""
        return f"route {self.prefix}{metric} in table {self.table}"


@dataclass(frozen=True, slots=True)
class RuleKey:
    """A rule; nothing of it can be changed, so all of it is the key."""

    family: Family
    priority: int
    table: int
    incoming: str

    def __str__(self) -> str:
        incoming = f" iif {self.incoming}" if self.incoming else ""
        return f"{self.family} rule {self.priority}{incoming} to table {self.table}"


@dataclass(frozen=True, slots=True)
class TableKey:
    """Our nftables table, of family inet."""

    name: str

    def __str__(self) -> str:
        return f"nftables table inet {self.name}"


Key = DeviceKey | AddressKey | ForwardingKey | NeighbourKey | RouteKey | RuleKey | TableKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The overlay's device: VXLAN (RFC 7348) that neither learns nor floods."""

    vni: int
    port: int
    local: Address | None
    mac: str
    mtu: int
    up: bool = True
    learns: bool = False
    generates: bool = False
    """Whether it gives itself an address (addrgenmode)."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """How an address is on a device; scope link."""

    length: int
    """Of the prefix that is on the link."""


@dataclass(frozen=True, slots=True)
class Strange:
    """An object of ours that somebody has made into what we never make."""

    what: str


Value = Device | Assigned | Address | str | Route | Rule | Ruleset | Strange
"""Of a forwarding entry the station, of a neighbour the MAC address."""


def objects(plane: DataPlane, numbers: Numbers) -> Mapping[Key, Value]:
    """Return every object that a data plane consists of, but for the tunnels' device."""
    found: dict[Key, Value] = {}
    if plane.nft:
        found[TableKey(numbers.nft_table)] = Ruleset.of(plane.nft)
    if plane.overlay:
        found |= _overlay(plane, plane.overlay)
    for route in plane.routes:
        found[RouteKey(route.prefix, route.table, route.metric)] = route
    for rule in plane.rules:
        found[RuleKey(rule.family, rule.priority, rule.table, rule.incoming)] = rule
    return found


def _overlay(plane: DataPlane, overlay: Overlay) -> dict[Key, Value]:
    name = overlay.device
    device = Device(vni=overlay.vni, port=overlay.port, local=overlay.local, mac=overlay.mac, mtu=overlay.mtu)
    found: dict[Key, Value] = {DeviceKey(name): device}
    for address in overlay.addresses:
        found[AddressKey(name, address)] = Assigned(32 if address.version == 4 else 64)
    for entry in plane.forwarding:
        found[ForwardingKey(name, entry.mac)] = entry.station
    for neighbour in plane.neighbours:
        found[NeighbourKey(name, neighbour.address)] = neighbour.mac
    return found
