"""The speaker's parts together, with an announcer and a segment in memory: allocations in, answers out."""

import asyncio
from pathlib import Path

from netlb.l2 import arp
from netlb.testing.l2 import FakeSegment
from tests.manifests import advertisement, pool, service, slice_of
from tests.support.speaking import ADDRESS, ANNOUNCED, Net, declare, speaker
from tests.support.status import StatusReader
from tests.support.wired import allocate, wired, write

STRANGER = "02:00:5e:00:53:99"


def test_an_address_is_answered_for_while_its_service_is_there(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS) == ["node-1"], "it is reported")
            await daemon.ready()
            assert ["eth0", "eth1"] == await net.answers()
            labels = {"service": "default/web", "protocol": "layer2", "node": "node-1", "ip": ADDRESS}
            assert 1.0 == daemon.metric("netlb_speaker_announced", **labels)
            (root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: not net.worker.held(), "it is released")
            assert [] == await net.answers()
            await daemon.until(lambda: not status.announcers(ADDRESS), "it is reported")
            assert daemon.metric("netlb_speaker_announced", **labels) is None

    asyncio.run(scenario())


def test_an_address_that_is_given_later_is_answered_for(root: Path, net: Net) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.ready()
            write(root, "late.yaml", [service("late"), slice_of("late", "node-1")])
            allocate(root)
            await daemon.until(lambda: len(net.worker.held()) == 2, "both are held")
            assert ["eth0", "eth1"] == await net.answers("192.0.2.2")

    asyncio.run(scenario())


def test_another_nodes_speaker_is_silent_and_says_why(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net, name="node-2")) as daemon:
            await daemon.until(lambda: status.node("node-2"), "the report")
            expected = {"address": ADDRESS, "service": "default/web", "reason": "NotOwner", "owner": "node-1"}
            assert [expected] == status.node("node-2")["silent"]
            assert [] == await net.answers()
            write(root, "web.yaml", [service("web", externalTrafficPolicy="Local"), slice_of("web", "node-2")])
            await daemon.until(lambda: status.announcers(ADDRESS) == ["node-2"], "the endpoint has moved here")
            assert ["eth0", "eth1"] == await net.answers()

    asyncio.run(scenario())


def test_interfaces_of_an_advertisement_count(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(net.worker.held, "it is held")
            for name in ("eth1", "eth0"):
                write(root, "pool.yaml", [POOL, advertisement(spec=f"{{interfaces: [{name}]}}")])
                await daemon.until(lambda name=name: {name} in net.worker.held().values(), f"it is held on {name}")  # type: ignore[misc]
                assert [name] == await net.answers()
            write(root, "pool.yaml", [POOL, advertisement(spec="{interfaces: [eth7]}")])
            await daemon.until(lambda: "InterfaceMissing" in error(status), "there is no such interface")
            assert [] == await net.answers()
            net.worker.add_interface("eth7", net.segments["eth0"])
            await daemon.until(lambda: status.announcers(ADDRESS), "now there is")

    asyncio.run(scenario())


def test_named_interfaces_that_are_missing_are_waited_for(root: Path, net: Net, status: StatusReader) -> None:
    note = "no interface eth9 that is up"

    async def scenario() -> None:
        async with wired(speaker(root, net, interfaces=("eth0", "eth9"))) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it is answered for on the one that is there")
            await daemon.until(lambda: status.node("node-1")["notes"] == [f"{note}; {REMEDY}"], "the note")
            assert {"l2": note} == daemon.problems()
            assert ["eth0"] == await net.answers()
            net.segments["eth9"] = FakeSegment()
            net.worker.add_interface("eth9", net.segments["eth9"])
            await daemon.ready()
            assert ["eth0", "eth9"] == await net.answers()
            await daemon.until(lambda: status.node("node-1")["notes"] == [], "the note is gone")

    asyncio.run(scenario())


def test_what_cannot_be_held_is_told_and_tried_again(root: Path, net: Net, status: StatusReader) -> None:
    declare(root, "web", "web-2")
    net.refuses["192.0.2.1"] = 10**6

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: "hold 192.0.2.1: ENOMEM" in error(status), "the failure is reported")
            await daemon.until(lambda: status.announcers("192.0.2.2"), "the other address is not held up")
            assert [[], ["eth0", "eth1"]] == [await net.answers(address) for address in ("192.0.2.1", "192.0.2.2")]
            assert {"l2": "not all addresses are answered for"} == daemon.problems()
            net.refuses.clear()
            await daemon.ready()
            assert ["eth0", "eth1"] == await net.answers()
            await daemon.until(lambda: not error(status), "the failure is gone")

    asyncio.run(scenario())


def test_a_responder_that_dies_is_told_of_and_goes_on(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it is answered for")
            net.worker.kill_worker()
            await daemon.until(lambda: not status.announcers(ADDRESS), "nothing is claimed that is not true")
            assert {"l2": "no interface to answer on"} == daemon.problems()
            net.worker.restart_worker()
            await daemon.until(lambda: status.announcers(ADDRESS), "it is answered for again")
            await daemon.ready()

    asyncio.run(scenario())


def test_a_conflict_is_a_note_and_a_metric(root: Path, net: Net, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(net.worker.held, "it is held")
            for frame in arp.gratuitous(bytes.fromhex(STRANGER.replace(":", "")), bytes([192, 0, 2, 1])):
                net.segments["eth1"].send(frame)
            told = f"{STRANGER} on eth1 claims {ADDRESS}, which is announced here"
            await daemon.until(lambda: status.node("node-1").get("notes") == [told], "the note")
            assert 1.0 == daemon.metric("netlb_layer2_conflicts_total", ip=ADDRESS, interface="eth1")
            assert ["eth0", "eth1"] == await net.answers()

    asyncio.run(scenario())


def test_a_refused_fast_path_is_a_note_until_the_interface_or_the_responder_is_another(
    root: Path, net: Net, status: StatusReader
) -> None:
    async def scenario() -> None:
        def notes() -> list[str]:
            return [note.partition("alone: ")[2] for note in status.node("node-1").get("notes", [])]

        async with wired(speaker(root, net)) as daemon:
            await daemon.until(net.worker.held, "it is held")
            net.worker.refuse_fast_path("eth1", "no hook on eth1")
            net.worker.refuse_fast_path(None, "no right to BPF")
            await daemon.until(lambda: notes() == ["no hook on eth1", "no right to BPF"], "the notes")
            net.worker.remove_interface("eth1")
            await daemon.until(lambda: notes() == ["no right to BPF"], "the interface is gone")
            net.worker.kill_worker()
            await daemon.until(lambda: notes() == [], "the next responder has its own answer")

    asyncio.run(scenario())


def test_a_service_has_a_status_of_its_own_until_its_address_goes(root: Path, net: Net, status: StatusReader) -> None:
    declare(root, "web", "web-2")

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web-2") == ANNOUNCED, "it is announced")
            assert {
                "node": "node-1",
                "serviceNamespace": "default",
                "serviceName": "web",
                "addresses": [{"ip": ADDRESS, "interfaces": ["eth0", "eth1"]}],
                "conditions": [{"type": "netlb.io/Announced", "status": "True", "reason": "Announced", "message": ""}],
            } == status.l2("node-1", "web")
            (root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: not status.l2("node-1", "web"), "its file goes with it")
            assert ANNOUNCED == status.announced("node-1", "web-2")
            write(root, "web-2.yaml", [service("web-2", externalTrafficPolicy="Local"), slice_of("web-2", "node-2")])
            await daemon.until(lambda: not status.l2("node-1", "web-2"), "another node owns it")

    asyncio.run(scenario())


def test_files_of_a_speaker_that_crashed_are_taken_away_and_other_nodes_left(root: Path, net: Net) -> None:
    statuses = root / "cluster.status" / "servicel2statuses"
    left, other = statuses / "node-1" / "default.gone.yaml", statuses / "node-11" / "default.web.yaml"
    for path in (left, other):
        path.parent.mkdir(parents=True)
        path.write_text("status: {}")

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: not left.exists(), "it is taken away")

    asyncio.run(scenario())
    assert [other] == list(statuses.rglob("*.yaml"))


def test_what_cannot_be_announced_is_said_of_its_service(root: Path, net: Net, status: StatusReader) -> None:
    net.refuses[ADDRESS] = 10**6

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web") == ("False", "AnnounceFailed"), "it failed")
            net.refuses.clear()
            await daemon.until(lambda: status.announced("node-1", "web") == ANNOUNCED, "it is announced")
            for name in net.segments:
                net.worker.remove_interface(name)
            gone = ("False", "InterfaceMissing")
            await daemon.until(lambda: status.announced("node-1", "web") == gone, "no interface is left")

    asyncio.run(scenario())


def test_a_stop_silences_every_address_before_the_report_goes(root: Path, net: Net, status: StatusReader) -> None:
    reported_at_release: list[bool] = []

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announcers(ADDRESS), "it is reported")
            net.on_release = lambda: reported_at_release.append(bool(status.node("node-1")))
            await daemon.stop()
            assert [True] == reported_at_release
            assert [] == await net.answers()
            assert {} == status.node("node-1")
            declare(root, "too-late")
            write(root, "web.yaml", [service("web"), slice_of("web", "node-1")])
            await asyncio.sleep(0.2)  # what changes now is no reason to begin again
            assert {} == net.worker.held()
            assert {} == status.node("node-1")

    asyncio.run(scenario())


POOL = pool("all", "192.0.2.1-192.0.2.6")
REMEDY = "create it, or correct --interface"


def error(status: StatusReader) -> str:
    """What keeps the first address from being answered for, by the report; empty if nothing does."""
    found = [entry.get("error", "") for entry in status.node("node-1").get("announcing", ())]
    return str(found[0]) if found else ""
