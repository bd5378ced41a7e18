"""The overlay's device, and what it carries: addresses, forwarding entries, neighbours. By pyroute2."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.net import Address
from netlb.raven.adapter.errors import ForeignStateError, missing
from netlb.raven.dataplane import Numbers
from netlb.raven.objects import (
    AddressKey,
    Assigned,
    Device,
    DeviceKey,
    ForwardingKey,
    Key,
    NeighbourKey,
    Strange,
    Value,
)
from netlb.reasons import Foreign

__all__ = ["Devices"]

_AF_INET, _AF_INET6, _AF_BRIDGE = 2, 10, 7
_SCOPE_LINK: Final = 253
_UP: Final = 1
_PERMANENT: Final = 0x80
_NODAD, _DADFAILED, _TENTATIVE = 0x02, 0x08, 0x40
_SELF: Final = 0x02
"""NTF_SELF: the device's own forwarding database, and not that of a bridge above it."""
_GEN_MODE_NONE: Final = 1
_ENODEV, _ENOENT, _EADDRNOTAVAIL = 19, 2, 99


@dataclass(frozen=True, slots=True)
class _Link:
    """A device as it is there."""

    index: int
    kind: str
    group: int
    device: Device | None
    """None: it is no VXLAN."""


class Devices:
    """One overlay device: ours if it is a VXLAN of our name whose group is our protocol number.

    A group, unlike an alias, is there from the moment in which a device is made: a process may be killed at any time.
    """

    def __init__(self, route: AsyncIPRoute, numbers: Numbers) -> None:
        self._route = route
        self._name = numbers.overlay_device
        self._group = numbers.protocol

    # -- what is there

    async def observe(self) -> tuple[dict[Key, Value], int]:
        """Return the device and what it carries, and its index; nothing and 0 if it is not there or not ours."""
        link = await self._ours()
        if link is None or link.device is None:
            return {}, 0
        found: dict[Key, Value] = {DeviceKey(self._name): link.device}
        async for key, value in self._carried(link.index):
            # Of several under one key, as two prefixes of one address, none is as wanted.
            found[key] = value if key not in found else Strange("several")
        return found, link.index

    async def index_of(self, name: str) -> int | None:
        """Return the index of a device that is there."""
        link = await self._link(ifname=name)
        return link.index if link else None

    async def _carried(self, index: int) -> AsyncIterator[tuple[Key, Value]]:
        async for message in await self._route.addr("dump", index=index):
            yield AddressKey(self._name, _address_of(message)), _assigned(message)
        async for message in await self._route.fdb("dump", ifindex=index):
            if (station := message.get_attr("NDA_DST")) is not None:
                permanent = message["state"] & _PERMANENT
                yield (
                    ForwardingKey(self._name, message.get_attr("NDA_LLADDR")),
                    ip_address(station) if permanent else Strange("not permanent"),
                )
        for family in (_AF_INET, _AF_INET6):
            async for message in await self._route.neigh("dump", ifindex=index, family=family):
                if message["state"] & _PERMANENT:
                    key = NeighbourKey(self._name, ip_address(message.get_attr("NDA_DST")))
                    yield key, message.get_attr("NDA_LLADDR") or Strange("no MAC address")

    async def _link(self, **which: object) -> _Link | None:
        try:
            (message,) = list(await self._route.link("get", **which))
        except NetlinkError as error:
            if error.code != _ENODEV:
                raise
            return None
        return _read(message)

    async def _ours(self) -> _Link | None:
        link = await self._link(ifname=self._name)
        return link if link and link.device and link.group == self._group else None

    # -- the device

    async def apply_device(self, key: DeviceKey, wanted: Device) -> None:
        """Make the device, or change it; NetlinkError, or ForeignStateError if somebody has its name or its VNI."""
        link = await self.refuse_device(key)
        have = link.device if link else None
        if link and have and not _changeable(have, wanted):
            await self._route.link("del", index=link.index)
            link = have = None
        if link is None:
            await self._refuse_another(key, wanted)
            await self._route.link(
                "add",
                ifname=key.name,
                kind="vxlan",
                group=self._group,
                address=wanted.mac,
                mtu=wanted.mtu,
                **_vxlan(wanted),
            )
            link = await self._ours()
            if link is None:
                raise missing(key, key.name)
            have = link.device
        assert have is not None
        await self._change(link.index, have, wanted)

    async def refuse_device(self, key: DeviceKey) -> "_Link | None":
        """Return our device, or None if there is none; ForeignStateError if somebody else has its name."""
        link = await self._link(ifname=key.name)
        if link and (link.device is None or link.group != self._group):
            what = (
                f"a VXLAN with VNI {link.device.vni}" if link.device else f"a device of type {link.kind or 'physical'}"
            )
            raise ForeignStateError(
                Foreign.DEVICE, key, f"{what} has that name", "remove it, or choose another overlay device"
            )
        return link

    async def _change(self, index: int, have: Device, wanted: Device) -> None:
        if (have.local, have.learns) != (wanted.local, wanted.learns):
            await self._route.link(
                "set",
                index=index,
                kind="vxlan",
                vxlan_id=wanted.vni,
                vxlan_learning=wanted.learns,
                **_local(wanted),
            )
        if (have.mac, have.mtu) != (wanted.mac, wanted.mtu):
            await self._route.link("set", index=index, address=wanted.mac, mtu=wanted.mtu)
        if have.generates:
            # Before it is up: a device that comes up gives itself an address of its own.
            mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _GEN_MODE_NONE)]}
            await self._route.link("set", index=index, IFLA_AF_SPEC={"attrs": [("AF_INET6", mode)]})
        if not have.up:
            await self._route.link("set", index=index, state="up")

    async def _refuse_another(self, key: DeviceKey, wanted: Device) -> None:
        """The kernel has one device of a VNI and port; it would say so, but not which."""
        async for message in await self._route.link("dump", kind="vxlan"):
            other = _read(message).device
            if other and (other.vni, other.port) == (wanted.vni, wanted.port):
                name = message.get_attr("IFLA_IFNAME")
                raise ForeignStateError(
                    Foreign.DEVICE,
                    key,
                    f"{name} is a VXLAN with VNI {other.vni} on port {other.port}",
                    "remove it, or choose another VNI or port",
                )

    async def prune_device(self) -> None:
        """Remove the device, if it is ours."""
        if link := await self._ours():
            await self._route.link("del", index=link.index)

    # -- what it carries

    async def carrier(self) -> int | None:
        """Return the index of the device, if it is there and ours."""
        link = await self._ours()
        return link.index if link else None

    async def carry(self, index: int, key: Key, value: Value) -> None:
        """Make what the device carries; NetlinkError if the kernel refuses."""
        match key, value:
            case AddressKey(), Assigned():
                await self._apply_address(index, key, value)
            case ForwardingKey(), IPv4Address() | IPv6Address():
                # One entry of a MAC address has one station: it is sent elsewhere from now on.
                await self._route.neigh(
                    "replace",
                    family=_AF_BRIDGE,
                    ifindex=index,
                    lladdr=key.mac,
                    dst=str(value),
                    state=_PERMANENT,
                    flags=_SELF,
                )
            case NeighbourKey(), str():
                # What a node does when another endpoint takes over.
                await self._route.neigh(
                    "replace",
                    family=_family(key.address),
                    ifindex=index,
                    dst=str(key.address),
                    lladdr=value,
                    state=_PERMANENT,
                )
            case _:
                raise TypeError(f"{key}: {value!r}")

    async def drop(self, index: int, key: Key) -> None:
        """Remove what the device carries; NetlinkError if the kernel refuses."""
        match key:
            case AddressKey():
                await self._prune_address(index, key)
            case ForwardingKey():
                await _unless(_ENOENT, self._route.fdb("del", ifindex=index, lladdr=key.mac))
            case NeighbourKey():
                family = _family(key.address)
                await _unless(_ENOENT, self._route.neigh("del", family=family, ifindex=index, dst=str(key.address)))
            case _:
                raise TypeError(str(key))

    async def _apply_address(self, index: int, key: AddressKey, wanted: Assigned) -> None:
        """Give the device an address, and take away the same one of another length."""
        there = False
        for message in [message async for message in await self._route.addr("dump", index=index)]:
            if _address_of(message) == key.address:
                if _assigned(message) == wanted:
                    there = True
                else:
                    await self._remove_address(index, message["prefixlen"], key.address)
        if not there:
            # Nobody else has these addresses, and a second of waiting for that would be one without packets.
            flags = {"flags": _NODAD} if key.address.version == 6 else {}
            await self._route.addr(
                "add",
                index=index,
                address=str(key.address),
                prefixlen=wanted.length,
                scope=_SCOPE_LINK,
                family=_family(key.address),
                **flags,
            )

    async def _prune_address(self, index: int, key: AddressKey) -> None:
        """Take away an address, of any length."""
        for message in [message async for message in await self._route.addr("dump", index=index)]:
            if _address_of(message) == key.address:
                await self._remove_address(index, message["prefixlen"], key.address)

    async def _remove_address(self, index: int, length: int, address: Address) -> None:
        await _unless(
            _EADDRNOTAVAIL,
            self._route.addr("del", index=index, address=str(address), prefixlen=length, family=_family(address)),
        )


def _read(message: Any) -> _Link:
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    data = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    device = None
    if kind == "vxlan" and data is not None:
        local = data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6")
        mode = message.get_nested("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_ADDR_GEN_MODE")
        device = Device(
            vni=data.get_attr("IFLA_VXLAN_ID"),
            port=data.get_attr("IFLA_VXLAN_PORT"),
            local=ip_address(local) if local else None,
            mac=message.get_attr("IFLA_ADDRESS"),
            mtu=message.get_attr("IFLA_MTU"),
            up=bool(message["flags"] & _UP),
            learns=bool(data.get_attr("IFLA_VXLAN_LEARNING")),
            generates=mode not in (None, _GEN_MODE_NONE),
        )
    return _Link(message["index"], kind, message.get_attr("IFLA_GROUP") or 0, device)


def _changeable(have: Device, wanted: Device) -> bool:
    """Say whether a device can become another one without being made anew."""
    if (have.vni, have.port) != (wanted.vni, wanted.port) or have.local is None or wanted.local is None:
        return False
    return have.local.version == wanted.local.version


def _vxlan(wanted: Device) -> Mapping[str, object]:
    return {"vxlan_id": wanted.vni, "vxlan_port": wanted.port, "vxlan_learning": wanted.learns, **_local(wanted)}


def _local(wanted: Device) -> Mapping[str, object]:
    if wanted.local is None:
        return {}
    return {"vxlan_local" if wanted.local.version == 4 else "vxlan_local6": str(wanted.local)}


def _family(address: Address) -> int:
    return _AF_INET if address.version == 4 else _AF_INET6


def _address_of(message: Any) -> Address:
    return ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))


def _assigned(message: Any) -> Value:
    flags = message.get_attr("IFA_FLAGS") or message["flags"]
    if flags & (_DADFAILED | _TENTATIVE):
        return Strange("not in use")
    if message["scope"] != _SCOPE_LINK:
        return Strange(f"scope {message['scope']}")
    return Assigned(message["prefixlen"])


async def _unless(code: int, call: Any) -> None:
    """Await a removal; what is gone already is a success."""
    try:
        await call
    except NetlinkError as error:
        if error.code not in (code, _ENODEV):
            raise
