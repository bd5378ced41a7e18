"""Act one: addresses on a segment. One node answers for each; if it dies, another one does."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path

from examples.demo.cluster import Cluster
from examples.demo.requests import Requests
from examples.demo.steps import act, eventually, require, step
from netlb.testing.lab import Host, HttpReply

IPV4 = ("edgeapp-svc", "192.168.122.90")
IPV6 = ("edgeapp-svc-v6", "fd00:122::90")
_ANSWER = Path(__file__).parents[1] / "answer_arp.py"
_SPARE = {4: "192.168.122.89", 6: "fd00:122::89"}
"""Addresses that are in no pool."""


def show_addresses(cluster: Cluster) -> None:
    """Follow a Service of each family from its manifest to an HTTP answer."""
    act("IPv4: MetalLB's ConfigMap, as it stands in many clusters")
    cluster.write_endpoints(IPV4[0], 4)
    cluster.apply("metallb-config.yaml", "edgeapp.yaml")
    _show_service(cluster, *IPV4)
    act("IPv6: the same in netlb's own kinds")
    cluster.write_endpoints(IPV6[0], 6)
    cluster.apply("ipv6-pool.yaml", "edgeapp-v6.yaml")
    _show_service(cluster, *IPV6)


def show_failover(cluster: Cluster) -> None:
    """Cut the owner of an address off while a client uses it, and put the cable back."""
    service, address = IPV4
    lab, client = cluster.lab, cluster.client
    owner = eventually(lambda: _sole_owner(cluster, address), f"nobody alone owns {address}")
    others = [name for name in lab.nodes if name != owner.name]
    act(f"{owner.name} is cut off, while a client asks for {address} all the time")
    with step("every node hears the others (BFD)"):
        alive = {"alive"}
        eventually(lambda: all({*cluster.node(name)["nodes"].values()} == alive for name in lab.nodes), "not heard")
    # Pods on the node that dies would be lost too, until the endpoint controller takes them out: not shown here.
    cluster.serve(service, address, [each for each in lab.backends if each.node != owner.name])
    with Requests(client, address) as requests:
        began = time.monotonic()
        requests.settle(began)
        with step(f"{owner.name}'s cable is pulled: another node answers for {address}") as say:
            cut = time.monotonic()
            lab.cut(owner)
            macs = {lab.nodes[name].mac: name for name in others}
            heard = lambda: macs.get(client.neighbor(address) or "")  # noqa: E731
            successor = eventually(heard, "the client has heard of no other node")
            requests.settle(cut)
            say(successor)
            say(str(requests.gap(cut)))
        with step(f"the cable is back: {owner.name} answers again, and nobody else") as say:
            mended = time.monotonic()
            lab.mend(owner)
            eventually(lambda: client.neighbor(address) == owner.mac, f"{owner.name} does not answer")
            eventually(lambda: _answerers(cluster, address) == {owner.mac}, "several nodes answer")
            requests.settle(mended)
            say(str(requests.gap(mended)))
    cluster.serve(service, address, lab.backends)


def show_deletion(cluster: Cluster) -> None:
    """Delete the Services and see their addresses fall silent and free."""
    for service, address, manifest in ((*IPV4, "edgeapp.yaml"), (*IPV6, "edgeapp-v6.yaml")):
        with step(f"{service} is deleted: its address is free again, and nobody answers"):
            cluster.delete(manifest)
            eventually(lambda: cluster.address(service) is None, f"{address} is still allocated")  # noqa: B023 - called here
            eventually(lambda: cluster.owner(address) is None, f"{address} is still announced")  # noqa: B023
            eventually(lambda: not _answerers(cluster, address), f"somebody still answers for {address}")  # noqa: B023


def _show_service(cluster: Cluster, service: str, expected: str) -> None:
    client = cluster.client
    with step(f"{service} is given an address") as say:
        address = eventually(lambda: cluster.address(service), f"{service} got no address")
        require(address == expected, f"{service} got {address}, not {expected}")
        say(address)
    with step("one node owns it") as say:
        owner = eventually(lambda: _sole_owner(cluster, address), "no speaker alone announces it")
        say(f"{owner.name} at {owner.mac}")
    with step("who has it? the client asks 200 times") as say:
        median = _reply_time(client, address)
        eventually(lambda: _answerers(cluster, address) == {owner.mac}, f"not {owner.name} alone answers")
        say(f"{owner.mac} alone, in {median:.0f} µs (median)")
    with step("the same of others on that node") as say:
        own = owner.ipv4 if ip_address(address).version == 4 else owner.ipv6
        say(f"its kernel for {own}, in {_reply_time(client, str(own)):.0f} µs")
        with _without_fast_path(owner, _SPARE[own.version]) as spare:
            eventually(lambda: client.who_has(spare, timeout=0.2, stop_after=1), f"nobody answers for {spare}")
            say(f"netlb without its fast path, in {_reply_time(client, spare):.0f} µs")
    cluster.serve(service, address, cluster.lab.backends)
    with step(f"http://{f'[{address}]' if ':' in address else address}/") as say:
        reply = eventually(lambda: _page(client, address), f"{address} serves no page")
        require(reply.status == 200, f"HTTP status {reply.status}")
        say(f"200 {reply.body.strip()}")
    with step("the client's neighbour table names the owner") as say:
        eventually(lambda: client.neighbor(ip_address(address)) == owner.mac, "another MAC address is in the table")
        say(f"{address} lladdr {owner.mac}")


def _sole_owner(cluster: Cluster, address: str) -> Host | None:
    """Return the node that says that it answers for an address, if all hear each other and it alone does."""
    if not all(map(cluster.hears_all, cluster.lab.nodes)):
        return None
    owner = cluster.owner(address)
    return owner if owner is not None and _answerers(cluster, address) == {owner.mac} else None


def _reply_time(client: Host, address: str) -> float:
    """Return the median time of 200 answers, in µs."""
    with client.question(ip_address(address)) as question:
        # A frame may be lost on a busy machine, and then a station asks again.
        asked = lambda: question.ask(timeout=1.0, stop_after=1)  # noqa: E731
        answers = [eventually(asked, "a question was not answered") for _ in range(200)]
    return statistics.median(answer.microseconds for reply in answers for answer in reply)


def _page(client: Host, address: str) -> HttpReply | None:
    try:
        return client.http_get(ip_address(address), 80, timeout=5.0)
    except (OSError, HTTPException):
        return None


@contextmanager
def _without_fast_path(node: Host, address: str) -> Iterator[str]:
    """Answer for an address on a node meanwhile, from the responder's sockets alone."""
    command = [sys.executable, str(_ANSWER), "eth0", address, "--fastpath", "off"]
    process = node.popen(command, stdout=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.terminate()
        process.wait()


def _answerers(cluster: Cluster, address: str) -> set[str]:
    return {answer.mac for answer in cluster.client.who_has(ip_address(address), timeout=0.3)}
