"""Laws of allocation: nobody shares, nobody moves for another's sake, and order does not matter."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.net import Address
from netlb.plan import plan_cluster
from tests.manifests import held, pool, ref, service, snapshot

NAMES = [f"s{number}" for number in range(12)]
POOLS = (pool("one", "192.0.2.0/29"), pool("two", "192.0.2.16/30", "fd00::/126", avoidBuggyIPs=True))

wishes = st.dictionaries(
    st.sampled_from(NAMES),
    st.sampled_from(
        [
            {},
            {"loadBalancerIP": "192.0.2.3"},
            {"loadBalancerIP": "192.0.2.200"},
            {"ipFamilies": "[IPv6]"},
            {"ipFamilies": "[IPv4, IPv6]"},
            {"annotations": "{netlb.io/pool: two}"},
        ]
    ),
)
holdings = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([f"192.0.2.{number}" for number in range(20)] + ["fd00::1"])
)


def plan(services: dict[str, dict[str, str]], held_now: dict[ObjectRef, Holding]) -> dict[ObjectRef, Holding]:
    taken = snapshot(*POOLS, *(service(name, **spec) for name, spec in services.items()))
    result = plan_cluster(replace(taken, holdings=held_now)).addresses
    assert not set(result.allocations) & set(result.refusals)
    return {key: Holding(allocation.addresses, allocation.pool) for key, allocation in result.allocations.items()}


def all_addresses(holding: dict[ObjectRef, Holding]) -> list[Address]:
    return [address for entry in holding.values() for address in entry.addresses]


@given(wishes, holdings)
def test_no_address_is_given_twice_and_a_second_run_changes_nothing(
    services: dict[str, dict[str, str]], before: dict[str, str]
) -> None:
    first = plan(services, held(before))
    assert len(all_addresses(first)) == len(set(all_addresses(first)))
    again = plan(services, first)
    assert first == {key: again[key] for key in first}


@given(wishes, st.sampled_from(NAMES), st.data())
def test_an_unrelated_service_that_comes_or_goes_moves_nobody(
    services: dict[str, dict[str, str]], other: str, data: st.DataObject
) -> None:
    first = plan(services, {})
    changed = dict(services)
    if other in changed:
        del changed[other]
    else:
        changed[other] = data.draw(st.sampled_from([{}, {"ipFamilies": "[IPv6]"}]))
    second = plan(changed, first)
    assert {key: value for key, value in first.items() if key != ref(other)} == {
        key: second[key] for key in first if key != ref(other)
    }


@given(wishes, holdings, st.permutations(NAMES))
def test_the_order_of_declaration_does_not_matter(
    services: dict[str, dict[str, str]], before: dict[str, str], names: list[str]
) -> None:
    shuffled = {name: services[name] for name in names if name in services}
    assert plan(services, held(before)) == plan(shuffled, held(before))
