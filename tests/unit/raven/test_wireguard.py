"""What is written to a WireGuard device, and how what it says is taken."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.raven.backend import Remote
from netlb.raven.keys import Keys, PrivateKey, SharedKey, key_text
from netlb.raven.nat import Destination
from netlb.raven.wireguard import DeviceDump, PeerDump, PeerWrite, View, found, removal, writes
from tests.support.tunnels import prefixes

NOW = 1_700_000_000.0
KEYS = Keys(PrivateKey.of(b"\1" * 32), SharedKey(b"a secret"))
assert KEYS.shared is not None
SHARED = KEYS.shared.octets
A, B, C = (key_text(bytes([number]) * 32) for number in (11, 12, 13))
HOME, AWAY, ELSEWHERE = ((ip_address(f"192.0.2.{host}"), 51820) for host in (1, 2, 3))


def view(asked: Mapping[str, Destination | None] | None = None) -> View:
    return View(asked=asked or {}, keys=KEYS, now=NOW)


def peer(endpoint: Destination | None, age: float | None, *allowed: str) -> PeerDump:
    handshake = 0.0 if age is None else NOW - age
    return PeerDump(shared=SHARED, endpoint=endpoint, handshake=handshake, allowed=prefixes(*allowed))


@pytest.mark.parametrize(
    ("asked", "endpoint", "age", "expected"),
    [
        ({}, None, None, None),
        ({}, HOME, None, HOME),
        ({}, AWAY, 1.0, AWAY),
        ({A: None}, AWAY, 1.0, None),
        ({A: None}, AWAY, 1000.0, None),
        ({A: HOME}, HOME, 1.0, HOME),
        ({A: HOME}, AWAY, 1.0, HOME),
        ({A: HOME}, AWAY, 179.0, HOME),
        ({A: HOME}, AWAY, 180.0, AWAY),
        ({A: HOME}, AWAY, None, AWAY),
        ({A: HOME}, HOME, None, HOME),
    ],
)
def test_where_a_peer_is_said_to_be(
    asked: Mapping[str, Destination | None], endpoint: Destination | None, age: float | None, expected: object
) -> None:
    assert Remote(destination=expected) == found(A, peer(endpoint, age), view(asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "endpoint", "age", "wanted", "written"),
    [
        ({}, AWAY, 1.0, HOME, None),  # another process may have seen it roam
        ({}, AWAY, 200.0, HOME, HOME),
        ({}, None, None, HOME, HOME),
        ({}, HOME, None, HOME, None),
        ({}, AWAY, None, None, None),
        ({A: HOME}, AWAY, 1.0, HOME, None),
        ({A: HOME}, AWAY, 200.0, HOME, HOME),
        ({A: HOME}, AWAY, 1.0, ELSEWHERE, ELSEWHERE),
        ({A: HOME}, ELSEWHERE, 1.0, ELSEWHERE, None),
        ({A: HOME}, AWAY, 1.0, None, None),
        ({A: None}, AWAY, 1.0, HOME, HOME),
    ],
)
def test_when_a_destination_is_written(
    asked: Mapping[str, Destination | None],
    endpoint: Destination | None,
    age: float | None,
    wanted: Destination | None,
    written: Destination | None,
) -> None:
    dump = DeviceDump(peers={A: peer(endpoint, age)})
    expected = (PeerWrite(key=A, endpoint=written),) if written else ()
    assert expected == writes(dump, {A: Remote(destination=wanted)}, view(asked))


def test_a_new_peer_is_written_whole_and_nothing_twice() -> None:
    want = Remote(allowed=prefixes("fd00::/8", "10.2.0.0/16", "10.1.0.0/16"), destination=HOME, keepalive=15)
    (write,) = writes(DeviceDump(), {A: want}, view())
    assert ("10.1.0.0/16", "10.2.0.0/16", "fd00::/8") == tuple(map(str, write.add))
    assert (SHARED, HOME, 15) == (write.shared, write.endpoint, write.keepalive)
    dump = DeviceDump(peers={A: replace(peer(HOME, None), keepalive=15, allowed=want.allowed)})
    assert () == writes(dump, {A: want}, view())


def test_without_a_shared_secret_there_is_none_on_the_device() -> None:
    bare = View(asked={}, keys=Keys(KEYS.private), now=NOW)
    (write,) = writes(DeviceDump(peers={A: peer(None, None)}), {A: Remote()}, bare)
    assert bytes(32) == write.shared
    assert not found(A, peer(None, None), bare).shared
    assert found(A, PeerDump(), bare).shared


def test_a_prefix_that_moves_is_written_to_who_gets_it_only() -> None:
    dump = DeviceDump(peers={A: peer(None, None, "10.1.0.0/16", "10.2.0.0/16"), B: peer(None, None)})
    moved = {A: Remote(allowed=prefixes("10.2.0.0/16")), B: Remote(allowed=prefixes("10.1.0.0/16"))}
    (write,) = writes(dump, moved, view())
    assert (B, tuple(prefixes("10.1.0.0/16"))) == (write.key, write.add)


def test_what_nobody_gets_is_taken_by_one_that_goes_at_once() -> None:
    dump = DeviceDump(peers={A: peer(None, None, "10.1.0.0/16", "10.2.0.0/16")})
    taken, gone = writes(dump, {A: Remote(allowed=prefixes("10.2.0.0/16"))}, view())
    assert tuple(prefixes("10.1.0.0/16")) == taken.add
    assert PeerWrite(key=taken.key, remove=True) == gone
    assert taken.key != A


def test_only_peers_that_are_there_are_removed() -> None:
    assert (PeerWrite(key=A, remove=True),) == removal(DeviceDump(peers={A: PeerDump()}), [A, B])


PREFIXES = st.frozensets(
    st.sampled_from(sorted(prefixes("10.1.0.0/16", "10.2.0.0/16", "fd00::/16", "10.2.3.0/24"), key=str))
)


@given(st.data())
def test_whatever_is_there_becomes_what_is_wanted_and_what_stays_is_never_taken(data: st.DataObject) -> None:
    def shared_out() -> dict[str, frozenset[object]]:
        left = data.draw(PREFIXES)
        parts: dict[str, frozenset[object]] = {}
        for key in (A, B, C):
            part = frozenset(prefix for prefix in left if data.draw(st.booleans()))
            left -= part
            parts[key] = part
        return parts

    have, want = shared_out(), shared_out()
    state = dict(have)
    dump = DeviceDump(peers={key: replace(peer(None, None), allowed=part) for key, part in have.items()})  # type: ignore[arg-type]
    for write in writes(dump, {key: Remote(allowed=part) for key, part in want.items()}, view()):  # type: ignore[arg-type]
        if write.remove:
            del state[write.key]
            continue
        for key, held in state.items():
            assert key == write.key or not held & want.get(key, frozenset()) & set(write.add)
            state[key] = held - set(write.add)
        state[write.key] = state.get(write.key, frozenset()) | set(write.add)
    assert want == state
