"""What strongSwan is told, and what is done about its SAs."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from netlb.raven.backend import PeerState, Remote
from netlb.raven.ipsec import (
    ChildSa,
    Sa,
    Todo,
    child_name,
    connection,
    identity,
    key_of,
    name_of,
    read_sa,
    same,
    secret,
    state,
    to_do,
)
from tests.support.tunnels import keys_of, prefixes

OWN, PEER = keys_of(1).public, keys_of(2).public
NAME = name_of("ipsec0", PEER)
WHERE = (ip_address("2001:db8::2"), 4500)
BOTH = Remote(allowed=prefixes("fd00::/8", "10.1.0.0/16"), destination=WHERE, keepalive=15)
WAITING = Remote(allowed=BOTH.allowed)
CHILD = child_name(BOTH) or ""


def test_a_peer_is_a_connection_with_one_child_for_both_families() -> None:
    made = connection("ipsec0", OWN, PEER, BOTH, 51820, 0)[NAME]
    assert ("2", ["2001:db8::2"], "51820", "4500", "15s") == tuple(
        made[field] for field in ("version", "remote_addrs", "local_port", "remote_port", "dpd_delay")
    )
    assert ({"auth": "psk", "id": identity(OWN)}, {"auth": "psk", "id": identity(PEER)}) == (
        made["local"],
        made["remote"],
    )
    assert [CHILD] == list(made["children"])
    child = made["children"][CHILD]
    assert (["0.0.0.0/0", "::/0"], ["10.1.0.0/16", "fd00::/8"]) == (child["local_ts"], child["remote_ts"])
    assert "if_id_in" not in child


def test_one_that_is_only_known_has_no_child() -> None:
    made = connection("ipsec0", OWN, PEER, Remote(), 51820, 0)[NAME]
    assert (["%any"], "51820", "10s", {}) == (
        made["remote_addrs"],
        made["remote_port"],
        made["dpd_delay"],
        made["children"],
    )


def test_with_esp_in_the_kernel_connections_are_bound_to_the_interface() -> None:
    (child,) = connection("raven-wg0", OWN, PEER, BOTH, 4500, 9028)[name_of("raven-wg0", PEER)]["children"].values()
    assert ("9028", "9028") == (child["if_id_in"], child["if_id_out"])


def test_the_secret_is_for_this_pair_only() -> None:
    told = secret("ipsec0", OWN, PEER, b"hush")
    assert {"id": NAME, "type": "IKE", "data": b"hush", "owners": [identity(OWN), identity(PEER)]} == told


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, PEER),
        (name_of("raven-wg0", PEER), None),
        ("netlb-ipsec0-", None),
        (NAME[:-1], None),
        (NAME + "0", None),
        (NAME[:-1] + "G", None),
        (identity(PEER), None),
        ("foreign", None),
    ],
)
def test_whose_a_connection_is(name: str, expected: str | None) -> None:
    assert expected == key_of("ipsec0", name)


def listed(**changes: Any) -> Mapping[str, Any]:
    said = {
        "remote_addrs": [b"2001:db8::2"],
        "local-1": {"id": identity(OWN).encode()},
        "children": {CHILD: {}},
    }
    return said | changes


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (listed(), True),
        (listed(children={}), False),
        (listed(children={CHILD: {}, "net": {}}), False),
        (listed(remote_addrs=[b"%any"]), False),
        (listed(**{"local-1": {"id": identity(PEER).encode()}}), False),
        ({}, False),
    ],
)
def test_whether_a_connection_is_as_it_was_loaded(said: Mapping[str, Any], expected: bool) -> None:
    assert expected == same(said, OWN, BOTH)


def sa(*children: str, name: str = NAME, how: str = "ESTABLISHED", number: int = 1, age: int = 60, idle: int = 0) -> Sa:
    """An IKE_SA; one with a higher number has a higher SPI."""
    made = (ChildSa(child, str(at), "INSTALLED", 10, 20, 5, idle) for at, child in enumerate(children, start=number))
    return Sa(name, number, f"{number:016x}", how, WHERE, age, tuple(made))


@pytest.mark.parametrize(
    ("remote", "sas", "expected"),
    [
        (BOTH, (), Todo(initiate=((NAME, CHILD),))),
        (WAITING, (), Todo()),
        (Remote(destination=WHERE), (), Todo()),
        (BOTH, (sa(how="CONNECTING"),), Todo()),
        (BOTH, (sa(),), Todo(initiate=((NAME, CHILD),))),
        (WAITING, (sa(),), Todo(initiate=((NAME, CHILD),))),
        (BOTH, (sa("net-old"),), Todo(initiate=((NAME, CHILD),))),
        (BOTH, (sa("net-old", CHILD),), Todo(terminate=("1",))),
        (BOTH, (sa("net-old"), sa(CHILD, number=2, age=1)), Todo(terminate=("1",))),
        (BOTH, (sa(CHILD, number=7), sa("net-old", number=10, age=2)), Todo(initiate=((NAME, CHILD),), stale=(7,))),
        (BOTH, (sa(CHILD, number=10, age=2), sa(CHILD, number=7, age=5)), Todo(stale=(7,))),
        (BOTH, (sa(CHILD, number=10, age=2), sa(CHILD, number=7, age=4)), Todo()),
        (BOTH, (sa(CHILD, number=7, age=2), sa(CHILD, number=10)), Todo(stale=(10,))),
        (BOTH, (sa(CHILD, number=7, idle=4), sa(CHILD, number=10, idle=3)), Todo(stale=(7,))),
        (BOTH, (sa(CHILD, number=7, idle=3), sa(CHILD, number=10)), Todo()),
        (BOTH, (sa(CHILD, number=7), sa(CHILD, number=10, idle=7)), Todo()),
        (BOTH, (sa(CHILD, number=10, idle=8), sa(CHILD, number=7)), Todo(stale=(10,))),
        (BOTH, (sa(CHILD, number=7, idle=9), sa(CHILD, number=10, idle=9)), Todo()),
        (BOTH, (sa(number=7, age=4), sa(CHILD, number=10, age=4)), Todo(stale=(7,))),
        (BOTH, (sa(CHILD, "net-old", number=7, idle=9), sa(CHILD, number=10, age=1)), Todo(terminate=("8",))),
        (BOTH, (sa(CHILD, idle=9),), Todo()),
        (BOTH, (sa(CHILD), sa(number=2, age=1)), Todo()),
        (BOTH, (sa(CHILD), sa(number=2, how="CONNECTING", age=0)), Todo()),
        (Remote(), (sa("net-old"), sa("net-old", number=2, age=5)), Todo(end=(NAME,))),
        (BOTH, (sa(CHILD),), Todo()),
        (BOTH, (sa(CHILD, CHILD),), Todo()),
        (Remote(), (sa("net-old"),), Todo(end=(NAME,))),
        (Remote(), (sa(how="CONNECTING"),), Todo(end=(NAME,))),
        (BOTH, (sa(CHILD, name="foreign"),), Todo(initiate=((NAME, CHILD),))),
    ],
)
def test_what_is_done_about_sas(remote: Remote, sas: tuple[Sa, ...], expected: Todo) -> None:
    assert expected == to_do({NAME: remote}, sas)


def test_what_is_seen_of_a_peer() -> None:
    assert PeerState(endpoint=WHERE, handshake=5.0, received=20, sent=40) == state([sa(CHILD), sa("net-old")])
    assert PeerState() == state([sa(CHILD, how="DELETING")])
    assert PeerState() == state([])


def test_an_sa_is_read() -> None:
    said = {
        "uniqueid": b"1",
        "initiator-spi": b"0000000000000001",
        "state": b"ESTABLISHED",
        "remote-host": b"2001:db8::2",
        "remote-port": b"4500",
        "established": b"60",
        "child-sas": {
            f"{CHILD}-1": {
                "name": CHILD.encode(),
                "uniqueid": b"1",
                "state": b"INSTALLED",
                "bytes-in": b"10",
                "bytes-out": b"20",
                "install-time": b"5",
                "use-in": b"2",
            },
            "net-unused-2": {"name": b"net-unused", "uniqueid": b"2", "state": b"REKEYED", "install-time": b"7"},
        },
    }
    unused = ChildSa("net-unused", "2", "REKEYED", 0, 0, 7, 7)
    made = sa(CHILD, idle=2)
    assert replace(made, children=(*made.children, unused)) == read_sa(NAME, said)
    connecting = {
        "uniqueid": b"2",
        "initiator-spi": b"00000000000000ff",
        "state": b"CONNECTING",
        "remote-host": b"%any",
        "remote-port": b"500",
    }
    assert Sa(NAME, 2, "00000000000000ff", "CONNECTING", None, 0, ()) == read_sa(NAME, connecting)
