"""The text that wireguard-go is spoken to in."""

from ipaddress import ip_address, ip_network

import pytest

from netlb.raven.keys import PrivateKey, key_text
from netlb.raven.uapi import AnswerError, answer_to_get, answer_to_set, request_to_set
from netlb.raven.wireguard import DeviceDump, PeerDump, PeerWrite, Write

PRIVATE = PrivateKey.of(bytes(range(32)))
ONE, TWO = key_text(b"\1" * 32), key_text(b"\2" * 32)


def test_a_request_has_every_field_and_nothing_that_is_left_alone() -> None:
    write = Write(
        private=PRIVATE,
        port=51820,
        peers=(
            PeerWrite(
                key=ONE,
                shared=b"\7" * 32,
                endpoint=(ip_address("2001:db8::1"), 4500),
                keepalive=0,
                add=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
            ),
            PeerWrite(key=TWO, endpoint=(ip_address("192.0.2.1"), 1)),
            PeerWrite(key=TWO, remove=True),
        ),
    )
    expected = [
        "set=1",
        f"private_key={PRIVATE.octets.hex()}",
        "listen_port=51820",
        f"public_key={'01' * 32}",
        f"preshared_key={'07' * 32}",
        "endpoint=[2001:db8::1]:4500",
        "persistent_keepalive_interval=0",
        "allowed_ip=10.0.0.0/8",
        "allowed_ip=fd00::/8",
        f"public_key={'02' * 32}",
        "endpoint=192.0.2.1:1",
        f"public_key={'02' * 32}",
        "remove=true",
        "",
        "",
    ]
    assert expected == request_to_set(write).decode().split("\n")


def test_an_answer_is_read() -> None:
    answer = (
        f"private_key={PRIVATE.octets.hex()}\nlisten_port=51820\nfwmark=1\npublic_key={'01' * 32}\n"
        f"preshared_key={'07' * 32}\nprotocol_version=1\nendpoint=[2001:db8::1]:4500\nlast_handshake_time_sec=100\n"
        "last_handshake_time_nsec=500000000\ntx_bytes=92\nrx_bytes=148\npersistent_keepalive_interval=15\n"
        f"allowed_ip=10.0.0.0/8\nallowed_ip=fd00::/8\nsomething_new=yes\npublic_key={'02' * 32}\n"
        f"preshared_key={'00' * 32}\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\nerrno=0\n\n"
    )
    one = PeerDump(
        shared=b"\7" * 32,
        endpoint=(ip_address("2001:db8::1"), 4500),
        keepalive=15,
        handshake=100.5,
        received=148,
        sent=92,
        allowed=frozenset((ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    )
    expected = DeviceDump(private=PRIVATE, port=51820, peers={ONE: one, TWO: PeerDump()})
    assert (expected, 0) == answer_to_get(answer.encode())


@pytest.mark.parametrize(("answer", "errno"), [("errno=0\n\n", 0), ("errno=-98\n\n", 98), ("errno=22\n\n", 22)])
def test_an_errno_with_or_without_a_sign(answer: str, errno: int) -> None:
    assert errno == answer_to_set(answer.encode())
    assert (DeviceDump() if not errno else None, errno) == answer_to_get(answer.encode())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "does not end with an empty line"),
        ("errno=0\n", "does not end with an empty line"),
        ("listen_port=1\n\n", "there is no errno"),
        ("listen_port=x\nerrno=0\n\n", "line 1, listen_port"),
        ("listen_port=65536\nerrno=0\n\n", "line 1, listen_port"),
        ("listen_port=-1\nerrno=0\n\n", "line 1, listen_port"),
        ("listen_port\nerrno=0\n\n", "line 1 is not key=value"),
        ("=1\nerrno=0\n\n", "line 1 is not key=value"),
        ("errno=0\nlisten_port=1\n\n", "line 2 comes behind the errno"),
        ("errno=x\n\n", "line 1, errno"),
        ("private_key=SECRET\nerrno=0\n\n", "line 1, private_key"),
        (f"private_key={'ff' * 32}\nerrno=0\n\n", "line 1, private_key"),
        (f"public_key={'01' * 31}\nerrno=0\n\n", "line 1, public_key"),
        (f"public_key={'01' * 32}\nendpoint=2001:db8::1:1\nerrno=0\n\n", "line 2, endpoint"),
        (f"public_key={'01' * 32}\nendpoint=[192.0.2.1]:1\nerrno=0\n\n", "line 2, endpoint"),
        (f"public_key={'01' * 32}\nendpoint=192.0.2.1\nerrno=0\n\n", "line 2, endpoint"),
        (f"public_key={'01' * 32}\nallowed_ip=10.0.0.1/8\nerrno=0\n\n", "line 2, allowed_ip"),
        (f"public_key={'01' * 32}\nrx_bytes=18446744073709551616\nerrno=0\n\n", "line 2, rx_bytes"),
        ("k\xe9y=1\nerrno=0\n\n", "not ASCII"),
    ],
)
def test_what_is_no_answer_is_refused_and_not_repeated(answer: str, why: str) -> None:
    with pytest.raises(AnswerError, match=why) as refusal:
        answer_to_get(answer.encode())
    assert "SECRET" not in str(refusal.value)
    assert None is refusal.value.__cause__


def test_an_answer_to_set_has_one_line() -> None:
    with pytest.raises(AnswerError, match="one line"):
        answer_to_set(b"listen_port=1\nerrno=0\n\n")
    with pytest.raises(AnswerError, match="no errno"):
        answer_to_set(b"listen_port=1\n\n")
