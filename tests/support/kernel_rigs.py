"""Two kernels to try what keeps a data plane in: one in memory, and one in a network namespace of its own."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

from netlb.errors import NetlbError
from netlb.net import Address, Family, parse_address
from netlb.raven.adapter import Change, KernelOperations
from netlb.raven.dataplane import Numbers
from netlb.raven.model import Prefix
from netlb.raven.node import Local
from netlb.raven.objects import DeviceKey, Key, RouteKey, TableKey, Value
from netlb.raven.ruleset import Ruleset
from netlb.testing.kernel import FakeKernel
from netlb.testing.lab.namespaces import batch, inside

__all__ = ["NUMBERS", "FakeRig", "Kernel", "RealRig", "Rig", "real_rig"]

NUMBERS = Numbers()
_SERIAL = count(1)
_PODS = "pods"
"""A device that carries addresses of the node's."""
_FLAG = {Family.IPV4: "-4", Family.IPV6: "-6"}


class Kernel(Protocol):
    """What both kernels promise."""

    async def observe(self) -> Mapping[Key, Value]: ...
    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]: ...
    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]: ...
    async def taken(self, keys: Iterable[Key]) -> NetlbError | None: ...
    async def local(self, underlay: Address | None, watched: Collection[Address] = ()) -> Local: ...
    def changes(self) -> AsyncIterator[frozenset[Change]]: ...


class Rig(Protocol):
    """One world, and what others do there."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario on an event loop inside this world."""

    def kernel(self) -> AbstractAsyncContextManager[Kernel]:
        """Open it; what is in it outlives that."""

    def add_device(self, name: str, vxlan: tuple[int, int] | None = None) -> None:
        """Add a device that is up: a VXLAN of a VNI and port, or a bridge."""

    def remove_device(self, name: str) -> None: ...

    def add_address(self, address: str) -> None:
        """Give the node an address."""

    def add_route(self, prefix: Prefix, table: int) -> None:
        """Somebody else makes a route, with the protocol "static"."""

    def add_rule(self, family: Family, priority: int) -> None:
        """Somebody else makes a rule, to the main table."""

    def add_table(self, name: str) -> None:
        """Somebody else makes an nftables table."""

    def others(self) -> set[str]:
        """What others have made and is there."""

    def lose_routes(self, table: int) -> None:
        """Somebody flushes a table of ours."""

    def lose_table(self) -> None:
        """Somebody removes our nftables table."""

    def change_table(self) -> None:
        """Somebody removes what our nftables table says."""

    def change_mtu(self, mtu: int) -> None:
        """Somebody changes the overlay's device."""


class FakeRig:
    """The kernel in memory."""

    def __init__(self) -> None:
        self._fake = FakeKernel(NUMBERS)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(scenario())

    def kernel(self) -> AbstractAsyncContextManager[Kernel]:
        return self._fake

    def add_device(self, name: str, vxlan: tuple[int, int] | None = None) -> None:
        self._fake.others.devices[name] = vxlan
        self._fake.tell(Change.LOCAL)

    def remove_device(self, name: str) -> None:
        self._fake.remove_device(name)

    def add_address(self, address: str) -> None:
        self._fake.others.addresses.add(parse_address(address))
        self._fake.tell(Change.LOCAL)

    def add_route(self, prefix: Prefix, table: int) -> None:
        self._fake.others.routes[RouteKey(prefix, table, 0)] = 4

    def add_rule(self, family: Family, priority: int) -> None:
        self._fake.others.rules.add((family, priority))

    def add_table(self, name: str) -> None:
        self._fake.others.tables.add(name)

    def others(self) -> set[str]:
        others = self._fake.others
        return {
            *(f"device {name}" for name in others.devices),
            *(f"route {key.prefix} {key.table}" for key in others.routes),
            *(f"rule {family} {priority}" for family, priority in others.rules),
            *(f"table {name}" for name in others.tables),
        }

    def lose_routes(self, table: int) -> None:
        for key in [key for key in self._fake.objects if isinstance(key, RouteKey) and key.table == table]:
            del self._fake.objects[key]
        self._fake.tell(Change.OBJECTS)

    def lose_table(self) -> None:
        del self._fake.objects[TableKey(NUMBERS.nft_table)]
        self._fake.tell(Change.OBJECTS)

    def change_table(self) -> None:
        self._fake.objects[TableKey(NUMBERS.nft_table)] = Ruleset("")
        self._fake.tell(Change.OBJECTS)

    def change_mtu(self, mtu: int) -> None:
        key = DeviceKey(NUMBERS.overlay_device)
        device: Any = self._fake.objects[key]
        self._fake.objects[key] = replace(device, mtu=mtu)
        self._fake.tell(Change.OBJECTS)


class RealRig:
    """A kernel's network namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        inside(self.namespace, lambda: asyncio.run(scenario()))

    def kernel(self) -> AbstractAsyncContextManager[Kernel]:
        return KernelOperations(NUMBERS)

    def add_device(self, name: str, vxlan: tuple[int, int] | None = None) -> None:
        kind = "bridge" if vxlan is None else f"vxlan id {vxlan[0]} dstport {vxlan[1]}"
        # With an address of its own it would be a change later than that.
        self.ip(f"link add {name} type {kind}", f"link set {name} addrgenmode none", f"link set {name} up")

    def remove_device(self, name: str) -> None:
        self.ip(f"link del {name}")

    def add_address(self, address: str) -> None:
        self.ip(f"address add {address} dev {_PODS} nodad")

    def add_route(self, prefix: Prefix, table: int) -> None:
        self.ip(f"route add blackhole {prefix} table {table} proto static")

    def add_rule(self, family: Family, priority: int) -> None:
        self.ip(f"{_FLAG[family]} rule add priority {priority} fwmark 0x40 lookup main".removeprefix("-4 "))

    def add_table(self, name: str) -> None:
        self.nft("add", "table", "inet", name)

    def others(self) -> set[str]:
        found = set()
        for link in self._listed("link", "show"):
            if link["ifname"] not in ("lo", _PODS) and link.get("group") == "default":
                found.add(f"device {link['ifname']}")
        for flag in _FLAG.values():
            for route in self._listed(flag, "route", "show", "table", "all"):
                if route["protocol"] == "static":
                    length = "" if "/" in route["dst"] else "/32" if flag == "-4" else "/128"
                    found.add(f"route {route['dst']}{length} {route['table']}")
        for family, flag in _FLAG.items():
            for rule in self._listed(flag, "rule", "show"):
                if "fwmark" in rule:
                    found.add(f"rule {family} {rule['priority']}")
        for table in self.nft("list", "tables").splitlines():
            if table != f"table inet {NUMBERS.nft_table}" or "netlb" not in self.nft("list", *table.split()):
                found.add(table.replace("inet ", ""))
        return found

    def lose_routes(self, table: int) -> None:
        for flag in _FLAG.values():
            self.run_command("ip", flag, "route", "flush", "table", str(table))

    def lose_table(self) -> None:
        self.nft("delete", "table", "inet", NUMBERS.nft_table)

    def change_table(self) -> None:
        self.nft("flush", "table", "inet", NUMBERS.nft_table)

    def change_mtu(self, mtu: int) -> None:
        self.ip(f"link set {NUMBERS.overlay_device} mtu {mtu}")

    def ip(self, *lines: str) -> None:
        """Run `ip` here."""
        for line in lines:
            self.run_command("ip", *line.split())

    def nft(self, *words: str) -> str:
        """Run `nft` here."""
        return self.run_command("nft", *words)

    def _listed(self, *words: str) -> list[dict[str, Any]]:
        return json.loads(self.run_command("ip", "-json", *words) or "[]")  # type: ignore[no-any-return]

    def run_command(self, *command: str) -> str:
        """Run a command here to its end, and return what it prints."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *command], capture_output=True, text=True, check=False, timeout=30
        )
        assert 0 == done.returncode, f"{' '.join(command)}: {done.stderr}"
        return done.stdout


@contextmanager
def real_rig() -> Iterator[RealRig]:
    """Make a namespace, and remove it."""
    name = f"raven-{os.getpid()}-{next(_SERIAL)}"
    batch([f"netns add {name}"])
    try:
        pods = [f"link add {_PODS} type bridge", f"link set {_PODS} addrgenmode none", f"link set {_PODS} up"]
        batch(["link set lo up", *pods], name)
        yield RealRig(name)
    finally:
        batch([f"netns delete {name}"])
