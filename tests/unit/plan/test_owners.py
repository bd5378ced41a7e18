"""Preferred nodes, groups of addresses, and addresses that stay where they are."""

from ipaddress import ip_address

import pytest

from netlb.net import Address
from netlb.plan import plan_node
from tests.manifests import advertisement, node, pool, service, slice_of, snapshot

NAMES = ("n1", "n2", "n3")
NODES = tuple(node(name, f"{{rack: {rack}}}") for name, rack in zip(NAMES, "aab", strict=True))
HELD = {f"s{number}": f"192.0.2.{number}" for number in range(1, 9)}


def owners(
    *manifests: str, dead: tuple[str, ...] = (), holders: dict[str, str] | None = None, held: dict[str, str] = HELD
) -> dict[str, str]:
    """Who announces what, where all nodes know the same; the dead plan nothing."""
    taken = snapshot(pool("one", "192.0.2.0/24"), *NODES, *manifests, holdings=held)
    present: dict[Address, frozenset[str]] = {ip_address(a): frozenset({n}) for a, n in (holders or {}).items()}
    plans = {name: plan_node(taken, name, frozenset(dead), holders=present) for name in NAMES if name not in dead}
    found = [(str(address), name) for name, plan in plans.items() for address in plan.l2]
    assert len(found) == len({address for address, _ in found})
    return dict(found)


def services(**annotations: str) -> list[str]:
    """All Services, those in `annotations` with `netlb.io/group`, with an endpoint on each node."""
    told = {name: f"{{netlb.io/group: {group}}}" for name, group in annotations.items()}
    return [text for name in HELD for text in (service(name, annotations=told.get(name, "{}")), slice_of(name, *NAMES))]


def test_of_the_preferred_nodes_the_first_by_order_owns_and_then_the_rest() -> None:
    spec = advertisement(spec="{preferredNodeSelectors: [{matchLabels: {rack: b}}, {matchLabels: {rack: a}}]}")
    assert {"n3"} == set(owners(*services(), spec).values())
    left = owners(*services(), spec, dead=("n3",))
    assert {"n1", "n2"} == set(left.values())
    assert left == owners(*services(), advertisement(), dead=("n3",))


def test_addresses_of_a_group_are_on_one_node_and_others_stay_where_they_are() -> None:
    alone = owners(*services(), advertisement())
    assert set(NAMES) == set(alone.values())
    grouped = owners(*services(s1="g", s2="g", s3="g", s4="h"), advertisement())
    assert 1 == len({grouped[HELD[name]] for name in ("s1", "s2", "s3")})
    rest = [HELD[name] for name in HELD if name not in {"s1", "s2", "s3", "s4"}]
    assert [alone[address] for address in rest] == [grouped[address] for address in rest]
    (owner,) = {grouped[HELD[name]] for name in ("s1", "s2", "s3")}
    (heir,) = {
        owners(*services(s1="g", s2="g", s3="g"), advertisement(), dead=(owner,))[HELD[name]]
        for name in ("s1", "s2", "s3")
    }
    assert heir != owner


def test_an_advertisement_can_be_the_group() -> None:
    assert 1 == len(set(owners(*services(), advertisement(spec="{group: edge}")).values()))


def test_a_group_that_no_node_can_announce_falls_apart() -> None:
    local = {"externalTrafficPolicy": "Local"}
    manifests = [
        text
        for name, where in (("s1", "n1"), ("s2", "n2"))
        for text in (service(name, annotations="{netlb.io/group: g}", **local), slice_of(name, where))
    ]
    two = {name: HELD[name] for name in ("s1", "s2")}
    assert {HELD["s1"]: "n1", HELD["s2"]: "n2"} == owners(*manifests, advertisement(), held=two)


@pytest.mark.parametrize("revertive", [True, False])
def test_what_is_not_revertive_stays_with_whoever_announces_it(revertive: bool) -> None:
    spec = advertisement(spec=f"{{revertive: {str(revertive).lower()}}}")
    best = owners(*services(), spec)
    without = owners(*services(), spec, dead=("n1",))
    moved = {address for address in best if best[address] == "n1"}
    assert moved
    back = owners(*services(), spec, holders=without)
    assert (best if revertive else without) == back


def test_whoever_announces_it_and_is_dead_does_not_count() -> None:
    spec = advertisement(spec="{revertive: false}")
    best = owners(*services(), spec)
    assert owners(*services(), spec, dead=("n1",)) == owners(*services(), spec, dead=("n1",), holders=best)


def test_of_two_that_announce_an_address_the_better_keeps_it() -> None:
    spec = advertisement(spec="{revertive: false}")
    taken = snapshot(pool("one", "192.0.2.0/24"), *NODES, *services(), spec, holdings=HELD)
    best = owners(*services(), spec)
    both = {ip_address(address): frozenset(NAMES) for address in HELD.values()}
    plans = {name: plan_node(taken, name, holders=both) for name in NAMES}
    assert best == {str(address): name for name, plan in plans.items() for address in plan.l2}
