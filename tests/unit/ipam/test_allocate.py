"""Who gets which address, and why somebody gets none."""

import pytest

from netlb.ipam import Result
from netlb.net import Family
from netlb.plan import ClusterPlanner, plan_cluster
from netlb.reasons import Refusal
from tests.manifests import metallb, pool, ref, service, snapshot


def plan(*manifests: str, holdings: dict[str, str] | None = None) -> Result:
    return plan_cluster(snapshot(*manifests, holdings=holdings)).addresses


def addresses(result: Result) -> dict[str, str]:
    return {
        service.name: ",".join(map(str, allocation.addresses)) for service, allocation in result.allocations.items()
    }


def refusal(result: Result, name: str) -> Refusal:
    kept = result.allocations.get(ref(name))
    refused = kept.refused if kept else result.refusals[ref(name)]
    assert refused is not None
    return refused.reason


def message(result: Result, name: str) -> str:
    return result.refusals[ref(name)].message


ONE = pool("one", "192.0.2.1-192.0.2.3")


def test_services_get_the_lowest_free_address_in_order_of_their_names() -> None:
    assert {"a": "192.0.2.1", "b": "192.0.2.2"} == addresses(plan(ONE, service("b"), service("a")))


def test_holders_come_before_anyone_new() -> None:
    result = plan(ONE, service("a"), service("z"), holdings={"z": "192.0.2.1"})
    assert {"z": "192.0.2.1", "a": "192.0.2.2"} == addresses(result)


def test_a_held_address_stays_when_lower_ones_are_free() -> None:
    assert {"a": "192.0.2.3"} == addresses(plan(ONE, service("a"), holdings={"a": "192.0.2.3"}))


def test_a_pool_that_ran_dry_says_so() -> None:
    result = plan(ONE, *(service(name) for name in "abcd"))
    assert Refusal.POOL_EXHAUSTED is refusal(result, "d")
    assert "no IPv4 address is free in pool one" == message(result, "d")
    assert (3, 3, 0) == (
        result.usage["one"][Family.IPV4].size,
        result.usage["one"][Family.IPV4].held,
        result.usage["one"][Family.IPV4].free,
    )


def test_who_waits_for_both_families_is_told_when_the_other_one_runs_out_too() -> None:
    both = service("both", ipFamilies="[IPv4, IPv6]", ipFamilyPolicy="RequireDualStack")
    declared = [pool("one", "192.0.2.1/32", "2001:db8::1/128"), service("a"), both]
    planner = ClusterPlanner({})
    assert "no IPv4 address is free in pool one" == message(planner.plan(snapshot(*declared)).addresses, "both")
    declared.append(service("z", ipFamilies="[IPv6]"))
    assert "no IPv4 and IPv6 address is free in pool one" == message(
        planner.plan(snapshot(*declared)).addresses, "both"
    )


def test_a_deleted_service_frees_its_address() -> None:
    result = plan(ONE, service("b"), holdings={"gone": "192.0.2.1"})
    assert {"b": "192.0.2.1"} == addresses(result)


@pytest.mark.parametrize(
    "spec", [{"type": "ClusterIP"}, {"loadBalancerClass": "example.com/other"}], ids=["type", "class"]
)
def test_a_service_that_is_not_ours_is_not_served(spec: dict[str, str]) -> None:
    manifest = service("a", **spec).replace(
        "  type: LoadBalancer\n", "" if "type" in spec else "  type: LoadBalancer\n"
    )
    result = plan(ONE, manifest, holdings={"a": "192.0.2.1"})
    assert ({}, {}) == (dict(result.allocations), dict(result.refusals))


def test_our_own_class_is_served() -> None:
    assert {"a": "192.0.2.1"} == addresses(plan(ONE, service("a", loadBalancerClass="netlb.io/netlb")))


@pytest.mark.parametrize(
    "request_",
    [
        {"loadBalancerIP": "192.0.2.2"},
        {"annotations": "{netlb.io/addresses: 192.0.2.2}"},
        {"annotations": "{metallb.io/loadBalancerIPs: 192.0.2.2}"},
        {"annotations": "{metallb.universe.tf/loadBalancerIPs: 192.0.2.2}"},
        {"annotations": "{netlb.io/addresses: 192.0.2.2, metallb.io/loadBalancerIPs: 192.0.2.3}"},
    ],
)
def test_an_explicit_address_is_given_under_each_of_its_names(request_: dict[str, str]) -> None:
    assert {"a": "192.0.2.2"} == addresses(plan(ONE, service("a", **request_)))


def test_pools_are_tried_in_order_of_name_unless_one_is_named() -> None:
    two = pool("two", "198.51.100.1")
    named = service("b", annotations="{metallb.universe.tf/address-pool: two}")
    assert {"a": "192.0.2.1", "b": "198.51.100.1"} == addresses(plan(two, ONE, service("a"), named))


def test_a_pool_without_auto_assignment_serves_explicit_requests_only() -> None:
    kept = pool("kept", "192.0.2.9", autoAssign=False)
    result = plan(kept, service("a"), service("b", loadBalancerIP="192.0.2.9"))
    assert {"b": "192.0.2.9"} == addresses(result)
    assert Refusal.NOT_AUTO_ASSIGNED is refusal(result, "a")
    assert {"a": "192.0.2.9"} == addresses(plan(kept, service("a", annotations="{netlb.io/pool: kept}")))
    assert {"a": "192.0.2.9"} == addresses(plan(kept, service("a"), holdings={"a": "192.0.2.9"}))


def test_a_dual_stack_service_gets_both_from_one_pool() -> None:
    both = pool("z-both", "fd00::1", "192.0.2.9")
    result = plan(ONE, both, service("a", ipFamilies="[IPv6, IPv4]"))
    assert {"a": "192.0.2.9,fd00::1"} == addresses(result)


@pytest.mark.parametrize(
    ("spec", "family"),
    [
        ({"ipFamilies": "[IPv6]"}, "fd00::1"),
        ({"clusterIP": "fd99::7"}, "fd00::1"),
        ({"clusterIPs": "[fd99::7]"}, "fd00::1"),
        ({"loadBalancerIP": "fd00::1"}, "fd00::1"),
        ({"clusterIP": "10.96.0.7"}, "192.0.2.9"),
        ({}, "192.0.2.9"),
    ],
)
def test_the_family_is_the_services(spec: dict[str, str], family: str) -> None:
    assert {"a": family} == addresses(plan(pool("both", "fd00::1", "192.0.2.9"), service("a", **spec)))


@pytest.mark.parametrize(
    ("manifest", "reason", "words"),
    [
        (service("a", loadBalancerIP="192.0.2.99"), Refusal.ADDRESS_NOT_IN_POOL, "192.0.2.99 is in no pool"),
        (service("a", loadBalancerIP="192.0.2.1"), Refusal.ADDRESS_IN_USE, "held by another Service"),
        (service("a", loadBalancerIP="x"), Refusal.INVALID_REQUEST, "spec.loadBalancerIP: 'x' is not an IPv4"),
        (service("a", ipFamilies="[IPv6]"), Refusal.FAMILY_MISSING, "pool one has no addresses of IPv6"),
        (service("a", annotations="{netlb.io/pool: nope}"), Refusal.UNKNOWN_POOL, "there is no pool 'nope'"),
        (service("a", clusterIP="None", ipFamilies="[IPv4]"), Refusal.INVALID_REQUEST, "headless"),
        (service("a", clusterIP="None"), Refusal.INVALID_REQUEST, "headless"),
        (
            service("a", loadBalancerIP="192.0.2.2", annotations="{netlb.io/addresses: 192.0.2.2}"),
            Refusal.INVALID_REQUEST,
            "both set",
        ),
        (
            service("a", annotations="{netlb.io/addresses: '192.0.2.2,192.0.2.3'}"),
            Refusal.INVALID_REQUEST,
            "one of each family",
        ),
        (
            service("a", ipFamilies="[IPv4]", loadBalancerIP="fd00::1"),
            Refusal.INVALID_REQUEST,
            "the Service is of IPv4, and asks for fd00::1",
        ),
    ],
)
def test_a_refusal_says_why(manifest: str, reason: Refusal, words: str) -> None:
    result = plan(ONE, service("holder"), manifest, holdings={"holder": "192.0.2.1"})
    assert reason is refusal(result, "a")
    assert words in result.refusals[ref("a")].message


def test_no_pool_at_all_is_a_reason() -> None:
    assert Refusal.NO_POOL is refusal(plan(service("a")), "a")


def test_a_pool_that_avoids_buggy_addresses_takes_them_back_and_refuses_them() -> None:
    avoiding = pool("one", "192.0.2.0/24", avoidBuggyIPs=True)
    assert {"a": "192.0.2.1"} == addresses(plan(avoiding, service("a"), holdings={"a": "192.0.2.0"}))
    asking = service("a", loadBalancerIP="192.0.2.255")
    assert Refusal.BUGGY_ADDRESS is refusal(plan(avoiding, asking), "a")


def test_a_pool_gives_addresses_by_whichever_protocol_they_are_announced() -> None:
    config = "address-pools:\n- {name: p, protocol: bgp, addresses: [192.0.2.0/24]}"
    assert {"a": "192.0.2.0"} == addresses(plan(metallb(config), service("a")))


def test_a_changed_request_is_served_and_frees_what_was_held() -> None:
    moved = service("a", loadBalancerIP="192.0.2.3")
    result = plan(ONE, moved, service("b", loadBalancerIP="192.0.2.1"), holdings={"a": "192.0.2.1"})
    assert {"a": "192.0.2.3", "b": "192.0.2.1"} == addresses(result)


def test_a_changed_request_that_fails_leaves_what_was_held() -> None:
    moved = service("a", loadBalancerIP="198.51.100.1")
    result = plan(ONE, moved, holdings={"a": "192.0.2.1"})
    assert {"a": "192.0.2.1"} == addresses(result)
    assert Refusal.ADDRESS_NOT_IN_POOL is refusal(result, "a")


def test_a_service_that_asks_for_more_keeps_what_it_has() -> None:
    both = pool("both", "192.0.2.1-192.0.2.9", "fd00::/120")
    for wish in ({"ipFamilies": "[IPv4, IPv6]"}, {"annotations": "{netlb.io/addresses: '192.0.2.5,fd00::'}"}):
        assert {"a": "192.0.2.5,fd00::"} == addresses(plan(both, service("a", **wish), holdings={"a": "192.0.2.5"}))


def test_a_second_family_comes_from_the_pool_of_the_first() -> None:
    pools = (pool("a", "192.0.2.1", "fd00::a"), pool("b", "192.0.2.9", "fd00::b"))
    result = plan(*pools, service("s", ipFamilies="[IPv4, IPv6]"), holdings={"s": "192.0.2.9"})
    assert {"s": "192.0.2.9,fd00::b"} == addresses(result)


def test_a_service_waits_for_an_address_that_another_one_is_leaving() -> None:
    leaving = service("z", ipFamilies="[IPv6]")
    result = plan(
        ONE, pool("six", "fd00::1"), service("a", loadBalancerIP="192.0.2.3"), leaving, holdings={"z": "192.0.2.3"}
    )
    assert {"a": "192.0.2.3", "z": "fd00::1"} == addresses(result)


def test_a_request_that_became_unreadable_leaves_what_was_held() -> None:
    result = plan(ONE, service("a", loadBalancerIP="x"), holdings={"a": "192.0.2.2"})
    assert {"a": "192.0.2.2"} == addresses(result)
    assert Refusal.INVALID_REQUEST is refusal(result, "a")


def test_a_renamed_pool_keeps_its_holders_and_a_shrunk_one_releases_what_left() -> None:
    holdings = {"a": "192.0.2.1", "b": "192.0.2.3"}
    services = (service("a"), service("b"))
    assert holdings == addresses(plan(pool("renamed", "192.0.2.1-192.0.2.3"), *services, holdings=holdings))
    shrunk = plan(pool("one", "192.0.2.1-192.0.2.2"), *services, holdings=holdings)
    assert {"a": "192.0.2.1", "b": "192.0.2.2"} == addresses(shrunk)


def test_two_holders_of_one_address_are_told_apart() -> None:
    result = plan(ONE, service("a"), service("b"), holdings={"a": "192.0.2.2", "b": "192.0.2.2"})
    assert {"a": "192.0.2.2", "b": "192.0.2.1"} == addresses(result)


def test_nothing_is_released_while_a_pool_cannot_be_read() -> None:
    broken = pool("one", "192.0.2.9-192.0.2.1")
    result = plan(broken, service("a"), service("b"), holdings={"a": "192.0.2.1"})
    assert {"a": "192.0.2.1"} == addresses(result)
    assert Refusal.INCOMPLETE_VIEW is refusal(result, "a")
    assert Refusal.NO_POOL is refusal(result, "b")


def test_an_address_of_an_unreadable_pool_is_held_by_one_only() -> None:
    broken = pool("one", "192.0.2.9-192.0.2.1")
    both = {"a": "203.0.113.1", "b": "203.0.113.1"}
    assert {"a": "203.0.113.1"} == addresses(plan(broken, service("a"), service("b"), holdings=both))


def test_nothing_is_released_while_a_service_cannot_be_read() -> None:
    broken = service("a", externalTrafficPolicy="Sometimes")
    result = plan(ONE, broken, service("b"), holdings={"a": "192.0.2.1"})
    assert {"a": "192.0.2.1", "b": "192.0.2.2"} == addresses(result)


def test_a_request_may_not_take_what_an_unreadable_service_holds() -> None:
    broken = service("a", externalTrafficPolicy="Sometimes")
    result = plan(ONE, broken, service("b", loadBalancerIP="192.0.2.1"), holdings={"a": "192.0.2.1"})
    assert Refusal.ADDRESS_IN_USE is refusal(result, "b")
