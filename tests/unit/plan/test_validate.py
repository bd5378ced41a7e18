"""What is wrong between objects that are each in order."""

import pytest

from netlb.findings import Severity
from netlb.plan import ClusterPlanner, plan_cluster
from netlb.reasons import ManifestProblem
from tests.manifests import advertisement, bfd_profile, pool, service, snapshot


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
    ):
        declared = snapshot(*manifests)
        assert plan_cluster(declared).findings == planner.plan(declared, ()).findings, manifests
