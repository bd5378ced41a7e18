"""The texts of the status tree."""

import pytest
import yaml

from netlb.api.snapshot import Holding
from netlb.errors import SettingError
from netlb.findings import ObjectRef
from netlb.net import parse_address
from netlb.plan import plan_cluster, plan_node
from netlb.reasons import Silence
from netlb.source.status import (
    Announcement,
    cluster_status,
    is_controllers,
    is_speakers,
    node_data,
    node_path,
    node_status,
    read_holdings,
    read_service_status,
    service_l2_path,
    service_l2_statuses,
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


@pytest.mark.parametrize("name", ["12e4567", "0o17", "08", "1e3"])
def test_a_name_that_reads_like_a_number_is_read_back(name: str) -> None:
    """A namespace that is called after a commit is one: without quotes, `12e4567` is infinity."""
    holder = service("web").replace("metadata: {", f'metadata: {{namespace: "{name}", ')
    plan = plan_cluster(snapshot(pool("one", "192.0.2.1"), advertisement(), holder))
    held = {ObjectRef("Service", name, "web"): Holding((parse_address("192.0.2.1"),), "one")}
    assert held == read_holdings(cluster_status(plan))


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
    said = node_data(
        plan_node(taken, "n1"),
        announcements={address: Announcement(interfaces=("eth0",))},
        interfaces={"eth0": "02:00:00:00:00:01"},
        nodes={"n2": "alive"},
        notes=["a note"],
    )
    assert (
        node_status(said)
        == """\
# Written by netlb-speaker.
node: n1
interfaces:
  eth0: 02:00:00:00:00:01
nodes:
  n2: alive
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


BOTH = snapshot(
    pool("one", "192.0.2.1", "fd00::1"),
    advertisement(),
    node("n1"),
    service("web", ipFamilies="[IPv4, IPv6]"),
    slice_of("web", "n1"),
    holdings={"web": "192.0.2.1,fd00::1"},
)
FOUR, SIX = parse_address("192.0.2.1"), parse_address("fd00::1")
HERE = Announcement(interfaces=("eth0", "eth1"))
PENDING = Announcement(Silence.PENDING, "it is asked for")
TAKEN = Announcement(Silence.ADDRESS_CONFLICT, "somebody has it")


def test_a_service_of_a_node_has_a_file_of_its_own() -> None:
    files = service_l2_statuses(plan_node(BOTH, "n1"), {FOUR: HERE, SIX: TAKEN})
    assert ["servicel2statuses/n1/default.web.yaml"] == list(files)
    assert """\
# Written by netlb-speaker.
apiVersion: netlb.io/v1alpha1
kind: ServiceL2Status
metadata:
  name: default.web.n1
status:
  node: n1
  serviceNamespace: default
  serviceName: web
  addresses:
  - ip: 192.0.2.1
    interfaces:
    - eth0
    - eth1
  - ip: fd00::1
    interfaces: []
  conditions:
  - type: netlb.io/Announced
    status: 'False'
    reason: AddressConflict
    message: 'fd00::1: somebody has it'
""" == files["servicel2statuses/n1/default.web.yaml"]


@pytest.mark.parametrize(
    ("four", "six", "status", "reason", "message"),
    [
        (HERE, HERE, "True", "Announced", ""),
        (HERE, PENDING, "Unknown", "Pending", "fd00::1: it is asked for"),
        (TAKEN, PENDING, "False", "AddressConflict", "192.0.2.1: somebody has it"),
        (TAKEN, TAKEN, "False", "AddressConflict", "192.0.2.1: somebody has it; fd00::1: somebody has it"),
    ],
)
def test_what_is_worst_for_one_of_its_addresses_is_a_services_condition(
    four: Announcement, six: Announcement, status: str, reason: str, message: str
) -> None:
    [text] = service_l2_statuses(plan_node(BOTH, "n1"), {FOUR: four, SIX: six}).values()
    [condition] = yaml.safe_load(text)["status"]["conditions"]
    expected = {"type": "netlb.io/Announced", "status": status, "reason": reason, "message": message}
    assert expected == condition


def test_a_node_has_files_for_the_services_that_it_owns_an_address_of_alone() -> None:
    assert {} == service_l2_statuses(plan_node(BOTH, "n2"), {})


def test_what_a_node_does_not_announce_is_pending_or_an_error() -> None:
    said = node_data(plan_node(BOTH, "n1"), announcements={FOUR: PENDING, SIX: TAKEN}, interfaces={}, nodes={})
    text = node_status(said)
    four, six = yaml.safe_load(text)["announcing"]
    assert ("it is asked for", [], "error" in four) == (four["pending"], four["interfaces"], False)
    assert ("AddressConflict: somebody has it", []) == (six["error"], six["interfaces"])


@pytest.mark.parametrize("name", ["n1", "..", "a/../b", "x" * 253])
def test_a_speakers_files_are_its_nodes_alone(name: str) -> None:
    mine = [node_path(name), service_l2_path(name, ref("web"))]
    assert [True, True] == [is_speakers(path, name) for path in mine]
    assert [False, False] == [is_controllers(path) for path in mine]
    others = [node_path("n"), service_l2_path("n", ref("web")), *cluster_status(plan_cluster(BOTH))]
    assert not any(is_speakers(path, name) for path in others)
    assert {".."}.isdisjoint(part for path in mine for part in path.split("/"))
