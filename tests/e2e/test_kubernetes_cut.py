"""The network between the nodes and the API server is cut, without a word to anybody, for as long as it takes."""

import pytest

from tests.support.kube_cluster import KubeCluster
from tests.support.kube_world import at_work
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def test_without_the_network_to_it_speakers_start_and_take_over_and_give_back(kube: KubeCluster) -> None:
    with at_work(kube) as world:
        nodes = tuple(kube.lab.nodes)
        owner, address = world.owner("web"), world.addresses["web"]
        for node in nodes:
            kept = kube.api.root / f"state-{node}" / "netlb-speaker.snapshot"
            eventually(lambda kept=kept: kept.exists() and address.encode() in kept.read_bytes(), "it is kept")  # type: ignore[misc]
        kube.cut(*nodes)
        kube.apply("late")
        unheard = kube.await_address("late")

        world.speakers[owner.name].kill()
        others = {kube.lab.nodes[name].mac for name in nodes if name != owner.name}
        eventually(lambda: set(kube.answerers(address)) & others, "another node takes over", within=60)
        world.asker.goes_on()

        world.speakers[owner.name] = again = kube.keeping_speaker(owner.name)
        world.asker.await_station(address, owner.mac)
        page = eventually(lambda: again.get("/readyz"), "it serves HTTP")
        assert 503 == page.status
        assert "in force is what was heard before" in page.text
        metrics = again.get("/metrics")
        assert metrics
        [since] = [
            line for line in metrics.text.splitlines() if line.startswith("netlb_source_kept_timestamp_seconds ")
        ]
        assert float(since.split()[1]) > 0
        assert [] == kube.answerers(unheard), "nobody can know of it"
        world.asker.goes_on(10)

        kube.mend(*nodes)
        world.works("late")
        for speaker in world.speakers.values():
            kube.await_ready(speaker)
        world.asker.await_station(address, owner.mac)
        assert [] == again.lines("given up", f"address={address} "), "nothing that need not change"
