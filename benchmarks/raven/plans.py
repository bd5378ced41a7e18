"""Many sites: planned, made true at the hub, and looked at again; and the same made with ip, wg and nft."""

import asyncio
import contextlib
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any, Final

from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.plan.raven import Seen, plan_raven
from netlb.raven.adapter import KernelOperations, cleanup
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.backend import DEVICE, parts
from netlb.raven.dataplane import DataPlane, Numbers
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.node import Local
from netlb.raven.objects import objects
from netlb.raven.text import ip_commands, wg_configuration
from netlb.testing.lab import Host
from netlb.testing.lab.namespaces import inside
from tests.support.waiting import eventually

__all__ = ["BY_HAND", "COUNTS", "NETLB", "Made", "plan_rounds"]

COUNTS: Final = (40, 200, 1_000)
NETLB, BY_HAND = "netlb", "ip, bridge, wg and nft"
_NODES: Final = 3
_ENDPOINTS: Final = 2
_HUB: Final = "s0n0"
_LOOKS: Final = 5
_KEY: Final = PrivateKey.of(sha256(_HUB.encode()).digest())
_PROTOCOL: Final = Numbers().protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one way of making a hub took, in seconds; None where that way has no such step."""

    plan: float | None
    apply: float
    look: float | None
    """To look at everything again, compare it with what is wanted and find nothing to do: the median of a few."""
    routes: int
    peers: int


@cache
def declared(count: int) -> tuple[Snapshot, Seen]:
    """Return so many sites of three nodes and two endpoints: one is in the cloud, all others are behind a NAT."""
    intake = Intake()
    intake.declare("sites.yaml", [Document("sites.yaml", body) for body in _bodies(count)])
    nodes = [f"s{site}n{place}" for site in range(count) for place in range(_NODES)]
    keys = {node: b64encode(sha256(node.encode()).digest()).decode() for node in nodes}
    return intake.snapshot({}), Seen(keys=keys | {_HUB: _KEY.public})


def plan_rounds(host: Host, device: str, rounds: int, random: Random) -> Iterator[tuple[int, int, str, Made]]:
    """Yield round, number of sites, the way and what it took, in an order drawn anew.

    `device` is what the tunnels are called: wireguard-go's sockets are in one directory for all namespaces.
    """
    numbers = Numbers(tunnel_device=device)
    ways = {NETLB: _by_netlb, BY_HAND: _by_hand}
    for number in range(rounds):
        for count in COUNTS:
            for name in random.sample(list(ways), len(ways)):
                yield number, count, name, ways[name](host, count, numbers)


def _by_netlb(host: Host, count: int, numbers: Numbers) -> Made:
    declared(count)
    begin = time.perf_counter()
    plane = _plane(count, numbers)
    planned = time.perf_counter()
    return inside(host.namespace, lambda: asyncio.run(_make(plane, numbers, planned - begin)))


async def _make(plane: DataPlane, numbers: Numbers, planned: float) -> Made:
    keys = Keys(_KEY)
    backend = WireGuard(numbers.tunnel_device, Userspace(numbers.tunnel_device))
    backend.use(keys)
    assert plane.tunnel is not None
    async with KernelOperations(numbers) as kernel:
        await kernel.observe()
        begin = time.perf_counter()
        tunnels, others = parts(plane.tunnel, keys), objects(plane, numbers)
        failures = [*(await backend.apply(tunnels)).values(), *(await kernel.apply(others)).values()]
        made = time.perf_counter()
        assert not failures, failures
        looks = []
        for _ in range(_LOOKS + 1):
            before = time.perf_counter()
            same = await backend.observe() == tunnels, await kernel.observe() == others
            looks.append(time.perf_counter() - before)
            assert (True, True) == same
    await cleanup(numbers)
    await backend.prune([DEVICE])
    await backend.close()
    # The first look reads what was just written; every other one finds what it knows.
    return Made(
        plan=planned,
        apply=made - begin,
        look=sorted(looks[1:])[_LOOKS // 2],
        routes=len(plane.routes),
        peers=len(tunnels) - 1,
    )


def _by_hand(host: Host, count: int, numbers: Numbers) -> Made:
    plane = _plane(count, numbers)
    device = numbers.tunnel_device
    assert plane.tunnel is not None
    lines = ip_commands(plane, _PROTOCOL)
    tunnel = [line for line in lines if line.endswith("type wireguard")]
    families: dict[str, list[str]] = {flag: [] for flag in ("-4", "-6", "")}
    for line in lines:
        words = line.split()
        if words[0] == "ip" and line not in tunnel:
            flag = words[1] if words[1] in families else ""
            families[flag].append(" ".join(words[2 if flag else 1 :]))
    entries = [line.removeprefix("bridge ") for line in lines if line.startswith("bridge ")]
    secret = f"[Interface]\nPrivateKey = {_KEY.text}"
    peers = wg_configuration(plane.tunnel).replace("[Interface]", secret).replace("AllowedIPs =\n", "")
    begin = time.perf_counter()
    with _carried(host, device):
        host.run(["wg", "setconf", device, "/dev/stdin"], input=peers, timeout=60)
        host.run(["nft", "-f", "-"], input=plane.nft)
        for flag, listed in (("", families[""]), ("-4", families["-4"]), ("-6", families["-6"])):
            host.run(["ip", *([flag] if flag else []), "-batch", "-"], input="\n".join([*listed, ""]), timeout=60)
        host.run(["bridge", "-batch", "-"], input="\n".join([*entries, ""]))
        made = time.perf_counter()
        for flag in ("-4", "-6"):
            for rule in plane.rules:
                host.run(["ip", flag, "rule", "del", "priority", str(rule.priority)], check=False)
            for table in (numbers.overlay_table, numbers.tunnel_table):
                host.run(["ip", flag, "route", "flush", "table", str(table)], timeout=60)
        host.run(["ip", "link", "del", numbers.overlay_device])
        host.run(["nft", "delete", "table", "inet", numbers.nft_table])
    return Made(plan=None, apply=made - begin, look=None, routes=len(plane.routes), peers=len(plane.tunnel.peers))


@contextlib.contextmanager
def _carried(host: Host, device: str) -> Iterator[None]:
    """Have a wireguard-go."""
    process = host.popen(["wireguard-go", "-f", device], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(Path(f"/run/wireguard/{device}.sock").exists, f"{device} is there")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _plane(count: int, numbers: Numbers) -> DataPlane:
    snapshot, seen = declared(count)
    return plan_raven(snapshot, seen).node(_HUB, Local(underlay_mtu=1500), numbers)


def _bodies(count: int) -> Iterator[dict[str, Any]]:
    for site in range(count):
        nodes = [f"s{site}n{place}" for place in range(_NODES)]
        address = {"publicIPs": ["198.51.100.1"]} if site == 0 else {"underNAT": True}
        yield {
            "apiVersion": "netlb.io/v1alpha1",
            "kind": "Gateway",
            "metadata": {"name": f"site-{site}", "creationTimestamp": f"2026-01-01T{site // 60:02}:{site % 60:02}:00Z"},
            "spec": {"endpoints": [{"nodeName": node, **address} for node in nodes[:_ENDPOINTS]]},
        }
        for place, node in enumerate(nodes):
            # Not side by side, or they would be summarised.
            pods = (
                ip_network((0x0A000000 + (site * 4 + place) * 2048, 24)),
                ip_network(f"fd00:{site + 1:x}:{place * 2}::/64"),
            )
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": node, "labels": {"raven.openyurt.io/gateway": f"site-{site}"}},
                "spec": {"podCIDRs": [str(each) for each in pods]},
                "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.1.{place + 1}"}]},
            }
