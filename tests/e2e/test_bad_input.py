"""Broken manifests while everything runs: nothing changes on the wire, everybody says so, and it can be mended."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.manifests import advertisement, metallb, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "192.168.122.90"
NATIVE = pool("one", "192.168.122.90-192.168.122.100")
CONFIG_MAP = metallb("address-pools: [{name: one, protocol: layer2, addresses: [192.168.122.90-192.168.122.100]}]")


class Mistake(NamedTuple):
    """What somebody writes, over which good manifest, and what it is called."""

    file: str
    text: str
    reason: str
    good: str = NATIVE


MISTAKES = {
    "half a file": Mistake("pool.yaml", NATIVE.rpartition(".")[0] + "\n  nodes: {", "InvalidYAML"),
    "broken YAML": Mistake("more.yaml", "kind: [Service", "InvalidYAML"),
    "a range turned round": Mistake("pool.yaml", pool("one", "192.168.122.100-192.168.122.90"), "InvalidRange"),
    "a misspelt key": Mistake(
        "pool.yaml", pool("one", "192.168.122.80-192.168.122.89", autoAsign=False), "UnknownField"
    ),
    "overlapping pools": Mistake("more.yaml", pool("another", "192.168.122.80-192.168.122.95"), "OverlappingPools"),
    "not UTF-8": Mistake("pool.yaml", "\udcff", "UnreadableFile"),
    "MetalLB: no pools": Mistake("pool.yaml", metallb("address-pools: nothing"), "InvalidObject", CONFIG_MAP),
    "MetalLB: a range turned round": Mistake(
        "pool.yaml", CONFIG_MAP.replace(".90-192.168.122.100", ".100-192.168.122.90"), "InvalidRange", CONFIG_MAP
    ),
}


def begin(cluster: Cluster, good: str = NATIVE) -> Callable[[], bool]:
    """Have a Service answered for; return a look whether it still is, by the same node, as if nothing were."""
    cluster.write_nodes()
    cluster.write("pool.yaml", good)
    if good is NATIVE:
        cluster.write("advertisement.yaml", advertisement())
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    cluster.start()
    owner = cluster.await_owner(ADDRESS)
    return lambda: (
        cluster.answerers(ADDRESS) == [owner.mac]
        and cluster.status.announcers(ADDRESS) == [owner.name]
        and cluster.status.held() == {"web": (ADDRESS,)}
    )


def reasons(cluster: Cluster) -> list[set[str]]:
    """What the controller and each speaker find wrong."""
    files = ["controller.yaml", *(f"nodes/{name}.yaml" for name in cluster.lab.nodes)]
    return [{finding["reason"] for finding in cluster.status.findings(file)} for file in files]


@pytest.mark.parametrize("mistake", [pytest.param(mistake, id=name) for name, mistake in MISTAKES.items()])
def test_a_mistake_changes_nothing_and_is_told(cluster: Cluster, mistake: Mistake) -> None:
    is_as_before = begin(cluster, mistake.good)
    assert [set()] * 4 == reasons(cluster)
    path = cluster.manifests / mistake.file
    path.write_text(mistake.text, errors="surrogateescape")

    eventually(lambda: all(mistake.reason in found for found in reasons(cluster)), f"{mistake.reason} everywhere")
    for daemon in cluster.daemons:
        assert len(daemon.lines("manifest problem", mistake.reason)) == 1, daemon.log.name
        assert daemon.running()
    eventually(is_as_before, "it is as before")

    if mistake.file == "pool.yaml":
        cluster.write("pool.yaml", mistake.good)
    else:
        cluster.remove(mistake.file)
    eventually(lambda: reasons(cluster) == [set()] * 4, "no finding is left")
    eventually(is_as_before, "it is as before")
    for daemon in cluster.daemons:
        cluster.await_ready(daemon)


def test_a_file_that_is_still_being_written_is_waited_for(cluster: Cluster) -> None:
    is_as_before = begin(cluster)
    with (cluster.manifests / "pool.yaml").open("w") as file:
        file.write("kind: [half of it")
        file.flush()
        cluster.write("other.yaml", service("other"))
        eventually(lambda: "other" in cluster.status.held(), "what others write counts meanwhile")
        assert [set()] * 4 == reasons(cluster)
        cluster.remove("other.yaml")
        eventually(lambda: "other" not in cluster.status.held(), "and what they delete")
        eventually(is_as_before, "it is as before")
    eventually(lambda: reasons(cluster) == [{"InvalidYAML"}] * 4, "now it is closed, and broken")
    eventually(is_as_before, "it is as before")


def test_controller_and_speakers_that_start_among_broken_files(cluster: Cluster) -> None:
    """What is held stays held by a controller that has never seen the pool's good version."""
    is_as_before = begin(cluster)
    controller = cluster.daemons[0]
    (cluster.manifests / "pool.yaml").write_text("kind: [broken")
    eventually(lambda: reasons(cluster) == [{"InvalidYAML"}] * 4, "the finding")
    controller.kill()
    cluster.await_ready(cluster.controller())
    eventually(lambda: len(controller.lines("manifest problem", "InvalidYAML")) == 2, "the second one has read it")
    eventually(is_as_before, "it is as before")
