"""The fast path in the kernel: its program alone, on the wire, under its lease, and where it is refused."""

import asyncio
import ctypes
import errno
import os
import random
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.errors import DataplaneError
from netlb.l2 import arp
from netlb.l2.adapter import fastpath, process
from netlb.l2.adapter.announcer import Announcer
from netlb.l2.adapter.fastpath import CLSACT, TCX, FastPath
from netlb.l2.announces import Announces, FastPathRefused, FrameSource, Stranger
from netlb.l2.announces import FastPath as Mode
from netlb.l2.bpf.maps import MOST_ADDRESSES
from netlb.l2.ethernet import IPV6, format_mac, parse_mac
from netlb.l2.probe import ProbeTimings
from netlb.l2.responder import Responder
from netlb.reasons import FrameVerdict
from netlb.testing.lab import requirements
from netlb.testing.lab.namespaces import batch, inside
from netlb.testing.segment import judge
from tests.fuzz.fuzz_frames import mutate
from tests.support.bpf import REDIRECT, fastpath_requirements, run_program
from tests.support.needs import needs
from tests.support.waiting import becomes
from tests.unit.l2.crafted import CRAFTED, HELD4, HELD6, NODE, OTHER, REQUEST, SOLICITATION, Crafted
from tests.unit.l2.rigs import PATIENCE, VethRig, veth_rig

pytestmark = pytest.mark.root

FOUR, SIX = str(ip_address(HELD4)), str(ip_address(HELD6))
NEXT = -1
LONG = 60 * 10**9
_PR_CAPBSET_DROP, _CAP_SYS_ADMIN, _CAP_BPF = 24, 21, 39


@pytest.fixture(scope="module", params=["veth", "bridge"])
def rig(request: pytest.FixtureRequest) -> Iterator[VethRig]:
    needs([*requirements(), *fastpath_requirements()])
    with veth_rig(Mode.REQUIRE, bridged=request.param == "bridge") as rig:
        yield rig


@pytest.fixture
def pair() -> Iterator[VethRig]:
    """A veth pair of its own, for a test that does something to it."""
    needs([*requirements(), *fastpath_requirements()])
    with veth_rig(Mode.AUTO) as rig:
        yield rig


class Alone:
    """The program of an interface, not attached: it is given frames one by one."""

    def __init__(self, path: FastPath, index: int) -> None:
        self.path = path
        self._index = index

    def judge(self, frame: bytes) -> tuple[int, bytes]:
        return run_program(self.path._program, self._index, frame)


@pytest.fixture(scope="module")
def alone() -> Iterator[Alone]:
    needs([*requirements(), *fastpath_requirements()])
    with veth_rig() as rig:

        def open_path() -> Alone:
            index = socket.if_nametoindex("n0")
            return Alone(FastPath(index, NODE), index)

        made = inside(rig.node, open_path)
        try:
            made.path.hold([HELD4, HELD6])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fastpath, "_LEASE", LONG)  # on a busy machine a test takes longer than half a second
                yield InNamespace(rig.node, made)
        finally:
            made.path.close()


class InNamespace(Alone):
    """The same, run where its interface is."""

    def __init__(self, namespace: str, of: Alone) -> None:
        super().__init__(of.path, of._index)
        self._namespace = namespace

    def judge(self, frame: bytes) -> tuple[int, bytes]:
        return inside(self._namespace, lambda: super(InNamespace, self).judge(frame))


def responder() -> Responder:
    made = Responder(NODE, {NODE})
    made.hold(HELD4)
    made.hold(HELD6)
    return made


def expected_answer(frame: bytes) -> bytes | None:
    """Return what the responder answers; an ARP reply with the padding of its request in place of its own."""
    _, answer = judge(responder(), frame)
    if answer is None or frame[12:14] != b"\x08\x06":
        return answer
    return answer[: arp.LENGTH] + frame[arp.LENGTH :]


@pytest.mark.parametrize("crafted", CRAFTED, ids=lambda crafted: crafted.name)
def test_the_program_answers_what_is_plain_as_the_responder_would_and_leaves_it_the_rest(
    alone: Alone, crafted: Crafted
) -> None:
    alone.path.renew()
    before = alone.path.total()
    verdict, frame = alone.judge(crafted.frame)
    if crafted.plain:
        assert (REDIRECT, expected_answer(crafted.frame)) == (verdict, frame)
    else:
        assert (NEXT, crafted.frame) == (verdict, frame)
    assert crafted.plain == alone.path.total() - before


def test_no_matter_what_bytes_come_what_the_program_answers_is_what_the_responder_would(alone: Alone) -> None:
    chance = random.Random(826)
    plain = [crafted.frame for crafted in CRAFTED if crafted.plain]
    answered = 0
    for _ in range(4000):
        given = mutate(chance.choice(plain), chance)
        if not (54 if given[12:14] == IPV6 else 14) <= len(given) <= 3000:
            continue  # a test run takes no frame without its headers
        alone.path.renew()
        verdict, frame = alone.judge(given)
        if verdict == REDIRECT:
            answered += 1
            assert (expected_answer(given), given.hex()) == (frame, given.hex())
        else:
            assert (NEXT, given) == (verdict, frame)
    assert answered > 100


def test_nothing_is_answered_before_the_lease_and_after_it(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastpath, "_LEASE", -1)
    alone.path.renew()
    assert NEXT == alone.judge(REQUEST.encode())[0]
    assert NEXT == alone.judge(SOLICITATION.encode())[0]
    monkeypatch.setattr(fastpath, "_LEASE", LONG)
    alone.path.renew()
    assert REDIRECT == alone.judge(REQUEST.encode())[0]
    assert REDIRECT == alone.judge(SOLICITATION.encode())[0]


def test_what_comes_from_a_held_or_probed_address_is_left_to_the_responder(alone: Alone) -> None:
    alone.path.renew()
    probed = ip_address("192.0.2.77").packed
    question = replace(REQUEST, sender_address=probed).encode()
    assert REDIRECT == alone.judge(question)[0]
    alone.path.listen([probed])
    assert NEXT == alone.judge(question)[0]
    assert NEXT == alone.judge(replace(REQUEST, target_address=probed).encode())[0]
    alone.path.listen_no_more(probed)
    assert REDIRECT == alone.judge(question)[0]


def test_more_addresses_than_there_is_room_for_are_left_to_the_responder_and_all_can_be_dropped(alone: Alone) -> None:
    many = [(0x0A000000 + number).to_bytes(4, "big") for number in range(MOST_ADDRESSES + 50)]
    alone.path.renew()
    alone.path.hold(many)
    try:
        assert REDIRECT == alone.judge(replace(REQUEST, target_address=many[0]).encode())[0]
        assert NEXT == alone.judge(replace(REQUEST, target_address=many[-1]).encode())[0]
        assert 1 == alone.path.answered(many[0])
        assert 0 == alone.path.answered(many[-1])
    finally:
        alone.path.drop(many)
    assert {HELD4, HELD6} == alone.path._held
    assert NEXT == alone.judge(replace(REQUEST, target_address=many[0]).encode())[0]


def answers(rig: VethRig) -> list[bytes]:
    """Return what the asker got so far about our addresses, bursts left out."""
    return [
        frame
        for frame in rig.seen()
        if (frame[20:22] == b"\0\2" and frame[28:32] == HELD4 and frame[:6] != b"\xff" * 6)
        or (frame[62:78] == HELD6 and frame[58:59] == b"\x60")
    ]


async def counted(announcer: Announces) -> list[int]:
    """Return how many frames the fast path has answered, which counts before it does, and the responder."""
    frames = (await announcer.stats()).frames
    return [frames[FrameSource("n0", path)][FrameVerdict.ANSWERED] for path in (TCX, "socket")]


def test_each_frame_on_the_wire_has_one_answer_at_most_and_the_plain_ones_by_the_fast_path(rig: VethRig) -> None:
    """Probes for duplicates are answered to all, as announcements look; the table is tried without them here."""
    asked = [crafted for crafted in CRAFTED if not crafted.name.startswith("ns duplicate")]

    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold(SIX)
            await answered_by_the_node(rig, SIX)  # a bridge's port forwards a second after it came up
            await announcer.release(SIX)
            await announcer.hold_many({FOUR: None, SIX: None})
            expected, plain = sum(each.answered for each in asked), sum(each.plain for each in asked)
            fast = rounds = 0
            while fast < plain:  # the fast path leaves them to a responder that is held up
                rounds += 1
                before, counted_before = len(answers(rig)), await counted(announcer)
                for crafted in asked:
                    rig.send(crafted.frame)
                await becomes(lambda: len(answers(rig)) - before >= expected)  # noqa: B023 - called here
                # A bridge's port may take VLAN 0 off before the bridge sees the frame, which is a plain one then.
                fast, slow = (now - then for now, then in zip(await counted(announcer), counted_before, strict=True))
                assert [expected] * 2 == [fast + slow, len(answers(rig)) - before]
                assert rounds < 100
            addresses = (await announcer.stats()).addresses
            assert rounds * expected == sum(each.responses_sent for each in addresses.values())

    rig.run(scenario)


def test_a_responder_that_hangs_is_silent_and_answers_again_when_it_goes_on(
    rig: VethRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MOST_UNANSWERED", 1 << 30)  # or it is replaced before that is seen

    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold_many({FOUR: None, SIX: None})
            pid = announcer.worker_pid
            assert pid is not None
            for address in (FOUR, SIX):
                await answered_by_the_node(rig, address)
            os.kill(pid, signal.SIGSTOP)
            try:
                for address in (FOUR, SIX):
                    await silent(rig, address)
            finally:
                os.kill(pid, signal.SIGCONT)
            for address in (FOUR, SIX):
                await answered_by_the_node(rig, address)
            assert 0 == announcer.restarts

    rig.run(scenario)


async def answered_by_the_node(rig: VethRig, address: str) -> None:
    async def so() -> bool:
        return [rig.mac("n0")] == await rig.ask(address)

    await becomes(so)


async def silent(rig: VethRig, address: str) -> None:
    async def so() -> bool:
        return [] == await rig.ask(address)

    await becomes(so)


def test_a_station_that_uses_a_probed_address_and_asks_for_a_held_one_is_found(pair: VethRig) -> None:
    probed = "192.0.2.77"
    question = replace(REQUEST, sender_address=ip_address(probed).packed, sender_mac=OTHER).encode()

    async def scenario() -> None:
        async with pair.announcer() as announcer:
            await announcer.hold(FOUR)
            timings = ProbeTimings(probe_wait=0, probe_min=PATIENCE, probe_max=PATIENCE)
            asked = asyncio.ensure_future(announcer.probe({probed: None}, timings))
            await becomes(lambda: pair.probed(arp.probe(parse_mac(pair.mac("n0")), ip_address(probed).packed)) > 0)
            pair.send(question)
            assert {ip_address(probed): Stranger(format_mac(OTHER), "n0")} == await asked

    pair.run(scenario)


def test_without_tcx_a_filter_does_it_which_is_replaced_by_its_successors(
    pair: VethRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastpath, "_LEASE", LONG)

    def attached() -> FastPath:
        path = FastPath(socket.if_nametoindex("n0"), NODE)
        path.attach([CLSACT])
        path.hold([HELD4, HELD6])
        path.renew()
        return path

    async def scenario() -> None:
        paths = [attached()]
        try:
            paths.append(attached())
            for address in (FOUR, SIX):
                assert [pair.mac("n0")] == await pair.ask(address)
            assert (0, 2) == (paths[0].total(), paths[1].total())
            monkeypatch.setattr(fastpath, "_LEASE", -1)
            paths[1].renew()
            assert [] == await pair.ask(FOUR)
            monkeypatch.setattr(fastpath, "_LEASE", LONG)
            paths[1].renew()
        finally:
            for path in reversed(paths):
                path.close()
        assert [] == await pair.ask(FOUR)

    pair.run(scenario)


def test_a_kernel_without_tcx_is_met_with_clsact(pair: VethRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_tcx(program: int, index: int) -> int:
        raise OSError(errno.EINVAL, "before Linux 6.6")

    monkeypatch.setattr(fastpath, "attach_tcx", no_tcx)

    def attach() -> str:
        path = FastPath(socket.if_nametoindex("n0"), NODE)
        try:
            path.attach()
            return path.hook
        finally:
            path.close()

    assert CLSACT == inside(pair.node, attach)


def test_where_bpf_is_not_permitted_it_is_said_once_and_the_responder_answers(pair: VethRig) -> None:
    async def scenario() -> None:
        pair.add_interface("n1")
        forbid_bpf()
        async with pair.announcer() as announcer:
            await announcer.hold(FOUR)
            await answered_by_the_node(pair, FOUR)
            [refused] = [event for event in pair.events if isinstance(event, FastPathRefused)]
            assert refused.interface is None
            assert "CAP_BPF" in refused.problem
            assert {"socket"} == {source.path for source in (await announcer.stats()).frames}

    pair.run(scenario)


def test_where_bpf_is_not_permitted_and_required_nothing_starts(pair: VethRig) -> None:
    async def scenario() -> None:
        forbid_bpf()
        with pytest.raises(DataplaneError, match="CAP_BPF") as refusal:
            async with Announcer(interfaces=["n0"], fastpath=Mode.REQUIRE):
                pass
        assert errno.EPERM == refusal.value.errno

    pair.run(scenario)


def forbid_bpf() -> None:
    """Take the right from this thread, and what it executes."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_BPF, _CAP_SYS_ADMIN):
        assert libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


def test_a_responder_that_is_killed_is_replaced_with_its_fast_path(pair: VethRig) -> None:
    async def scenario() -> None:
        async with pair.announcer() as announcer:
            await announcer.hold(FOUR)
            await answered_by_the_node(pair, FOUR)
            pid = announcer.worker_pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await becomes(lambda: announcer.restarts == 1)
            await answered_by_the_node(pair, FOUR)

    pair.run(scenario)


def test_a_link_that_goes_down_and_comes_up_has_its_fast_path_again(pair: VethRig) -> None:
    async def scenario() -> None:
        async with pair.announcer() as announcer:
            await announcer.hold(SIX)
            await answered_by_the_node(pair, SIX)
            for _ in range(2):
                batch(["link set n0 down"], pair.node)
                await becomes(lambda: frozenset() == announcer.held()[ip_address(SIX)])
                batch(["link set n0 up"], pair.node)
                await becomes(lambda: frozenset({"n0"}) == announcer.held()[ip_address(SIX)])
                await answered_by_the_node(pair, SIX)

            async def by_the_fast_path() -> bool:  # not while the responder itself is held up
                await pair.ask(SIX)
                return 0 < (await counted(announcer))[0]

            await becomes(by_the_fast_path)

    pair.run(scenario)
