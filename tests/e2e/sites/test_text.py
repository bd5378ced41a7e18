"""The plan as text is what makes it work: given to `ip`, `wg` and `nft` by hand, every pod reaches every other one."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan.raven import Seen, plan_raven
from netlb.raven.dataplane import Numbers
from netlb.raven.node import Local
from netlb.testing.sites import SitesLab, requirements
from netlb.testing.sites.declared import cluster_service, manifests
from tests.support.mesh import by_hand
from tests.support.mesh.kernel import check_reverse_paths
from tests.support.mesh.pairs import unreachable
from tests.support.mesh.wire import clear_text, tunnelled
from tests.support.needs import needs, needs_command

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def lab() -> Iterator[SitesLab]:
    needs(requirements())
    needs_command("wireguard-go", "wireguard-go")
    needs_command("wg", "wireguard-tools")
    with SitesLab(name="text") as opened:
        keys = {name: by_hand.new_key() for name in opened.nodes}
        intake = Intake()
        intake.declare("sites.yaml", parse_documents(manifests(opened), "sites.yaml"))
        plan = plan_raven(intake.snapshot({}), Seen(keys={name: by_hand.public_key(key) for name, key in keys.items()}))
        assert () == plan.findings
        for name, host in opened.nodes.items():
            place = opened.places[name]
            numbers = Numbers(tunnel_device=f"{opened.name[-6:]}-{name}")
            local = Local(addresses=(place.ipv4.ip, place.ipv6.ip, place.pods4[1], place.pods6[1]))
            by_hand.make(host, plan.node(name, local, numbers), keys[name], numbers.protocol)
        opened.serve([cluster_service(opened, name) for name in opened.nodes])
        yield opened


def test_every_pod_reaches_every_pod_of_other_sites(lab: SitesLab) -> None:
    with ExitStack() as opened:
        wires = {name: opened.enter_context(lab.wire(name)) for name in lab.sites}
        assert {} == unreachable(lab)
        for name, wire in wires.items():
            frames = wire.frames()
            assert {} == clear_text(frames, [51820]), name
            assert tunnelled(frames, [51820]) > 0


def test_the_reverse_path_is_checked_everywhere_and_nothing_fails_the_check(lab: SitesLab) -> None:
    check_reverse_paths(lab)
