"""What a node's gobgpd should have."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
import yaml

from netlb.bfd.settings import Settings
from netlb.bgp.model import GRACEFUL_SHUTDOWN, AsKind, BgpState, LargeCommunity, Peer, Route
from netlb.net import Family, parse_address
from netlb.plan.bfd import Watch
from netlb.plan.bgp import BgpPlan, plan_bgp
from netlb.plan.cluster import plan_cluster
from netlb.reasons import ManifestProblem, Silence
from tests.manifests import pool, ref, service, slice_of, snapshot

POOL = pool("routed", "203.0.113.0/24", "2001:db8:1::/64", protocol="bgp")
WEB = service("web", loadBalancerIP="203.0.113.10")
SIX = service("six", ipFamilies="[IPv6]")


def native(kind: str, name: str, **spec: Any) -> str:
    return yaml.safe_dump({"apiVersion": "netlb.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def router(name: str = "tor", **spec: Any) -> str:
    return native("BGPPeer", name, **{"myASN": 65001, "peerASN": 65000, "peerAddress": "10.0.0.1", **spec})


def advertisement(name: str = "all", **spec: Any) -> str:
    return native("BGPAdvertisement", name, **spec)


def node(name: str = "n1", *addresses: str, labels: dict[str, str] | None = None) -> str:
    listed = [{"type": "InternalIP", "address": address} for address in addresses or ("10.0.0.11", "fd00::11")]
    metadata = {"name": name, "labels": labels or {}}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"addresses": listed}})


def plan(*manifests: str, node_name: str = "n1", ready_only: bool = False) -> BgpPlan:
    taken = snapshot("---\n".join(manifests))
    assert [] == [str(finding) for finding in taken.findings]
    return plan_bgp(replace(taken, holdings=plan_cluster(taken).holdings), node_name, ready_only=ready_only)


def state(*manifests: str, **options: Any) -> BgpState:
    found = plan(*manifests, **options).state
    assert found is not None
    return found


def reason(found: BgpPlan, name: str = "web") -> Silence:
    (silent,) = found.silent[ref(name)].values()
    return silent.reason


ALL = (POOL, WEB, slice_of("web", "n1"), node(), router(), advertisement())


def test_an_address_is_a_host_route_with_the_nodes_own_next_hop() -> None:
    found = plan(*ALL)
    assert found.state is not None
    assert (65001, "10.0.0.11", 179) == (
        found.state.speaker.asn,
        str(found.state.speaker.router_id),
        found.state.speaker.listen_port,
    )
    assert (Route(prefix=ip_network("203.0.113.10/32"), next_hop=parse_address("10.0.0.11")),) == found.state.routes
    assert {parse_address("203.0.113.10"): frozenset({ip_network("203.0.113.10/32")})} == found.announced
    assert ({"10.0.0.1": "tor"}, False, {}) == (found.peers, found.draining, found.silent)
    (peer,) = found.state.peers
    assert (65000, None, 90, 30) == (peer.asn, peer.local_asn, peer.hold_time, peer.keepalive)


def test_an_ipv6_route_has_the_nodes_ipv6_address() -> None:
    (route,) = state(POOL, SIX, slice_of("six", "n1"), node(), router(), advertisement()).routes
    assert ("2001:db8:1::/128", "fd00::11") == (str(route.prefix), str(route.next_hop))


def test_an_ipv4_route_over_ipv6_where_the_node_has_nothing_else() -> None:
    found = state(POOL, WEB, slice_of("web", "n1"), node("n1", "fd00::11"), router(), advertisement())
    assert ["fd00::11"] == [str(route.next_hop) for route in found.routes]
    assert (
        found.speaker.router_id == state(*ALL[:3], node("n1", "fd00::12"), router(), advertisement()).speaker.router_id
    )


def test_an_ipv6_route_has_no_next_hop_on_an_ipv4_node() -> None:
    found = plan(POOL, SIX, slice_of("six", "n1"), node("n1", "10.0.0.11"), router(), advertisement())
    assert Silence.NO_NEXT_HOP is reason(found, "six")


@pytest.mark.parametrize(
    ("manifests", "expected"),
    [
        ((POOL, WEB, slice_of("web", "n1"), node(), router()), Silence.NO_ADVERTISEMENT),
        ((POOL, WEB, node(), router(), advertisement()), Silence.NO_ENDPOINT),
        (
            (
                POOL,
                service("web", externalTrafficPolicy="Local"),
                slice_of("web", "n2"),
                node(),
                router(),
                advertisement(),
            ),
            Silence.NO_CANDIDATE,
        ),
        ((*ALL[:5], advertisement(nodeSelectors=[{"matchLabels": {"x": "y"}}])), Silence.NO_CANDIDATE),
        ((*ALL[:5], advertisement(serviceSelectors=[{"matchLabels": {"app": "no"}}])), Silence.NO_ADVERTISEMENT),
        ((*ALL[:4], router(nodeSelectors=[{"matchLabels": {"x": "y"}}]), advertisement()), Silence.NO_SPEAKER),
        (
            (
                *ALL[:4],
                router(nodeSelectors=[{"matchLabels": {"x": "y"}}]),
                advertisement(),
                native("BGPConfiguration", "c", asn=65001),
            ),
            Silence.NO_PEER,
        ),
        (
            (*ALL[:5], advertisement("a", localPref=1), advertisement("b", localPref=2)),
            Silence.CONFLICTING_ADVERTISEMENTS,
        ),
    ],
)
def test_why_an_address_is_not_announced(manifests: tuple[str, ...], expected: Silence) -> None:
    found = plan(*manifests)
    assert expected is reason(found)
    assert {} == found.announced
    assert found.state is None or () == found.state.routes


def test_local_policy_announces_from_exactly_the_nodes_with_an_endpoint() -> None:
    local = service("web", externalTrafficPolicy="Local")
    nodes = [node(name, f"10.0.0.1{name[1]}") for name in ("n1", "n2", "n3")]
    manifests = (POOL, local, slice_of("web", "n1", "n3"), *nodes, router(), advertisement())
    assert ["n1", "n3"] == [name for name in ("n1", "n2", "n3") if plan(*manifests, node_name=name).announced]


def test_aggregates_attributes_and_communities() -> None:
    (route,) = state(
        *ALL[:5],
        native("Community", "names", communities=[{"name": "vip", "value": "65000:7"}]),
        advertisement(
            "a", aggregationLength=24, communities=["vip", "no-export"], localPref=200, med=5, asPathPrepend=2
        ),
        advertisement("b", aggregationLength=24, communities=["large:1:2:3"], localPref=200, med=5, asPathPrepend=2),
    ).routes
    assert ("203.0.113.0/24", 200, 5, (65001, 65001)) == (str(route.prefix), route.local_pref, route.med, route.as_path)
    assert frozenset({65000 << 16 | 7, 65535 << 16 | 65281}) == route.communities
    assert frozenset({LargeCommunity(1, 2, 3)}) == route.large_communities


@pytest.mark.parametrize(
    ("length", "addresses", "outside"),
    [
        (24, ["203.0.113.0/24"], False),
        (23, ["203.0.113.0/24"], True),
        (24, ["203.0.113.0-203.0.113.254"], True),
        (24, ["203.0.113.0/25", "203.0.113.128/25"], False),
        (28, ["203.0.113.1-203.0.113.30"], True),
        (32, ["203.0.113.0/24"], False),
    ],
)
def test_a_prefix_with_more_addresses_than_its_pool_is_told_and_warned_of(
    length: int, addresses: list[str], outside: bool
) -> None:
    more = service("more", loadBalancerIP="203.0.113.20")
    own = pool("routed", *addresses, protocol="bgp", exclude="[203.0.113.7]")
    found = plan(own, *ALL[1:5], more, slice_of("more", "n1"), advertisement(aggregationLength=length))
    words = [str(finding) for finding in found.findings]
    assert outside == any("has more addresses than pool routed" in each for each in words)
    assert outside == len(words)  # once for each pool
    assert 2 == len(found.announced)


def test_several_lengths_are_several_routes() -> None:
    found = plan(*ALL[:5], advertisement("host"), advertisement("net", aggregationLength=24))
    assert found.state is not None
    assert ["203.0.113.0/24", "203.0.113.10/32"] == sorted(str(route.prefix) for route in found.state.routes)


def test_an_aggregate_stays_while_one_of_its_services_is_announced() -> None:
    more = service("more", loadBalancerIP="203.0.113.20")
    found = plan(*ALL[:5], more, advertisement(aggregationLength=24))
    assert Silence.NO_ENDPOINT is reason(found, "more")
    assert found.state is not None
    assert ["203.0.113.0/24"] == [str(route.prefix) for route in found.state.routes]


def test_an_excluded_node_asks_routers_to_prefer_others() -> None:
    excluded = node("n1", labels={"node.kubernetes.io/exclude-from-external-load-balancers": ""})
    found = plan(*ALL[:3], excluded, router(), advertisement())
    assert found.draining
    assert found.state is not None
    assert [frozenset({GRACEFUL_SHUTDOWN})] == [route.communities for route in found.state.routes]


def test_a_node_that_is_not_ready_drains_where_that_is_wanted() -> None:
    unready = node("n1") + "  conditions: [{type: Ready, status: Unknown}]\n"
    manifests = (*ALL[:3], unready, router(), advertisement())
    assert [False, True] == [plan(*manifests, ready_only=wanted).draining for wanted in (False, True)]
    found = state(*manifests, ready_only=True)
    assert [frozenset({GRACEFUL_SHUTDOWN})] == [route.communities for route in found.routes]
    assert not plan(*ALL, ready_only=True).draining  # a node that does not say


MD5 = """
apiVersion: v1
kind: Secret
metadata: {namespace: metallb-system, name: md5}
type: kubernetes.io/basic-auth
data: {password: c2VjcmV0}
"""


def peer_of(**spec: Any) -> Peer:
    (found,) = state(*ALL[:4], router(**spec), advertisement(), MD5).peers
    return found


def test_everything_that_a_peer_says() -> None:
    found = peer_of(
        peerPort=1179, holdTime="9s", connectTime="7s", sourceAddress="10.0.0.12", passwordSecret={"name": "md5", "namespace": "metallb-system"},
        ebgpMultiHop=True, multiHopTTL=3, passive=True, gracefulRestart={"restartTime": 30},
        addressFamilies=["ipv4", "ipv6"], disabled=True,
    )  # fmt: skip
    assert (1179, 9, 3, 7) == (found.port, found.hold_time, found.keepalive, found.connect_retry)
    assert ("10.0.0.12", "secret", 3, True, True) == (
        str(found.source),
        found.password,
        found.multihop_ttl,
        found.passive,
        found.admin_down,
    )
    assert found.graceful_restart is not None
    assert 30 == found.graceful_restart.restart_time
    assert (Family.IPV4, Family.IPV6) == found.families
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, (90, 30)),
        ({"holdTime": "9s"}, (9, 3)),
        ({"keepaliveTime": "10s"}, (30, 10)),
        ({"holdTime": "1m30s", "keepaliveTime": "15s"}, (90, 15)),
    ],
)
def test_hold_and_keepalive_time_follow_from_each_other(times: dict[str, str], expected: tuple[int, int]) -> None:
    found = peer_of(**times)
    assert expected == (found.hold_time, found.keepalive)


def test_a_peer_may_be_an_autonomous_system_of_its_own_kind() -> None:
    (found,) = state(
        *ALL[:4], native("BGPPeer", "tor", myASN=65001, dynamicASN="internal", peerAddress="10.0.0.1"), advertisement()
    ).peers
    assert AsKind.INTERNAL is found.asn


def test_the_nodes_number_is_its_configurations_or_its_racks() -> None:
    configuration = native("BGPConfiguration", "c", asn=65010, asnPerRack={"a": 65011}, routerID="192.0.2.1")
    found = state(*ALL, configuration)
    assert (65010, "192.0.2.1", 65001) == (found.speaker.asn, str(found.speaker.router_id), found.peers[0].local_asn)
    racked = node("n1", labels={"openelb.kubesphere.io/rack": "a"})
    assert 65011 == state(*ALL[:3], racked, *ALL[4:], configuration).speaker.asn


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ([router("again")], "BGPPeer again is the same router on node n1"),
        ([router("own", peerAddress="10.0.0.11")], "spec.peerAddress: it is node n1's own"),
        ([router("vrf", peerAddress="10.0.0.2", vrf="red")], "spec.vrf: GoBGP's own routing table"),
        ([router("hold", peerAddress="10.0.0.2", holdTime="0s")], "spec.holdTime: GoBGP cannot do without a hold time"),
        (
            [router("md5", peerAddress="10.0.0.2", passwordSecret={"name": "no"})],
            "there is no Secret no with a key 'password'",
        ),
        ([router("other", peerAddress="10.0.0.2", myASN=65002)], "another peer of node n1 has 65001"),
        ([router("paths", peerAddress="10.0.0.2", addPaths={"sendMax": 2})], "spec.addPaths: it has no effect"),
        ([advertisement("named", communities=["nobody"])], "there is no Community that names 'nobody'"),
        ([advertisement("to", peers=["nobody"])], "spec.peers[0]: there is no BGPPeer 'nobody'"),
        ([native("BGPConfiguration", "a"), native("BGPConfiguration", "b")], "node n1 has BGPConfiguration a already"),
    ],
)
def test_what_cannot_be_is_said_and_the_rest_goes_on(further: list[str], words: str) -> None:
    found = plan(*ALL, *further)
    assert [True] == [words in str(finding) for finding in found.findings if words in str(finding)]
    assert found.announced
    assert found.peers


def test_without_peers_a_node_has_nothing_to_say() -> None:
    assert BgpPlan("n1") == plan(POOL, WEB, slice_of("web", "n1"), node(), advertisement())
    assert BgpPlan("n9") == plan(*ALL, node_name="n9")


PROFILE = native(
    "BFDProfile",
    "fast",
    transmitInterval=100,
    receiveInterval=200,
    detectMultiplier=4,
    passiveMode=True,
    minimumTtl=250,
)


def watched(*further: str, **spec: Any) -> BgpPlan:
    return plan(*ALL[:4], router(**{"bfdProfile": "fast", **spec}), advertisement(), PROFILE, *further)


def test_a_peer_with_a_profile_is_watched_by_bfd_with_its_timers() -> None:
    found = watched(sourceAddress="10.0.0.12")
    settings = Settings(transmit_interval=100_000, receive_interval=200_000, detect_multiplier=4, passive=True)
    assert {"10.0.0.1": Watch(parse_address("10.0.0.1"), settings, source=parse_address("10.0.0.12"))} == found.watches
    assert () == found.findings
    assert {} == plan(*ALL, PROFILE).watches


@pytest.mark.parametrize(
    ("profile", "spec", "expected"),
    [
        (PROFILE, {"ebgpMultiHop": True}, 250),
        (native("BFDProfile", "fast"), {"ebgpMultiHop": True, "multiHopTTL": 9}, 254),
        (native("BFDProfile", "fast"), {"ttlSecurityHops": 3}, 253),
    ],
)
def test_a_router_several_hops_away_is_watched_over_several_hops(
    profile: str, spec: dict[str, Any], expected: int
) -> None:
    found = plan(*ALL[:4], router(bfdProfile="fast", **spec), advertisement(), profile)
    assert [(True, expected)] == [(each.multihop, each.settings.minimum_ttl) for each in found.watches.values()]


def test_a_router_on_the_same_link_is_watched_there_whatever_the_profiles_ttl() -> None:
    for spec in ({}, {"ttlSecurityHops": 1}):
        assert [(False, 255)] == [
            (each.multihop, each.settings.minimum_ttl) for each in watched(**spec).watches.values()
        ]


def test_a_peer_that_is_kept_down_is_not_watched() -> None:
    found = watched(disabled=True)
    assert ({}, ()) == (found.watches, found.findings)


@pytest.mark.parametrize(
    ("peer", "reason", "words"),
    [
        (
            router(bfdProfile="slow"),
            ManifestProblem.UNKNOWN_REFERENCE,
            "spec.bfdProfile: there is no BFDProfile 'slow', so BFD is off with this peer",
        ),
        (
            native("BGPPeer", "tor", myASN=65001, peerASN=65000, peerPrefix="10.0.0.0/24", bfdProfile="fast"),
            ManifestProblem.NOT_HONOURED,
            "it is not known which address whoever connects has, so BFD is off with this peer",
        ),
        (
            native("BGPPeer", "tor", myASN=65001, peerASN=65000, interface="eth1", bfdProfile="fast"),
            ManifestProblem.NOT_HONOURED,
            "it is not known which address the router at the other end has, so BFD is off with this peer",
        ),
        (
            router(peerAddress="10.0.0.12", bfdProfile="fast"),
            ManifestProblem.NOT_HONOURED,
            "it is node n2, which the speakers may watch already: BFD is off with this peer",
        ),
    ],
)
def test_a_peer_that_cannot_be_watched_works_without(peer: str, reason: ManifestProblem, words: str) -> None:
    found = plan(*ALL[:4], node("n2", "10.0.0.12"), peer, advertisement(), PROFILE)
    [finding] = found.findings
    assert reason is finding.reason
    assert words in str(finding)
    assert {} == found.watches
    assert found.state is not None
    assert 1 == len(found.state.peers)
    assert found.announced


def test_echo_packets_are_not_spoken_and_that_is_said_once() -> None:
    echoing = native("BFDProfile", "fast", echoMode=True)
    more = router("again", peerAddress="10.0.0.2", bfdProfile="fast")
    found = plan(*ALL[:4], router(bfdProfile="fast"), more, advertisement(), echoing)
    [finding] = found.findings
    assert "BFDProfile fast: spec.echoMode: netlb speaks no BFD echo" in str(finding)
    assert 2 == len(found.watches)
