"""The responder process on the real kernel: what only sockets, filters, links and signals can show."""

import asyncio
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.errors import DataplaneError, TransientError
from netlb.l2 import arp, control, ndp
from netlb.l2.adapter.announcer import Announcer
from netlb.l2.adapter.interfaces import LinkWatch
from netlb.l2.adapter.process import ResponderProcess
from netlb.l2.adapter.sockets import Memberships
from netlb.l2.announces import InterfaceAppeared, InterfaceVanished, Stranger, WorkerDied, WorkerRestarted
from netlb.l2.ethernet import format_mac, parse_mac
from netlb.l2.probe import ProbeTimings
from netlb.testing.lab import requirements
from netlb.testing.lab.namespaces import batch, inside
from netlb.worker.beats import MOST_UNANSWERED
from netlb.worker.terms import Terms
from tests.support.needs import needs
from tests.support.waiting import becomes, eventually
from tests.unit.l2.crafted import ASKER, CRAFTED, HELD4, HELD6, Crafted
from tests.unit.l2.rigs import MOMENT, PATIENCE, VethRig, question, veth_rig

pytestmark = pytest.mark.root

FOUR, SIX = str(ip_address(HELD4)), str(ip_address(HELD6))
GROUP = ndp.solicited_node(HELD6)
_PR_CAPBSET_DROP, _CAP_NET_RAW = 24, 13


@pytest.fixture
def rig() -> Iterator[VethRig]:
    needs(requirements())
    with veth_rig() as rig:
        yield rig


@pytest.fixture(scope="module", params=["veth", "bridge"])
def replies(request: pytest.FixtureRequest) -> dict[str, list[bytes]]:
    """What came back for each crafted frame from a node that holds both addresses."""
    needs(requirements())
    with veth_rig(bridged=request.param == "bridge") as rig:
        return ask_all(rig)


def ask_all(rig: VethRig) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}

    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold(SIX)
            await answered(rig, SIX)  # a bridge's port forwards a while after it came up
            await announcer.release(SIX)
            begun = len(rig.seen())
            await announcer.hold_many({FOUR: None, SIX: None})
            # The bursts end first: their frames look like the answer to a duplicate address probe.
            await becomes(lambda: len(about_held(rig.seen()[begun:])) >= 10)
            for crafted in CRAFTED:
                before = len(rig.seen())
                rig.send(crafted.frame)
                await asyncio.sleep(MOMENT)
                if crafted.answered:
                    await answer_after(rig, before)
                found[crafted.name] = about_held(rig.seen()[before:])

    rig.run(scenario)
    return found


async def answer_after(rig: VethRig, before: int) -> None:
    await becomes(lambda: bool(about_held(rig.seen()[before:])))


def about_held(frames: list[bytes]) -> list[bytes]:
    """Return the ARP replies and advertisements for our addresses."""
    return [frame for frame in frames if (frame[20:22] == b"\0\2" and frame[28:32] == HELD4) or frame[62:78] == HELD6]


@pytest.mark.parametrize("crafted", CRAFTED, ids=lambda crafted: crafted.name)
def test_crafted_frames_over_a_real_link(replies: dict[str, list[bytes]], crafted: Crafted) -> None:
    assert int(crafted.answered) == len(replies[crafted.name])


async def answered(rig: VethRig, address: str = FOUR) -> None:
    """Wait until the node answers for an address."""

    async def by_the_node() -> bool:
        return [rig.mac("n0")] == await rig.ask(address)

    await becomes(by_the_node)


async def silent(rig: VethRig, address: str = FOUR) -> None:
    """Wait until nobody answers for an address."""

    async def by_nobody() -> bool:
        return [] == await rig.ask(address)

    await becomes(by_nobody)


def test_the_groups_of_held_addresses_are_joined_and_left(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold_many({SIX: None, "2001:db8:1::c0:ffee": None})
            assert ("n0", GROUP) in memberships()
            await announcer.release(SIX)
            assert ("n0", GROUP) in memberships()
            rig.add_interface("n1")
            await becomes(lambda: ("n1", GROUP) in memberships())
            await announcer.release("2001:db8:1::c0:ffee")
            assert not {("n0", GROUP), ("n1", GROUP)} & memberships()

    rig.run(scenario)


def test_the_group_of_a_probed_address_is_joined_meanwhile_and_kept_if_it_is_held(rig: VethRig) -> None:
    slow = ProbeTimings(retrans_timer=3.0)  # longer than this loop may be held up: what is joined meanwhile is seen

    async def scenario() -> None:
        async with rig.announcer() as announcer:
            probe = asyncio.ensure_future(announcer.probe({SIX: None}, slow))
            await becomes(lambda: ("n0", GROUP) in memberships())
            assert {ip_address(SIX): None} == await probe
            assert ("n0", GROUP) not in memberships()

            probe = asyncio.ensure_future(announcer.probe({SIX: None}, slow))
            await becomes(lambda: ("n0", GROUP) in memberships())
            await announcer.hold(SIX)
            assert {ip_address(SIX): None} == await probe
            assert ("n0", GROUP) in memberships()
            await announcer.release(SIX)
            assert ("n0", GROUP) not in memberships()

    rig.run(scenario)


def test_what_concerns_an_address_that_was_probed_wakes_nobody(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold_many({"192.0.2.77": None, "2001:db8::77": None})  # or no filter is there to look at
            timings = ProbeTimings(probe_wait=0, probe_num=1, announce_wait=0.1, retrans_timer=0.1)
            await announcer.probe({FOUR: None, SIX: None}, timings)
            before = (await announcer.stats()).verdicts
            assert [[], []] == [await rig.ask(FOUR), await rig.ask(SIX)]
            assert before == (await announcer.stats()).verdicts

    rig.run(scenario)


def test_a_kernel_that_probes_for_the_same_address_is_found(rig: VethRig) -> None:
    """Linux asks before it uses a new IPv6 address; what it sends then is what ends ours."""

    async def scenario() -> None:
        async with rig.announcer() as announcer:
            probe = asyncio.ensure_future(announcer.probe({SIX: None}, ProbeTimings(retrans_timer=PATIENCE)))
            await becomes(lambda: rig.probed(ndp.probe(parse_mac(rig.mac("n0")), HELD6)) > 0)
            batch([f"address add {SIX} dev far-n0"], rig.stranger)
            assert {ip_address(SIX): Stranger(format_mac(ASKER), "n0")} == await probe

    rig.run(scenario)


def test_a_probe_that_could_not_be_sent_proves_nothing(rig: VethRig) -> None:
    """Frames are refused while the link is down under the responder, which its parent does not see here."""

    async def scenario() -> None:
        process = await ResponderProcess.start(events.append, Terms(PATIENCE))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.stop)
            index = socket.if_nametoindex("n0")
            await process.set_interface(index, parse_mac(rig.mac("n0")))
            batch(["link set n0 down"], rig.node)
            await process.probe(index, (HELD4,), ProbeTimings(probe_wait=0, probe_num=1, announce_wait=0.01))
            await becomes(lambda: unsent(process))
            assert [] == events
            batch(["link set n0 up"], rig.node)
            await becomes(lambda: [control.Probed(index, ((HELD4, b""),))] == events)
            assert 1 <= rig.probed(arp.probe(parse_mac(rig.mac("n0")), HELD4))

    async def unsent(process: ResponderProcess) -> bool:
        return (await process.stats()).unsent > 0

    events: list[control.ClaimSeen | control.Probed] = []
    rig.run(scenario)


def memberships() -> set[tuple[str, bytes]]:
    lines = Path("/proc/thread-self/net/igmp6").read_text().splitlines()
    return {(name, bytes.fromhex(group)) for _, name, group, *_ in map(str.split, lines)}


def test_more_groups_than_a_socket_takes(rig: VethRig) -> None:
    groups = [ndp.solicited_node(bytes(13) + number.to_bytes(3, "big")) for number in range(6000)]

    def join_and_leave() -> None:
        joined = Memberships(socket.if_nametoindex("n0"))
        try:
            for group in groups:
                joined.join(group)
            assert {("n0", group) for group in groups} <= memberships()
            for group in groups:
                joined.leave(group)
            assert not {("n0", group) for group in groups} & memberships()
        finally:
            joined.close()

    inside(rig.node, join_and_leave)


def test_an_ipv6_address_is_not_held_where_the_link_is_too_narrow_for_ipv6(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            rig.add_interface("n1")
            batch(["link set n1 mtu 1000"], rig.node)
            await becomes(lambda: len(announcer.interfaces()) == 2)
            await announcer.hold_many({FOUR: None, SIX: None})
            both, one = frozenset({"n0", "n1"}), frozenset({"n0"})
            assert {ip_address(FOUR): both, ip_address(SIX): one} == announcer.held()

    rig.run(scenario)


def test_a_link_that_goes_down_and_comes_up_again(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold(FOUR)
            for _ in range(3):
                batch(["link set n0 down"], rig.node)
                await becomes(lambda: frozenset() == announcer.held()[ip_address(FOUR)])
                batch(["link set n0 up"], rig.node)
                await becomes(lambda: frozenset({"n0"}) == announcer.held()[ip_address(FOUR)])
                await answered(rig)
            assert announcer.restarts == 0
            kinds = [type(event) for event in rig.events]
            assert [InterfaceAppeared, *([InterfaceVanished, InterfaceAppeared] * 3)] == kinds

    rig.run(scenario)


def test_a_bridge_takes_the_place_of_the_interface_it_enslaves(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold(FOUR)
            batch(["link add name n1 type bridge", "link set n1 up", "link set n0 master n1"], rig.node)
            await becomes(lambda: frozenset({"n1"}) == announcer.held()[ip_address(FOUR)])
            batch(["link set n0 nomaster"], rig.node)
            await becomes(lambda: frozenset({"n0"}) == announcer.held()[ip_address(FOUR)])

    rig.run(scenario)


def test_a_port_that_leaves_a_bridge_is_not_taken_for_gone(rig: VethRig) -> None:
    async def scenario() -> None:
        async with LinkWatch() as watch:
            batch(["link add name br0 type bridge", "link set n0 master br0", "link set n0 nomaster"], rig.node)
            batch(["link add name last type bridge"], rig.node)
            seen = []
            async with asyncio.timeout(PATIENCE):
                async for index, link in watch.changes():
                    seen.append((index, link))
                    if link is not None and link.name == "last":
                        break
            assert [] == [index for index, link in seen if link is None]
            masters = [link.master is not None for _, link in seen if link is not None and link.name == "n0"]
            assert True in masters
            assert masters[-1] is False

    rig.run(scenario)


def test_link_changes_that_were_lost_are_read_again(rig: VethRig) -> None:
    async def scenario() -> None:
        async with LinkWatch() as watch:
            assert {"lo", "n0"} == {link.name for link in watch.links.values()}
            first = watch._socket
            assert first is not None
            first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            batch([f"link add name a{number} type bridge" for number in range(20)], rig.node)
            batch([f"link delete a{number}" for number in range(10)], rig.node)
            expected = {"lo", "n0", *(f"a{number}" for number in range(10, 20))}
            async with asyncio.timeout(PATIENCE):
                async for _ in watch.changes():
                    if expected == {link.name for link in watch.links.values()}:
                        break
            assert first is not watch._socket

    rig.run(scenario)


def test_without_the_right_to_packet_sockets_the_error_says_which(rig: VethRig) -> None:
    async def scenario() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(_PR_CAPBSET_DROP, _CAP_NET_RAW, 0, 0, 0) == 0  # of this thread, and what it executes
        with pytest.raises(DataplaneError, match="CAP_NET_RAW") as refusal:
            async with rig.announcer():
                pass
        assert errno.EPERM == refusal.value.errno

    rig.run(scenario)


def test_the_process_ends_with_its_parent_even_if_that_is_killed(rig: VethRig) -> None:
    example = Path(__file__).parents[2] / "examples" / "answer_arp.py"
    parent = inside(
        rig.node,
        lambda: subprocess.Popen([sys.executable, str(example), "n0", FOUR], stdout=subprocess.PIPE, text=True),
    )
    try:
        assert parent.stdout is not None
        assert "answering" in next(line for line in parent.stdout if "answering" in line)
        asyncio.run(answered(rig))
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        parent.kill()
        parent.wait()
        assert children
        for child in children:
            wait_for_end(int(child))
        asyncio.run(silent(rig))  # a child that takes another's place may have been born meanwhile
    finally:
        parent.kill()
        parent.communicate()


def test_the_example_runs_for_its_time(rig: VethRig) -> None:
    example = Path(__file__).parents[2] / "examples" / "answer_arp.py"
    command = [sys.executable, str(example), "n0", SIX, "--seconds", "0.1"]
    ran = inside(rig.node, lambda: subprocess.run(command, capture_output=True, text=True, check=True))
    assert f"answering: {{IPv6Address('{SIX}'): frozenset({{'n0'}})}}" in ran.stdout
    assert "" == ran.stderr


def wait_for_end(pid: int) -> None:
    eventually(lambda: ended(pid), f"process {pid} has ended")


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_signals_to_the_group_do_not_end_it_and_its_argv_and_environment_are_bare(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            pid = announcer.worker_pid
            assert pid is not None
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            await announcer.hold(FOUR)
            assert (pid, 0) == (announcer.worker_pid, announcer.restarts)
            assert of_process(pid, "environ").count("=") <= 1
            assert FOUR not in of_process(pid, "cmdline")
            loaded = of_process(pid, "maps")
            assert not [name for name in ("_asyncio", "_ssl", "msgspec") if name in loaded]

    rig.run(scenario)


def of_process(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def test_a_process_that_crashes_says_why(rig: VethRig) -> None:
    async def scenario() -> None:
        process = await ResponderProcess.start(lambda _: None, Terms(PATIENCE))
        process._channel.send(b"no message")
        assert "JSONDecodeError" in await process.closed
        with pytest.raises(TransientError):
            await process.stats()
        await process.stop()

    rig.run(scenario)


def test_requests_fail_cleanly_on_what_is_not_there_and_after_the_end(rig: VethRig) -> None:
    async def scenario() -> None:
        process = await ResponderProcess.start(lambda _: None, Terms(PATIENCE))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.stop)
            with pytest.raises(DataplaneError) as refusal:
                await process.set_interface(99999, b"\2\0\0\0\0\1")
            assert refusal.value.errno in {errno.ENODEV, errno.ENXIO}
            with pytest.raises(DataplaneError) as refusal:
                await process.hold(99999, (HELD4,), more=False)
            assert errno.ENODEV == refusal.value.errno
            os.kill(process.pid, signal.SIGSTOP)
            waiting = asyncio.ensure_future(process.stats())
            await asyncio.sleep(0)
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(TransientError):
                await waiting
            assert "SIGKILL" in await process.closed
            with pytest.raises(TransientError):
                await process.stats()

    rig.run(scenario)


def test_a_process_that_hangs_is_killed_at_the_end(rig: VethRig) -> None:
    async def scenario() -> None:
        process = await ResponderProcess.start(lambda _: None, Terms(PATIENCE))
        os.kill(process.pid, signal.SIGSTOP)
        await process.stop()
        assert "SIGKILL" in process.closed.result()

    rig.run(scenario)


def test_a_failure_half_way_leaves_nothing_half_done(rig: VethRig, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ip_address("2001:db8::bad").packed
    hold = ResponderProcess.hold

    async def hold_all_but_one(
        self: ResponderProcess, index: int, addresses: tuple[bytes, ...], *, more: bool
    ) -> dict[bytes, int]:
        result = await hold(self, index, tuple(a for a in addresses if a != refused), more=more)
        return result | ({refused: errno.ENOMEM} if refused in addresses else {})

    async def scenario() -> None:
        async with Announcer(interfaces=["n0"]) as announcer:
            await announcer.hold(FOUR)
            monkeypatch.setattr(ResponderProcess, "hold", hold_all_but_one)
            with pytest.raises(DataplaneError, match="2001:db8::bad on n0: ENOMEM"):
                await announcer.hold_many({FOUR: [], SIX: None, "2001:db8::bad": None})
            assert {ip_address(FOUR): frozenset({"n0"})} == announcer.held()
            assert [] == await rig.ask(SIX)
            await answered(rig)

    rig.run(scenario)


def test_a_change_whose_caller_was_cancelled_is_carried_through(rig: VethRig) -> None:
    async def scenario() -> None:
        fours = [str(ip_address("10.9.0.0") + number) for number in range(1000)]
        async with rig.announcer() as announcer:
            everywhere = {ip_address(four): frozenset({"n0"}) for four in fours}
            await cancelled(announcer, announcer.hold_many(dict.fromkeys(fours)))
            assert everywhere == announcer.held()
            await cancelled(announcer, announcer.release_many(fours))
            assert {} == announcer.held()
            assert [] == await rig.ask(fours[-1])
            leaving = asyncio.ensure_future(announcer.hold_many(dict.fromkeys(fours)))
            await asyncio.sleep(0)
        with pytest.raises(TransientError):
            await leaving

    rig.run(scenario)


async def cancelled(announcer: Announcer, call: Coroutine[None, None, None]) -> None:
    """Cancel a call that has begun, and wait until what it began is over."""
    caller = asyncio.create_task(call)
    await asyncio.sleep(0)
    assert announcer._changes
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await becomes(lambda: not announcer._changes)


def test_a_process_that_hangs_is_replaced(rig: VethRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold(FOUR)
            monkeypatch.setattr("netlb.l2.adapter.process.MOST_UNANSWERED", MOST_UNANSWERED)
            pid = announcer.worker_pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await becomes(lambda: announcer.restarts >= 1)
            await answered(rig)
            died = {event.problem for event in rig.events if isinstance(event, WorkerDied)}
            assert {"did not answer for 0.4 s, and was killed"} == died  # more often on a busy machine
            assert ended(pid)

    rig.run(scenario)


def test_a_program_that_hangs_is_silent_until_it_goes_on(rig: VethRig) -> None:
    async def scenario() -> None:
        async with Announcer(interfaces=["n0"], patience=1.0, on_event=rig.events.append) as announcer:
            await becomes(lambda: held(announcer))
            pid = announcer.worker_pid
            assert pid is not None
            restarted = list(map(type, rig.events)).count(WorkerRestarted)
            wait_for_end(pid)  # which lets nothing else run
            await becomes(lambda: list(map(type, rig.events)).count(WorkerRestarted) > restarted)
            await answered(rig)
            died = {event.problem for event in rig.events if isinstance(event, WorkerDied)}
            assert "the program's event loop stood still for more than 1 s" in died

    async def held(announcer: Announcer) -> bool:
        with suppress(TransientError):  # this loop was held up, and the responder has ended
            await announcer.hold(FOUR)
        return announcer.worker_pid is not None

    rig.run(scenario)


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_an_orphan_that_has_slept_through_its_end_answers_nothing_that_waited(rig: VethRig, address: str) -> None:
    async def scenario() -> None:
        async with rig.heir(patience=3.0) as announcer:
            await announcer.hold(address)
            await answered(rig, address)
            pid = announcer.worker_pid
            assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(4)
        before = len(rig.seen())
        rig.send(question(address, 1))
        os.kill(pid, signal.SIGCONT)
        await becomes(lambda: ended(pid))
        assert [] == about_held(rig.seen()[before:])

    rig.run(scenario)
