"""Sessions with FRR's bfdd, over one hop and over two, in protocol terms: states, diagnostics, negotiated times."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, TypeVar

import pytest

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.packet import Diagnostic, State
from netlb.bfd.settings import Settings
from netlb.testing.lab import requirements
from tests.support.bfd_pair import be_patient
from tests.support.bfd_segment import BfdSegment, bfd_segment
from tests.support.frr import missing_frr

Happened = TypeVar("Happened", Up, Down, AdminDown)
MISSING = requirements() + missing_frr("bfdd")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))]

FOUR = Peer(ip_address("192.0.2.2"), "n0")
SIX = Peer(ip_address("2001:db8::2"), "n0")
FAR = Peer(ip_address("203.0.113.2"), local=ip_address("203.0.113.1"), multihop=True)
PEERINGS = {
    FOUR: "peer 192.0.2.1 local-address 192.0.2.2 interface f0",
    SIX: "peer 2001:db8::1 local-address 2001:db8::2 interface f0",
    FAR: "peer 203.0.113.1 multihop local-address 203.0.113.2",
}
US = {FOUR: "192.0.2.1", SIX: "2001:db8::1", FAR: "203.0.113.1"}
SECONDS = Settings(transmit_interval=100_000, receive_interval=100_000, detect_multiplier=30)
"""Three: nobody is taken for dead before the link is cut."""
PATIENT = Settings(transmit_interval=200_000, receive_interval=200_000, detect_multiplier=50)
"""Not taken for dead by FRR, nor FRR by it, while the machine is busy with something else."""
SETTINGS = {FOUR: PATIENT, SIX: PATIENT, FAR: replace(PATIENT, minimum_ttl=254)}


@pytest.fixture(scope="module")
def segment() -> Iterator[BfdSegment]:
    with bfd_segment() as frr:
        yield frr


@pytest.fixture
def frr(segment: BfdSegment) -> Iterator[BfdSegment]:
    """FRR with the three peers, as if nobody had used it before."""
    for line in PEERINGS.values():
        segment.configure(line, "receive-interval 200", "transmit-interval 200", "detect-multiplier 50")
    yield segment
    segment.mend()
    for line in PEERINGS.values():
        segment.configure(f"no {line}")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


class Node:
    """Our end of it, with what it was told."""

    def __init__(self, bfd: Bfd, frr: BfdSegment, events: list[tuple[Peer, Event]]) -> None:
        self.bfd = bfd
        self.frr = frr
        self.events = events

    def of(self, kind: type[Happened], peer: Peer) -> list[Happened]:
        return [event for whose, event in self.events if whose == peer and isinstance(event, kind)]

    async def until(self, look: Callable[[], bool], what: str) -> None:
        """Wait for our end; patience bounds a test that fails."""
        for _ in range(4_000):
            if look():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"never: {what}; {self.events}")

    async def shown(self, peer: Peer, **expected: object) -> dict[str, Any]:
        """Wait until FRR shows this of its session with us, without keeping our own packets waiting."""
        seen: dict[str, Any] = {}
        for _ in range(400):
            seen = await asyncio.to_thread(self.frr.show, US[peer])
            if expected.items() <= seen.items():
                return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"never {expected}; {seen}; {self.events}")

    async def configure(self, *lines: str) -> None:
        await asyncio.to_thread(self.frr.configure, *lines)

    async def up(self, peer: Peer) -> None:
        """Wait until both ends are up, with the timers negotiated."""
        await self.until(lambda: self.bfd.status(peer).state is State.UP, f"up with {peer}")
        await self.shown(peer, status="up")


def scenario(frr: BfdSegment, play: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    """Play it on an event loop inside the node."""

    async def main() -> None:
        events: list[tuple[Peer, Event]] = []
        async with Bfd(on_event=lambda peer, event: events.append((peer, event))) as bfd:
            await play(Node(bfd, frr, events))

    frr.inside_node(lambda: asyncio.run(main()))


@pytest.mark.parametrize("peer", PEERINGS, ids=["ipv4", "ipv6", "multihop"])
def test_both_ends_come_up_and_agree(frr: BfdSegment, peer: Peer) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(peer, SETTINGS[peer])
        await node.up(peer)
        await node.until(lambda: node.bfd.status(peer).detection_time == 50 * 200_000, "the timers are agreed on")
        status = node.bfd.status(peer)
        seen = await node.shown(peer, **{"remote-transmit-interval": 200, "remote-detect-multiplier": 50})
        assert (status.local_discriminator, status.remote_discriminator) == (seen["remote-id"], seen["id"])
        assert (200_000, {}, 0, 1) == (status.transmit_interval, status.dropped, status.downs, status.ups)
        assert [Up] == [type(event) for event in node.of(Up, peer)]

    scenario(frr, play)


@pytest.mark.parametrize("peer", PEERINGS, ids=["ipv4", "ipv6", "multihop"])
def test_timers_change_on_either_side_while_the_session_stays_up(frr: BfdSegment, peer: Peer) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(peer, SETTINGS[peer])
        await node.up(peer)
        node.bfd.change(peer, replace(SETTINGS[peer], transmit_interval=500_000, receive_interval=50_000))
        await node.shown(peer, **{"remote-transmit-interval": 500, "remote-receive-interval": 50})
        await node.until(lambda: not node.bfd.status(peer).polling, "the poll sequence ends")
        status = node.bfd.status(peer)
        assert (500_000, 50 * 200_000) == (status.transmit_interval, status.detection_time)
        await node.configure(PEERINGS[peer], "receive-interval 700", "transmit-interval 400", "detect-multiplier 40")
        await node.until(lambda: node.bfd.status(peer).transmit_interval == 700_000, "FRR wants fewer packets")
        await node.until(lambda: node.bfd.status(peer).detection_time == 40 * 400_000, "FRR sends fewer packets")
        assert (1, 0) == (node.bfd.status(peer).ups, node.bfd.status(peer).downs)
        await node.shown(peer, status="up", **{"remote-diagnostic": "ok"})

    scenario(frr, play)


@pytest.mark.parametrize("peer", PEERINGS, ids=["ipv4", "ipv6", "multihop"])
def test_a_cut_link_is_found_on_both_sides_and_mended(frr: BfdSegment, peer: Peer) -> None:
    async def play(node: Node) -> None:
        await node.configure(PEERINGS[peer], "receive-interval 100", "transmit-interval 100", "detect-multiplier 30")
        node.bfd.add(peer, replace(SECONDS, minimum_ttl=SETTINGS[peer].minimum_ttl))
        await node.until(lambda: node.bfd.status(peer).detection_time == 3_000_000, "thirty times 100 ms")
        await node.up(peer)
        node.frr.cut()
        await node.until(lambda: node.bfd.status(peer).state is State.DOWN, "our end notices")
        await node.until(lambda: node.bfd.status(peer).remote_discriminator == 0, "the peer is forgotten")
        assert 3_000_000 == node.bfd.status(peer).detection_time
        await node.until(lambda: bool(node.of(Down, peer)), "it is told")
        assert Diagnostic.CONTROL_DETECTION_TIME_EXPIRED in {event.diagnostic for event in node.of(Down, peer)}
        await node.shown(peer, status="down", diagnostic="control detection time expired")
        ups = node.bfd.status(peer).ups
        node.frr.mend()
        await node.until(lambda: node.bfd.status(peer).ups > ups, "the session comes back")

    scenario(frr, play)


def test_what_frr_takes_down_on_purpose_is_no_failure(frr: BfdSegment) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(FOUR, PATIENT)
        await node.up(FOUR)
        await node.configure(PEERINGS[FOUR], "shutdown")
        await node.until(lambda: bool(node.of(AdminDown, FOUR)), "FRR says so")
        status = node.bfd.status(FOUR)
        assert (State.DOWN, State.ADMIN_DOWN, 0) == (status.state, status.remote_state, status.downs)
        assert Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN == status.diagnostic
        await node.configure(PEERINGS[FOUR], "no shutdown")
        await node.until(lambda: node.bfd.status(FOUR).ups == 2, "it comes back")
        assert [] == node.of(Down, FOUR)

    scenario(frr, play)


@pytest.mark.parametrize("peer", PEERINGS, ids=["ipv4", "ipv6", "multihop"])
def test_what_we_take_down_on_purpose_is_no_failure_to_frr(frr: BfdSegment, peer: Peer) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(peer, SETTINGS[peer])
        await node.up(peer)
        await node.bfd.remove(peer)
        told = {"diagnostic": "neighbor signaled session down", "remote-diagnostic": "administratively down"}
        await node.shown(peer, status="down", **told)
        node.bfd.add(peer, SETTINGS[peer])
        await node.up(peer)

    scenario(frr, play)
    seen = frr.show(US[peer])
    assert ("down", "administratively down") == (seen["status"], seen["remote-diagnostic"])


def test_two_who_wait_for_each_other_and_one_who_does_not(frr: BfdSegment) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(FOUR, replace(PATIENT, passive=True))
        await node.up(FOUR)
        await node.configure(PEERINGS[SIX], "passive-mode")
        node.bfd.add(SIX, PATIENT)
        await node.up(SIX)

    scenario(frr, play)


def test_a_longer_way_than_allowed_is_not_accepted(frr: BfdSegment) -> None:
    async def play(node: Node) -> None:
        node.bfd.add(FAR, replace(PATIENT, minimum_ttl=255))
        await node.until(lambda: node.bfd.status(FAR).dropped.get("LowTTL", 0) > 0, "its packets are dropped")  # type: ignore[call-overload]
        assert (State.DOWN, 0) == (node.bfd.status(FAR).state, node.bfd.status(FAR).received)

    scenario(frr, play)
