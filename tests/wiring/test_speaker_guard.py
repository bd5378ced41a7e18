"""The speaker asks before it announces an address for the first time; time on the segments passes when it is told to."""

import asyncio
from pathlib import Path

import structlog

from netlb.l2 import arp
from netlb.l2.ethernet import parse_mac
from netlb.net import parse_address
from tests.manifests import service, slice_of
from tests.support.speaking import ADDRESS, ANNOUNCED, Net, declare, speaker
from tests.support.status import StatusReader
from tests.support.wired import allocate, wired, write

STRANGER = "02:00:5e:00:53:99"
LATE = "192.0.2.2"
"""The address of a Service that comes later."""
CONFLICT = ("False", "AddressConflict")
WORDS = (CONFLICT, ANNOUNCED)


def test_a_fresh_address_is_probed_before_it_is_announced(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "what was held at the start is announced at once")
            assert 0 == net.probed()
            declare(root, "web", "late")
            await daemon.until(net.probed, "it is probed")
            await daemon.until(lambda: status.announced("node-1", "late") == ("Unknown", "Pending"), "it is pending")
            assert [] == await net.answers(LATE)
            assert 1.0 == daemon.metric("netlb_speaker_withheld", ip=LATE, reason="Pending")
            assert [ADDRESS] == [str(address) for address in net.worker.held()]
            assert {} == daemon.problems()
            assert [] == [entry for entry in status.node("node-1")["announcing"] if "error" in entry]
            net.advance(10)
            await daemon.until(lambda: status.announced("node-1", "late") == ANNOUNCED, "it is announced")
            assert ["eth0", "eth1"] == await net.answers(LATE)
            assert daemon.metric("netlb_speaker_withheld", ip=LATE, reason="Pending") is None
            assert 6 == net.probed()

    asyncio.run(scenario())


def test_an_address_that_a_stranger_has_is_announced_once_it_is_given_up(
    root: Path, net: Net, status: StatusReader
) -> None:
    net.segments["eth1"].occupy(LATE, STRANGER)

    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it works")
            declare(root, "web", "late")
            await daemon.until(net.tick(lambda: status.announced("node-1", "late") == CONFLICT), "the conflict is told")
            [condition] = status.l2("node-1", "late")["conditions"]
            assert f"{LATE}: {STRANGER} on eth1 has this address; take it from that station" in condition["message"]
            assert [f"AddressConflict: {condition['message'].removeprefix(f'{LATE}: ')}"] == [
                entry["error"] for entry in status.node("node-1")["announcing"] if entry["address"] == LATE
            ]
            assert 1.0 == daemon.metric("netlb_speaker_withheld", ip=LATE, reason="AddressConflict")
            assert {} == daemon.problems()
            before = net.probed()
            await daemon.until(net.tick(lambda: net.probed() > before + 6), "it is probed again and again")
            assert LATE not in {str(address) for address in net.worker.held()}
            assert CONFLICT == status.announced("node-1", "late")
            net.segments["eth1"].vacate(LATE)
            await daemon.until(net.tick(lambda: status.announced("node-1", "late") == ANNOUNCED), "it is announced")
            assert ["eth0", "eth1"] == await net.answers(LATE)

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    [told] = [entry for entry in logs if entry["event"] == "address not announced"]
    assert (LATE, STRANGER, "eth1") == (told["address"], told["mac"], told["interface"])
    assert ("warning", "AddressConflict") == (told["log_level"], told["reason"])
    assert "out of the pool" in told["remedy"]
    assert [LATE] == [entry["address"] for entry in logs if entry["event"] == "address conflict over"]


def test_a_failover_is_not_probed(root: Path, net: Net, status: StatusReader) -> None:
    net.segments["eth0"].occupy(ADDRESS, STRANGER)

    async def scenario() -> None:
        async with wired(speaker(root, net, name="node-2", detection="probe")) as daemon:
            await daemon.until(lambda: status.node("node-2"), "the report")
            write(root, "web.yaml", [service("web", externalTrafficPolicy="Local"), slice_of("web", "node-2")])
            await daemon.until(lambda: status.announcers(ADDRESS) == ["node-2"], "the endpoint has moved here")
            assert 0 == net.probed()

    asyncio.run(scenario())


def test_who_yields_announces_what_nobody_else_does(root: Path, net: Net, status: StatusReader) -> None:
    segment = net.segments["eth0"]
    segment.occupy(ADDRESS, STRANGER)

    async def scenario() -> None:
        async with wired(speaker(root, net, detection="yield")) as daemon:
            conflict, announced = ((lambda word=word: status.announced("node-1", "web") == word) for word in WORDS)
            await daemon.until(net.tick(conflict), "what is held at the start is asked for, too")
            assert [STRANGER] == await segment.who_has(ADDRESS)
            segment.vacate(ADDRESS)
            await daemon.until(net.tick(announced), "it is taken over")
            assert ["eth0", "eth1"] == await net.answers(ADDRESS)
            segment.occupy(ADDRESS, STRANGER)
            segment.send(arp.gratuitous(parse_mac(STRANGER), parse_address(ADDRESS).packed)[0])
            await daemon.until(conflict, "it is given up")
            assert [STRANGER] == await segment.who_has(ADDRESS)
            segment.vacate(ADDRESS)
            await daemon.until(net.tick(announced), "it is taken over again")
            segment.send(arp.gratuitous(parse_mac(STRANGER), parse_address(ADDRESS).packed)[0])
            await daemon.until(conflict, "soon after the last time, too")

    asyncio.run(scenario())


def test_a_fresh_address_waits_for_an_interface_and_a_responder(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it works")
            for name in net.segments:
                net.worker.remove_interface(name)
            declare(root, "web", "late")
            await daemon.until(lambda: "no interface" in message(status, "late"), "there is none")
            net.worker.kill_worker()
            await daemon.until(lambda: "restarted" in message(status, "late"), "there is no responder")
            net.worker.restart_worker()
            net.worker.add_interface("eth0", net.segments["eth0"])
            await daemon.until(lambda: net.segments["eth0"].probed, "it is probed")
            net.advance(10)
            await daemon.until(lambda: status.announced("node-1", "late") == ANNOUNCED, "it is announced")

    asyncio.run(scenario())


def test_an_address_that_cannot_be_probed_does_not_hold_up_the_others(
    root: Path, net: Net, status: StatusReader
) -> None:
    net.refuses_probes.add(LATE)

    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it works")
            declare(root, "web", "late", "later")
            await daemon.until(net.tick(lambda: status.announced("node-1", "later") == ANNOUNCED), "it is announced")
            await daemon.until(lambda: f"probe {LATE}: ENOMEM" in message(status, "late"), "the other says why not")
            assert ("Unknown", "Pending") == status.announced("node-1", "late")
            net.refuses_probes.clear()
            await daemon.until(net.tick(lambda: status.announced("node-1", "late") == ANNOUNCED), "it is announced")

    asyncio.run(scenario())


def test_an_address_that_is_given_back_while_it_is_probed_is_forgotten(
    root: Path, net: Net, status: StatusReader
) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it works")
            declare(root, "web", "late")
            await daemon.until(lambda: net.probed() and status.l2("node-1", "late"), "it is probed")
            (root / "cluster" / "late.yaml").unlink()
            allocate(root)
            await daemon.until(lambda: not status.l2("node-1", "late"), "its status goes")
            net.advance(10)
            await asyncio.sleep(0.05)  # what the probe found out is of no interest now
            assert [] == await net.answers(LATE)
            assert [ADDRESS] == [str(address) for address in net.worker.held()]

    asyncio.run(scenario())


def test_a_stop_ends_probes_and_takes_every_file_away(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, detection="probe")) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it works")
            declare(root, "web", "late")
            await daemon.until(lambda: net.probed() and status.l2("node-1", "late"), "it is probed")
            await daemon.stop()
            net.advance(10)
            await asyncio.sleep(0.05)
            assert {} == net.worker.held()
            assert [] == list((root / "cluster.status" / "servicel2statuses").rglob("*.yaml"))

    asyncio.run(scenario())


def message(status: StatusReader, name: str) -> str:
    """What the status of a Service says is the matter; empty if there is none."""
    found = [condition["message"] for condition in status.l2("node-1", name).get("conditions", ())]
    return str(found[0]) if found else ""
