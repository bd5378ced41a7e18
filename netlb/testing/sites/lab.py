"""Sites on one machine: an internet, routers, nodes and pods, each in a namespace."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from netlb.testing.lab import Capture, Host, LabError, LabUnavailable, Pod
from netlb.testing.lab.guardian import Guardian
from netlb.testing.lab.janitor import remove_lab
from netlb.testing.lab.namespaces import await_address, await_forwarding, batch, batches, write_sysctls
from netlb.testing.lab.processes import Processes
from netlb.testing.lab.records import new_lab_name, write_record
from netlb.testing.lab.script import FORWARDING
from netlb.testing.sites import script
from netlb.testing.sites.layout import Nat, NodePlace, SitePlace, mac, places
from netlb.testing.sites.requirements import requirements
from netlb.testing.sites.rules import ClusterService, node_rules, router_rules

__all__ = ["SitesLab"]

_INTERNET = "internet"
_THREE_SITES: Mapping[str, int] = {"c": 2, "a": 3, "b": 2}


class SitesLab:
    """A lab of sites; use it as a context manager, or call `open` and `close`.

    Nothing is made before it is opened. It is removed when it is closed, and also when its process is killed.
    """

    def __init__(
        self, sites: Mapping[str, int] = _THREE_SITES, *, public: Sequence[str] = ("c",), name: str = "sites"
    ) -> None:
        """Plan sites, each with so many nodes: those in `public` are reachable, others are behind a NAT (`set_nat`).

        Unless told otherwise `c` is a cloud, `a` has a masquerading router and `b` a symmetric one.
        """
        self.name = new_lab_name(name)
        self.sites: dict[str, SitePlace] = {site.name: site for site in places(sites, public)}
        self.places: dict[str, NodePlace] = {node.name: node for site in self.sites.values() for node in site.nodes}
        self.nodes: dict[str, Host] = {}
        self.pods: dict[str, Pod] = {}
        """By their node's name."""
        self.routers: dict[str, Host] = {}
        """By their site's name."""
        self._owner = os.getpid()
        self._processes = Processes()
        self._guardian: Guardian | None = None
        self._kept = False
        self._internet: Host | None = None

    @property
    def internet(self) -> Host:
        """What all routers are joined to; its interface to a site's router is `w-SITE`."""
        if self._internet is None:
            raise LabError(f"{self.name} is not open")
        return self._internet

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
            self._build()
            for name, site in self.sites.items():
                self.set_nat(name, _usual(site))
            self.serve(())
            for pod in self.pods.values():
                pod.start()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the processes started here and remove the lab; again, or in a forked child, does nothing."""
        if self._guardian is None or os.getpid() != self._owner:
            return
        if self._kept:
            self._processes.disown()
        else:
            self._processes.end()
            remove_lab(self.name)
            self._guardian.dismiss()
        self._guardian = self._internet = None
        for hosts in (self.nodes, self.routers):
            hosts.clear()
        self.pods.clear()

    def keep(self) -> None:
        """Leave the lab and its processes up when this process ends, as `Lab.keep` does."""
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

    # -- the network

    def set_nat(self, site: str, nat: Nat, *, drop_too_big: bool = False) -> None:
        """Change what a site's router does to what leaves; it forgets all connections.

        `drop_too_big` loses the messages of path MTU discovery that pass through it.
        """
        router, place = self.routers[site], self.sites[site]
        way = [str(place.lan4), "via", str(place.outer4.ip)]
        if nat is Nat.NONE:  # before anything comes from there
            self.internet.run(["ip", "route", "replace", *way])
        router.run(["nft", "-f", "-"], input=router_rules(nat, drop_too_big=drop_too_big))
        router.run(["conntrack", "-F"])
        if nat is not Nat.NONE:
            self.internet.run(["ip", "route", "del", *way], check=False)

    def set_mtu(self, site: str, mtu: int) -> None:
        """Make packets between a site's router and the internet at most this long, in octets."""
        self.internet.run(["ip", "link", "set", f"w-{site}", "mtu", str(mtu)])
        self.routers[site].run(["ip", "link", "set", script.WAN, "mtu", str(mtu)])

    def cut(self, node: str) -> None:
        """Lose a node's frames, its links stay up: as if it had died, for everybody else."""
        self.routers[self.places[node].site].run(["ip", "link", "set", node, "nomaster"])

    def mend(self, node: str) -> None:
        """Undo `cut`."""
        site = self.places[node].site
        self.routers[site].run(["ip", "link", "set", node, "master", script.LAN])
        await_forwarding(self.routers[site].namespace, [node])

    def wire(self, site: str) -> Capture:
        """Capture what passes between a site's router and the internet, both ways."""
        return self.internet.capture(outgoing=True, interface=f"w-{site}")

    def serve(self, services: Iterable[ClusterService]) -> None:
        """Have the nodes forward exactly these Services' traffic, and masquerade as flannel does."""
        listed = tuple(services)

        def load(name: str) -> None:
            for version, command in ((4, "iptables-restore"), (6, "ip6tables-restore")):
                self.nodes[name].run([command], input=node_rules(self.places[name], listed, version))

        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(load, self.nodes))

    # -- building

    def _namespace(self, host: str) -> str:
        return f"netlb-{self.name}-{host}"

    def _build(self) -> None:
        sites, nodes = list(self.sites.values()), list(self.places.values())
        routers = {site.name: f"router-{site.name}" for site in sites}
        hosts = [_INTERNET, *routers.values(), *self.places, *(node.pod for node in nodes)]
        pods = {node.pod for node in nodes}
        try:
            batch([f"netns add {self._namespace(host)}" for host in hosts])
        except LabError as refused:
            raise LabUnavailable([f"network namespaces: {refused}; run as root, with CAP_SYS_ADMIN"]) from refused
        for host in hosts:
            settings = script.strict_of() | ({} if host in pods else FORWARDING)
            write_sysctls(self._namespace(host), settings)
        anywhere = self._namespace("{}")
        links = [
            line
            for site in sites
            for line in script.link_lines(
                site, self._namespace(_INTERNET), self._namespace(routers[site.name]), anywhere, anywhere
            )
        ]
        batch(links)
        scripts = {self._namespace(_INTERNET): script.internet_lines(sites)}
        for site in sites:
            scripts[self._namespace(routers[site.name])] = script.router_lines(site)
            for node in site.nodes:
                others = [other for other in nodes if other is not node]
                scripts[self._namespace(node.name)] = [
                    *script.node_lines(site, node),
                    *script.flannel_lines(node, others),
                ]
                scripts[self._namespace(node.pod)] = script.pod_lines(node)
        batches(scripts)
        self._enrol(sites, routers)
        for node in nodes:
            entries = script.flannel_entries([other for other in nodes if other is not node])
            self.nodes[node.name].run(["bridge", "-batch", "-"], input="\n".join([*entries, ""]))
            await_address(self._namespace(node.name), node.ipv6.ip)
            await_address(self._namespace(node.pod), node.pods6[2])
        for site in sites:
            await_forwarding(self._namespace(routers[site.name]), [node.name for node in site.nodes])

    def _enrol(self, sites: Sequence[SitePlace], routers: Mapping[str, str]) -> None:
        """Wrap what was made for the user."""
        first = sites[0]
        self._internet = self._host(_INTERNET, first, first.name)
        self._internet = replace(self._internet, ipv4=first.inner4.ip, ipv6=first.inner6.ip, mac="")
        for site in sites:
            self.routers[site.name] = self._host(routers[site.name], site, site.name)
            for node in site.nodes:
                self.nodes[node.name] = Host(
                    name=node.name,
                    namespace=self._namespace(node.name),
                    mac=node.mac("02:4e"),
                    ipv4=node.ipv4.ip,
                    ipv6=node.ipv6.ip,
                    processes=self._processes,
                )
                self.pods[node.name] = Pod(
                    name=node.pod,
                    namespace=self._namespace(node.pod),
                    mac=mac("0a:58", node.pods4[2]),
                    ipv4=node.pods4[2],
                    ipv6=node.pods6[2],
                    processes=self._processes,
                    node=node.name,
                    link="pod",
                )

    def _host(self, host: str, site: SitePlace, name: str) -> Host:
        return Host(
            name=host,
            namespace=self._namespace(host),
            mac=mac("02:4e", site.outer4.ip),
            ipv4=site.outer4.ip,
            ipv6=site.outer6.ip,
            processes=self._processes,
        )


def _usual(site: SitePlace) -> Nat:
    """Return what a site's router does unless told otherwise: of those behind a NAT every second one is symmetric."""
    if site.public:
        return Nat.NONE
    return Nat.SYMMETRIC if site.number % 2 else Nat.MASQUERADE
