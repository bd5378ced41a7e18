"""Who announces what, where, and why the others do not."""

import pytest

from netlb.net import parse_address
from netlb.plan import NodePlan, SilentAddress, plan_node
from netlb.reasons import Silence
from tests.manifests import advertisement, node, pool, ref, service, slice_of, snapshot

POOL = pool("one", "192.0.2.0/24")
NODES = tuple(node(name, f"{{rack: {rack}}}") for name, rack in (("n1", "a"), ("n2", "a"), ("n3", "b")))
WEB = (POOL, service("web"), slice_of("web", "n1", "n2"))
HELD = {"web": "192.0.2.2"}
VIP = parse_address("192.0.2.2")


def plans(*manifests: str, holdings: dict[str, str] | None = None, ready_only: bool = False) -> dict[str, NodePlan]:
    taken = snapshot(*manifests, holdings=HELD if holdings is None else holdings)
    return {name: plan_node(taken, name, ready_only=ready_only) for name in ("n1", "n2", "n3")}


def announcers(planned: dict[str, NodePlan]) -> list[str]:
    return [name for name, plan in planned.items() if VIP in plan.l2]


def silence(planned: dict[str, NodePlan]) -> SilentAddress:
    (verdict,) = {plan.silent[ref("web")][VIP] for plan in planned.values()}
    return verdict


def test_exactly_one_node_announces_and_the_others_know_which() -> None:
    planned = plans(*WEB, *NODES, advertisement())
    (owner,) = announcers(planned)
    assert (ref("web"),) == planned[owner].l2[VIP].services
    assert planned[owner].l2[VIP].interfaces is None
    for name in planned.keys() - {owner}:
        assert SilentAddress(Silence.NOT_OWNER, owner) == planned[name].silent[ref("web")][VIP]


def test_the_order_is_metallbs() -> None:
    # The hexadecimal digests of "n1#192.0.2.2" and so on begin with 31, b1 and d6.
    assert ["n1"] == announcers(plans(*WEB, *NODES, advertisement()))


def test_when_the_owner_leaves_only_its_addresses_move() -> None:
    everything = {f"s{number:02}": f"192.0.2.{number}" for number in range(1, 31)}
    manifests = [POOL, advertisement()]
    for name in everything:
        manifests += [service(name), slice_of(name, "n1", "n2", "n3")]

    def owners(*nodes: str) -> dict[str, str]:
        planned = plans(*manifests, *nodes, holdings=everything)
        return {str(address): name for name, plan in planned.items() for address in plan.l2}

    before, after = owners(*NODES), owners(*NODES[:2])
    assert {"n1", "n2", "n3"} == set(before.values())
    assert before.keys() == after.keys()
    assert {address: owner for address, owner in before.items() if owner != "n3"}.items() <= after.items()


def test_local_traffic_policy_leaves_only_nodes_with_an_endpoint() -> None:
    local = service("web", externalTrafficPolicy="Local")
    assert ["n3"] == announcers(plans(POOL, local, slice_of("web", "n3"), *NODES, advertisement()))
    nobody = plans(POOL, local, slice_of("web", "elsewhere"), *NODES, advertisement())
    assert SilentAddress(Silence.NO_CANDIDATE) == silence(nobody)


@pytest.mark.parametrize(
    ("conditions", "announced"),
    [
        ("{ready: true}", True),
        ("{}", True),
        ("{ready: false}", False),
        ("{ready: false, serving: true}", True),
        ("{ready: true, serving: false}", True),
    ],
)
def test_an_endpoint_counts_if_it_is_ready_or_still_serving(conditions: str, announced: bool) -> None:
    endpoints = slice_of("web", "n1").replace("{ready: true}", conditions)
    planned = plans(POOL, service("web"), endpoints, *NODES, advertisement())
    assert announced is bool(announcers(planned))
    if not announced:
        assert SilentAddress(Silence.NO_ENDPOINT) == silence(planned)


def test_without_endpoints_nobody_announces() -> None:
    for endpoints in ((), (slice_of("web"),), (slice_of("web", "n1", ready=False),)):
        planned = plans(POOL, service("web"), *endpoints, *NODES, advertisement())
        assert SilentAddress(Silence.NO_ENDPOINT) == silence(planned)


@pytest.mark.parametrize(
    "excluded",
    [
        node("n1", "{node.kubernetes.io/exclude-from-external-load-balancers: 'false'}"),
        node("n1") + "status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}",
    ],
)
def test_an_excluded_node_announces_nothing(excluded: str) -> None:
    assert ["n1"] == announcers(plans(*WEB, *NODES, advertisement()))
    assert "n1" not in announcers(plans(*WEB, excluded, *NODES[1:], advertisement()))


@pytest.mark.parametrize(("ready", "announces"), [("True", True), ("False", False), ("Unknown", False)])
def test_a_node_that_is_not_ready_announces_nothing_where_that_is_wanted(ready: str, announces: bool) -> None:
    one = node("n1") + f"status: {{conditions: [{{type: Ready, status: '{ready}'}}]}}"
    manifests = (*WEB, one, *NODES[1:], advertisement())
    assert ["n1"] == announcers(plans(*manifests))
    assert ["n1" if announces else "n2"] == announcers(plans(*manifests, ready_only=True))


def test_without_an_advertisement_nobody_announces() -> None:
    for manifests in ((), (advertisement(spec="{ipAddressPools: [other]}"),)):
        assert SilentAddress(Silence.NO_ADVERTISEMENT) == silence(plans(*WEB, *NODES, *manifests))


@pytest.mark.parametrize(
    ("spec", "announced"),
    [
        ("{ipAddressPools: [one]}", True),
        ("{ipAddressPoolSelectors: [{matchLabels: {pool: one}}]}", True),
        ("{ipAddressPools: [other], ipAddressPoolSelectors: [{matchLabels: {pool: one}}]}", True),
        ("{ipAddressPoolSelectors: [{matchLabels: {pool: two}}]}", False),
        ("{serviceSelectors: [{matchLabels: {app: web}}]}", True),
        ("{serviceSelectors: [{matchLabels: {app: x}}, {matchExpressions: [{key: app, operator: Exists}]}]}", True),
        ("{serviceSelectors: [{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}]}", False),
        ("{nodeSelectors: [{matchLabels: {rack: z}}]}", False),
    ],
)
def test_an_advertisement_selects_pools_services_and_nodes(spec: str, announced: bool) -> None:
    assert announced is bool(announcers(plans(*WEB, *NODES, advertisement(spec=spec))))


def test_node_selectors_decide_who_may_own() -> None:
    planned = plans(*WEB, *NODES, advertisement(spec="{nodeSelectors: [{matchLabels: {rack: b}}]}"))
    assert ["n3"] == announcers(planned)


def test_interfaces_are_united_over_the_advertisements_of_the_node() -> None:
    eth0, eth1 = (advertisement(name, f"{{interfaces: [{name}]}}") for name in ("eth0", "eth1"))
    elsewhere = advertisement("eth2", "{interfaces: [eth2], nodeSelectors: [{matchLabels: {rack: b}}]}")
    planned = plans(*WEB, *NODES, eth0, eth1, elsewhere)
    assert frozenset({"eth0", "eth1"}) == planned["n1"].l2[VIP].interfaces
    assert plans(*WEB, *NODES, eth0, advertisement())["n1"].l2[VIP].interfaces is None


def test_an_advertisement_that_says_address_counts_more_than_one_that_says_reply() -> None:
    address = advertisement("address", "{announce: address}")
    assert "reply" == plans(*WEB, *NODES, advertisement())["n1"].l2[VIP].announce
    assert "address" == plans(*WEB, *NODES, advertisement(), address)["n1"].l2[VIP].announce
    elsewhere = advertisement("address", "{announce: address, nodeSelectors: [{matchLabels: {rack: b}}]}")
    assert "reply" == plans(*WEB, *NODES, advertisement(), elsewhere)["n1"].l2[VIP].announce


def test_the_pool_is_found_by_the_address_so_a_rename_interrupts_nobody() -> None:
    renamed = pool("renamed", "192.0.2.0/24")
    assert ["n1"] == announcers(plans(renamed, *WEB[1:], *NODES, advertisement()))


def test_a_service_that_is_gone_or_of_another_type_is_not_announced() -> None:
    internal = service("web").replace("LoadBalancer", "ClusterIP")
    for manifests in ((), (internal, slice_of("web", "n1"))):
        assert [] == announcers(plans(POOL, *manifests, *NODES, advertisement()))
