"""Processes are killed: what answers dies with its speaker, and whatever is started again goes on."""

import os
import signal
from pathlib import Path

import pytest

from tests.manifests import advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESSES = ("192.168.122.90", "fd00:122::90")


def declare(cluster: Cluster) -> None:
    """Declare a Service with an address of each family, and a single node, which owns both."""
    cluster.write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-1}}")
    cluster.write("pool.yaml", pool("both", *ADDRESSES), advertisement())
    cluster.write("web.yaml", service("web", ipFamilies="[IPv4, IPv6]", ipFamilyPolicy="RequireDualStack"))
    cluster.write_endpoints("web")


def answered(cluster: Cluster) -> bool:
    """Whether both addresses are answered for by the node, each once."""
    mac = cluster.lab.nodes["node-1"].mac
    return all(cluster.answerers(address, 0.2) == [mac] for address in ADDRESSES)


def await_successor(cluster: Cluster, responder: int) -> None:
    """Wait until another process answers in the place of one that was killed."""
    eventually(lambda: set(cluster.responders("node-1")) - {responder}, "another responder")


def test_a_killed_speaker_takes_its_responder_along(cluster: Cluster) -> None:
    declare(cluster)
    cluster.controller()
    speaker = cluster.speaker("node-1")
    eventually(lambda: answered(cluster), "both addresses are answered for")
    [responder] = cluster.responders("node-1")

    speaker.kill()
    eventually(lambda: not Path(f"/proc/{responder}").exists(), "the responder has ended")
    assert [[], []] == [cluster.answerers(address) for address in ADDRESSES]

    cluster.speaker("node-1")
    eventually(lambda: answered(cluster), "both addresses are answered for again")
    assert [responder] != cluster.responders("node-1")


def test_a_killed_responder_is_started_again(cluster: Cluster) -> None:
    declare(cluster)
    cluster.controller()
    speaker = cluster.speaker("node-1")
    eventually(lambda: answered(cluster), "both addresses are answered for")
    for turn in (1, 2):
        [responder] = cluster.responders("node-1")
        os.kill(responder, signal.SIGKILL)
        await_successor(cluster, responder)
        eventually(lambda: answered(cluster), "both addresses are answered for again")
        assert turn == len(speaker.lines("responder died", "SIGKILL"))
        # A busy machine may hold one up for so long that it is taken for dead, too.
        eventually(
            lambda: len(speaker.lines("responder died")) == len(speaker.lines("responder restarted")), "it says so"
        )
    assert speaker.running()
    cluster.await_ready(speaker)


def test_a_killed_controller_interrupts_nobody(cluster: Cluster) -> None:
    declare(cluster)
    controller = cluster.controller()
    cluster.speaker("node-1")
    eventually(lambda: answered(cluster), "both addresses are answered for")
    controller.kill()
    eventually(lambda: answered(cluster), "both addresses are answered for without a controller")
    cluster.await_ready(cluster.controller())
    eventually(lambda: answered(cluster), "both addresses are answered for with another")
    assert {"web": ADDRESSES} == cluster.status.held()
