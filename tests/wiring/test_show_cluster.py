"""`netlb show` on a cluster: what the speakers have written into the API, as tables."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from netlb.cli.main import main
from netlb.source.kube_reading import reports_of
from netlb.testing.apiserver import ApiServer
from tests.support.kubernetes import GATEWAY, OPERATOR, SPEAKER, Kubernetes, endpoints, kubernetes, node, pool, service
from tests.support.sites import documents
from tests.support.speaking import Net
from tests.support.wired import wired

ADDRESS = "192.0.2.1"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.give("web", ADDRESS)
        yield cluster


def show(what: str, cluster: Kubernetes, *more: str, account: str = SPEAKER) -> Result:
    source = f"kube:{cluster.kubeconfig(account)}"
    return CliRunner().invoke(main, ["show", what, "--source", source, *more])


def test_who_announces_what_is_shown(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> Result:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web")[0] == "True", "it is reported")
            return await asyncio.to_thread(show, "addresses", cluster, "-o", "json")

    shown = asyncio.run(scenario())
    assert 0 == shown.exit_code, shown.output
    assert [
        {
            "address": ADDRESS,
            "service": "default/web",
            "pool": "two",
            "announcedBy": [{"node": "node-1", "protocol": "layer2", "announce": "reply", "to": ["eth0", "eth1"]}],
            "problem": "",
        }
    ] == json.loads(shown.output)


def test_a_cluster_without_speakers_says_so(cluster: Kubernetes) -> None:
    shown = show("peers", cluster)
    assert 0 == shown.exit_code
    assert "no speaker reports in kube:" in shown.output


def test_who_may_not_read_is_told_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.source.kube_once._PATIENCE", 3600.0)
    with ApiServer(rights={"weak": {}}) as server:
        kubeconfig = server.write_kubeconfig(tmp_path / "kubeconfig", token="weak")
        explained = CliRunner().invoke(main, ["explain", "service", "default/web", "--source", f"kube:{kubeconfig}"])
    assert 64 == explained.exit_code
    assert "grant list on" in explained.output
    assert "another account's kubeconfig" in explained.output


READ = {
    "peers": {"speakerstatuses"},
    "routes": {"speakerstatuses", "servicebgpstatuses"},
    "addresses": {"speakerstatuses", "servicel2statuses", "servicebgpstatuses", "services"},
    "gateways": {"gatewaynodestatuses"},
}


@pytest.mark.parametrize("what", READ)
def test_nothing_is_read_but_what_is_shown(cluster: Kubernetes, what: str) -> None:
    shown = show(what, cluster, account=GATEWAY if what == "gateways" else SPEAKER)
    assert 0 == shown.exit_code, shown.output
    assert READ[what] == {request.resource.partition(".")[0] for request in cluster.server.seen("list")}


def test_a_cluster_that_does_not_answer_is_an_error(cluster: Kubernetes) -> None:
    cluster.server.faults.fail(403, "Forbidden", verb="list", resource="speakerstatuses.netlb.io")
    shown = show("peers", cluster)
    assert 64 == shown.exit_code
    assert "list speakerstatuses" in shown.output
    assert "try `kubectl get speakerstatuses.netlb.io`" in shown.output


def test_what_the_cluster_declares_is_checked_and_explained(cluster: Kubernetes) -> None:
    def run(*command: str) -> Result:
        return CliRunner().invoke(main, [*command, "--source", f"kube:{cluster.kubeconfig(OPERATOR)}"])

    assert (0, "") == ((fine := run("check")).exit_code, fine.output)
    explained = run("explain", "service", "default/web")
    assert f"{ADDRESS}" in explained.output
    assert 0 == explained.exit_code, explained.output
    cluster.server.put(service("greedy", loadBalancerIP="198.51.100.1"), pool("younger", "192.0.2.1/32"))
    checked = run("check")
    assert 1 == checked.exit_code
    overlap = "addresspools.netlb.io/younger: AddressPool younger: spec.addresses: the pool overlaps pool 'two'"
    assert overlap in checked.stderr
    assert 1 == run("explain", "service", "default/greedy").exit_code


def test_sites_of_the_cluster_are_checked_and_explained(cluster: Kubernetes) -> None:
    def run(*command: str) -> Result:
        return CliRunner().invoke(main, [*command, "--source", f"kube:{cluster.kubeconfig(OPERATOR)}"])

    sites = {"cloud": {"nodes": ["c1"], "endpoints": [{"nodeName": "c1"}, {"nodeName": "ghost"}]}}
    cluster.server.put(*(dict(one.body) for one in documents(sites)))
    checked = run("check")
    assert (0, True) == (checked.exit_code, "ghost is no node of the site" in checked.stderr)
    explained = run("explain", "gateway", "cloud")
    assert 0 == explained.exit_code, explained.output
    assert "cloud: c1 active, nobody could take over" == explained.output.splitlines()[0]


def test_what_serves_each_node_is_explained_with_all_that_endpoints_and_the_service_say(cluster: Kubernetes) -> None:
    zones = {"node-1": "a", "node-2": "b"}
    placed = [node(name) for name in zones]
    for one in placed:
        one["metadata"]["labels"] = {"topology.kubernetes.io/zone": zones[one["metadata"]["name"]]}
    slices = endpoints("near", *zones)
    for endpoint in slices["endpoints"]:
        endpoint["zone"] = zones[endpoint["nodeName"]]
    cluster.give("near", "192.0.2.2", trafficDistribution="PreferSameZone")
    cluster.server.put(*placed, slices)
    source = f"kube:{cluster.kubeconfig(OPERATOR)}"
    explained = CliRunner().invoke(main, ["explain", "service", "default/near", "--source", source])
    assert 0 == explained.exit_code, explained.output
    assert [f"node node-{number}: served by 10.244.0.{number} on node-{number}" for number in (1, 2)] == [
        line for line in explained.output.splitlines() if "served by" in line
    ]


def test_what_a_service_asks_for_is_explained(cluster: Kubernetes) -> None:
    cluster.server.put(service("picky", annotations={"netlb.io/pool": "nowhere"}))
    source = f"kube:{cluster.kubeconfig(OPERATOR)}"
    explained = CliRunner().invoke(main, ["explain", "service", "default/picky", "--source", source])
    assert 1 == explained.exit_code, explained.output
    assert "PoolNotFound: " in explained.output


# What the objects say, without a server


def condition(status: str, reason: str, message: str = "", kind: str = "Announced") -> list[dict[str, str]]:
    return [{"type": f"netlb.io/{kind}", "status": status, "reason": reason, "message": message}]


def report(service: str, node: str, **status: Any) -> dict[str, Any]:
    whole = {"node": node, "serviceNamespace": "default", "serviceName": service, **status}
    return {"metadata": {"namespace": "default", "name": f"{service}.{node}"}, "status": whole}


@pytest.mark.parametrize(
    ("status", "message", "first", "second"),
    [
        ("True", "", "", ""),
        ("True", "192.0.2.2: a note; with a semicolon", "", "a note; with a semicolon"),
        ("False", "192.0.2.1: one; 192.0.2.2: two", "Why: one", "Why: two"),
        ("Unknown", "192.0.2.1: soon", "pending: soon", ""),
    ],
)
def test_a_condition_is_about_those_addresses_that_it_names(status: str, message: str, first: str, second: str) -> None:
    addresses = [{"ip": f"192.0.2.{number}", "interfaces": ["eth0"]} for number in (1, 2)]
    said = report("web", "n1", addresses=addresses, conditions=condition(status, "Why", message))
    [node] = reports_of({"ServiceL2Status": [said]}).nodes
    assert [("192.0.2.1", first), ("192.0.2.2", second)] == [(one.address, one.problem) for one in node.announcing]


def test_sessions_and_routes_come_together() -> None:
    peer = {"name": "tor", "router": "10.0.0.1", "asn": 64512, "state": "ESTABLISHED", "advertised": 1}
    speaker = {"metadata": {"name": "n1"}, "status": {"node": "n1", "interfaces": {}, "bgp": {"peers": [peer]}}}
    route = {"prefix": "192.0.2.1/32", "nextHop": "10.0.0.11", "peers": ["tor"]}
    told = [
        report(service, "n1", peers=["tor"], addresses=[{"ip": ADDRESS, "routes": [route]}]) for service in ("a", "b")
    ]
    [node] = reports_of({"SpeakerStatus": [speaker], "ServiceBGPStatus": told}).nodes
    assert ["ESTABLISHED"] == [session.state for session in node.bgp.peers]
    assert [("default/a", "default/b")] == [one.services for one in node.bgp.announcing]
    assert ["10.0.0.11"] == [one.next_hop for each in node.bgp.announcing for one in each.routes]


def test_what_cannot_be_read_is_named_and_the_rest_is_shown() -> None:
    odd = {"metadata": {"name": "odd"}, "status": {"node": 7}}
    odder = {"metadata": {"namespace": "default", "name": "odder"}, "status": {"node": "n1"}}
    fine = {"metadata": {"name": "n2"}, "status": {"node": "n2"}}
    found = reports_of({"SpeakerStatus": [odd, fine], "ServiceL2Status": [odder]})
    assert ["n2"] == [node.node for node in found.nodes if node.node != "n1"]
    assert ["speakerstatuses/odd", "servicel2statuses/odder -n default"] == [
        problem.partition(":")[0] for problem in found.problems
    ]


def test_services_that_wait_are_shown_and_those_of_others_are_not() -> None:
    waits = {
        "metadata": {"namespace": "default", "name": "waits"},
        "status": {"conditions": condition("False", "PoolExhausted", "none is free", "AddressAllocated")},
    }
    others = {
        "metadata": {"namespace": "default", "name": "others"},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}},
    }
    [held] = reports_of({"Service": [waits, others]}).services
    assert ("waits", (), "PoolExhausted: none is free") == (held.service.name, held.addresses, held.reason)
