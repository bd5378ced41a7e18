"""Laws of allocation: nobody shares unasked, nobody moves for another's sake, and the order of events is nothing."""

from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.api.core import Service, ServicePort, ServiceSpec
from netlb.api.meta import ObjectMeta
from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import ObjectRef
from netlb.ipam import Request, Result, read_request
from netlb.ipam.sharing import conflict
from netlb.net import Address, family_of, parse_address
from netlb.plan import ClusterPlanner, plan_cluster
from tests.manifests import pool, snapshot

NAMES = [f"s{number}" for number in range(8)]
POOLS = (
    pool("a-fenced", "192.0.2.0/31", "fd00:a::/127", serviceAllocation="{priority: 5, namespaces: [red]}"),
    pool("b-both", "192.0.2.8/30", "fd00:b::/126", exclude="[192.0.2.9]", avoidBuggyIPs=True),
    pool("c-cluster", "192.0.2.16/31", sharing="cluster"),
    pool("d-kept", "192.0.2.24/31", "fd00:d::/127", autoAssign=False),
    pool("e-selects", "fd00:e::/127", serviceAllocation="{serviceSelectors: [{matchLabels: {app: s1}}]}"),
)
ADDRESSES = [f"192.0.2.{number}" for number in (0, 1, 8, 9, 10, 11, 16, 17, 24, 99)] + ["fd00:a::1", "fd00:b::2"]


def a_service(random: Random, name: str) -> Service:
    """Some Service of that name: every second annotation and field is left out."""
    annotations: dict[str, list[Any]] = {
        "netlb.io/pool": ["a-fenced", "b-both", "d-kept", "nope"],
        "netlb.io/share-key": ["k", "k", "l"],
        "purelb.io/allow-shared-ip": ["k"],
        "netlb.io/addresses": [*ADDRESSES, "192.0.2.24,fd00:d::1", "x"],
    }
    spec: dict[str, list[Any]] = {
        "ip_families": [("IPv6",), ("IPv6", "IPv4")],
        "ip_family_policy": ["SingleStack", "PreferDualStack", "RequireDualStack"],
        "external_traffic_policy": ["Local"],
        "selector": [{"app": "x"}, {"app": "y"}],
        "load_balancer_class": ["example.com/other"],
    }
    likely = {"netlb.io/share-key": 0.5, "load_balancer_class": 0.03, "netlb.io/addresses": 0.25}
    chosen, fields = (
        {key: random.choice(values) for key, values in options.items() if random.random() < likely.get(key, 0.15)}
        for options in (annotations, spec)
    )
    port = ServicePort(port=random.choice([80, 81]), protocol=random.choice(["TCP", "UDP"]))
    return Service(
        metadata=ObjectMeta(
            name=name, namespace=random.choice(["red", "blue"]), labels={"app": name}, annotations=chosen
        ),
        spec=ServiceSpec(type="LoadBalancer", ports=(port,), **fields),
    )


def some_holdings(random: Random) -> dict[ObjectRef, Holding]:
    return {
        ObjectRef("Service", random.choice(["red", "blue"]), random.choice(NAMES)): Holding(
            (parse_address(random.choice(ADDRESSES)),)
        )
        for _ in range(random.randrange(5))
    }


seeds = st.integers(0, 2**32)

BASE = snapshot(*POOLS)
assert len(POOLS) == len(BASE.pools)


def after(before: Snapshot, event: tuple[str, Service | None]) -> Snapshot:
    """The snapshot after one Service came, changed or went; in either namespace."""
    name, declared = event
    kept = {ref: each for ref, each in before.services.items() if ref.name != name}
    return replace(before, services=kept | ({declared.ref: declared} if declared else {}))


def check(result: Result, taken: Snapshot) -> None:
    holders: dict[Address, list[ObjectRef]] = {}
    for ref, allocation in result.allocations.items():
        for address, name in zip(allocation.addresses, allocation.pools, strict=True):
            holders.setdefault(address, []).append(ref)
            assert any(address in span for span in taken.pools[name].spec.spans)
    for address, refs in holders.items():
        for one, other in combinations(refs, 2):
            first, second = request(taken, one), request(taken, other)
            if first and second:
                across = any(
                    address in span and each.spec.sharing == "cluster"
                    for each in taken.pools.values()
                    for span in each.spec.spans
                )
                same = one.namespace == other.namespace
                assert None is conflict(first.sharing, second.sharing, same_namespace=same, across=across)
    for name, families in result.usage.items():
        for family, usage in families.items():
            spans = taken.pools[name].spec.spans
            mine = [a for a in holders if family_of(a) is family and any(a in span for span in spans)]
            assert len(mine) == usage.held
            assert usage.size == usage.held + usage.free


def request(taken: Snapshot, ref: ObjectRef) -> Request | None:
    try:
        return read_request(taken.services[ref])
    except ValueError:
        return None


@settings(max_examples=300)
@given(seeds, st.integers(1, 40))
def test_planning_in_steps_gives_what_planning_at_once_keeps(seed: int, steps: int) -> None:
    random = Random(seed)
    taken, planner = BASE, ClusterPlanner(some_holdings(random))
    result = planner.plan(taken).addresses
    for _ in range(steps):
        name = random.choice(NAMES)
        last, taken = result, after(taken, (name, a_service(random, name) if random.random() < 0.7 else None))
        plan = planner.plan(taken)
        result = plan.addresses
        check(result, taken)
        once = plan_cluster(replace(taken, holdings=plan.holdings))
        assert once.addresses == result
        assert sorted(once.findings) == sorted(plan.findings)
        for ref, had in last.allocations.items():
            if ref.name != name and had.refused is None and had != result.allocations.get(ref):
                assert set(had.addresses) < set(result.allocations[ref].addresses)


@given(seeds)
def test_the_order_of_declaration_does_not_matter(seed: int) -> None:
    random = Random(seed)
    before = some_holdings(random)
    declared = [a_service(random, name) for name in NAMES]
    shuffled = random.sample(declared, len(declared))
    one, other = (
        plan_cluster(replace(BASE, services={each.ref: each for each in order}, holdings=before)).addresses
        for order in (declared, shuffled)
    )
    check(one, replace(BASE, services={each.ref: each for each in declared}))
    assert one == other
