"""A node that hears nothing takes nothing over."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from netlb.api.snapshot import Snapshot
from netlb.bfd.settings import Settings
from netlb.l2.announces import InterfaceAppeared, InterfaceVanished
from netlb.l2.burst import ROUNDS
from netlb.net import Address, parse_address
from netlb.plan.segment import Watched
from netlb.testing.l2 import FakeAnnouncer, FakeSegment
from netlb_speaker.hearing import Hearing, neighbours, received
from netlb_speaker.reminder import Reminder
from tests.support.waiting import becomes

ROUTER = parse_address("192.0.2.254")

DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 6630048   17374    0    0    0     0          0         0  6630048   17374    0    0    0     0       0          0
  eth0:183498561  75832    0    0    0     0          0         0  5262190   53083    0    0    0     0       0          0
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.254      0x1         0x2         02:00:00:00:00:fe     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.77       0x1         0x6         02:00:00:00:00:77     *        eth1
"""
ROUTES = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 "
    "00000400 00000001 00000000 00000003     eth0\n"
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 "
    "00000100 00000001 00000000 00000001     eth0\n"
)


class Rig:
    def __init__(self, known: dict[Address, str]) -> None:
        self.counts = {"eth0": 5, "lo": 1}
        self.segment = FakeSegment()
        self.changes = 0
        self.announcer = FakeAnnouncer({"eth0": self.segment})
        self.announced: list[int] = []
        """How many rounds of everything, call by call."""
        self.reminder = Reminder(self._announce, lambda: [ROUTER], None)
        self.hearing = Hearing(
            self.announcer, self.reminder, self._changed, received=lambda: dict(self.counts), neighbours=lambda: known
        )

    async def _announce(self, _: Collection[Address], rounds: int) -> None:
        self.announced.append(rounds)

    def _changed(self) -> None:
        self.changes += 1

    def silence(self, number: int = 1, *, others: bool = False) -> bool:
        self.hearing.look(number, Snapshot(), others=others)
        return self.hearing.doubtful


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]], known: dict[Address, str]) -> None:
    async def main() -> None:
        rig = Rig(known)
        async with rig.announcer:
            running = [asyncio.create_task(each.run()) for each in (rig.hearing, rig.reminder)]
            try:
                await scene(rig)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(main())


def test_what_the_kernel_says_is_read() -> None:
    assert {"lo": 17374, "eth0": 75832} == received(DEV)
    known = {ROUTER: "eth0", parse_address("192.0.2.77"): "eth1", parse_address("fe80::1"): "eth0"}
    assert known == neighbours(ARP, ROUTES)


def test_other_nodes_are_asked_for_by_an_interface_that_comes_up() -> None:
    async def scene(rig: Rig) -> None:
        again = rig.announcer.add_interface("eth1", other := FakeSegment())
        assert again is not None
        rig.hearing.happened(InterfaceVanished(again), [Watched(ROUTER, Settings())])
        rig.hearing.happened(InterfaceAppeared(again), [Watched(ROUTER, Settings())])
        await becomes(lambda: bool(other.probed))
        assert {ROUTER.packed} == {frame[38:42] for frame in other.probed}
        assert [] == rig.segment.probed
        assert not rig.hearing.doubtful

    play(scene, {})


def test_there_is_doubt_until_a_frame_comes_in_and_a_neighbour_is_asked_for_one() -> None:
    async def scene(rig: Rig) -> None:
        assert not rig.silence(0)
        assert rig.silence()
        await becomes(lambda: bool(rig.segment.probed))
        rig.counts["lo"] += 1
        await asyncio.sleep(0.05)  # time in which nothing may happen
        assert (True, 0) == (rig.hearing.doubtful, rig.changes)
        rig.counts["eth0"] += 1
        await becomes(lambda: rig.changes == 1)
        assert not rig.hearing.doubtful
        assert not rig.silence(), "nobody has fallen silent since"
        assert rig.silence(2)

    play(scene, {ROUTER: "eth0"})


def test_who_hears_nothing_for_longer_announces_nothing_until_it_does() -> None:
    async def scene(rig: Rig) -> None:
        assert rig.silence(others=True)
        await becomes(lambda: rig.announced == [0])
        assert rig.hearing.doubtful
        rig.counts["eth0"] += 1
        await becomes(lambda: rig.announced == [0, ROUNDS])
        assert not rig.hearing.doubtful

    play(scene, {})


def test_who_has_nobody_to_ask_goes_on() -> None:
    async def scene(rig: Rig) -> None:
        assert not rig.silence()

    play(scene, {})


def test_further_nodes_speak_unasked() -> None:
    async def scene(rig: Rig) -> None:
        assert rig.silence(others=True)
        rig.counts["eth0"] += 1
        await becomes(lambda: rig.changes == 1)
        assert [[], []] == [rig.segment.probed, rig.announced]

    play(scene, {})


def test_without_an_interface_any_of_the_machine_will_do() -> None:
    async def scene(rig: Rig) -> None:
        rig.announcer.remove_interface("eth0")
        assert rig.silence(others=True)
        rig.counts["eth0"] += 1
        await becomes(lambda: rig.changes == 1)

    play(scene, {})
