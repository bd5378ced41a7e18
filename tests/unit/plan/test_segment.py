"""At which addresses nodes watch each other, and how fast."""

import pytest

from netlb.bfd.settings import Settings
from netlb.net import parse_address
from netlb.plan import plan_node
from netlb.plan.segment import Watched
from netlb.plan.timers import SEGMENT_TIMERS
from netlb.reasons import ManifestProblem
from tests.manifests import advertisement, bfd_profile, node, pool, service, slice_of, snapshot

ADDRESSES = {"n1": ("10.0.0.1", "fd00::1"), "n2": ("10.0.0.2", "fd00::2"), "n3": ("fd00::3",)}
NODES = tuple(node(name, f"{{name: {name}}}", addresses=listed) for name, listed in ADDRESSES.items())
FAST = bfd_profile("fast", transmitInterval=20, receiveInterval=50, detectMultiplier=4)
SLOW = bfd_profile("slow", transmitInterval=1000, receiveInterval=500, detectMultiplier=5)
FAST_TIMERS = Settings(20_000, 50_000, 4)
SLOW_TIMERS = Settings(1_000_000, 500_000, 5)
HOLDINGS = {"web": "192.0.2.1", "dns": "192.0.3.1"}
SERVICES = (service("web"), slice_of("web", "n1"), service("dns"), slice_of("dns", "n1"))


def watched(node: str, *manifests: str) -> dict[str, Watched]:
    taken = snapshot(*manifests, *NODES, *SERVICES, holdings=HOLDINGS)
    return dict(plan_node(taken, node).peers)


def timers(*profiles: str, one: str = "", two: str = "") -> Settings:
    """Those between n1 and n2 with two pools that name these profiles; both ends agree."""
    pools = (pool("one", "192.0.2.0/24", bfdProfile=one or "''"), pool("two", "192.0.3.0/24", bfdProfile=two or "''"))
    first, second = (watched(name, *pools, *profiles, advertisement()) for name in ("n1", "n2"))
    assert first["n2"].timers == second["n1"].timers
    return first["n2"].timers


def test_nodes_watch_each_other_by_an_address_of_a_common_family() -> None:
    seen = watched("n1", pool("one", "192.0.2.0/24"), advertisement())
    assert {name: parse_address(text) for name, text in (("n2", "10.0.0.2"), ("n3", "fd00::3"))} == {
        name: each.address for name, each in seen.items()
    }


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("", "", SEGMENT_TIMERS),
        ("fast", "fast", FAST_TIMERS),
        ("slow", "slow", SLOW_TIMERS),
        ("fast", "slow", FAST_TIMERS),
        ("slow", "fast", FAST_TIMERS),
        ("slow", "", SEGMENT_TIMERS),
        ("", "fast", FAST_TIMERS),
        ("unknown", "slow", SEGMENT_TIMERS),
    ],
)
def test_of_several_pools_the_profile_counts_that_notices_a_death_first(one: str, two: str, expected: Settings) -> None:
    assert expected == timers(FAST, SLOW, one=one, two=two)


def test_a_pool_concerns_only_the_nodes_that_may_announce_its_addresses() -> None:
    pools = (pool("one", "192.0.2.0/24", bfdProfile="slow"), pool("two", "192.0.3.0/24", bfdProfile="fast"))
    everywhere = advertisement("one", "{ipAddressPools: [one]}")
    elsewhere = advertisement(
        "two",
        "{ipAddressPools: [two], nodeSelectors: [{matchExpressions: [{key: name, operator: In, values: [n1, n3]}]}]}",
    )
    seen = watched("n1", *pools, FAST, SLOW, everywhere, elsewhere)
    assert {"n2": SLOW_TIMERS, "n3": FAST_TIMERS} == {name: each.timers for name, each in seen.items()}
    assert {"n1": SLOW_TIMERS, "n3": SLOW_TIMERS} == {
        name: each.timers for name, each in watched("n2", *pools, FAST, SLOW, everywhere, elsewhere).items()
    }


def test_a_profile_that_does_not_exist_is_a_finding() -> None:
    taken = snapshot(pool("one", "192.0.2.0/24", bfdProfile="fats"), FAST, advertisement())
    (finding,) = plan_node(taken, "n1").findings
    assert (ManifestProblem.UNKNOWN_REFERENCE, "spec.bfdProfile") == (finding.reason, finding.field)
    assert "AddressPool one: spec.bfdProfile: there is no BFDProfile 'fats'" in str(finding)


def test_fields_without_effect_are_findings_where_a_pool_names_the_profile() -> None:
    profile = bfd_profile("odd", echoMode=True, passiveMode=True, minimumTtl=200)
    named = plan_node(snapshot(pool("one", "192.0.2.0/24", bfdProfile="odd"), profile, advertisement()), "n1")
    assert [
        (ManifestProblem.NOT_HONOURED, field) for field in ("spec.echoMode", "spec.passiveMode", "spec.minimumTtl")
    ] == [(finding.reason, finding.field) for finding in named.findings]
    assert () == plan_node(snapshot(pool("one", "192.0.2.0/24"), profile, advertisement()), "n1").findings
