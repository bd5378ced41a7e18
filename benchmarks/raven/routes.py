"""Ten thousand routes: programmed and read back, by netlb's adapter, by pyroute2's plain calls and by iproute2."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from random import Random
from typing import Final

from pyroute2 import IPRoute

from netlb.raven.adapter import KernelOperations
from netlb.raven.dataplane import Numbers, Route
from netlb.raven.objects import Key, RouteKey, Value
from netlb.testing.lab import Host
from netlb.testing.lab.namespaces import batch, inside

__all__ = ["BATCH", "MANY", "NETLB", "PEERS", "PYROUTE2", "Programmed", "route_rounds"]

MANY: Final = 10_000
_NUMBERS: Final = Numbers()
_TABLE: Final = _NUMBERS.tunnel_table
_MTU: Final = 1420
_PREFIXES: Final = [IPv4Network((0x0A000000 + (place << 8), 24)) for place in range(MANY)]
_LINK: Final = 253
_SLOW_EVERY: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Programmed:
    """What one program took, in seconds."""

    program: float
    read: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.program + self.read


def by_netlb(host: Host) -> Programmed:
    """What the gateway does: the adapter is open, as in the daemon, and its table is empty."""
    routes: dict[Key, Value] = {
        RouteKey(prefix, _TABLE, 0): Route(prefix=prefix, table=_TABLE, device=_NUMBERS.tunnel_device, mtu=_MTU)
        for prefix in _PREFIXES
    }

    async def measure() -> Programmed:
        async with KernelOperations(_NUMBERS) as kernel:
            await kernel.observe()
            begin = time.perf_counter()
            failures = await kernel.apply(routes)
            made = time.perf_counter()
            there = await kernel.observe()
            end = time.perf_counter()
        assert not failures
        assert there == routes
        return Programmed(program=made - begin, read=end - made)

    return inside(host.namespace, lambda: asyncio.run(measure()))


def by_pyroute2(host: Host) -> Programmed:
    """A call for each route, and a dump."""

    def measure() -> Programmed:
        with IPRoute() as route:
            index = route.link_lookup(ifname=_NUMBERS.tunnel_device)[0]
            metrics = {"attrs": [("RTAX_MTU", _MTU)]}
            begin = time.perf_counter()
            for prefix in _PREFIXES:
                route.route(
                    "add",
                    dst=str(prefix),
                    oif=index,
                    table=_TABLE,
                    proto=_NUMBERS.protocol,
                    scope=_LINK,
                    metrics=metrics,
                )
            made = time.perf_counter()
            there = [*route.get_routes(family=2, table=_TABLE)]
            end = time.perf_counter()
        assert MANY == len(there)
        return Programmed(program=made - begin, read=end - made)

    return inside(host.namespace, measure)


def by_iproute2(host: Host) -> Programmed:
    """`ip -batch`, which is started for it, and the JSON of `ip route show`."""
    more = f"dev {_NUMBERS.tunnel_device} table {_TABLE} proto {_NUMBERS.protocol} scope link mtu {_MTU}"
    text = "".join(f"route add {prefix} {more}\n" for prefix in _PREFIXES)
    begin = time.perf_counter()
    _ip(host, "-batch", "-", text=text)
    made = time.perf_counter()
    there = json.loads(_ip(host, "-json", "route", "show", "table", str(_TABLE)))
    end = time.perf_counter()
    assert MANY == len(there)
    return Programmed(program=made - begin, read=end - made)


NETLB, BATCH, PYROUTE2 = "netlb", "ip -batch, ip -json", "pyroute2, a call each"
PEERS: Final[Mapping[str, Callable[[Host], Programmed]]] = {
    NETLB: by_netlb,
    BATCH: by_iproute2,
    PYROUTE2: by_pyroute2,
}


def route_rounds(host: Host, rounds: int, random: Random) -> Iterator[tuple[int, str, Programmed]]:
    """Yield round, program and what it took, in an order drawn anew; the slow one takes part in every fourth round."""
    device = _NUMBERS.tunnel_device
    batch([f"link add {device} type bridge", f"link set {device} up"], host.namespace)
    for number in range(rounds):
        for name in random.sample(list(PEERS), len(PEERS)):
            if name != PYROUTE2 or number % _SLOW_EVERY == 0:
                yield number, name, PEERS[name](host)
                batch([f"route flush table {_TABLE}"], host.namespace)
    batch([f"link del {device}"], host.namespace)


def _ip(host: Host, *arguments: str, text: str = "") -> str:
    command = ["ip", "-netns", host.namespace, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout
