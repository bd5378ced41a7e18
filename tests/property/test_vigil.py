"""Nodes that know of each other by Leases alone, with any clocks, and an API server that is away for some or for all."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.source.lease import Create, Elector, Lease, LeasePace, LeaseRecord, Read, Replace, Wait
from netlb.source.vigil import Life, Sign, Vigil

DURATION = 4
PACE = LeasePace(duration=DURATION, renew_deadline=3.0, retry=1.0, answer_timeout=1.5)
TICK = 0.05
FAIR = 20.0
"""How long all is well at the end of a run."""


class Server:
    """The Leases, all that was written to them, and when."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.history: list[tuple[float, str, Lease]] = []
        self.away = False

    def carry_out(self, name: str, action: Read | Create | Replace, time: float) -> Lease | str | None:
        there = self.leases.get(name)
        if isinstance(action, Read):
            return there
        version = None if isinstance(action, Create) else action.resource_version
        if (there.resource_version if there else None) != version:
            return "conflict"
        lease = self.leases[name] = Lease(action.record, str(len(self.history) + 1))
        self.history.append((time, name, lease))
        return lease


@dataclass
class Machine:
    """A node with its own clocks; `lag` is for how long its watch is behind."""

    name: str
    offset: float
    wall: int
    lag: float
    cut: bool = False
    crashed: bool = False
    dead: frozenset[str] = frozenset()
    seen: int = 0
    vigil: Vigil = field(init=False)
    elector: Elector = field(init=False)

    def start(self, others: list[str]) -> None:
        self.elector = Elector(self.name, jitter=Random(self.name).random, pace=PACE)
        self.vigil = Vigil(self.name, duration=DURATION)
        self.vigil.arrange(others)
        self.seen, self.crashed, self.dead = 0, False, frozenset()


class World:
    """Machines, and what goes on between them and the server."""

    def __init__(self, machines: list[Machine]) -> None:
        self.server = Server()
        self.machines = machines
        self.time = 0.0
        for machine in machines:
            machine.start([other.name for other in machines if other is not machine])

    def machine(self, name: str) -> Machine:
        return next(each for each in self.machines if each.name == name)

    def run(self, until: float) -> None:
        while self.time < until:
            self.time = round(self.time + TICK, 6)
            for machine in self.machines:
                if not machine.crashed:
                    self.step(machine)

    def reaches(self, machine: Machine) -> bool:
        return not machine.cut and not self.server.away

    def step(self, machine: Machine) -> None:
        now = self.time + machine.offset
        action = machine.elector.next_action(now, machine.wall + int(self.time * 1e6))
        if not isinstance(action, Wait):
            if isinstance(action, Create | Replace):
                assert action.record.renewed is not None
                machine.vigil.sent(action.record.renewed, now)
            if self.reaches(machine):
                answer = self.server.carry_out(machine.name, action, self.time)
                if isinstance(answer, str):
                    machine.elector.refused(action, now)
                else:
                    machine.elector.answered(action, answer, now)
        if self.reaches(machine):
            self.watch(machine, now)
        self.judge(machine)

    def watch(self, machine: Machine, now: float) -> None:
        news: dict[str, Lease] = {}
        while machine.seen < len(self.server.history):
            time, name, lease = self.server.history[machine.seen]
            if time + machine.lag > self.time:
                break
            news[name] = lease
            machine.seen += 1
        for name, lease in sorted(news.items(), key=lambda item: item[0] == machine.name):
            see = machine.vigil.saw_own if name == machine.name else None
            sign = sign_of(lease.record)
            machine.vigil.saw(name, sign, now) if see is None else see(sign, now)

    def judge(self, machine: Machine) -> None:
        """What must hold at any time."""
        found = machine.vigil.dead - machine.dead
        machine.dead = machine.vigil.dead
        assert not found or self.reaches(machine), f"{machine.name} is cut off and finds {found} dead"
        for name in found:
            seen = self.time - machine.lag
            written = [time for time, who, _ in self.server.history if who == name]
            before = max((time for time in written if time <= seen), default=float("-inf"))
            held = self.server.leases.get(name)
            if held is not None and held.record.holder and before == max(written):
                assert seen - before > DURATION - 1e-6, f"{name} renewed at {before}, and is found dead as of {seen}"
                other = self.machine(name)
                assert other.crashed or not other.elector.leads(self.time + other.offset), f"{name} does not know"


def sign_of(record: LeaseRecord) -> Sign:
    return Sign(
        holder=record.holder,
        ready=True,
        duration=record.duration or 1,
        renewed=record.renewed,
        transitions=record.transitions,
    )


def machines(number: int, clocks: list[tuple[float, int, float]]) -> list[Machine]:
    return [Machine(f"n{index}", *clocks[index]) for index in range(number)]


clocks = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.integers(0, 2**50), st.sampled_from([0.0, 0.2, 1.0])), min_size=4, max_size=4
)
faults = st.lists(
    st.tuples(
        st.floats(0.1, 9.0),
        st.sampled_from(["cut", "mend", "away", "back", "crash", "start", "leave"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 4), clocks, faults)
def test_nobody_is_found_dead_who_lives_and_at_the_end_all_agree(
    number: int, chosen: list[tuple[float, int, float]], happens: list[tuple[float, str, int]]
) -> None:
    world = World(machines(number, chosen))
    for pause, what, index in happens:
        machine = world.machines[index % number]
        world.run(world.time + pause)
        if what in ("away", "back"):
            world.server.away = what == "away"
        elif what in ("cut", "mend"):
            machine.cut = what == "cut"
        elif what == "leave":
            machine.elector.resign(world.time + machine.offset)
        elif what == "crash":
            machine.crashed = True
        elif machine.crashed:
            machine.start([other.name for other in world.machines if other is not machine])
    world.server.away = False
    for machine in world.machines:
        machine.cut = False
    world.run(world.time + FAIR)
    gone = {each.name for each in world.machines if each.crashed or not each.elector.leads(world.time + each.offset)}
    for machine in world.machines:
        if machine.name not in gone:
            assert machine.vigil.settled
            assert gone == machine.vigil.dead, machine.name


@pytest.mark.parametrize("away", [1.0, 1.9, 2.5, 3.0, 4.0, 5.0, 30.0])
def test_a_server_that_is_away_for_all_costs_nobody_his_life(away: float) -> None:
    world = World(machines(3, [(0.0, 0, 0.0), (1e5, 2**40, 0.2), (-1e5, 7, 1.0)]))
    world.run(10)
    assert [frozenset()] * 3 == [each.vigil.dead for each in world.machines]
    world.server.away = True
    world.run(world.time + away)
    world.server.away = False
    world.run(world.time + 20)
    assert [frozenset()] * 3 == [each.vigil.dead for each in world.machines]


def test_who_crashes_is_found_dead_within_a_duration_and_two_renewals() -> None:
    world = World(machines(3, [(0.0, 0, 0.0), (1e5, 2**40, 0.0), (-1e5, 7, 0.2)]))
    world.run(10)
    world.machines[0].crashed = True
    world.run(10 + DURATION - 1 - TICK)
    assert [frozenset()] * 2 == [each.vigil.dead for each in world.machines[1:]]
    world.run(10 + DURATION + 2)
    assert [{"n0"}] * 2 == [each.vigil.dead for each in world.machines[1:]]


def test_a_calendar_that_goes_back_is_of_no_account() -> None:
    world = World(machines(2, [(0.0, 2**50, 0.0), (0.0, 0, 0.0)]))
    world.run(10)
    world.machines[0].wall = 0
    world.run(30)
    assert [frozenset()] * 2 == [each.vigil.dead for each in world.machines]


def sign(**said: object) -> Sign:
    known: dict[str, object] = {"holder": "x", "ready": True, "duration": 4, "renewed": 1, **said}
    return Sign(**known)  # type: ignore[arg-type]


def test_what_a_lease_says_counts_at_once() -> None:
    vigil = Vigil("own", duration=4)
    vigil.arrange(["x", "y"])
    assert not vigil.settled
    vigil.sent(1, 0.0)
    vigil.saw_own(sign(holder="own"), 0.0)
    vigil.saw("x", sign(), 0.0)
    vigil.saw("y", sign(holder="", ready=False), 0.0)
    assert [Life.UNKNOWN, Life.DEAD] == [vigil.life("x"), vigil.life("y")]
    assert {"y"} == vigil.dead
    vigil.saw("x", sign(renewed=2), 1.0)
    assert vigil.settled
    vigil.saw("x", sign(renewed=3, ready=False, starting=True), 2.0)
    assert {"x", "y"} == vigil.dead, "one that answered has begun anew"
    vigil.saw("y", sign(holder="y", ready=False, starting=True, renewed=5), 3.0)
    assert {"x", "y"} == vigil.dead, "others answer for what it had"


def test_who_comes_at_the_same_time_is_not_taken_over() -> None:
    vigil = Vigil("own", duration=4)
    vigil.arrange(["x"])
    vigil.sent(1, 0.0)
    vigil.saw_own(sign(holder="own"), 0.0)
    vigil.saw("x", sign(ready=False, starting=True), 0.0)
    assert vigil.settled
    assert not vigil.dead
    vigil.saw("x", sign(ready=False, renewed=2), 4.0)
    assert {"x"} == vigil.dead


def test_a_renewal_that_is_not_ours_proves_nothing() -> None:
    vigil = Vigil("own", duration=4)
    vigil.arrange(["x"])
    vigil.sent(1, 0.0)
    for said in (None, sign(holder="other"), sign(holder="own", renewed=9)):
        vigil.saw_own(said, 100.0)
    assert not vigil.settled
