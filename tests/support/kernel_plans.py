"""Data planes that are tried in a kernel, and what brings it there."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import pytest

from netlb.plan.raven import plan_raven
from netlb.raven.dataplane import DataPlane
from netlb.raven.node import Local
from netlb.raven.objects import Key, Value, objects
from netlb.testing.lab import requirements
from tests.support.kernel_rigs import NUMBERS, FakeRig, Kernel, Rig, real_rig
from tests.support.needs import needs
from tests.support.sites import documents, seen, snapshot

__all__ = ["SOURCES", "add_tunnel", "bring", "in_kernel", "plane", "rig_fixture", "wanted"]

SITES: Mapping[str, Any] = {
    "cloud": {"nodes": ["c1"], "endpoints": [{"nodeName": "c1", "publicIPs": ["198.51.100.11"]}]},
    "east": {
        "nodes": ["e1", "e2", "e3"],
        "endpoints": [{"nodeName": "e1", "underNAT": True}, {"nodeName": "e2", "underNAT": True}],
        "extraSourceCIDRs": ["192.168.1.0/24"],
    },
    "lan": {"nodes": ["l1"], "endpoints": [{"nodeName": "l1", "publicIPs": ["203.0.113.7"]}], "nodeAddresses": True},
}
SOURCES = ("10.2.3.1", "fd00:2:3::1")


def plane(node: str, *, dead: tuple[str, ...] = (), sources: tuple[str, ...] = ()) -> DataPlane:
    given = snapshot(documents(SITES))
    return plan_raven(given, seen(given, {"dead": dead})).node(
        node, Local(addresses=tuple(map(ip_address, sources))), NUMBERS
    )


def wanted(node: str, *, dead: tuple[str, ...] = (), sources: tuple[str, ...] = ()) -> Mapping[Key, Value]:
    return objects(plane(node, dead=dead, sources=sources), NUMBERS)


async def bring(kernel: Kernel, want: Mapping[Key, Value]) -> tuple[set[Key], dict[Key, Exception]]:
    """Bring the kernel to it as the engine does; return what was touched, and failures."""
    have = await kernel.observe()
    changes = {key: value for key, value in want.items() if have.get(key) != value}
    gone = [key for key in have if key not in want]
    failures = {**await kernel.apply(changes), **await kernel.prune(gone)}
    return {*changes, *gone}, failures


def in_kernel(rig: Rig, play: Callable[[Kernel], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with rig.kernel() as kernel:
            await play(kernel)

    rig.run(scenario)


def add_tunnel(rig: Rig) -> None:
    rig.add_device(NUMBERS.tunnel_device)


def rig_fixture() -> Any:
    """Make a fixture of both worlds."""

    @pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
    def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
        if request.param == "fake":
            yield FakeRig()
        else:
            needs(requirements())
            with real_rig() as real:
                yield real

    return rig
