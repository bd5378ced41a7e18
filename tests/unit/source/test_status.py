"""The texts of the status tree."""

import pytest

from netlb.api.snapshot import Holding
from netlb.errors import SettingError
from netlb.net import parse_address
from netlb.plan import plan_cluster, plan_node
from netlb.source.status import (
    cluster_status,
    is_controllers,
    node_path,
    node_status,
    read_holdings,
    read_service_status,
)
from tests.manifests import advertisement, node, pool, ref, service, slice_of, snapshot

SERVED = """\
# Written by netlb-controller; what is changed here by hand is put back.
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: default
  annotations:
    netlb.io/allocated-from: one
status:
  loadBalancer:
    ingress:
    - ip: 192.0.2.1
      ipMode: VIP
  conditions:
  - type: netlb.io/AddressAllocated
    status: 'True'
    reason: IPAllocated
    message: ''
"""


def test_a_service_that_is_served_reads_like_its_status_in_kubernetes() -> None:
    files = cluster_status(plan_cluster(snapshot(pool("one", "192.0.2.1"), advertisement(), service("web"))))
    assert SERVED == files["services/default.web.yaml"]
    assert {"controller.yaml", "services/default.web.yaml", "addresspools/one.yaml"} == set(files)
    assert all(is_controllers(path) for path in files)
    assert not is_controllers(node_path("n1"))


def test_a_service_without_an_address_says_why() -> None:
    files = cluster_status(plan_cluster(snapshot(service("web"))))
    assert "reason: NoPool" in files["services/default.web.yaml"]
    assert (ref("web"), Holding((), "")) == read_service_status(files["services/default.web.yaml"])


def test_a_damaged_file_is_not_taken_for_no_holder() -> None:
    assert {ref("web"): Holding((parse_address("192.0.2.1"),), "one")} == read_holdings({"services/x.yaml": SERVED})
    with pytest.raises(SettingError, match=r"services/x\.yaml does not say any more"):
        read_holdings({"services/x.yaml": SERVED[:-120], "controller.yaml": "?"})


def test_what_is_written_is_read_back() -> None:
    both = pool("both", "192.0.2.1", "fd00::1")
    files = cluster_status(plan_cluster(snapshot(both, service("web", ipFamilies="[IPv4, IPv6]"))))
    held = Holding((parse_address("192.0.2.1"), parse_address("fd00::1")), "both")
    assert (ref("web"), held) == read_service_status(files["services/default.web.yaml"])


@pytest.mark.parametrize("text", ["", "a: [", "x", "metadata: {}", SERVED.replace("192.0.2.1", "x")])
def test_a_file_that_somebody_broke_says_nothing(text: str) -> None:
    assert read_service_status(text) is None


@pytest.mark.parametrize(
    ("name", "file"), [("a/../b", "nodes/a%2F..%2Fb.yaml"), ("..", "nodes/%2E%2E.yaml"), ("n1", "nodes/n1.yaml")]
)
def test_names_cannot_leave_the_tree(name: str, file: str) -> None:
    assert file == node_path(name)


def test_a_name_of_any_length_fits_into_a_file_name() -> None:
    long, longer = node_path("x" * 253), node_path("x" * 254)
    assert long != longer
    assert len(long) < 200
    assert len(node_path("\u00e4" * 300)) < 230


def test_a_node_says_what_it_announces_and_why_not_the_rest() -> None:
    taken = snapshot(
        pool("one", "192.0.2.0/24"),
        advertisement(),
        node("n1"),
        service("web"),
        slice_of("web", "n1"),
        service("idle"),
        holdings={"web": "192.0.2.1", "idle": "192.0.2.2"},
    )
    address = parse_address("192.0.2.1")
    text = node_status(
        plan_node(taken, "n1"),
        announcing={address: ["eth0"]},
        failures={},
        interfaces={"eth0": "02:00:00:00:00:01"},
        notes=["a note"],
    )
    assert (
        text
        == """\
# Written by netlb-speaker.
node: n1
interfaces:
  eth0: 02:00:00:00:00:01
announcing:
- address: 192.0.2.1
  services:
  - default/web
  interfaces:
  - eth0
silent:
- address: 192.0.2.2
  service: default/idle
  reason: NoEndpoint
notes:
- a note
findings: []
"""
    )
