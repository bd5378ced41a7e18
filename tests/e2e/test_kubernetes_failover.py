"""On a cluster, speakers and controllers die and come back, while a client asks all the time."""

import pytest

from tests.support.kube_cluster import KubeCluster
from tests.support.kube_world import at_work
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


def test_a_speaker_dies_and_another_node_takes_over_until_it_is_back(kube: KubeCluster) -> None:
    with at_work(kube) as world:
        owner, address = world.owner("web"), world.addresses["web"]
        others = {host.mac for host in kube.lab.nodes.values() if host is not owner}
        world.speakers[owner.name].kill()
        kube.await_announced("web", other_than=owner.name)
        eventually(lambda: set(kube.answerers(address)) & others, "another node takes over")
        world.asker.goes_on()
        world.speakers[owner.name] = kube.keeping_speaker(owner.name)
        world.asker.await_station(address, owner.mac)
        kube.await_answered(address, owner.name)
        assert 0 == world.speakers[owner.name].stop()
        eventually(lambda: set(kube.answerers(address)) & others, "another node takes over")
        world.asker.goes_on()


def test_the_controller_that_leads_dies_and_the_other_one_goes_on(kube: KubeCluster) -> None:
    with at_work(kube) as world:
        leads = eventually(
            lambda: [number for number, each in world.controllers.items() if each.lines("leading")], "one leads"
        )
        assert 1 == len(leads)
        world.controllers[leads[0]].kill()
        world.late("late")
        world.controllers[leads[0]] = kube.replica(leads[0])
        kube.await_ready(world.controllers[leads[0]])
        [other] = world.controllers.keys() - leads
        assert 0 == world.controllers[other].stop()
        world.late("later")
        world.undisturbed()


def test_what_a_node_reported_goes_when_the_node_does(kube: KubeCluster) -> None:
    with at_work(kube) as world:
        owner = world.owner("web")
        eventually(lambda: kube.api.server.get("speakerstatuses.netlb.io", owner.name), "it reports")
        crashed = world.speakers.pop(owner.name)
        crashed.kill()
        crashed.http.unlink()
        kube.await_announced("web", other_than=owner.name)
        world.asker.goes_on()
        assert kube.api.report("web", owner.name), "what was said last"
        kube.api.server.delete("nodes", owner.name)
        eventually(
            lambda: kube.api.server.get("speakerstatuses.netlb.io", owner.name) is None, "it is removed", within=120
        )
        assert kube.api.report("web", owner.name) is None
        assert kube.await_announced("web") != owner.name
