"""What a lab promises about its network, on the real kernel."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.testing.lab import Host, Lab, LabError, ServiceRule, render_service_rules
from netlb.testing.lab.fixtures import lab_fixture
from tests.support.frames import asks
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

lab = lab_fixture(nodes=2, clients=1)
own_lab = lab_fixture(nodes=2, clients=1, routers=1, scope="function")

FREE = ("192.168.122.90", "fd00:122::90")


@pytest.fixture
def client(lab: Lab) -> Host:
    return lab.clients["client-1"]


@pytest.fixture
def on_node_1(lab: Lab) -> Iterator[None]:
    """The free addresses, as if node-1 had announced them."""
    client, node = lab.clients["client-1"], lab.nodes["node-1"]
    for address in FREE:
        client.run(["ip", "neighbor", "replace", address, "lladdr", node.mac, "dev", "eth0"])
    yield
    client.flush_neighbors()
    lab.serve([])


def asked(client: Host, address: str, times: int) -> list[dict[str, str]]:
    return [json.loads(client.http_get(address, 80, timeout=60).body) for _ in range(times)]


def web(lab: Lab, policy: str) -> ServiceRule:
    return ServiceRule(
        name="default/web",
        addresses=tuple(map(ip_address, FREE)),
        port=80,
        backends=lab.backends,
        external_traffic_policy="Local" if policy == "Local" else "Cluster",
    )


@pytest.mark.parametrize("family", [0, 1])
def test_who_has_sees_the_owner_of_an_address_and_nobody_for_a_free_one(client: Host, lab: Lab, family: int) -> None:
    node = lab.nodes["node-2"]
    begun = time.perf_counter()
    [answer] = client.who_has(node.addresses[family], timeout=0.2)
    assert node.mac == answer.mac
    assert 0 < answer.microseconds < (time.perf_counter() - begun) * 1e6
    assert [] == client.who_has(FREE[family], timeout=0.1)


@pytest.mark.parametrize("family", [0, 1])
def test_who_has_sees_both_who_claim_one_address(client: Host, lab: Lab, family: int) -> None:
    nodes = lab.nodes.values()
    for node in nodes:
        node.run(["ip", "address", "add", FREE[family], "dev", "eth0", *(["nodad"] if family else [])])
    try:
        with client.question(FREE[family]) as question:
            owners = {node.mac for node in nodes}
            # The kernel joins an address's solicited-node group when it comes to it.
            eventually(lambda: owners == {answer.mac for answer in question.ask(0.3)}, "both answer")
            assert len(question.ask(0.3, stop_after=1)) == 1
    finally:
        for node in nodes:
            node.run(["ip", "address", "del", FREE[family], "dev", "eth0"])


@pytest.mark.parametrize("family", [0, 1])
def test_pods_of_one_node_reach_those_of_another(lab: Lab, family: int) -> None:
    here, there = lab.pods.values()
    reply = json.loads(here.http_get(there.addresses[family], there.port, timeout=60).body)
    assert {"pod": there.name, "node": "node-2", "client": str(here.addresses[family])} == reply


@pytest.mark.usefixtures("on_node_1")
@pytest.mark.parametrize("address", FREE)
def test_cluster_policy_reaches_every_backend_from_the_nodes_address(lab: Lab, client: Host, address: str) -> None:
    lab.serve([web(lab, "Cluster")])
    replies = asked(client, address, 4)
    assert {"node-1", "node-2"} == {reply["node"] for reply in replies}
    assert all(reply["client"] not in map(str, client.addresses) for reply in replies)


@pytest.mark.usefixtures("on_node_1")
@pytest.mark.parametrize("family", [0, 1])
def test_local_policy_stays_on_the_node_and_shows_the_client(lab: Lab, client: Host, family: int) -> None:
    lab.serve([web(lab, "Local")])
    expected = {"pod": "node-1-pod-1", "node": "node-1", "client": str(client.addresses[family])}
    assert [expected] * 3 == asked(client, FREE[family], 3)


@pytest.mark.usefixtures("on_node_1")
def test_local_policy_without_a_local_backend_drops(lab: Lab, client: Host) -> None:
    lab.serve([replace(web(lab, "Local"), backends=lab.pods["node-2-pod-1"].backends)])
    with pytest.raises(TimeoutError):
        client.http_get(FREE[0], 80, timeout=0.3)


def test_nft_accepts_the_rules_of_a_service(lab: Lab) -> None:
    dns = replace(web(lab, "Local"), name="dns", protocol="UDP", port=53)
    rules = render_service_rules("node-1", [web(lab, "Cluster"), dns])
    lab.nodes["node-1"].run(["nft", "-c", "-f", "-"], input=rules)


def test_serving_replaces_what_was_served(lab: Lab) -> None:
    node = lab.nodes["node-1"]
    lab.serve([web(lab, "Cluster")])
    assert FREE[0] in node.run(["nft", "list", "ruleset"]).stdout
    lab.serve([])
    assert FREE[0] not in node.run(["nft", "list", "ruleset"]).stdout


def test_serving_the_same_again_touches_nothing(lab: Lab) -> None:
    node = lab.nodes["node-1"]
    lab.serve([web(lab, "Cluster")])
    node.run(["nft", "add", "chain", "inet", "netlb-lab", "mark-of-the-test"])
    lab.serve([web(lab, "Cluster")])
    assert "mark-of-the-test" in node.run(["nft", "list", "ruleset"]).stdout
    lab.serve([])
    assert "mark-of-the-test" not in node.run(["nft", "list", "ruleset"]).stdout


def test_a_stopped_pod_refuses_and_a_started_one_serves(lab: Lab) -> None:
    node, pod = lab.nodes["node-1"], lab.pods["node-1-pod-1"]
    pod.stop()
    with pytest.raises(ConnectionRefusedError):
        node.http_get(pod.ipv4, pod.port)
    pod.start()
    assert node.http_get(pod.ipv4, pod.port, timeout=60).status == 200


@pytest.mark.parametrize("carrier", [True, False])
def test_a_cut_host_is_silent_until_it_is_mended(lab: Lab, client: Host, carrier: bool) -> None:
    node = lab.nodes["node-1"]
    lab.cut(node, carrier=carrier)
    try:
        assert [[], []] == [client.who_has(address, 0.1) for address in node.addresses]
        # The kernel comes to see a little later that a carrier is gone.
        eventually(lambda: carrier is ("NO-CARRIER" not in flags(node)), f"its carrier: {carrier}")
    finally:
        lab.mend(node)
    assert [node.mac, node.mac] == [client.who_has(address, stop_after=1)[0].mac for address in node.addresses]


def test_who_is_mute_hears_and_who_is_deaf_is_heard_until_that_is_mended(lab: Lab, client: Host) -> None:
    node, asked = lab.nodes["node-1"], asks(client, "192.168.122.99")
    for lose, heard in ((lab.mute, True), (lab.deafen, False)):
        lose(node)
        try:
            with node.capture(asked) as hears, client.capture(asks(node, "192.168.122.98")) as told:
                assert [[], []] == [client.who_has(address, 0.1) for address in node.addresses]
                assert [[], []] == [client.who_has("192.168.122.99", 0.1), node.who_has("192.168.122.98", 0.1)]
                assert (heard, not heard) == (bool(hears.frames()), bool(told.frames()))
        finally:
            lab.mend(node)
        assert [node.mac, node.mac] == [client.who_has(address, stop_after=1)[0].mac for address in node.addresses]


def test_a_switch_that_is_split_joins_nobody_across_the_halves_until_it_is_united(lab: Lab, client: Host) -> None:
    one, two = lab.nodes["node-1"], lab.nodes["node-2"]
    lab.split([one])
    try:
        assert ([], [two.mac]) == tuple([each.mac for each in client.who_has(host.ipv4, 0.1)] for host in (one, two))
        assert "NO-CARRIER" not in one.run(["ip", "link", "show", "eth0"]).stdout
    finally:
        lab.unite()
    assert [[one.mac], [two.mac]] == [
        [each.mac for each in client.who_has(host.ipv4, stop_after=1)] for host in (one, two)
    ]


def test_the_neighbor_table_is_read_and_flushed(lab: Lab, client: Host) -> None:
    node = lab.nodes["node-1"]
    pod = lab.pods["node-1-pod-1"]
    for address in node.addresses:
        with pytest.raises(ConnectionRefusedError):
            client.http_get(address, pod.port)
        assert node.mac == client.neighbor(address)
    client.run(["ip", "neighbor", "add", FREE[0], "lladdr", node.mac, "dev", "eth0", "nud", "permanent"])
    assert node.mac == client.neighbor(FREE[0])
    client.flush_neighbors()
    assert client.neighbor(FREE[0]) is None

    def is_empty() -> bool:  # the node's kernel may ask at any time, and be noted for that
        client.flush_neighbors()
        return [None, None] == [client.neighbor(address) for address in node.addresses]

    eventually(is_empty, "nobody is in the table")


HERE, THERE = "192.168.122.91", "192.168.122.92"


@pytest.fixture
def spare(lab: Lab, client: Host) -> Iterator[None]:
    """An address of the first node and one of the client's that no kernel asks for: for others it may at any time."""
    hosts = {HERE: lab.nodes["node-1"], THERE: client}
    for address, host in hosts.items():
        host.run(["ip", "address", "add", f"{address}/32", "dev", "eth0"])
    yield
    for address, host in hosts.items():
        host.run(["ip", "address", "del", f"{address}/32", "dev", "eth0"])


@pytest.mark.usefixtures("spare")
def test_a_capture_holds_what_arrived_and_matched(lab: Lab, client: Host) -> None:
    node = lab.nodes["node-1"]
    with node.capture(is_request, ethertype=0x0806) as requests, node.capture(outgoing=True) as everything:
        assert node.who_has(THERE, stop_after=1, timeout=60)
        assert [] == requests.wait(1, timeout=0.1)
        assert client.who_has(HERE, stop_after=1, timeout=60)
        [request] = requests.wait(1, timeout=60)
        assert ip_address(HERE).packed == request[38:42]
        eventually(lambda: len([*filter(is_about_spare, everything.frames())]) >= 4, "the last answer leaves")
        arp = [*filter(is_about_spare, everything.frames())]
    assert [True, False] * 2 == [is_request(frame) for frame in arp]


@pytest.mark.usefixtures("spare")
def test_a_capture_without_outgoing_leaves_the_hosts_own_frames_out(lab: Lab, client: Host) -> None:
    node = lab.nodes["node-1"]
    with node.capture(is_about_spare) as incoming:
        assert client.who_has(HERE, stop_after=1, timeout=60)
        assert [True] == [is_request(frame) for frame in incoming.frames()]


def test_a_command_that_fails_is_an_error_with_its_words(client: Host) -> None:
    with pytest.raises(LabError, match=r"client-1: ip link show dev nothing: exit status 1: .*does not exist"):
        client.run(["ip", "link", "show", "dev", "nothing"])
    assert client.run(["ip", "link", "show", "dev", "nothing"], check=False).returncode == 1
    with pytest.raises(FileNotFoundError, match="no command 'no-such-command'"):
        client.run(["no-such-command"])
    with pytest.raises(subprocess.TimeoutExpired):
        client.run(["sleep", "10"], timeout=0.1)


def test_the_environment_is_the_callers_with_changes(client: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STAYS", "1")
    monkeypatch.setenv("LAB_GOES", "1")
    printed = client.run(["env"], env={"LAB_GOES": None, "LAB_COMES": "1"}).stdout.splitlines()
    assert ["LAB_COMES=1", "LAB_STAYS=1"] == sorted(line for line in printed if line.startswith("LAB_"))


def test_a_process_has_its_own_session_inside_the_namespace(client: Host) -> None:
    process = client.popen([sys.executable, "-c", "import os, time; print(os.getsid(0), flush=True); time.sleep(60)"],
                           stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.pid == int(process.stdout.readline())
    assert str(process.pid) in client.run(["ip", "netns", "pids", client.namespace]).stdout.split()


def test_a_node_that_is_added_is_reached_and_serves(own_lab: Lab) -> None:
    own_lab.serve([web(own_lab, "Cluster")])
    added = own_lab.add_node("edge")
    assert ("edge", "02:4e:4c:01:00:03") == (added.name, added.mac)
    assert FREE[0] in added.run(["nft", "list", "table", "inet", "netlb-lab"]).stdout
    client, first = own_lab.clients["client-1"], own_lab.nodes["node-1"]
    assert client.who_has(added.ipv6, stop_after=1)
    for pod in (own_lab.pods["edge-pod-1"], own_lab.pods["node-1-pod-1"]):
        for host in (added, first):
            assert [200, 200] == [host.http_get(address, pod.port, timeout=60).status for address in pod.addresses]


def test_a_host_that_is_removed_leaves_no_trace(own_lab: Lab) -> None:
    gone, first = own_lab.nodes["node-2"], own_lab.nodes["node-1"]
    process = gone.popen(["sleep", "60"])
    own_lab.remove(gone)
    assert -signal.SIGTERM == process.returncode
    assert ["node-1"] == list(own_lab.nodes)
    assert "10.244.2.0" not in first.run(["ip", "route"]).stdout
    assert gone.namespace not in first.run(["ip", "netns", "list"]).stdout
    assert [] == own_lab.clients["client-1"].who_has(gone.ipv4, 0.1)
    assert "node-3" == own_lab.add_node().name


def test_an_interface_that_was_down_comes_back_with_addresses_and_routes(own_lab: Lab) -> None:
    node, pod = own_lab.nodes["node-1"], own_lab.pods["node-2-pod-1"]
    before = [node.run(["ip", family, "route"]).stdout for family in ("-4", "-6")]
    own_lab.set_down(node)
    late = own_lab.add_node()
    own_lab.remove(late)
    own_lab.set_up(node)
    assert [200, 200] == [node.http_get(address, pod.port, timeout=60).status for address in pod.addresses]
    assert [sorted(text.split("\n")) for text in before] == [
        sorted(node.run(["ip", family, "route"]).stdout.split("\n")) for family in ("-4", "-6")
    ]


def test_one_more_interface_joins_the_same_switch(own_lab: Lab) -> None:
    node, client = own_lab.nodes["node-1"], own_lab.clients["client-1"]
    own_lab.add_interface(node, "eth1")
    node.run(["ip", "address", "add", "192.168.122.50/32", "dev", "eth1"])
    both = {"02:4e:4c:01:00:01", "02:4e:4c:01:01:01"}
    eventually(lambda: both == {a.mac for a in client.who_has("192.168.122.50", 0.2)}, "both answer")
    assert [node.mac] != [a.mac for a in node.who_has(client.ipv4, stop_after=1, interface="eth1")]
    own_lab.cut(node)
    assert [] == client.who_has("192.168.122.50", 0.1)


def test_the_first_router_is_the_way_out(own_lab: Lab) -> None:
    router, node = own_lab.routers["router-1"], own_lab.nodes["node-1"]
    for address in ("198.51.100.1/32", "2001:db8::1/128"):
        router.run(["ip", "address", "add", address, "dev", "lo"])
    for address in ("198.51.100.1", "2001:db8::1"):
        with pytest.raises(ConnectionRefusedError):
            node.connect(address, 80)


def flags(host: Host) -> list[str]:
    found: list[str] = json.loads(host.run(["ip", "-json", "link", "show", "eth0"]).stdout)[0]["flags"]
    return found


def is_about_spare(frame: bytes) -> bool:
    packed = {ip_address(address).packed for address in (HERE, THERE)}
    return frame[12:14] == b"\x08\x06" and bool(packed & {frame[28:32], frame[38:42]})


def is_request(frame: bytes) -> bool:
    return is_about_spare(frame) and frame[20:22] == b"\x00\x01"
