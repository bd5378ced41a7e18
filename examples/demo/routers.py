"""Act two: an address that a router learns by BGP, with as many next hops as there are nodes that take its traffic."""

import time
from pathlib import Path

from examples.demo import frr
from examples.demo.cluster import Cluster
from examples.demo.requests import Requests
from examples.demo.steps import act, eventually, require, step
from netlb.testing.lab import Host

ADDRESS = "203.0.113.10"
SERVICE = "edgeapp-routed"
NODES_ASN = 65001
"""As in the BGPPeer of bgp.yaml."""


def show_routing(cluster: Cluster, folder: Path) -> None:
    """Have a router send to all nodes, and to those that live when one dies."""
    lab, router = cluster.lab, cluster.lab.routers["router-1"]
    act("BGP: a router with FRR, and the client behind it")
    with step("FRR starts, and a BGPPeer is declared: every node has a session, watched by BFD"):
        frr.start(router, lab.nodes.values(), NODES_ASN, folder)
        cluster.apply("bgp.yaml")
        eventually(lambda: all(_established(cluster, name) for name in lab.nodes), "not every session came up")
    with step(f"{SERVICE} is given an address, and the router's kernel three next hops") as say:
        cluster.write_endpoints(SERVICE, 4)
        cluster.apply("edgeapp-routed.yaml")
        eventually(lambda: cluster.address(SERVICE), f"{SERVICE} got no address")
        require(cluster.address(SERVICE) == ADDRESS, f"{SERVICE} got {cluster.address(SERVICE)}, not {ADDRESS}")
        _reached_by(router, *lab.nodes.values())
        say(f"{ADDRESS} via {', '.join(sorted(frr.next_hops(router, ADDRESS)))}")
    cluster.serve(SERVICE, ADDRESS, lab.backends, "Local")
    with Requests(cluster.client, ADDRESS) as requests:
        began = time.monotonic()
        with step(f"the client asks for {ADDRESS} all the time: all nodes take part") as say:
            names = [*lab.nodes]
            eventually(lambda: sum(requests.by_node(began).values()) > 150, "no answers")
            requests.settle(began)
            eventually(lambda: set(names) == set(requests.by_node(began)), "not all nodes take part")
            counts = requests.by_node(began)
            say(", ".join(f"{name} {counts[name]}" for name in names))
        victim = lab.nodes["node-2"]
        with step(f"{victim.name} is cut off behind the switch, where no cable looks unplugged") as say:
            cut = time.monotonic()
            lab.cut(victim, carrier=True)
            _reached_by(router, *(node for node in lab.nodes.values() if node is not victim))
            say(f"the router drops it after {(time.monotonic() - cut) * 1000:.0f} ms")
            requests.settle(cut)
            say(str(requests.gap(cut)))
        with step("it is back: three next hops again") as say:
            mended = time.monotonic()
            lab.mend(victim)
            _reached_by(router, *lab.nodes.values())
            requests.settle(mended)
            say(str(requests.gap(mended)))


def show_withdrawal(cluster: Cluster) -> None:
    """Delete the Service and see the router forget its address."""
    with step(f"{SERVICE} is deleted: the router has no route to {ADDRESS}"):
        cluster.delete("edgeapp-routed.yaml")
        _reached_by(cluster.lab.routers["router-1"])


def _reached_by(router: Host, *nodes: Host) -> None:
    expected = {str(node.ipv4) for node in nodes}
    words = ", ".join(node.name for node in nodes) or "nobody"
    eventually(lambda: frr.next_hops(router, ADDRESS) == expected, f"the router does not send to {words}")


def _established(cluster: Cluster, node: str) -> bool:
    peers = cluster.node(node).get("bgp", {}).get("peers", ())
    return [(peer["state"], peer["bfd"]) for peer in peers] == [("ESTABLISHED", "up")]
