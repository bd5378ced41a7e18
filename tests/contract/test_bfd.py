"""What the sockets do: addresses, ports, TTLs and interfaces on the wire; the same engine under asyncio and epoll."""

import asyncio
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.adapter.engine import Engine
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.packet import ControlPacket, Key, State, decode, encode
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError, SettingError
from netlb.reasons import BfdVerdict
from netlb.testing.lab import requirements
from netlb.testing.lab.namespaces import inside
from tests.support.bfd_pair import PATIENCE, SLOW, Pair, be_patient, epoll_loop, until

MISSING = requirements()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


PLACES = {
    "ipv4": (Peer(ip_address("192.0.0.2"), "n0"), "192.0.0.1", "192.0.0.2"),
    "ipv4, any interface": (Peer(ip_address("192.0.0.2")), "192.0.0.1", "192.0.0.2"),
    "ipv6": (Peer(ip_address("2001:db8::2"), "n0"), "2001:db8::1", "2001:db8::2"),
    "link-local": (Peer(ip_address("fe80::2"), "n1", ip_address("fe80::1")), "fe80::1", "fe80::2"),
    "multihop": (Peer(ip_address("192.0.1.2"), multihop=True), "192.0.1.1", "192.0.1.2"),
}


@pytest.mark.parametrize(
    "key", [None, Key(1, b"a secret"), Key(1, b"a secret", meticulous=False)], ids=["plain", "meticulous", "sha1"]
)
@pytest.mark.parametrize("place", PLACES)
def test_asyncio_and_epoll_come_up_together_and_leave_in_good_order(pair: Pair, place: str, key: Key | None) -> None:
    peer, node, far = PLACES[place]
    settings = replace(SLOW, key=key)

    def path() -> SessionPath:
        index = socket.if_nametoindex(peer.interface.replace("n", "f")) if peer.interface else 0
        return SessionPath(ip_address(node).packed, ip_address(far).packed, index, peer.multihop)

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, settings)
        await until(lambda: events and bfd.status(peer).state is State.UP, "up, and told so")
        await until(lambda: theirs and not bfd.status(peer).polling, "settled")
        assert ({}, 0) == (bfd.status(peer).dropped, bfd.status(peer).downs)
        await bfd.remove(peer)
        await until(lambda: AdminDown() in theirs, "the peer knows")
        bfd.add(peer, settings)
        await until(lambda: (peer, Up) in [(whose, type(event)) for whose, event in events[1:]], "up again")

    with epoll_loop(pair, path, settings) as theirs:
        pair.run(play)
    assert [] == [event for event in theirs if isinstance(event, Down)]


@pytest.mark.parametrize("place", PLACES)
def test_what_goes_out(pair: Pair, place: str) -> None:
    peer, node, far = PLACES[place]
    port = 4784 if peer.multihop else 3784

    async def play(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, SLOW)
        data, ancillary, _flags, sender = await asyncio.to_thread(stranger.recvmsg, 100, 100)
        packet = decode(data)
        assert isinstance(packet, ControlPacket)
        status = bfd.status(peer)
        assert (status.local_discriminator, State.DOWN) == (packet.my_discriminator, packet.state)
        assert node == sender[0]
        assert 49152 <= sender[1] <= 65535
        assert [192, 255] == sorted(struct.unpack("=i", value.ljust(4, b"\0"))[0] for _, _, value in ancillary)
        again = (await asyncio.to_thread(stranger.recvmsg, 100, 100))[3]
        assert sender[:2] == again[:2]

    with pair.stranger(far, port, interface="f1" if peer.interface == "n1" else "f0") as stranger:
        pair.run(play)


HELLO = encode(ControlPacket(9, 0, State.DOWN, 3, 1_000_000, 1_000_000))


@pytest.mark.parametrize(
    ("source", "target", "ttl", "verdict"),
    [
        ("192.0.0.2", "192.0.0.1", 255, BfdVerdict.ACCEPTED),
        ("192.0.0.2", "192.0.0.1", 254, BfdVerdict.LOW_TTL),
        ("192.0.1.2", "192.0.0.1", 255, BfdVerdict.UNKNOWN_PEER),
        ("2001:db8::2", "2001:db8::1", 255, BfdVerdict.ACCEPTED),
        ("2001:db8::2", "2001:db8::1", 64, BfdVerdict.LOW_TTL),
        ("2001:db8:1::2", "2001:db8:1::1", 255, BfdVerdict.UNKNOWN_PEER),
    ],
)
def test_what_comes_in(pair: Pair, source: str, target: str, ttl: int, verdict: BfdVerdict) -> None:
    peer = Peer(ip_address("192.0.0.2" if "." in source else "2001:db8::2"), "n0")

    async def play(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, SLOW)
        stranger.sendto(b"short", (target, 3784))
        await until(lambda: bfd.counts().get(BfdVerdict.TOO_SHORT), "it is counted")
        stranger.sendto(HELLO, (target, 3784))
        await until(lambda: bfd.counts().get(verdict), "it is judged")
        assert {BfdVerdict.TOO_SHORT: 1, verdict: 1} == bfd.counts()
        accepted = verdict is BfdVerdict.ACCEPTED
        assert (State.INIT if accepted else State.DOWN, int(accepted)) == (
            bfd.status(peer).state,
            bfd.status(peer).received,
        )

    with pair.stranger(source, 50_000, ttl, "f1" if source in {"192.0.1.2", "2001:db8:1::2"} else "f0") as stranger:
        pair.run(play)


def test_a_packet_for_another_interface_is_not_the_sessions(pair: Pair) -> None:
    peer = Peer(ip_address("192.0.0.2"), "n1", ip_address("192.0.0.1"))

    async def play(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, SLOW)
        stranger.sendto(HELLO, ("192.0.0.1", 3784))
        await until(bfd.counts, "it is judged")
        assert {BfdVerdict.UNKNOWN_PEER: 1} == bfd.counts()

    with pair.stranger("192.0.0.2", 50_000) as stranger:
        pair.run(play)


def test_a_process_that_stood_still_takes_nobody_for_dead_whose_packets_wait(pair: Pair) -> None:
    path = SessionPath(ip_address("192.0.0.2").packed, ip_address("192.0.0.1").packed, 0, multihop=False)

    def play() -> None:
        engine = Engine()
        try:
            discriminator = engine.add(path, Settings(receive_interval=10_000), 100.0)
            (fileno,) = engine.filenos()
            session = engine.sessions[discriminator]
            packet = ControlPacket(9, discriminator, State.INIT, 3, 10_000, 10_000)
            for at, state in ((100.0, State.INIT), (100.5, State.UP)):
                stranger.sendto(encode(packet._replace(state=state)), ("192.0.0.1", 3784))
                assert ([fileno], [], []) == select.select([fileno], [], [], PATIENCE)
                engine.run_due(at)
            assert (State.UP, 2) == (session.state, session.received)
            assert not [event for _, event in engine.take_events() if isinstance(event, Down)]
            engine.run_due(102.0)
            assert [Down] == [type(event) for _, event in engine.take_events()]
        finally:
            engine.close()

    with pair.stranger("192.0.0.2", 50_000) as stranger:
        inside(pair.node, play)


def test_what_the_kernel_refuses_is_told_and_leaves_nothing(pair: Pair) -> None:
    async def play(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        with pytest.raises(DataplaneError, match="find interface n9: ENODEV"):
            bfd.add(Peer(ip_address("192.0.0.2"), "n9"))
        with pytest.raises(DataplaneError, match="find the way to it: ENETUNREACH"):
            bfd.add(Peer(ip_address("198.51.100.2")))
        with pytest.raises(DataplaneError, match=r"BFD from 192.0.0.77: open a UDP socket: EADDRNOTAVAIL"):
            bfd.add(Peer(ip_address("192.0.0.2"), local=ip_address("192.0.0.77")))
        with pytest.raises(SettingError, match="minimum_ttl: 254 would let in packets from other links"):
            bfd.add(Peer(ip_address("192.0.0.2")), replace(SLOW, minimum_ttl=254))
        assert frozenset() == bfd.peers()
        peer = Peer(ip_address("192.0.0.2"))
        bfd.add(peer)
        with pytest.raises(SettingError, match="there is a session with it"):
            bfd.add(peer)
        with pytest.raises(SettingError, match="on the same path"):
            bfd.add(replace(peer, local=ip_address("192.0.0.1")))
        with pytest.raises(KeyError):
            bfd.change(Peer(ip_address("192.0.0.3")), SLOW)
        assert {peer} == bfd.peers()
        async with Bfd() as second:
            with pytest.raises(DataplaneError, match=r"bind UDP port 3784 .*another BFD daemon.*EADDRINUSE"):
                second.add(peer)

    pair.run(play)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("address", lambda: Peer(ip_address("224.0.0.1"))),
        ("local", lambda: Peer(ip_address("192.0.2.1"), local=ip_address("2001:db8::1"))),
        ("interface", lambda: Peer(ip_address("192.0.2.1"), "eth0", multihop=True)),
        ("interface", lambda: Peer(ip_address("fe80::1"))),
    ],
)
def test_a_peer_that_cannot_be(field: str, make: Callable[[], Peer]) -> None:
    with pytest.raises(SettingError) as refused:
        make()
    assert field == refused.value.setting


def test_a_session_may_have_a_hearer_of_its_own(pair: Pair) -> None:
    peer, own = Peer(ip_address("192.0.0.2"), "n0"), list[tuple[Peer, Event]]()

    async def play(bfd: Bfd, common: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, SLOW, lambda peer, event: own.append((peer, event)))
        known = bfd.status(peer).local_discriminator
        stranger.sendto(encode(ControlPacket(9, known, State.INIT, 200, 50_000, 50_000)), ("192.0.0.1", 3784))
        await until(lambda: [peer] == [about for about, event in own if isinstance(event, Up)], "up")
        assert [] == common

    with pair.stranger("192.0.0.2", 50_000) as stranger:
        pair.run(play)


def test_a_cancelled_removal_ends_by_itself(pair: Pair) -> None:
    peer = Peer(ip_address("192.0.0.2"), "n0")

    async def play(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        bfd.add(peer, replace(SLOW, detect_multiplier=1))
        known = bfd.status(peer).local_discriminator
        up = ControlPacket(9, known, State.INIT, 200, 50_000, 50_000)
        stranger.sendto(encode(up), ("192.0.0.1", 3784))
        await until(lambda: bfd.status(peer).state is State.UP, "up")
        removal = asyncio.create_task(bfd.remove(peer))
        await asyncio.sleep(0)
        removal.cancel()
        await asyncio.gather(removal, return_exceptions=True)
        assert frozenset() == bfd.peers()
        bfd.add(peer, SLOW)  # the earlier session makes way
        assert known != bfd.status(peer).local_discriminator

    with pair.stranger("192.0.0.2", 50_000) as stranger:
        pair.run(play)
