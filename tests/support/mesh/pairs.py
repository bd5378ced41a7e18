"""Who reaches whom: pods and nodes of different sites, by their addresses, by Services and by ports of nodes.

Who has no answer asks again: a packet may get lost when a busy machine loses sight of a gateway for a moment.
"""

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from netlb.net import Address
from netlb.testing.lab import Host, Pod
from netlb.testing.sites import SitesLab
from netlb.testing.sites.declared import node_port, service_addresses
from tests.support.mesh.packets import headers

__all__ = ["Pair", "by_node_ports", "by_services", "pairs", "pings", "to_pods", "unreachable"]


_PATIENCE = 60.0
"""Seconds for which it is asked again; they bound the wait of a test that fails."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes of different sites; what counts is on them."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} to {self.target}"


def pairs(lab: SitesLab, sources: Iterable[str] = (), targets: Iterable[str] = ()) -> list[Pair]:
    """Return every ordered pair of nodes of different sites, or those from some nodes and to some."""
    return [
        Pair(one.name, other.name)
        for one in lab.places.values()
        for other in lab.places.values()
        if one.site != other.site and one.name in (sources or lab.places) and other.name in (targets or lab.places)
    ]


def pings(
    asked: Iterable[tuple[Host, Address]], *, size: int = 84, whole: bool = False, within: float = _PATIENCE
) -> dict[str, str]:
    """Ping from each host to each address, with packets of so many octets; return what came of it, if no answer.

    `whole` forbids to cut packets on their way. With `within` 0 each of them asks once.
    """

    def ask(source: Host, target: Address) -> str:
        flags = ["-M", "do"] if whole else []
        command = ["ping", "-n", "-c", "1", "-W", "2", "-s", str(size - headers(target)), *flags, str(target)]
        done = source.run(command, check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()

    return _each({f"{source.name} to {target}": partial(ask, source, target) for source, target in asked}, within)


def unreachable(lab: SitesLab) -> dict[str, str]:
    """Ping between all pods of different sites, in both families; return what came of it, if no answer."""
    return pings(to_pods(lab))


def to_pods(lab: SitesLab) -> list[tuple[Pod, Address]]:
    """Return every pair of pods of different sites, as a pod and an address, in both families."""
    return [(lab.pods[one.source], address) for one in pairs(lab) for address in lab.pods[one.target].addresses]


def by_services(
    lab: SitesLab, listed: Iterable[Pair], *, from_nodes: bool = False, within: float = _PATIENCE
) -> dict[str, str]:
    """Ask the Service of each target's pod, of both families, from a pod or its node; return what is wrong.

    Pods are seen by their own addresses; nodes by one that their site's pods have. `within` as of `pings`.
    """
    found = {}
    for pair in listed:
        source = (lab.nodes if from_nodes else lab.pods)[pair.source]
        for address in service_addresses(lab.places[pair.target]):
            own = None if from_nodes else lab.pods[pair.source].addresses[address.version == 6]
            found[f"{source.name} to {address}"] = _asking(source, address, 80, pair.target, own)
    return _each(found, within)


def by_node_ports(lab: SitesLab, listed: Iterable[Pair]) -> dict[str, str]:
    """Ask each source node, from its own site's router, at the port of all nodes that leads to the target's pod."""
    found = {}
    for pair in listed:
        place = lab.places[pair.source]
        router = lab.routers[place.site]
        for address in (place.ipv4.ip, place.ipv6.ip):
            port = node_port(lab.places[pair.target])
            found[f"{router.name} to {address}:{port}"] = _asking(router, address, port, pair.target, None)
    return _each(found)


def _asking(source: Host, address: Address, port: int, target: str, own: Address | None) -> Callable[[], str]:
    def ask() -> str:
        try:
            reply = json.loads(source.http_get(address, port, timeout=5.0).body)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        if reply["node"] != target:
            return f"answered by {reply['node']}"
        return "" if own is None or reply["client"] == str(own) else f"seen as {reply['client']}"

    return ask


def _each(questions: dict[str, Callable[[], str]], within: float = _PATIENCE) -> dict[str, str]:
    """Ask all, some at a time, and again whoever is wrong; return the answers that are not empty in the end."""
    deadline = time.monotonic() + within
    while True:
        with ThreadPoolExecutor(max_workers=16) as pool:
            answers = dict(zip(questions, pool.map(lambda ask: ask(), questions.values()), strict=True))
        wrong = {name: words for name, words in answers.items() if words}
        if not wrong or time.monotonic() > deadline:
            return wrong
        questions = {name: questions[name] for name in wrong}
