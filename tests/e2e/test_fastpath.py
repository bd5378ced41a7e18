"""A speaker with a fast path, as a whole: who answers, what the metrics say, and that it falls silent with its process."""

import re
from collections import Counter
from ipaddress import ip_address

import pytest

from tests.manifests import advertisement, node, pool, service
from tests.support.bpf import fastpath_requirements
from tests.support.cluster import Cluster
from tests.support.needs import needs
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "192.168.122.90"


def test_the_fast_path_of_a_speaker_answers_is_counted_and_dies_with_it(cluster: Cluster) -> None:
    needs(fastpath_requirements())
    cluster.write("node.yaml", node("node-1"))
    cluster.write("pool.yaml", pool("one", ADDRESS), advertisement())
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    cluster.await_ready(cluster.controller())
    speaker = cluster.speaker("node-1", "--l2-fastpath", "require", patient=True)
    cluster.await_ready(speaker)
    eventually(lambda: cluster.status.announcers(ADDRESS) == ["node-1"], "it is announced")

    def answered() -> Counter[str]:
        page = speaker.get("/metrics")
        assert page is not None
        pattern = r'netlb_layer2_frames_total{interface="eth0",path="(\w+)",verdict="Answered"} (\S+)'
        return Counter({path: int(float(number)) for path, number in re.findall(pattern, page.text)})

    def by_the_fast_path_alone() -> bool:
        """Ask often; a responder that a busy machine holds up lets its fast path lapse, and answers itself."""
        before = answered()
        assert all(question.ask(timeout=60, stop_after=1) for _ in range(50))
        eventually(lambda: answered().total() >= before.total() + 50, "they are counted")
        return answered() - before == Counter(tcx=50)

    with cluster.client.question(ip_address(ADDRESS)) as question:
        eventually(by_the_fast_path_alone, "the fast path answers, and nobody else")
    assert not cluster.status.node("node-1").get("notes")
    speaker.kill()
    eventually(lambda: not cluster.responders("node-1"), "the responder has ended")
    assert [] == cluster.answerers(ADDRESS)
    cluster.await_ready(cluster.speaker("node-1", "--l2-fastpath", "off"))
    eventually(lambda: [cluster.lab.nodes["node-1"].mac] == cluster.answerers(ADDRESS), "its sockets answer")
