"""Laws of meshes, whatever the sites: who reaches whom, who is active, and what changes when something else does."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.net import Family, parse_address
from netlb.raven.dataplane import DataPlane, Numbers, Role, RouteKind
from netlb.raven.election import Health, HoldDown, elect
from netlb.raven.mesh import Mesh, Peer, Way
from netlb.raven.model import Claim, ClaimKind, Endpoint, Hub, Nat, Node, Prefix, Site, TunnelProtocol
from netlb.raven.nat import Destination, dial, meet
from netlb.raven.node import Local, guard_node, plan_node
from netlb.raven.overlay import stations
from netlb.raven.subnets import settle

NUMBERS = Numbers()


@st.composite
def one_site(draw: st.DrawFn, number: int) -> Site:
    """A site of up to three nodes, each of which may be an endpoint of any sort."""
    names = [f"s{number}n{place}" for place in range(draw(st.integers(1, 3)))]
    nodes = {
        name: Node(
            name,
            (parse_address(f"192.168.{number}.{place + 1}"),),
            (
                Claim(ip_network(f"10.{number}.{place}.0/24"), ClaimKind.POD_CIDR),
                Claim(ip_network(f"fd00:{number}:{place}::/64"), ClaimKind.POD_CIDR),
            ),
            draw(st.booleans()) or draw(st.booleans()),
        )
        for place, name in enumerate(names)
    }
    endpoints = []
    for place, name in enumerate(draw(st.permutations(names))):
        nat = draw(st.none() | st.sampled_from(Nat))
        known = nat is None or draw(st.booleans())
        endpoints.append(
            Endpoint(
                site=f"site{number}",
                node=name,
                key=draw(st.sampled_from(["", f"key-{name}", f"key-{name}"])),
                nat=nat,
                addresses=(parse_address(f"198.51.100.{number * 8 + place}"),) if known else (),
                families=draw(st.sampled_from([frozenset(Family), frozenset({Family.IPV4})])),
                public_port=draw(st.none() | st.just(6000)),
                priority=draw(st.integers(0, 2)),
                protocol=draw(st.sampled_from([None, None, *TunnelProtocol])),
            )
        )
    return Site(
        name=f"site{number}",
        age=draw(st.sampled_from(["", "2026-01-01", "2026-02-01"])),
        nodes=nodes,
        endpoints=tuple(endpoints),
        replicas=draw(st.integers(0, 2)),
        hub=draw(st.sampled_from(Hub)),
        mtu=draw(st.none() | st.integers(1280, 1500)),
        revertive=draw(st.booleans()),
    )


@st.composite
def all_sites(draw: st.DrawFn) -> list[Site]:
    return [draw(one_site(number)) for number in range(draw(st.integers(0, 5)))]


def mesh_of(sites: list[Site], health: Health | None = None, hub: str = "") -> Mesh:
    return Mesh(sites, {site.name: elect(site, (), health or Health()) for site in sites}, settle(sites), hub)


def owners(peers: tuple[Peer, ...]) -> Mapping[Prefix, str]:
    """Who a prefix is sent to; a prefix that two peers had would go to one of them by chance."""
    found = [(prefix, peer.node) for peer in peers for prefix in peer.allowed]
    assert len(found) == len(dict(found))
    return dict(found)


sites = all_sites()


@given(sites)
def test_every_pair_of_endpoints_has_one_way_or_a_reason_and_the_same_from_both_ends(some: list[Site]) -> None:
    mesh = mesh_of(some)
    for one, other in combinations(mesh.sites, 2):
        assert mesh.between(one, other)
        for first in mesh.active(one):
            for second in mesh.active(other):
                link = mesh.link(first, second)
                assert link == mesh.link(second, first)
                assert (link.way is None) != (link.reason is None)
                assert bool(link.hub) == (link.way is Way.RELAY)


@given(sites)
def test_who_speaks_wireguard_and_who_speaks_ipsec_have_no_tunnel(some: list[Site]) -> None:
    mesh = mesh_of(some)
    endpoints = {endpoint.node: endpoint for site in some for endpoint in site.endpoints}
    for endpoint in endpoints.values():
        for peer in mesh.peers(endpoint.node):
            assert {*TunnelProtocol} != {endpoint.protocol, endpoints[peer.node].protocol}


@given(sites)
def test_packets_go_one_way_there_and_the_same_way_back_and_never_in_circles(some: list[Site]) -> None:
    """Follow each prefix from peer to peer, as WireGuard's allowed addresses send it."""
    mesh = mesh_of(some)
    active = [endpoint for site in some for endpoint in mesh.active(site.name)]
    tables = {endpoint.node: owners(mesh.peers(endpoint.node)) for endpoint in active}

    def path(start: Endpoint, end: Endpoint) -> list[str] | None:
        here, hops = start.node, [start.node]
        for prefix in mesh.share(end.node):
            here, hops = start.node, [start.node]
            while here != end.node:
                if prefix not in tables[here]:
                    return None
                here = tables[here][prefix]
                hops.append(here)
                assert len(hops) <= 3
        return hops

    hubs = {hub.node for hub in mesh.hubs}
    for start, end in combinations(active, 2):
        if start.site == end.site:
            continue
        there, back = path(start, end), path(end, start)
        link = mesh.link(start, end)
        if mesh.share(start.node) and mesh.share(end.node):
            assert (there is None) == (link.way is None)
            assert there == (back and back[::-1])
            assert there is None or len(there) == (3 if link.way is Way.RELAY else 2)
        assert link.way is not Way.RELAY or link.hub in hubs


@given(sites)
def test_what_is_taken_from_a_peer_is_what_it_may_send(some: list[Site]) -> None:
    """The sender of a packet has to be in what the receiver takes from its last hop."""
    mesh = mesh_of(some)
    for site in some:
        for endpoint in mesh.active(site.name):
            for peer in mesh.peers(endpoint.node):
                back = {one.node: one for one in mesh.peers(peer.node)}
                assert endpoint.node in back
                if peer.allowed:
                    assert set(mesh.share(endpoint.node)) <= set(back[endpoint.node].allowed)


@given(sites)
def test_each_peer_is_there_once_and_who_comes_by_itself_is_looked_for_nowhere(some: list[Site]) -> None:
    mesh = mesh_of(some)
    endpoints = {endpoint.node: endpoint for site in some for endpoint in site.endpoints}
    for site in some:
        for endpoint in site.endpoints:
            peers = mesh.peers(endpoint.node)
            keys = [peer.key for peer in peers]
            assert len(keys) == len(set(keys))
            assert endpoint.key not in keys
            for peer in peers:
                other = endpoints[peer.node]
                assert site.name != peer.site
                if other.nat is not None and endpoint.nat is None:
                    assert peer.destination is None
                assert peer.keepalive == 0 or endpoint.nat is not None


@given(sites)
def test_a_relay_is_a_willing_site_that_both_can_open_a_tunnel_to(some: list[Site]) -> None:
    mesh = mesh_of(some)
    for one, other in combinations([endpoint for site in some for endpoint in mesh.active(site.name)], 2):
        if one.site != other.site and (name := mesh.link(one, other).hub):
            (hub,) = (hub for hub in mesh.hubs if hub.node == name)
            assert Hub.NEVER is not mesh.sites[hub.site].hub
            assert hub.site not in {one.site, other.site}
            assert dial(one, hub) or dial(hub, one)
            assert dial(other, hub) or dial(hub, other)


@given(sites, st.data())
def test_what_changes_at_one_site_changes_no_other_pair(some: list[Site], data: st.DataObject) -> None:
    """But for who is the hub: a pair that went through the site, or goes through it now, is another matter."""
    if not some:
        return
    place = data.draw(st.integers(0, len(some) - 1))
    changed = [*some]
    changed[place] = data.draw(one_site(place))
    before, after = mesh_of(some), mesh_of(changed)
    name = some[place].name
    for one, other in combinations([site.name for site in some if site.name != name], 2):
        was, now = before.between(one, other), after.between(one, other)
        through = {link.hub for link in (*was, *now)}
        if not any(node.startswith(f"s{place}n") for node in through):
            assert was == now


@given(sites, one_site(9))
def test_a_younger_site_changes_no_way_of_those_that_were_there(some: list[Site], late: Site) -> None:
    late = replace(late, age="2027-01-01", hub=Hub.AUTO)
    some = [replace(site, age=site.age or "2026-03-01") for site in some]
    before, after = mesh_of(some), mesh_of([*some, late])
    for one, other in combinations(before.sites, 2):
        was, now = before.between(one, other), after.between(one, other)
        assert [link for link in was if link.way] == [now[place] for place, link in enumerate(was) if link.way]


@given(sites, st.permutations(range(6)))
def test_the_order_in_which_sites_are_read_does_not_matter(some: list[Site], order: list[int]) -> None:
    mixed = [some[place] for place in order if place < len(some)]
    one, other = mesh_of(some), mesh_of(mixed)
    assert [hub.node for hub in one.hubs] == [hub.node for hub in other.hubs]
    for node in (name for site in some for name in site.nodes):
        first, second = (planned(mesh, node) for mesh in (one, other))
        assert (first.routes, first.rules, first.neighbours) == (second.routes, second.rules, second.neighbours)


def planned(mesh: Mesh, node: str) -> DataPlane:
    return plan_node(mesh, node, Local(), NUMBERS)


@given(sites)
def test_what_a_node_has_hangs_together(some: list[Site]) -> None:
    mesh = mesh_of(some)
    for site in some:
        for node in site.nodes:
            plane = planned(mesh, node)
            assert plane == planned(mesh, node)
            devices = {part.device for part in (plane.overlay, plane.tunnel) if part}
            hops = {neighbour.address for neighbour in plane.neighbours}
            seen = [(route.prefix, route.table, route.metric) for route in plane.routes]
            assert len(seen) == len(set(seen))
            for route in plane.routes:
                assert route.kind is not RouteKind.UNICAST or route.device in devices
                assert route.via is None or route.via in hops
                if route.kind is RouteKind.UNICAST and route.device == NUMBERS.tunnel_device:
                    assert plane.tunnel is not None
                    assert route.prefix in {NUMBERS.inner_network, *owners(plane.tunnel.peers)}
            known = {entry.mac for entry in plane.forwarding}
            assert {neighbour.mac for neighbour in plane.neighbours} <= known
            assert (plane.role is Role.GATEWAY) == (node in mesh.elections[site.name].active)
            local = set(mesh.subnets.of(site))
            assert not local & {route.prefix for route in plane.routes if route.kind is RouteKind.UNREACHABLE}


@given(sites)
def test_what_leads_to_other_sites_is_closed_behind_where_no_way_is_left(some: list[Site]) -> None:
    """All that belongs to another site has a last route that keeps it from leaving by others."""
    mesh = mesh_of(some)
    for site in some:
        others = [other for other in some if other is not site]
        away = {address for other in others for prefix in mesh.subnets.of(other) for address in (prefix[0], prefix[-1])}
        for node in site.nodes:
            for plane in (planned(mesh, node), guard_node(mesh, node, Local(), NUMBERS)):
                closed = [route.prefix for route in plane.routes if route.kind is RouteKind.UNREACHABLE]
                assert [] == [
                    address
                    for address in away
                    if not any(address in prefix for prefix in closed if prefix.version == address.version)
                ]


@given(one_site(1), st.data())
def test_who_is_active_and_healthy_stays(site: Site, data: st.DataObject) -> None:
    names = [endpoint.node for endpoint in site.endpoints]
    health = Health(*(frozenset(data.draw(st.sets(st.sampled_from(names)))) for _ in range(3)))
    site = replace(site, revertive=False)
    first = elect(site, data.draw(st.lists(st.sampled_from(names), unique=True)), health)
    assert first.active == elect(site, first.active, health).active
    assert {*first.active, *first.standby, *first.idle} == set(names)
    later = Health(data.draw(st.just(frozenset(names))), frozenset(), health.held)
    assert set(first.active) <= set(elect(site, first.active, later).active)
    shuffled = replace(site, endpoints=site.endpoints[::-1])
    assert set(first.active) == set(elect(shuffled, first.active, health).active)


@given(st.lists(st.tuples(st.floats(0, 100), st.sets(st.sampled_from("ab")))), st.integers(0, 30))
def test_nobody_is_held_for_ever(steps: list[tuple[float, set[str]]], hold: int) -> None:
    hold_down, now = HoldDown(hold), 0.0
    for wait, alive in steps:
        now += wait
        hold_down.observe(alive, now)
        assert hold_down.held(now) <= alive
        release = hold_down.next_release(now)
        assert (release is None) == (not hold_down.held(now))
        assert release is None or now < release <= now + 16 * hold
    assert frozenset() == hold_down.held(now + 16 * hold)


@given(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=8))
def test_no_two_nodes_of_a_site_have_one_address_on_the_overlay(numbers: list[int]) -> None:
    nodes = [Node(f"n{place}", (type(parse_address("0.0.0.0"))(number),)) for place, number in enumerate(numbers)]
    found = stations(nodes, NUMBERS).values()
    for part in ("mac", "address4", "address6"):
        assert len(nodes) == len({getattr(station, part) for station in found})
    assert all(station.address4 in NUMBERS.overlay_network for station in found)
    assert NUMBERS.next_hop4 not in {station.address4 for station in found}


prefixes = st.builds(
    lambda number, length: ip_network((number << 20 & 0xFFFFFFFF, length), strict=False),
    st.integers(0, 15),
    st.integers(6, 14),
)


@given(st.lists(st.tuples(st.integers(0, 3), prefixes, st.sampled_from(ClaimKind)), max_size=12))
def test_no_address_is_in_two_sites_and_nothing_is_lost_without_a_word(
    claims: list[tuple[int, Prefix, ClaimKind]],
) -> None:
    some = [
        Site(
            name=f"site{number}",
            nodes={
                f"n{number}": Node(
                    f"n{number}", (), tuple(Claim(prefix, kind) for site, prefix, kind in claims if site == number)
                )
            },
        )
        for number in range(4)
    ]
    settled = settle(some)
    held = {site.name: settled.of(site) for site in some}
    for one, other in combinations(held, 2):
        assert not [(a, b) for a in held[one] for b in held[other] if a.overlaps(b)]
    refused = {(dispute.site, dispute.claim.prefix) for dispute in settled.disputes}
    for number, prefix, _ in claims:
        covered = any(prefix.subnet_of(whole) for whole in held[f"site{number}"])  # type: ignore[arg-type]
        assert covered or (f"site{number}", prefix) in refused


@given(one_site(1), one_site(2))
def test_meeting_is_mutual(one: Site, other: Site) -> None:
    for first in one.endpoints:
        for second in other.endpoints:
            there, back = meet(first, second), meet(second, first)
            assert there == (back and back[::-1])


@pytest.mark.parametrize("number", [40, 200, 1000])
def test_the_work_at_any_node_grows_with_the_number_of_sites(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hub in the cloud, all others behind NATs, two endpoints each."""
    some = [large_site(place) for place in range(number)]
    mesh = mesh_of(some)
    asked: list[Endpoint] = []

    def counting(caller: Endpoint, other: Endpoint) -> Destination | None:
        asked.append(caller)
        return dial(caller, other)

    monkeypatch.setattr("netlb.raven.mesh.dial", counting)
    hub, edge, member = (planned(mesh, node) for node in ("s0n0", "s1n0", "s1n2"))
    assert len(asked) < 40 * number
    assert hub.tunnel is not None
    assert edge.tunnel is not None
    # Each site has two endpoints, so the hub knows two peers of each, with an address each, and every prefix once.
    assert 2 * (number - 1) == len(hub.tunnel.peers)
    assert 5 * (number - 1) == len(owners(hub.tunnel.peers))
    assert 2 == len(edge.tunnel.peers)
    assert 3 * (number - 1) + 2 == len(owners(edge.tunnel.peers))
    assert {Way.RELAY, Way.DIRECT} == {way.link.way for way in edge.ways}
    # A route and its last resort for every prefix; at an endpoint those to two other nodes, and into the tunnels.
    assert [6 * (number - 1) + 4, 6 * (number - 1) + 4, 6 * (number - 1)] == [
        len(plane.routes) for plane in (hub, edge, member)
    ]
    assert [2, 2, 1] == [len(plane.neighbours) for plane in (hub, edge, member)]
    assert hub.nft.count("\n") == planned(mesh_of(some[:2]), "s0n0").nft.count("\n")


def large_site(number: int) -> Site:
    name = f"site{number:04}"
    nodes = {
        f"s{number}n{place}": Node(
            f"s{number}n{place}",
            (parse_address(f"192.168.1.{place + 1}"),),
            (Claim(ip_network((0x0A000000 + (number * 4 + place) * 2048, 24)), ClaimKind.POD_CIDR),),
        )
        for place in range(3)
    }
    cloud = not number
    endpoints = tuple(
        Endpoint(
            site=name,
            node=node,
            key=f"key-{node}",
            nat=None if cloud else Nat.UNKNOWN,
            addresses=(parse_address("198.51.100.1"),) if cloud else (),
        )
        for node in list(nodes)[:2]
    )
    return Site(name=name, nodes=nodes, endpoints=endpoints)
