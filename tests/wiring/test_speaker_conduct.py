"""What a speaker does about a station that claims an address which it announces."""

import asyncio
from pathlib import Path

import pytest
import structlog

from netlb.errors import SettingError
from netlb.l2 import arp
from netlb.l2.defence import Conduct
from netlb.l2.ethernet import parse_mac
from netlb.net import parse_address
from netlb_speaker.wiring import ConflictDetection, parse_on_conflict
from tests.support.speaking import ADDRESS, ANNOUNCED, Net, speaker
from tests.support.status import StatusReader
from tests.support.wired import wired

STRANGER = "02:00:5e:00:53:99"
CONFLICT = ("False", "AddressConflict")
BURST = 60.0
"""Seconds of the segments after which no announcement is under way."""


def claim(net: Net) -> None:
    """Let a stranger announce the address, once."""
    net.segments["eth0"].send(arp.gratuitous(parse_mac(STRANGER), parse_address(ADDRESS).packed)[0])


def announcements(net: Net) -> int:
    net.advance(BURST)
    return len(net.segments["eth0"].announced)


@pytest.mark.parametrize("conduct", [Conduct.REPORT, Conduct.DEFEND])
def test_a_claim_is_reported_always_and_defended_once_where_that_is_wanted(
    root: Path, net: Net, status: StatusReader, conduct: Conduct
) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, on_conflict=conduct)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web") == ANNOUNCED, "it is announced")
            before = announcements(net)
            claim(net)
            claim(net)
            noted = f"{STRANGER} on eth0 claims {ADDRESS}, which is announced here"
            await daemon.until(lambda: noted in status.node("node-1")["notes"], "the file says so")
            assert 1.0 == daemon.metric("netlb_layer2_conflicts_total", ip=ADDRESS, interface="eth0")
            defended = 0
            if conduct is Conduct.DEFEND:
                await daemon.until(lambda: daemon.metric("netlb_layer2_defences_total", ip=ADDRESS), "it is defended")
                defended = len(arp.gratuitous(parse_mac(STRANGER), parse_address(ADDRESS).packed))
            assert before + defended == announcements(net)
            net.advance(BURST)
            claim(net)
            await daemon.until(
                lambda: daemon.metric("netlb_layer2_conflicts_total", ip=ADDRESS, interface="eth0") == 2.0, "once more"
            )
            assert before + defended == announcements(net), "within ten seconds of this world"
            assert ANNOUNCED == status.announced("node-1", "web")

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert (ADDRESS, STRANGER) == next((e["address"], e["mac"]) for e in logs if e["event"] == "address conflict")
    assert (conduct is Conduct.DEFEND) == bool([e for e in logs if e["event"] == "address defended"])


def test_an_address_is_yielded_until_nobody_else_has_it(root: Path, net: Net, status: StatusReader) -> None:
    segment = net.segments["eth0"]

    async def scenario() -> None:
        async with wired(speaker(root, net, on_conflict=Conduct.YIELD)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web") == ANNOUNCED, "it is announced unasked")
            assert 0 == net.probed()
            segment.occupy(ADDRESS, STRANGER)
            claim(net)
            await daemon.until(net.tick(lambda: status.announced("node-1", "web") == CONFLICT), "it is given up")
            assert [STRANGER] == await segment.who_has(ADDRESS)
            segment.vacate(ADDRESS)
            await daemon.until(net.tick(lambda: status.announced("node-1", "web") == ANNOUNCED), "it is taken back")

    asyncio.run(scenario())


def test_what_gives_way_at_once_cannot_wait() -> None:
    assert Conduct.DEFEND is parse_on_conflict("defend", ConflictDetection.PROBE)
    with pytest.raises(SettingError, match="leave one of the two out"):
        parse_on_conflict("defend", ConflictDetection.YIELD)
