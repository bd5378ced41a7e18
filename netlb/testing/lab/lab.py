"""A cluster's network on one machine: a switch, nodes, pods, clients and routers, each in a namespace."""

import os
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from netlb.testing.lab.errors import LabError, LabUnavailable
from netlb.testing.lab.fabric import Fabric
from netlb.testing.lab.guardian import Guardian
from netlb.testing.lab.host import Host
from netlb.testing.lab.janitor import remove_lab
from netlb.testing.lab.layout import INTERFACE, Member, PodPlace, Role, Segment, member, pod_place
from netlb.testing.lab.members import Node, Pod
from netlb.testing.lab.namespaces import load_rules
from netlb.testing.lab.processes import Processes
from netlb.testing.lab.records import new_lab_name, write_record
from netlb.testing.lab.requirements import requirements
from netlb.testing.lab.services import Backend, ServiceRule, render_service_rules

__all__ = ["Lab"]


class Lab:
    """A lab; use it as a context manager, or call `open` and `close`.

    Nothing is made before it is opened. It is removed when it is closed, and also when its process is killed.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        clients: int = 1,
        routers: int = 0,
        pods_per_node: int = 1,
        name: str = "lab",
        segment: Segment | None = None,
    ) -> None:
        self.segment = segment or Segment()
        self.name = new_lab_name(name)
        self.nodes: dict[str, Node] = {}
        self.clients: dict[str, Host] = {}
        self.routers: dict[str, Host] = {}
        self._owner = os.getpid()
        self._pods_per_node = pods_per_node
        self._nodes_made = nodes
        self._plan = [
            member(self.segment, role, number)
            for role, count in ((Role.ROUTER, routers), (Role.NODE, nodes), (Role.CLIENT, clients))
            for number in range(1, count + 1)
        ]
        self._fabric = Fabric(self.name, self.segment)
        self._processes = Processes()
        self._rules: tuple[ServiceRule, ...] = ()
        self._loaded: dict[str, str] = {}
        self._guardian: Guardian | None = None
        self._kept = False

    def open(self) -> Self:
        """Make everything; LabUnavailable if this machine cannot.

        Whatever was made is removed if a step fails.
        """
        if self._guardian is not None:
            raise LabError(f"{self.name} is open already")
        if missing := requirements():
            raise LabUnavailable(missing)
        try:
            self._guardian = Guardian(self.name)
            write_record(self.name, kept=False)
            pods = {each.name: self._places(each) for each in self._plan if each.role is Role.NODE}
            self._fabric.build(self._plan, pods)
            for each in self._plan:
                self._enrol(each, pods.get(each.name, ()))
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the processes started here and remove the lab; again, or in a forked child, does nothing."""
        guardian = self._guardian
        if guardian is None or os.getpid() != self._owner:
            return
        if self._kept:
            self._processes.disown()
        else:
            self._processes.end()
            remove_lab(self.name)
        guardian.dismiss()
        self._guardian = None
        for hosts in (self.nodes, self.clients, self.routers):
            hosts.clear()

    def keep(self) -> None:
        """Leave the lab and its processes up when this process ends.

        `python -m netlb.testing.lab sweep` removes it then. Processes with pipes to this one lose them.
        """
        if self._guardian is None:
            raise LabError(f"{self.name} is not open")
        write_record(self.name, kept=True)
        self._kept = True
        self._guardian.dismiss()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pods(self) -> dict[str, Pod]:
        """Every node's pods, by name."""
        return {name: pod for node in self.nodes.values() for name, pod in node.pods.items()}

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Every pod's server, once in each family: what a ServiceRule over all pods takes."""
        return tuple(backend for pod in self.pods.values() for backend in pod.backends)

    @property
    def hosts(self) -> dict[str, Host]:
        """Every host of the segment, by name."""
        return {**self.routers, **self.nodes, **self.clients}

    def serve(self, services: Iterable[ServiceRule]) -> None:
        """Have the nodes forward exactly these services' traffic; nodes with these rules are left alone."""
        self._rules = tuple(services)
        wanted = {node.namespace: render_service_rules(name, self._rules) for name, node in self.nodes.items()}
        changed = {where: text for where, text in wanted.items() if self._loaded.get(where) != text}
        load_rules(changed)
        self._loaded |= changed

    def cut(self, host: Host, *, carrier: bool = False) -> None:
        """Pull a host's cables; with `carrier` its links stay up and its frames go nowhere."""
        self._fabric.unplug(host.name, carrier)

    def mute(self, host: Host) -> None:
        """Lose all that a host sends; what is sent to it arrives."""
        self._fabric.lose(host.name, "ingress")

    def deafen(self, host: Host) -> None:
        """Lose all that is sent to a host; what it sends arrives."""
        self._fabric.lose(host.name, "egress")

    def mend(self, host: Host) -> None:
        """Put the cables back, however they were cut; a host that was mute or deaf is so no longer."""
        self._fabric.plug(host.name)

    def split(self, away: Iterable[Host]) -> None:
        """Cut the switch in two, with these hosts on the one half and all others on the other; links stay up."""
        self._fabric.split([host.name for host in away])

    def unite(self) -> None:
        """Join the halves again."""
        self._fabric.unite()

    def set_down(self, host: Host) -> None:
        """Take the host's `eth0` down, as its administrator would."""
        self._fabric.set_down(host.name)

    def set_up(self, host: Host) -> None:
        """Bring the host's `eth0` up, with the addresses and routes that it lost."""
        self._fabric.set_up(host.name)

    def add_interface(self, host: Host, interface: str = "eth1") -> None:
        """Join a host to the switch by one more interface: up, with no address but its link-local one."""
        if len(f"{host.name}.{interface}") > 15 or interface == INTERFACE:
            raise ValueError(f"{interface!r} cannot be one more interface of {host.name}")
        self._fabric.add_interface(host.name, interface)

    def add_node(self, name: str | None = None) -> Node:
        """Make one more node, with pods and with the services that are served now."""
        place = member(self.segment, Role.NODE, self._nodes_made + 1, name)
        if place.name in self.hosts:
            raise ValueError(f"{self.name} has a {place.name} already")
        self._nodes_made += 1
        pods = self._places(place)
        self._fabric.join([place], {place.name: pods})
        self._enrol(place, pods)
        if self._loaded:
            self.serve(self._rules)
        return self.nodes[place.name]

    def remove(self, host: Host) -> None:
        """End a host's processes and take it, with its pods, out of the lab; its number is not reused."""
        pods = self.nodes[host.name].pods if host.name in self.nodes else {}
        self._processes.end([host.namespace, *(pod.namespace for pod in pods.values())])
        self._fabric.leave(host.name, pods)
        self._loaded.pop(host.namespace, None)
        for hosts in (self.nodes, self.clients, self.routers):
            hosts.pop(host.name, None)

    def _places(self, node: Member) -> list[PodPlace]:
        return [pod_place(self.segment, node, number) for number in range(1, self._pods_per_node + 1)]

    def _enrol(self, place: Member, pods: Sequence[PodPlace]) -> None:
        """Wrap what was made for the user, and start the pods' servers."""
        ipv4, ipv6 = place.ipv4.ip, place.ipv6.ip
        namespace = self._fabric.namespace(place.name)
        if place.role is not Role.NODE:
            hosts = self.routers if place.role is Role.ROUTER else self.clients
            hosts[place.name] = Host(
                name=place.name,
                namespace=namespace,
                mac=place.mac,
                ipv4=ipv4,
                ipv6=ipv6,
                processes=self._processes,
            )
            return
        node = Node(
            name=place.name,
            namespace=namespace,
            mac=place.mac,
            ipv4=ipv4,
            ipv6=ipv6,
            processes=self._processes,
        )
        self.nodes[node.name] = node
        for spot in pods:
            pod = Pod(
                name=spot.name,
                namespace=self._fabric.namespace(spot.name),
                mac=spot.mac,
                ipv4=spot.ipv4,
                ipv6=spot.ipv6,
                processes=self._processes,
                node=node.name,
                link=spot.link,
            )
            node.pods[pod.name] = pod
            pod.start()
