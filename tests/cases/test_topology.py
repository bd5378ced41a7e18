"""A table of topology: one row states one fact about which endpoints serve which node, and who announces.

A row has

    fact        what is stated; unique
    keys        the Service's annotation `openyurt.io/topologyKeys`
    traffic     its trafficDistribution
    policy      its externalTrafficPolicy
    nodes       nodes that differ from the table's: pool, desired (the pool's former label), zone, excluded
    endpoints   by name: `NODE` (or `nowhere`) and any of `ready`, `unready`, `ending`, `v6`, `in=ZONE`, `for=ZONE`, `at=NODE`;
                without a word of its state an endpoint does not say whether it is ready
    served      by node: the names of the endpoints that serve what comes there from outside
    announced   the nodes that may announce the Service's address, or why none may
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.reasons import Silence
from netlb.topology import NodePools, candidates, eligible_nodes, serving_endpoints
from tests.manifests import ref

TABLE = yaml.safe_load((Path(__file__).parent / "topology" / "topology.yaml").read_text())
ROWS: list[dict[str, Any]] = TABLE["rows"]
STATES = {
    "ready": {"ready": True, "serving": True, "terminating": False},
    "unready": {"ready": False, "serving": False, "terminating": False},
    "ending": {"ready": False, "serving": True, "terminating": True},
}
LABELS = {
    "pool": "apps.openyurt.io/nodepool",
    "desired": "apps.openyurt.io/desired-nodepool",
    "zone": "topology.kubernetes.io/zone",
    "excluded": "node.kubernetes.io/exclude-from-external-load-balancers",
}


def endpoint(name: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return the address type and the endpoint that a text says; its address is its name."""
    node, *words = text.split()
    body: dict[str, Any] = {"addresses": [name]} | ({} if node == "nowhere" else {"nodeName": node})
    family = "IPv4"
    for word in words:
        key, _, value = word.partition("=")
        if word == "v6":
            family = "IPv6"
        elif key == "in":
            body["zone"] = value
        elif key in ("for", "at"):
            hints = body.setdefault("hints", {}).setdefault({"for": "forZones", "at": "forNodes"}[key], [])
            hints.append({"name": value})
        else:
            body["conditions"] = STATES[word]
    return family, body


def objects(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    annotations = {"openyurt.io/topologyKeys": row["keys"]} if "keys" in row else {}
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": row.get("policy", "Cluster")}
    spec |= {"trafficDistribution": row["traffic"]} if "traffic" in row else {}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": spec,
    }
    for name, said in {**TABLE["nodes"], **row.get("nodes", {})}.items():
        labels = {LABELS[key]: str(value) for key, value in said.items()}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    for name, text in row["endpoints"].items():  # one slice for each, as slices may be cut anywhere
        family, body = endpoint(name, text)
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"web-{name}", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": family,
            "endpoints": [body],
        }


def declared(row: dict[str, Any]) -> Snapshot:
    intake = Intake()
    intake.declare("topology.yaml", [Document("topology.yaml", body) for body in objects(row)])
    return intake.snapshot({})


@pytest.mark.parametrize("row", ROWS, ids=[row["fact"] for row in ROWS])
def test_row(row: dict[str, Any]) -> None:
    assert row.keys() <= {"fact", "keys", "traffic", "policy", "nodes", "endpoints", "served", "announced"}
    snapshot = declared(row)
    assert () == snapshot.findings
    service, slices = snapshot.services[ref("web")], snapshot.endpoint_slices[ref("web")]
    pools = NodePools(snapshot.nodes)

    def served(node: str) -> list[str]:
        found = serving_endpoints(service, slices, node, snapshot.nodes, pools)
        return sorted(address for one in found for address in one.addresses or ())

    assert {node: sorted(names.split()) for node, names in row["served"].items()} == {
        node: served(node) for node in row["served"]
    }
    nodes = candidates(service, slices, eligible_nodes(snapshot.nodes), pools)
    said = str(nodes) if isinstance(nodes, Silence) else " ".join(sorted(nodes))
    assert row["announced"] == said


@pytest.mark.parametrize("row", ROWS, ids=[row["fact"] for row in ROWS])
def test_who_may_announce_is_served(row: dict[str, Any]) -> None:
    snapshot = declared(row)
    service, slices = snapshot.services[ref("web")], snapshot.endpoint_slices[ref("web")]
    pools, eligible = NodePools(snapshot.nodes), eligible_nodes(snapshot.nodes)
    nodes = candidates(service, slices, eligible, pools)
    served = {node for node in eligible if serving_endpoints(service, slices, node, snapshot.nodes, pools)}
    assert served == (set() if isinstance(nodes, Silence) else nodes)


def test_every_fact_is_stated_once() -> None:
    facts = [row["fact"] for row in ROWS]
    assert sorted(set(facts)) == sorted(facts)
