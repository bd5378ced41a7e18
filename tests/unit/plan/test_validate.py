"""What is wrong between objects that are each in order."""

import pytest

from netlb.findings import Severity
from netlb.plan import ClusterPlanner, plan_cluster
from netlb.reasons import ManifestProblem
from tests.manifests import advertisement, bfd_profile, node, pool, service, snapshot


def bgp_advertisement(**spec: str) -> str:
    return advertisement(spec=str(spec).replace("'", "")).replace("kind: L2", "kind: BGP")


@pytest.mark.parametrize(
    ("manifests", "reason", "words"),
    [
        ((pool("one", "192.0.2.1"),), ManifestProblem.UNADVERTISED_POOL, "AddressPool one"),
        (
            (advertisement(spec="{ipAddressPools: [x]}"),),
            ManifestProblem.UNKNOWN_POOL,
            "L2Advertisement all: spec.ipAddressPools[0]: there is no pool 'x'",
        ),
        (
            (bgp_advertisement(ipAddressPools="[x]"),),
            ManifestProblem.UNKNOWN_POOL,
            "BGPAdvertisement all: spec.ipAddressPools[0]: there is no pool 'x'",
        ),
        ((service("a", loadBalancerIP="x"),), ManifestProblem.INVALID_OBJECT, "Service default/a"),
    ],
)
def test_findings_between_objects(manifests: tuple[str, ...], reason: ManifestProblem, words: str) -> None:
    (finding,) = plan_cluster(snapshot(*manifests)).findings
    assert reason is finding.reason
    assert words in str(finding)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("{announce: address}", True),
        ("{announce: address, ipAddressPools: [one], serviceSelectors: [{matchLabels: {a: b}}]}", True),
        ("{announce: address, ipAddressPools: [two]}", False),
        ("{announce: address, nodeSelectors: [{matchLabels: {rack: b}}]}", False),
        ("{announce: reply}", False),
    ],
)
def test_advertisements_that_differ_in_how_the_same_is_announced(spec: str, told: bool) -> None:
    declared = (pool("one", "192.0.2.1"), pool("two", "192.0.2.2"), node("n1", "{rack: a}"), node("n2", "{rack: b}"))
    reply = advertisement("reply", "{ipAddressPools: [one], nodeSelectors: [{matchLabels: {rack: a}}]}")
    catch_all = bgp_advertisement()
    findings = plan_cluster(snapshot(*declared, reply, catch_all, advertisement("other", spec))).findings
    expected = [("L2Advertisement reply", "spec.announce", ManifestProblem.MIXED_ANNOUNCEMENT)] if told else []
    assert expected == [(str(each.subject), each.field, each.reason) for each in findings]


def test_either_kind_of_advertisement_will_do() -> None:
    assert () == plan_cluster(snapshot(pool("one", "192.0.2.1"), bgp_advertisement())).findings


def test_a_cluster_in_order_has_no_findings() -> None:
    assert () == plan_cluster(snapshot(pool("one", "192.0.2.1"), advertisement(), service("a"))).findings


def test_a_request_that_cannot_be_read_is_an_error_and_a_missing_pool_a_warning() -> None:
    assert [Severity.WARNING, Severity.ERROR] == [
        finding.severity
        for finding in plan_cluster(
            snapshot(advertisement(spec="{ipAddressPools: [x]}"), service("a", loadBalancerIP="x"))
        ).findings
    ]


def test_a_planner_finds_what_planning_at_once_finds_whatever_changed() -> None:
    planner = ClusterPlanner({})
    one = pool("one", "192.0.2.1", bfdProfile="slow")
    for manifests in (
        (one,),
        (one, bgp_advertisement()),
        (one, bgp_advertisement(ipAddressPools="[x]")),
        (one, bgp_advertisement(), bfd_profile("slow")),
        (one, bgp_advertisement(), bfd_profile("slow", echoMode="true")),
        (one, advertisement()),
        (one, advertisement(), advertisement("put", "{announce: address}")),
        (one, advertisement(), advertisement("put", "{announce: address}"), node("n1")),
    ):
        declared = snapshot(*manifests)
        assert plan_cluster(declared).findings == planner.plan(declared, ()).findings, manifests
