"""A kernel in memory, for trying what keeps a node's data plane: as quick as a dictionary, and faulty at will."""

import asyncio
import errno
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.net import Address, Family
from netlb.raven.adapter.errors import SOON, ForeignStateError, missing
from netlb.raven.dataplane import Numbers, Route, RouteKind
from netlb.raven.events import Change
from netlb.raven.node import Local
from netlb.raven.objects import (
    AddressKey,
    Device,
    DeviceKey,
    ForwardingKey,
    Key,
    NeighbourKey,
    RouteKey,
    RuleKey,
    TableKey,
    Value,
)
from netlb.raven.ruleset import Ruleset
from netlb.reasons import Foreign

__all__ = ["FakeKernel", "Others"]

_CARRIED: Final = (AddressKey, ForwardingKey, NeighbourKey)
_SMALLEST: Final = 68
"""Octets; no IPv4 interface takes less (RFC 791)."""


@dataclass
class Others:
    """What is there and is nobody's of us."""

    devices: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    """That are up, by name; VNI and port of those that are VXLANs."""
    addresses: set[Address] = field(default_factory=set)
    routes: dict[RouteKey, int] = field(default_factory=dict)
    """Their protocols."""
    rules: set[tuple[Family, int]] = field(default_factory=set)
    """Families and priorities."""
    tables: set[str] = field(default_factory=set)
    """Of nftables, family inet."""


class FakeKernel:
    """Stands for `KernelOperations`: refuses what the kernel refuses, and lets go what it lets go.

    Changes to `objects` and `others` are somebody else's doing; say so with `tell`. An exception in `faults` comes
    instead of making or removing the object under that key.
    """

    def __init__(self, numbers: Numbers, local: Local | None = None) -> None:
        self.objects: dict[Key, Value] = {}
        self.others = Others()
        self.faults: dict[Key, Exception] = {}
        self.writes = 0
        """Objects made, changed or removed so far."""
        self._numbers = numbers
        self._local = local or Local()
        self._heard: set[Change] = set()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    # -- what the operations do

    async def observe(self) -> Mapping[Key, Value]:
        """Return every object of ours that is there."""
        return dict(self.objects)

    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]:
        """Make objects; return failures by key."""
        failures: dict[Key, Exception] = {}
        for key, value in sorted(changes.items(), key=lambda item: _place(item[0])):
            try:
                self._refuse(key, value)
            except (DataplaneError, ForeignStateError, TransientError) as error:
                failures[key] = error
                continue
            self.objects[key] = Ruleset(value.digest) if isinstance(value, Ruleset) else value
            self.writes += 1
        return failures

    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]:
        """Remove objects; return failures by key."""
        failures: dict[Key, Exception] = {}
        for key in sorted(keys, key=_place, reverse=True):
            if fault := self.faults.get(key):
                failures[key] = fault
            elif self.objects.pop(key, None) is not None:
                self.writes += 1
                if isinstance(key, DeviceKey):
                    self.remove_device(key.name)
        return failures

    async def taken(self, keys: Iterable[Key]) -> NetlbError | None:
        """Return why one of these devices or rules cannot be ours; None if all can."""
        for key in keys:
            if isinstance(key, DeviceKey) and key.name in self.others.devices:
                return ForeignStateError(Foreign.DEVICE, key, "a device has that name", "remove it")
            if isinstance(key, RuleKey) and (key.family, key.priority) in self.others.rules:
                return ForeignStateError(Foreign.RULE, key, "there is a rule at that priority", "remove it")
        return None

    async def local(self, _: Address | None, watched: Collection[Address] = ()) -> Local:
        """Return what the node knows of itself: the MTU that was said, and others' addresses."""
        addresses = sorted(self.others.addresses, key=lambda address: (address.version, int(address)))
        return Local(underlay_mtu=self._local.underlay_mtu, addresses=tuple(addresses), watched=tuple(watched))

    async def changes(self) -> AsyncIterator[frozenset[Change]]:
        """Yield what was told."""
        while True:
            await self._news.wait()
            self._news.clear()
            heard, self._heard = frozenset(self._heard), set()
            yield heard

    # -- what others do

    def tell(self, *changes: Change) -> None:
        """Say that something has changed."""
        self._heard.update(changes)
        self._news.set()

    def remove_device(self, name: str) -> None:
        """Remove a device, and with it what it carries and what leads to it."""
        self.others.devices.pop(name, None)
        self.objects = {
            key: value
            for key, value in self.objects.items()
            if not (isinstance(key, DeviceKey) and key.name == name)
            and not (isinstance(key, _CARRIED) and key.device == name)
            and not (isinstance(value, Route) and value.device == name)
        }
        self.tell(Change.OBJECTS)

    # -- what is refused

    def _refuse(self, key: Key, value: Value) -> None:
        if fault := self.faults.get(key):
            raise fault
        match key, value:
            case TableKey(), Ruleset():
                if key.name in self.others.tables:
                    raise ForeignStateError(Foreign.TABLE, key, "there is a table of that name", "remove it")
                if key not in self.objects and f"table inet {key.name} " not in value.text:
                    raise DataplaneError(f"{key}: syntax error", errno.EINVAL)
            case DeviceKey(), Device():
                if TableKey(self._numbers.nft_table) not in self.objects:
                    raise TransientError(f"{key}: waits for the nftables table", SOON)
                self._refuse_device(key, value)
            case AddressKey() | ForwardingKey() | NeighbourKey(), _:
                if DeviceKey(key.device) not in self.objects:
                    raise missing(key, key.device)
            case RouteKey(), Route():
                self._refuse_route(key, value)
            case RuleKey(), _:
                if (key.family, key.priority) in self.others.rules:
                    raise ForeignStateError(Foreign.RULE, key, "there is a rule at that priority", "remove it")

    def _refuse_device(self, key: DeviceKey, value: Device) -> None:
        if key.name in self.others.devices:
            raise ForeignStateError(Foreign.DEVICE, key, "a device has that name", "remove it")
        for name, vxlan in self.others.devices.items():
            if vxlan == (value.vni, value.port):
                raise ForeignStateError(Foreign.DEVICE, key, f"{name} has that VNI and port", "remove it")
        if value.mtu < _SMALLEST:
            raise DataplaneError(f"{key}: mtu less than device minimum", errno.EINVAL)

    def _refuse_route(self, key: RouteKey, value: Route) -> None:
        if key in self.others.routes:
            there = f"there is one with protocol {self.others.routes[key]}"
            raise ForeignStateError(Foreign.ROUTE, key, there, "remove it")
        if value.kind is not RouteKind.UNICAST:
            return
        own = {found.address for found in self.objects if isinstance(found, AddressKey)}
        if not self._is_up(value.device):
            raise missing(key, value.device)
        if value.via is not None and value.via in own | self.others.addresses:
            raise DataplaneError(f"{key}: the gateway is the node itself", errno.EINVAL)
        if value.source is not None and value.source not in own | self.others.addresses:
            raise DataplaneError(f"{key}: invalid source address", errno.EINVAL)

    def _is_up(self, name: str) -> bool:
        device = self.objects.get(DeviceKey(name))
        return name in self.others.devices or (isinstance(device, Device) and device.up)


def _place(key: Key) -> int:
    """Return when an object is made: what guards and what leads out before what leads in."""
    order = (TableKey, DeviceKey, AddressKey, ForwardingKey, NeighbourKey, RouteKey, RuleKey)
    return order.index(type(key))
