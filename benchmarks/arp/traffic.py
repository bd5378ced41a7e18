"""What the responder costs everybody else: one TCP stream into the node, with it on the interface and without."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import sleep

from benchmarks.arp.peers import NETLB, SOCKETS, Asked, Peer, await_answer, running
from benchmarks.arp.places import Place
from benchmarks.harness.machine import Cpus
from benchmarks.harness.processes import ended, pinned
from benchmarks.harness.statistics import median_of_ratios

__all__ = ["ROUNDS", "SECONDS", "Traffic", "measure_traffic"]

ROUNDS = 7
SECONDS = 1
_OMITTED = 1
"""Seconds at first that do not count: a peer has just been started, and CPU time may be given on credit."""
_PORT = 5201
_SETTLE = 0.5


@dataclass(slots=True)
class Traffic:
    """Bits a second, round by round, while one peer answers on the interface, or none."""

    bits: dict[str, list[float]] = field(default_factory=lambda: {"nobody": [], NETLB.name: [], SOCKETS.name: []})

    def cost(self, peer: Peer) -> float | None:
        """Return how many times as much goes through without the peer as with it, in the same rounds."""
        mine = self.bits[peer.name]
        return median_of_ratios(self.bits["nobody"], mine) if mine else None


def measure_traffic(place: Place, directory: Path, cpus: Cpus, random: Random, tell: Callable[[str], None]) -> Traffic:
    """Measure by turns, in an order drawn anew for each round."""
    traffic = Traffic()
    turns: list[Peer | None] = [None, NETLB, SOCKETS]
    server = pinned(["iperf3", "--server", "--port", str(_PORT)], cpus.measured)
    with (directory / "iperf3.log").open("w") as log, ended(place.node.popen(server, stdout=log, stderr=log)):
        sleep(_SETTLE)
        for number in range(ROUNDS):
            tell(f"traffic, round {number + 1} of {ROUNDS}")
            random.shuffle(turns)
            for peer in turns:
                with contextlib.ExitStack() as stack:
                    if peer is not None:
                        address, log_of = place.address("ARP", peer.number), directory / f"{peer.name}.log"
                        asked = Asked(place.interface, address, 1, cpus.measured, directory)
                        stack.enter_context(running(peer, place.node, asked))
                        await_answer(place.probe.client, place.probe.interface, address, log_of)
                        sleep(_SETTLE)
                    traffic.bits[peer.name if peer else "nobody"].append(_stream(place, cpus))
    return traffic


def _stream(place: Place, cpus: Cpus) -> float:
    """Return how many bits a second one stream from the client brought into the node."""
    command = ["iperf3", "--client", "10.99.255.1", "--port", str(_PORT), "--json"]
    command += ["--omit", str(_OMITTED), "--time", str(SECONDS)]
    said = place.probe.client.run(pinned(command, cpus.measuring), timeout=30).stdout
    return float(json.loads(said)["end"]["sum_received"]["bits_per_second"])
