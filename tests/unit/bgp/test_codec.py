"""The descriptors, the two dialects, and whose a path or a peer is."""

import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.dialect import DIALECTS, V3, V4, Dialect
from netlb.bgp.messages import descriptors, message
from netlb.bgp.model import AsKind, Global, GracefulRestart, Key, Kind, LargeCommunity, Peer, Route, Unlike
from netlb.bgp.owner import OWNER_MARK, Owner
from netlb.bgp.paths import decode_path, encode_path, encode_withdrawal
from netlb.bgp.peers import agree, encode_global, encode_group, encode_peer, peer_key, speaks_as

ROOT = Path(__file__).parents[3]
OWNER = Owner(65001)
ROUTE = Route(prefix=ip_network("203.0.113.1/32"), next_hop=ip_address("192.0.2.1"))
SPEAKER = Global(asn=65001, router_id=IPv4Address("192.0.2.1"))
PEER = Peer(address=ip_address("192.0.2.254"), asn=65000)


def test_the_descriptors_are_what_the_proto_file_compiles_to() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "compile_proto.py"), "--check"]
    ran = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)


def test_nobody_elses_names_are_taken() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors()).file
    assert ["netlb.gobgp"] == [file.package for file in files]
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName(files[0].name)


def test_there_is_no_way_to_ask_for_an_empty_delete() -> None:
    with pytest.raises(KeyError):
        message("DeletePathRequest")
    assert [] == [name for name in dir(GobgpClient) if "delete_path" in name]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_path_of_ours_carries_the_mark_and_no_record_does(dialect: Dialect) -> None:
    path = encode_path(dialect, OWNER, ROUTE)
    found = decode_path(dialect, OWNER, path)
    assert found is not None
    assert (True, True, ROUTE) == (found.local, found.ours, found.record)
    theirs = decode_path(dialect, Owner(65001, 2), path)
    assert theirs is not None
    assert not theirs.ours
    assert LargeCommunity(65001, OWNER_MARK, 1) == OWNER.community
    assert b"LBGP" == OWNER_MARK.to_bytes(4, "big")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_came_back_from_a_router_is_not_ours_whatever_it_carries(dialect: Dialect) -> None:
    path = encode_path(dialect, OWNER, ROUTE)
    path.neighbor_ip = "192.0.2.254"
    found = decode_path(dialect, OWNER, path)
    assert found is not None
    assert (False, False) == (found.local, found.ours)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_path_of_ours_that_somebody_changed_equals_no_route(dialect: Dialect) -> None:
    stranger = {V3: message("Any")(type_url="type.googleapis.com/apipb.AigpAttribute"), V4: message("Attribute")()}
    path = encode_path(dialect, OWNER, ROUTE)
    path.pattrs.append(stranger[dialect].SerializeToString())
    found = decode_path(dialect, OWNER, path)
    assert found is not None
    assert found.ours
    assert isinstance(found.record, Unlike)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_no_prefix_is_passed_over(dialect: Dialect) -> None:
    path = encode_path(dialect, OWNER, ROUTE)
    path.nlri = (
        message("Any")(type_url="type.googleapis.com/apipb.EVPNRoute").SerializeToString() if dialect is V3 else b""
    )
    assert None is decode_path(dialect, OWNER, path)


def test_a_withdrawal_names_its_prefix_and_family() -> None:
    path = encode_withdrawal(V3, ip_network("2001:db8::/64"))
    assert (True, 2, 1, 2) == (path.is_withdraw, path.family.afi, path.family.safi, len(path.pattrs))
    nlri = V3.unwrap_nlri(path.nlri)
    assert nlri is not None
    assert ("2001:db8::", 64) == (nlri.prefix, nlri.prefix_len)


@pytest.mark.parametrize(
    "change",
    [
        {"password": "x"},
        {"hold_time": 9, "keepalive": 3},
        {"multihop_ttl": 2},
        {"ttl_security_hops": 1},
        {"passive": True},
        {"graceful_restart": GracefulRestart()},
        {"source": ip_address("192.0.2.1")},
        {"asn": AsKind.EXTERNAL},
        {"admin_down": True},
        {"description": "top of rack"},
        {"local_asn": 64999},
    ],
)
def test_peers_that_differ_do_not_agree(change: dict[str, object]) -> None:
    peer = encode_peer(OWNER, SPEAKER, PEER)
    changed = encode_peer(OWNER, SPEAKER, replace(PEER, **change))  # type: ignore[arg-type]
    assert agree(peer, peer)
    assert agree(changed, changed)
    assert not agree(changed, peer)


def test_our_end_of_a_session_is_compared_where_it_is_wanted() -> None:
    found = encode_peer(OWNER, SPEAKER, PEER)
    found.transport.local_address = "192.0.2.77"
    assert agree(encode_peer(OWNER, SPEAKER, PEER), found)


def test_internal_is_our_own_number_and_external_any() -> None:
    numbers = [encode_peer(OWNER, SPEAKER, replace(PEER, asn=kind)).conf.peer_asn for kind in AsKind]
    assert [65001, 0] == numbers


def test_the_mark_of_a_peer_is_in_its_description() -> None:
    described = encode_peer(OWNER, SPEAKER, replace(PEER, description="top of rack")).conf.description
    assert "netlb:1 top of rack" == described
    assert "top of rack" == OWNER.description(described)
    assert "" == OWNER.description("netlb:1")
    assert [None, None] == [Owner(65001, 2).description(described), OWNER.description("top of rack")]


def test_a_dynamic_neighbour_belongs_to_its_prefix() -> None:
    group = encode_group(OWNER, SPEAKER, Peer(prefix=ip_network("2001:db8::/64"), asn=1))
    member = message("Peer")()
    member.conf.peer_group = group.conf.peer_group_name
    assert Key(Kind.PEER, "2001:db8::/64") == peer_key(OWNER, member)


def test_a_speaker_is_the_wanted_one_whatever_gobgpd_calls_all_addresses() -> None:
    running = encode_global(SPEAKER)
    running.listen_addresses.extend(["0.0.0.0", "::"])
    assert speaks_as(SPEAKER, running)
    assert not speaks_as(replace(SPEAKER, listen_addresses=(ip_address("192.0.2.1"),)), running)
    assert not speaks_as(replace(SPEAKER, router_id=IPv4Address("192.0.2.2")), running)
    assert not speaks_as(replace(SPEAKER, use_multiple_paths=True), running)
