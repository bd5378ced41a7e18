"""Plan and adapters make sites of seven nodes, without daemons."""

from collections.abc import Iterator

import pytest

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan.raven import Seen, plan_raven
from netlb.raven.dataplane import DataPlane, Numbers
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.node import Local
from netlb.testing.sites import SitesLab, requirements
from netlb.testing.sites.declared import cluster_service, manifests
from tests.support.mesh.in_process import bring, remove
from tests.support.mesh.pairs import by_services, pairs, unreachable
from tests.support.mesh.state import plant_decoys, state
from tests.support.needs import needs, needs_command

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


class Made:
    """A lab, and what its nodes are to have."""

    def __init__(self, lab: SitesLab) -> None:
        self.lab = lab
        self.keys = {
            name: Keys(PrivateKey.of(bytes([number]) * 32), None) for number, name in enumerate(lab.nodes, start=1)
        }
        self.numbers = {name: Numbers(tunnel_device=f"{lab.name[-6:]}-{name}") for name in lab.nodes}
        intake = Intake()
        intake.declare("sites.yaml", parse_documents(manifests(lab), "sites.yaml"))
        public = {name: keys.public for name, keys in self.keys.items()}
        plan = plan_raven(intake.snapshot({}), Seen(keys=public))
        self.planes: dict[str, DataPlane] = {}
        for name, place in lab.places.items():
            local = Local(addresses=(place.ipv4.ip, place.ipv6.ip, place.pods4[1], place.pods6[1]))
            self.planes[name] = plan.node(name, local, self.numbers[name])

    def bring(self) -> dict[str, list[str]]:
        """Bring all nodes to their plans; return what was written, by node."""
        return {
            name: written
            for name, host in self.lab.nodes.items()
            if (written := bring(host, self.planes[name], self.numbers[name], self.keys[name]))
        }


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    needs(requirements())
    needs_command("wireguard-go", "wireguard-go")
    with SitesLab(name="adapters") as lab:
        lab.serve([cluster_service(lab, name) for name in lab.nodes])
        yield Made(lab)


def everything(lab: SitesLab) -> dict[str, set[str]]:
    return {name: state(host) for name, host in lab.nodes.items()}


def test_whatever_others_have_survives_and_nothing_of_ours_does(made: Made) -> None:
    lab = made.lab
    for name, host in lab.nodes.items():
        site = lab.sites[lab.places[name].site]
        plant_decoys(host, str(site.gateway4), str(site.gateway6))
    before = everything(lab)
    assert set(lab.nodes) == set(made.bring())
    assert {} == {name: before[name] - after for name, after in everything(lab).items() if before[name] - after}
    assert {} == made.bring(), "what is there already is not written again"
    assert {} == unreachable(lab)
    assert {} == by_services(lab, pairs(lab))
    for name, host in lab.nodes.items():
        remove(host, made.numbers[name], made.keys[name])
    assert before == everything(lab)
