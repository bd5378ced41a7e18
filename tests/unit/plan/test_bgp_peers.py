"""Advertisements that are for some peers only."""

from typing import Any

import pytest

from netlb.bgp.model import GRACEFUL_SHUTDOWN, LargeCommunity
from netlb.plan.bgp import BgpPlan
from netlb.plan.render import routes_told
from netlb.reasons import Silence
from tests.manifests import ref, service, slice_of
from tests.unit.plan.test_bgp import POOL, SIX, WEB, advertisement, native, node, plan, reason, router

A, B = router("a", peerAddress="10.0.0.1"), router("b", peerAddress="10.0.0.2")
HERE = (POOL, WEB, slice_of("web", "n1"), node(), A, B)

Heard = dict[str, list[tuple[str, int | None, int | None, set[str]]]]


def heard(found: BgpPlan) -> Heard:
    """What each BGPPeer hears: prefixes with localPref, MED and communities."""
    told = {(one.route, peer) for routes in routes_told(found).values() for one in routes for peer in one.peers}
    result: Heard = {name: [] for name in found.peers.values()}
    for route, peer in sorted(told, key=str):
        communities = {f"{value >> 16}:{value & 0xFFFF}" for value in route.communities}
        large = {str(value) for value in route.large_communities}
        result[peer].append((str(route.prefix), route.local_pref, route.med, communities | large))
    return result


def bare(found: BgpPlan) -> dict[str, list[str]]:
    return {name: [prefix for prefix, *_ in routes] for name, routes in heard(found).items()}


AT = "203.0.113.10/32"


def test_an_advertisement_is_for_the_peers_that_it_names() -> None:
    found = plan(*HERE, advertisement(peers=["a"]))
    assert {"a": [AT], "b": []} == bare(found)
    assert () == found.findings
    assert found.state is not None
    [offer] = found.state.offers
    assert ("10.0.0.1", ["10.0.0.1/32"]) == (offer.peer, [str(prefix) for prefix in offer.neighbors])
    assert [frozenset({offer.id})] == [route.offers for route in found.state.routes]
    assert {"a": [AT], "b": [AT]} == bare(plan(*HERE, advertisement()))


def test_whoever_is_named_is_named_though_there_is_nobody_else() -> None:
    """Somebody else may come, and a route must not be for all until then."""
    found = plan(*HERE[:5], advertisement(peers=["a"]))
    assert {"a": [AT]} == bare(found)
    assert found.state is not None
    assert [1] == [len(route.offers or ()) for route in found.state.routes]


def test_each_peer_hears_what_is_for_it_by_attributes_of_its_own() -> None:
    found = plan(
        *HERE,
        advertisement("one", peers=["a"], localPref=200, med=5, communities=["65000:1", "large:1:2:3"]),
        advertisement("two", peers=["b"], communities=["65000:2", "65000:1"]),
    )
    assert {
        "a": [(AT, 200, 5, {"65000:1", "1:2:3"})],
        "b": [(AT, None, None, {"65000:1", "65000:2"})],
    } == heard(found)
    assert found.state is not None
    [route] = found.state.routes
    assert (None, None, {65000 << 16 | 1}, set()) == (
        route.local_pref,
        route.med,
        set(route.communities),
        set(route.large_communities),
    )
    assert {frozenset[LargeCommunity](), frozenset({LargeCommunity(1, 2, 3)})} == {
        offer.large_communities for offer in found.state.offers
    }


def test_what_is_for_all_and_what_is_for_one_are_united_for_that_one() -> None:
    found = plan(
        *HERE,
        advertisement("all", communities=["65000:1"]),
        advertisement("more", peers=["a"], communities=["65000:2"]),
    )
    assert {"a": [(AT, None, None, {"65000:1", "65000:2"})], "b": [(AT, None, None, {"65000:1"})]} == heard(found)


@pytest.mark.parametrize(
    ("one", "two", "detail"),
    [
        (
            {"localPref": 1},
            {"localPref": 2, "peers": ["a"]},
            "several localPrefs, MEDs, next hops or lengths of its path",
        ),
        ({"localPref": 1, "peers": ["a", "b"]}, {"peers": ["b"]}, "several localPrefs, MEDs"),
        ({"nextHop": "10.0.0.9", "peers": ["a"]}, {"peers": ["b"]}, "and gobgpd has one for all"),
        ({"asPathPrepend": 2, "peers": ["a"]}, {"peers": ["b"]}, "and gobgpd has one for all"),
        ({"localPref": 0, "peers": ["a"]}, {"localPref": 5, "peers": ["b"]}, "one of them 0"),
    ],
)
def test_what_no_peer_could_be_told_is_told_nobody(one: dict[str, Any], two: dict[str, Any], detail: str) -> None:
    found = plan(*HERE, advertisement("one", **one), advertisement("two", **two))
    [silent] = found.silent[ref("web")].values()
    assert Silence.CONFLICTING_ADVERTISEMENTS is silent.reason
    assert detail in silent.detail
    assert {} == found.announced
    assert found.state is not None
    assert ((), ()) == (found.state.routes, found.state.offers)


def test_a_localpref_of_0_for_all_is_one() -> None:
    found = plan(*HERE, advertisement("one", localPref=0, peers=["a"]), advertisement("two", localPref=0, peers=["b"]))
    assert {"a": [(AT, 0, None, set())], "b": [(AT, 0, None, set())]} == heard(found)


def test_what_is_for_peers_of_other_nodes_is_not_announced_here() -> None:
    elsewhere = router("c", peerAddress="10.0.0.3", nodeSelectors=[{"matchLabels": {"rack": "c"}}])
    found = plan(*HERE, elsewhere, advertisement(peers=["c"]))
    assert Silence.NO_PEER is reason(found)
    assert () == found.findings
    found = plan(*HERE, elsewhere, advertisement("c", peers=["c"], nextHop="10.0.0.9"), advertisement("a", peers=["a"]))
    assert {"a": [AT], "b": []} == bare(found)


def test_a_peer_without_an_address_is_told_what_is_for_all_only() -> None:
    unnumbered = native("BGPPeer", "u", myASN=65001, peerASN=65000, interface="eth1")
    found = plan(*HERE[:5], unnumbered, advertisement())
    assert {"a": [AT], "u": [AT]} == bare(found)
    found = plan(*HERE[:5], unnumbered, advertisement(peers=["a", "u"]))
    assert {"a": [AT], "u": []} == bare(found)
    [finding] = found.findings
    assert "spec.peers: on node n1, BGPPeer u is told of none of these prefixes" in str(finding)
    found = plan(*HERE[:4], unnumbered, advertisement(peers=["u"]))
    assert Silence.NO_PEER is reason(found)


def test_who_connects_from_a_prefix_is_not_one_who_is_named_within_it() -> None:
    racks = native("BGPPeer", "racks", myASN=65001, peerASN=65000, peerPrefix="10.0.0.0/30")
    found = plan(*HERE[:5], racks, advertisement(peers=["racks"]))
    assert found.state is not None
    [offer] = found.state.offers
    assert ["10.0.0.0/32", "10.0.0.2/31"] == [str(prefix) for prefix in offer.neighbors]


def test_an_aggregate_is_for_whom_any_of_its_services_is() -> None:
    more = service("more", loadBalancerIP="203.0.113.20")
    found = plan(
        *HERE, more, slice_of("more", "n1"),
        advertisement("host", peers=["b"], serviceSelectors=[{"matchLabels": {"app": "more"}}]),
        advertisement("net", peers=["a"], aggregationLength=24),
    )  # fmt: skip
    assert {"a": ["203.0.113.0/24"], "b": ["203.0.113.20/32"]} == bare(found)
    assert {"203.0.113.10", "203.0.113.20"} == {str(address) for address in found.announced}


def test_both_families_are_offered_alike() -> None:
    dual = {"addressFamilies": ["ipv4", "ipv6"]}
    peers = [router(name, peerAddress=f"10.0.0.{number}", **dual) for number, name in enumerate("ab", start=1)]
    found = plan(
        POOL, WEB, SIX, slice_of("web", "n1"), slice_of("six", "n1"), node(), *peers, advertisement(peers=["a"])
    )
    assert {"a": ["2001:db8:1::/128", AT], "b": []} == {name: sorted(heard) for name, heard in bare(found).items()}
    assert found.state is not None
    assert 1 == len(found.state.offers)


def test_a_node_that_drains_goes_on_telling_the_same_peers() -> None:
    excluded = node("n1", labels={"node.kubernetes.io/exclude-from-external-load-balancers": ""})
    found = plan(*HERE[:3], excluded, A, B, advertisement(peers=["a"]))
    assert {"a": [(AT, None, None, {"65535:0"})], "b": []} == heard(found)
    assert found.state is not None
    assert [True] == [GRACEFUL_SHUTDOWN in route.communities for route in found.state.routes]
