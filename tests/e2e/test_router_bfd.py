"""A node and a router watch each other by BFD, and BGP follows: FRR's bfdd and bgpd on the router's side."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.target import Target
from netlb.testing.lab import Host, Lab, requirements
from tests.manifests import native, pool, service, slice_of
from tests.support.bgp import without_gobgpd
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.frr import FrrRouter, frr_router, missing_frr
from tests.support.needs import needs
from tests.support.routers import ASN, Neighbor, next_hops
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "203.0.113.10"
OURS, THEIRS = 100, 60
"""Milliseconds between packets."""
QUICK, PATIENT = 3, 50
"""How many may be missing; the latter, where nobody is to be taken for dead because the machine is busy."""
EXPIRED, SIGNALED = "control detection time expired", "neighbor signaled session down"


class World:
    """A node, a router, and a Service; the daemons of the cluster and FRR run."""

    def __init__(self, cluster: Cluster, frr: FrrRouter, socket: Path) -> None:
        self.cluster = cluster
        self.frr = frr
        self.socket = socket
        self.speaker: Daemon | None = None

    @property
    def node(self) -> Host:
        return self.cluster.lab.nodes["node-1"]

    @property
    def router(self) -> Host:
        return self.cluster.lab.routers["router-1"]

    def start(self, *arguments: str) -> Daemon:
        """Start the speaker, and wait until BGP and BFD are up and the router has the route."""
        speaker = self.cluster.speaker("node-1", *arguments)
        eventually(self.is_up, "both are up", within=60)
        return speaker

    def is_up(self) -> bool:
        """Whether BGP and BFD are up, as both ends see it, and the router sends to the node."""
        both = self.told() == ("ESTABLISHED", "up") and self.frr.bfd(self.node.ipv4).get("status") == "up"
        return both and self.routed()

    def told(self) -> tuple[str, str]:
        """How BGP and BFD are, by the node's file."""
        [peer] = self.cluster.status.node("node-1").get("bgp", {}).get("peers", [{}])
        return peer.get("state", ""), peer.get("bfd", "")

    def routed(self) -> bool:
        """Whether the router's kernel sends to the node."""
        return next_hops(self.router, ADDRESS) == {str(self.node.ipv4)}

    def disabled(self) -> bool:
        """Whether gobgpd itself says that the peer is kept down."""

        async def ask() -> bool:
            client = await GobgpClient.connect(Target.unix(self.socket))
            try:
                [peer] = await client.list_peers()
            finally:
                await client.close()
            return bool(peer.conf.admin_down)

        return asyncio.run(ask())


@contextmanager
def world(tmp_path: Path, hops: int = 1, multiplier: int = QUICK) -> Iterator[World]:
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd", "bfdd")])
    (tmp_path / "site").mkdir()
    with Lab(nodes=1, routers=1, clients=0, pods_per_node=0, name="bfd") as lab:
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        router, node = lab.routers["router-1"], lab.nodes["node-1"]
        far = {"ebgpMultiHop": True} if hops > 1 else {}
        peer = {"myASN": 65001, "peerASN": ASN, "peerAddress": str(router.ipv4), "holdTime": "90s"}
        cluster.write(
            "bgp.yaml",
            native("BGPPeer", "tor", **peer, bfdProfile="fast", **far),
            native("BFDProfile", "fast", transmitInterval=OURS, receiveInterval=OURS, detectMultiplier=multiplier),
            native("BGPAdvertisement", "all"),
        )
        cluster.write("pool.yaml", pool("routed", ADDRESS, protocol="bgp"))
        cluster.write("web.yaml", service("web"))
        cluster.write("endpoints.yaml", slice_of("web", "node-1"))
        with frr_router(router, bfd=True) as frr:
            neighbor = Neighbor(address=node.ipv4, asn=65001, hops=hops, hold_time=90, bfd=THEIRS)
            frr.peer_with(replace(neighbor, bfd_multiplier=multiplier))
            try:
                cluster.await_ready(cluster.controller())
                yield World(cluster, frr, tmp_path / "gobgp" / "api.sock")
                cluster.stop()
            finally:
                cluster.kill()
                cluster.show_logs()


def negotiated(one: World) -> tuple[Any, ...]:
    """What FRR says of its session: over hops, its interval, and the node's intervals and multiplier."""
    names = ("multihop", "transmit-interval", "remote-transmit-interval", "remote-receive-interval")
    session = one.frr.bfd(one.node.ipv4)
    return tuple(session.get(name) for name in (*names, "remote-detect-multiplier"))


@pytest.mark.parametrize("hops", [1, 3])
def test_both_ends_come_up_with_negotiated_timers(tmp_path: Path, hops: int) -> None:
    with world(tmp_path, hops, PATIENT) as one:
        speaker = one.start("--gobgp-dir", str(tmp_path / "gobgp"))
        timers = f"transmit_us={OURS}000", f"detection_us={PATIENT * OURS}000"
        eventually(lambda: speaker.lines("BFD with router", *timers), "ours, as it comes up or later")
        eventually(lambda: (hops > 1, THEIRS, OURS, OURS, PATIENT) == negotiated(one), "theirs")
        assert 0 == speaker.stop()
        eventually(lambda: one.frr.bfd(one.node.ipv4)["status"] == "down", "the router knows")
        assert SIGNALED == one.frr.bfd(one.node.ipv4)["diagnostic"]  # it was told, and did not have to find out
        eventually(lambda: not one.routed(), "the router has dropped the route")


def test_a_link_that_is_cut_takes_the_peer_down_at_once_and_it_comes_back(tmp_path: Path) -> None:
    with world(tmp_path) as one:
        one.start("--gobgp-dir", str(tmp_path / "gobgp"))
        one.cluster.lab.cut(one.router, carrier=True)
        eventually(one.disabled, "gobgpd keeps the peer down")
        eventually(lambda: one.told() == ("ADMIN_DOWN", "down"), "it is told")
        eventually(lambda: not one.routed(), "the router has dropped the route")
        assert EXPIRED == one.frr.bfd(one.node.ipv4)["diagnostic"]
        one.cluster.lab.mend(one.router)
        eventually(lambda: one.is_up() and not one.disabled(), "all is back", within=60)


def test_a_router_whose_bfd_does_not_come_back_is_spoken_to_without(tmp_path: Path) -> None:
    with world(tmp_path) as one:
        one.start("--gobgp-dir", str(tmp_path / "gobgp"))
        one.frr.kill_bfd()
        eventually(one.disabled, "gobgpd keeps the peer down")
        eventually(lambda: one.told() == ("ADMIN_DOWN", "down"), "it is told")
        eventually(lambda: one.told() == ("ESTABLISHED", "down") and one.routed(), "BGP is back", within=60)
        assert not one.disabled()
        one.frr.start_bfd()
        eventually(one.is_up, "BFD is back", within=60)


def test_a_speaker_that_is_killed_loses_its_routes_though_its_gobgpd_goes_on(tmp_path: Path) -> None:
    with world(tmp_path, multiplier=PATIENT) as one:
        one.socket.parent.mkdir()
        gobgpd = one.node.popen(
            ["gobgpd", f"--api-hosts=unix://{one.socket}", "--pprof-disable"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        speaker = one.start("--gobgp", f"unix:{one.socket}")
        speaker.kill()
        speaker.http.unlink()
        eventually(lambda: not one.routed(), "the router has dropped the route")
        assert gobgpd.poll() is None
        assert not one.disabled()
        assert SIGNALED == one.frr.bfd(one.node.ipv4)["diagnostic"]  # BFD outlives the speaker for a last word
        one.start("--gobgp", f"unix:{one.socket}")  # and it goes on where it was
        gobgpd.terminate()
        gobgpd.wait()
