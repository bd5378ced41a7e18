"""Packets through a tunnel that netlb made, and through one made by hand with the same wireguard-go."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.harness.watchers import ECHO, watching
from netlb.testing.lab import Host
from netlb.testing.sites import SitesLab
from tests.support.mesh.world import World
from tests.support.waiting import eventually

__all__ = ["BY_HAND", "NETLB", "Carried", "tunnel_rounds"]

NETLB, BY_HAND = "netlb", "wireguard-go by hand"
_SITES: Final = {"c": 1, "a": 1}
_PORT: Final = 7
_IPERF: Final = 5201
_SECONDS: Final = 1.5
_ASKED_EVERY: Final = 2_000
_ASKED_FOR: Final = 0.8
_WG_PORT: Final = 51820


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a tunnel carried."""

    mbit: float
    """Of one TCP stream, a second."""
    rtt_us: float
    """Of a small datagram and its answer, median."""


def tunnel_rounds(directory: Path, rounds: int, random: Random) -> Iterator[tuple[int, str, Carried]]:
    """Make both tunnels, each between two sites of its own, and yield round, whose tunnel and what it carried."""
    with (
        SitesLab(_SITES, name="bench") as one,
        SitesLab(_SITES, name="bench") as other,
        contextlib.ExitStack() as stack,
    ):
        world = World(directory, one)
        stack.callback(world.site.kill)
        world.declare()
        world.start(*one.nodes)
        _make_by_hand(other)
        labs = {NETLB: one, BY_HAND: other}
        for lab in labs.values():
            server = lab.pods["c1"]
            stack.enter_context(watching(server, ECHO, server.ipv4, _PORT, "c1"))
            server.popen(
                ["iperf3", "--server", "--port", str(_IPERF)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            eventually(lambda lab=lab: _reached(lab.pods["a1"], lab.pods["c1"]), "a pod is reached")  # type: ignore[misc]
        for number in range(rounds):
            for name in random.sample(list(labs), len(labs)):
                source, target = (labs[name].pods[node] for node in ("a1", "c1"))
                yield number, name, Carried(mbit=_stream(source, target), rtt_us=_ask(source, target))


def _make_by_hand(lab: SitesLab) -> None:
    """Join two nodes as the manual of WireGuard says: a route to the other's pods, and nothing else."""
    secrets = {name: _wg("genkey") for name in lab.nodes}
    device = f"hand{os.getpid()}-"
    for name, host in lab.nodes.items():
        own = f"{device}{name}"
        host.popen(["wireguard-go", "-f", own], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(Path(f"/run/wireguard/{own}.sock").exists, f"{own} is there")
        [other] = [each for each in lab.places.values() if each.name != name]
        lines = ["[Interface]", f"PrivateKey = {secrets[name]}", f"ListenPort = {_WG_PORT}", "[Peer]"]
        lines.append(f"PublicKey = {_wg('pubkey', secrets[other.name])}")
        lines.append(f"AllowedIPs = {other.pods4}, {other.pods6}")
        if lab.sites[other.site].public:
            lines += [f"Endpoint = {other.ipv4.ip}:{_WG_PORT}", "PersistentKeepalive = 1"]
        host.run(["wg", "setconf", own, "/dev/stdin"], input="\n".join([*lines, ""]))
        host.run(["ip", "link", "set", own, "mtu", "1420", "up"])
        host.run(["ip", "route", "replace", str(other.pods4), "dev", own])


def _reached(source: Host, target: Host) -> bool:
    with contextlib.suppress(OSError), source.connect(target.ipv4, _IPERF):
        return True
    return False


def _stream(source: Host, target: Host) -> float:
    """Return the Mbit/s that a TCP stream brought to its end."""
    command = ["iperf3", "--client", str(target.ipv4), "--port", str(_IPERF), "--time", str(_SECONDS), "--json"]
    said = json.loads(source.run(command, timeout=30).stdout)
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e6


def _ask(source: Host, target: Host) -> float:
    """Return the median time in µs from a datagram to its answer."""
    program = Path(__file__).with_name("ask.py")
    with watching(source, program, _PORT, _ASKED_EVERY, target.ipv4) as asked:
        time.sleep(_ASKED_FOR)
        [datagrams] = asked.finish().values()
    times: list[float] = [(answered - sent) / 1e3 for sent, answered in datagrams if answered is not None]
    return median(times)


def _wg(command: str, text: str = "") -> str:
    return subprocess.run(["wg", command], input=text, capture_output=True, text=True, check=True).stdout.strip()
