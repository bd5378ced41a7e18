"""The kernel's messages, against pyroute2's own reading and writing of them."""

import asyncio
import errno
import os
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from pyroute2.netlink.generic.wireguard import wgmsg

from netlb.errors import DataplaneError, SettingError
from netlb.raven.adapter import wireguard_kernel
from netlb.raven.adapter.choice import choose
from netlb.raven.adapter.wireguard_kernel import Kernel
from netlb.raven.backend import Choice
from netlb.raven.keys import PrivateKey, key_text
from netlb.raven.model import Prefix
from netlb.raven.wgnetlink import MessageError, dump_request, pack, read_dump, write_requests
from netlb.raven.wireguard import DeviceDump, PeerDump, PeerWrite, Write

PRIVATE = PrivateKey.of(bytes(range(32)))
ONE, TWO = key_text(b"\1" * 32), key_text(b"\2" * 32)
NETLINK_HEADER = 16


def decoded(request: bytes) -> Any:
    message = wgmsg((NETLINK_HEADER + len(request)).to_bytes(4, "little") + bytes(12) + request)
    message.decode()
    return message


def encoded(*attributes: list[Any]) -> bytes:
    message = wgmsg()
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data)[NETLINK_HEADER:]


def peers_of(message: Any) -> list[dict[str, Any]]:
    return [dict(peer["attrs"]) for peer in message.get("WGDEVICE_A_PEERS")]


def test_a_batch_is_one_message_that_says_all_of_it() -> None:
    write = Write(
        private=PRIVATE,
        port=51820,
        peers=(
            PeerWrite(
                key=ONE,
                shared=b"\7" * 32,
                endpoint=(ip_address("2001:db8::1"), 4500),
                keepalive=15,
                add=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
            ),
            PeerWrite(key=TWO, endpoint=(ip_address("192.0.2.1"), 51820)),
            PeerWrite(key=TWO, remove=True),
        ),
    )
    (request,) = write_requests("raven-wg0", write)
    message = decoded(request)
    assert (1, "raven-wg0", 51820) == (
        message["cmd"],
        message.get("WGDEVICE_A_IFNAME"),
        message.get("WGDEVICE_A_LISTEN_PORT"),
    )
    assert PRIVATE.text == message.get("WGDEVICE_A_PRIVATE_KEY").decode()
    one, two, gone = peers_of(message)
    assert (ONE, key_text(b"\7" * 32)) == tuple(
        one[f"WGPEER_A_{name}_KEY"].decode() for name in ("PUBLIC", "PRESHARED")
    )
    assert ("2001:db8::1", 4500) == (one["WGPEER_A_ENDPOINT"]["addr"], one["WGPEER_A_ENDPOINT"]["port"])
    assert 15 == one["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL"]
    assert ["10.0.0.0/8", "fd00::/8"] == [allowed["addr"] for allowed in one["WGPEER_A_ALLOWEDIPS"]]
    assert ("192.0.2.1", 51820) == (two["WGPEER_A_ENDPOINT"]["addr"], two["WGPEER_A_ENDPOINT"]["port"])
    assert "WGPEER_A_FLAGS" not in one
    assert {"WGPEER_A_PUBLIC_KEY": TWO.encode(), "WGPEER_A_FLAGS": 1} == gone


def test_the_device_is_asked_by_its_name() -> None:
    message = decoded(dump_request("raven-wg0"))
    assert (0, "raven-wg0") == (message["cmd"], message.get("WGDEVICE_A_IFNAME"))


def test_what_is_too_large_for_a_message_goes_on_in_the_next_in_order() -> None:
    prefixes: list[Prefix] = [ip_network(f"10.{second}.{third}.0/24") for second in range(20) for third in range(250)]
    first = PeerWrite(key=ONE, keepalive=15, add=tuple(prefixes))
    write = Write(port=1, peers=(first, PeerWrite(key=ONE, remove=True)))
    requests = list(write_requests("raven-wg0", write))
    assert len(requests) > 1
    assert max(map(len, requests)) < 65536
    found = [peer for request in requests for peer in peers_of(decoded(request))]
    assert {ONE} == {peer["WGPEER_A_PUBLIC_KEY"].decode() for peer in found}
    assert list(map(str, prefixes)) == [one["addr"] for peer in found for one in peer.get("WGPEER_A_ALLOWEDIPS", ())]
    assert [0] == [at for at, peer in enumerate(found) if "WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL" in peer]
    assert [1] == [peer["WGPEER_A_FLAGS"] for peer in found if "WGPEER_A_FLAGS" in peer]
    assert 1 == found[-1]["WGPEER_A_FLAGS"]


def allowed(text: str) -> dict[str, Any]:
    network = ip_network(text)
    family = 2 if network.version == 4 else 10
    return {
        "attrs": [
            ["WGALLOWEDIP_A_FAMILY", family],
            ["WGALLOWEDIP_A_IPADDR", network.network_address.packed],
            ["WGALLOWEDIP_A_CIDR_MASK", network.prefixlen],
        ]
    }


def peer(key: str, *attributes: list[Any], prefixes: tuple[str, ...] = ()) -> dict[str, Any]:
    found = [["WGPEER_A_PUBLIC_KEY", key], *attributes]
    return {"attrs": [*found, ["WGPEER_A_ALLOWEDIPS", [allowed(text) for text in prefixes]]]}


ENDPOINT = ["WGPEER_A_ENDPOINT", {"addr": "2001:db8::1", "port": 4500}]
DUMP = [
    encoded(
        ["WGDEVICE_A_IFNAME", "raven-wg0"],
        ["WGDEVICE_A_PRIVATE_KEY", PRIVATE.text],
        ["WGDEVICE_A_LISTEN_PORT", 51820],
        [
            "WGDEVICE_A_PEERS",
            [
                peer(
                    ONE,
                    ENDPOINT,
                    ["WGPEER_A_PRESHARED_KEY", key_text(b"\7" * 32)],
                    ["WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", 15],
                    ["WGPEER_A_LAST_HANDSHAKE_TIME", {"tv_sec": 100, "tv_nsec": 500_000_000}],
                    ["WGPEER_A_RX_BYTES", 148],
                    ["WGPEER_A_TX_BYTES", 92],
                    prefixes=("10.0.0.0/8",),
                )
            ],
        ],
    ),
    encoded(["WGDEVICE_A_PEERS", [peer(ONE, prefixes=("fd00::/8",)), peer(TWO)]]),
]
READ = DeviceDump(
    private=PRIVATE,
    port=51820,
    peers={
        ONE: PeerDump(
            shared=b"\7" * 32,
            endpoint=(ip_address("2001:db8::1"), 4500),
            keepalive=15,
            handshake=100.5,
            received=148,
            sent=92,
            allowed=frozenset((ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
        ),
        TWO: PeerDump(),
    },
)


def test_a_dump_is_read_and_a_peer_that_is_split_is_one() -> None:
    assert READ == read_dump(DUMP)
    assert DeviceDump() == read_dump([encoded(["WGDEVICE_A_PRIVATE_KEY", key_text(bytes(32))])])


@pytest.mark.parametrize("cut", range(5, len(DUMP[0]), 7))
def test_a_message_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(MessageError):
        read_dump([DUMP[0][:cut] + b"\xff" * 5])  # more than could be padding


def test_a_key_that_is_too_short_is_refused_and_not_repeated() -> None:
    with pytest.raises(MessageError) as refusal:
        read_dump([bytes(4) + pack(3, b"\x53" * 31)])
    assert "S" * 8 not in str(refusal.value)


class Fake:
    """Netlink that answers what it is told to."""

    def __init__(self, *answers: list[bytes] | int) -> None:
        self.requests: list[tuple[bytes, bool]] = []
        self._answers = list(answers)

    def exchange(self, request: bytes, *, dump: bool = False) -> list[bytes]:
        self.requests.append((request, dump))
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


def test_the_kernel_is_asked_and_written_to() -> None:
    fake = Fake(DUMP, errno.ENODEV, [])
    kernel = Kernel("raven-wg0", fake)
    assert READ == asyncio.run(kernel.dump())
    assert None is asyncio.run(kernel.dump())
    asyncio.run(kernel.write(Write(port=1)))
    assert [True, True, False] == [dump for _, dump in fake.requests]
    assert 1 == decoded(fake.requests[-1][0]).get("WGDEVICE_A_LISTEN_PORT")


def test_what_the_kernel_refuses_is_told() -> None:
    kernel = Kernel("raven-wg0", Fake(errno.EPERM, errno.EADDRINUSE))
    with pytest.raises(DataplaneError, match="read raven-wg0: EPERM"):
        asyncio.run(kernel.dump())
    with pytest.raises(DataplaneError, match="write to raven-wg0: EADDRINUSE"):
        asyncio.run(kernel.write(Write(port=1)))


def test_a_kernel_without_it_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def exchange(self, request: bytes, *, dump: bool = False) -> list[bytes]:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(wireguard_kernel, "GenericNetlink", Without)
    with pytest.raises(SettingError, match="--backend: this kernel has no WireGuard; load its module"):
        asyncio.run(choose(Choice.KERNEL, "raven-wg0", setting="--backend"))
