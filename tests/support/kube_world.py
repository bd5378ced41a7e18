"""A cluster at work: two controllers, three speakers, Services that a client asks for all the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import yaml

from netlb.testing.lab import Host
from tests.manifests import PATIENT
from tests.support.asking import Asker
from tests.support.daemons import Daemon
from tests.support.kube_cluster import KubeCluster
from tests.support.kubernetes import pool
from tests.support.waiting import eventually

__all__ = ["World", "at_work"]

POOL = "192.168.122.90-192.168.122.99"
SERVICES = ("web", "shop", "mail")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What runs."""

    kube: KubeCluster
    controllers: dict[int, Daemon]
    speakers: dict[str, Daemon]
    """By node."""
    addresses: dict[str, str]
    """By Service."""
    asker: Asker
    begun: dict[str, list[str]]
    """By node, what it gave up while all of them started."""

    def owner(self, name: str) -> Host:
        """Return the node that announces a Service, by what it reports."""
        return self.kube.lab.nodes[self.kube.await_announced(name)]

    def late(self, name: str) -> None:
        """Declare another Service; it must get an address, which one node answers for."""
        self.kube.apply(name)
        self.works(name)

    def works(self, name: str) -> None:
        """Wait until a Service has an address, which one node answers for; nobody else may have lost his meanwhile."""
        address = self.kube.await_address(name)
        owner = self.kube.await_announced(name)
        self.kube.await_answered(address, owner)
        self.asker.goes_on()

    def undisturbed(self) -> None:
        """Make sure that no address was changed, nor given up by anybody at any time."""
        assert self.addresses == {name: self.kube.api.ingress(name)[0] for name in self.addresses}
        for node, speaker in self.speakers.items():
            since = [line for line in speaker.lines("given up") if line not in self.begun[node]]
            assert [] == [line for line in since if self._concerns(line)], node

    def _concerns(self, line: str) -> bool:
        return any(f"address={address} " in f"{line} " for address in self.addresses.values())


@contextmanager
def at_work(kube: KubeCluster) -> Iterator[World]:
    """Have it all; at the end every question must have had its answer."""
    kube.declare(POOL)
    # Nobody is taken for dead who is held up for a moment; of a speaker that dies its BFD process says so.
    kube.api.server.put(yaml.safe_load(PATIENT), pool("two", POOL, bfdProfile="patient"))
    controllers = {number: kube.replica(number) for number in (1, 2)}
    speakers = kube.keeping_speakers(*kube.lab.nodes)
    for name in SERVICES:
        kube.apply(name)
    addresses = {name: kube.await_address(name) for name in SERVICES}
    for daemon in (*controllers.values(), *speakers.values()):
        kube.await_ready(daemon)
    for name, address in addresses.items():
        eventually(partial(_answers_alone, kube, name, address), f"who announces {name} answers alone")
    kube.forward(SERVICES)
    with Asker(kube.client, tuple(addresses.values())) as asker:
        begun = {node: speaker.lines("given up") for node, speaker in speakers.items()}
        world = World(
            kube=kube, controllers=controllers, speakers=speakers, addresses=addresses, asker=asker, begun=begun
        )
        asker.goes_on()
        yield world
        asker.goes_on()
    stations = {host.mac for host in kube.lab.nodes.values()}
    assert {reply.station for reply in asker.replies} <= stations
    assert {reply.pod for reply in asker.replies} <= kube.lab.pods.keys()
    assert set(addresses.values()) == {reply.address for reply in asker.replies}


def _answers_alone(kube: KubeCluster, name: str, address: str) -> bool:
    """Whether the node that says that it announces a Service answers, and it alone; it moves while speakers start."""
    owner = kube.await_announced(name)
    return {kube.lab.nodes[owner].mac} == set(kube.answerers(address))
