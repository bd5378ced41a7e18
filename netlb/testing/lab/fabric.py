"""The kernel's part of a lab: namespaces, links, addresses, routes. Knows nothing of processes or tests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from netlb.testing.lab import script
from netlb.testing.lab.errors import LabError, LabUnavailable
from netlb.testing.lab.janitor import remove_namespaces
from netlb.testing.lab.layout import INTERFACE, Member, PodPlace, Role, Segment
from netlb.testing.lab.namespaces import await_address, await_forwarding, batch, batches, load_rules, write_sysctls

__all__ = ["Fabric"]

_SWITCH = "switch"


class Fabric:
    """One switch and whatever is joined to it."""

    def __init__(self, lab: str, segment: Segment) -> None:
        self._lab = lab
        self._segment = segment
        self._members: dict[str, Member] = {}
        self._ports: dict[str, list[str]] = {}
        self._down: set[str] = set()
        """Hosts whose own interface is down: they can have no routes until it is up."""
        self._cut: set[str] = set()
        self._one_way: set[str] = set()
        """Hosts that are mute or deaf."""

    def namespace(self, name: str) -> str:
        """The namespace of a host of this lab."""
        return f"netlb-{self._lab}-{name}"

    @property
    def switch(self) -> str:
        """The namespace of the switch."""
        return self.namespace(_SWITCH)

    def build(self, members: Sequence[Member], pods: Mapping[str, Sequence[PodPlace]]) -> None:
        """Make the switch and its first hosts; `pods` are by the name of their node."""
        try:
            batch([f"netns add {self.switch}"])
        except LabError as refused:
            raise LabUnavailable([f"network namespaces: {refused}; run as root, with CAP_SYS_ADMIN"]) from refused
        write_sysctls(self.switch, script.SILENT)
        batch(script.switch_lines(), self.switch)
        self.join(members, pods)

    def join(self, members: Sequence[Member], pods: Mapping[str, Sequence[PodPlace]]) -> None:
        """Make hosts, their pods and their links; hosts that are here already learn the way to them."""
        places = [(node, place) for node, listed in pods.items() for place in listed]
        names = [member.name for member in members] + [place.name for _, place in places]
        batch([f"netns add {self.namespace(name)}" for name in names])
        quiet = {path.format(which): value for path, value in script.QUIET.items() for which in ("all", "default")}
        clients = {member.name for member in members if member.role is Role.CLIENT}
        forwarding = {member.name for member in members} - clients
        for name in names:
            write_sysctls(self.namespace(name), quiet | (script.FORWARDING if name in forwarding else {}))
        links: list[str] = []
        for member in members:
            links += self._port(member.name, member.name, INTERFACE, member.mac)
        for node, place in places:
            links += script.pod_join_lines(self.namespace(node), self.namespace(place.name), place)
        batch(links)
        batch([line for member in members for line in script.port_lines(member.name)], self.switch)
        scripts = {
            self.namespace(name): script.route_lines(self._segment, host, members)
            for name, host in self._members.items()
            if name not in self._down
        }
        self._members |= {member.name: member for member in members}
        for member in members:
            scripts[self.namespace(member.name)] = [
                *script.host_lines(member),
                *(line for place in pods.get(member.name, ()) for line in script.pod_port_lines(place)),
                *script.route_lines(self._segment, member, self._members.values()),
            ]
        for _, place in places:
            scripts[self.namespace(place.name)] = script.pod_lines(place)
        batches({namespace: lines for namespace, lines in scripts.items() if lines})
        for name, address in [(m.name, m.ipv6.ip) for m in members] + [(p.name, p.ipv6) for _, p in places]:
            await_address(self.namespace(name), address)
        await_forwarding(self.switch, [member.name for member in members])

    def leave(self, name: str, pods: Iterable[str]) -> None:
        """Unplug a host and delete its namespace and its pods'; the other nodes forget the way to them."""
        gone = self._members.pop(name)
        self._down.discard(name)
        self._cut.discard(name)
        batch([f"link del {port}" for port in self._ports.pop(name)], self.switch)
        remove_namespaces([self.namespace(each) for each in (name, *pods)])
        if gone.role is Role.NODE:
            withdrawal = script.withdrawal_lines(self._segment, gone)
            nodes = [name for name, host in self._members.items() if host.role is Role.NODE]
            batches({self.namespace(name): withdrawal for name in nodes if name not in self._down})

    def add_interface(self, name: str, interface: str) -> None:
        """Join a host to the switch once more."""
        port = f"{name}.{interface}"
        member = self._members[name]
        number = len(self._ports[name])
        mac = f"{member.mac[:12]}{number:02x}{member.mac[14:]}"
        batch(self._port(name, port, interface, mac))
        batch([f"link set {interface} up"], self.namespace(name))
        batch(script.port_lines(port), self.switch)
        await_forwarding(self.switch, [port])

    def unplug(self, name: str, carrier: bool) -> None:
        """Stop a host's frames at the switch; without `carrier` the host sees its links go down."""
        action = "nomaster" if carrier else "down"
        batch([f"link set {port} {action}" for port in self._ports[name]], self.switch)
        self._cut.add(name)

    def lose(self, name: str, hook: Literal["ingress", "egress"]) -> None:
        """Drop what comes in from a host, or what goes out to it, at its ports of the switch."""
        load_rules({self.switch: script.loss_rules(name, self._ports[name], hook)})
        self._one_way.add(name)

    def plug(self, name: str) -> None:
        """Undo `unplug` and `lose`."""
        if name in self._one_way:
            load_rules({self.switch: script.no_loss_rules(name)})
            self._one_way.discard(name)
        batch([line for port in self._ports[name] for line in script.port_lines(port)], self.switch)
        self._cut.discard(name)
        self._await(name)

    def split(self, names: Sequence[str]) -> None:
        """Move hosts to another bridge: their links stay up all the time."""
        ports = [port for name in names for port in self._ports[name]]
        lines = [line for port in ports for line in script.port_lines(port, script.OTHER_BRIDGE)]
        batch([*script.switch_lines(script.OTHER_BRIDGE), *lines], self.switch)
        await_forwarding(self.switch, ports)

    def unite(self) -> None:
        """Undo `split`."""
        ports = [port for name in self._members if name not in self._cut for port in self._ports[name]]
        lines = [line for port in ports for line in script.port_lines(port)]
        batch([*lines, f"link del {script.OTHER_BRIDGE}"], self.switch)
        await_forwarding(self.switch, ports)

    def set_down(self, name: str) -> None:
        """Take the host's own interface down, which loses its routes."""
        batch([f"link set {INTERFACE} down"], self.namespace(name))
        self._down.add(name)

    def set_up(self, name: str) -> None:
        """Bring the host's own interface up again, with its addresses and routes."""
        member = self._members[name]
        routes = script.route_lines(self._segment, member, self._members.values())
        batch([*script.host_lines(member), *routes], self.namespace(name))
        self._down.discard(name)
        self._await(name)

    def _port(self, name: str, port: str, interface: str, mac: str) -> list[str]:
        """The lines that give a host one more port."""
        ports = self._ports.setdefault(name, [])
        ports.append(port)
        return script.join_lines(self.switch, port, self.namespace(name), interface, mac)

    def _await(self, name: str) -> None:
        """Wait until the switch forwards for a host, unless the host is kept off it."""
        if name not in self._cut | self._down:
            await_forwarding(self.switch, self._ports[name])
