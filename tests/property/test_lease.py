"""Several electors, clocks that run at different rates, messages that are late or lost: never two leaders at once."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.source.lease import Action, Create, Elector, Lease, LeaseRecord, Read, Replace, Wait

RATE = 0.15
"""How far a clock's rate may be from the real one; (1 - 0.15) * 15 > (1 + 0.15) * 10."""
END = 300.0
FAIR = 100.0
"""How long everything works at the end of a run, so that somebody must lead."""


class Server:
    """One Lease, with optimistic concurrency."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0

    def carry_out(self, action: Action) -> Lease | str | None:
        """What the server says to a request that arrives now."""
        if isinstance(action, Read):
            return self.lease
        if isinstance(action, Create):
            return "conflict" if self.lease else self._write(action.record)
        assert isinstance(action, Replace)
        if self.lease is None or self.lease.resource_version != action.resource_version:
            return "conflict"
        return self._write(action.record)

    def _write(self, record: LeaseRecord) -> Lease:
        assert record.duration
        self.version += 1
        self.lease = Lease(record, str(self.version))
        return self.lease


@dataclass
class Candidate:
    """An elector with its own clocks."""

    name: str
    elector: Elector
    offset: float
    rate: float
    wall: int
    wakeup: int = 0
    frozen: bool = False
    led: list[float] = field(default_factory=list)

    def now(self, real: float) -> float:
        return self.offset + real * self.rate

    def real(self, local: float) -> float:
        return (local - self.offset) / self.rate

    def leads(self, real: float) -> bool:
        return self.elector.leads(self.now(real))


class World:
    """Real time, and everything that happens in it."""

    def __init__(self, candidates: list[Candidate], network: Callable[[], tuple[float, float, bool, bool]]) -> None:
        self.server = Server()
        self.candidates = candidates
        self.network = network
        self.time = 0.0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (time, next(self.order), what))

    def run(self, end: float) -> None:
        while self.queue and self.queue[0][0] <= end:
            self.time, _, what = heapq.heappop(self.queue)
            what()
            leaders = [one.name for one in self.candidates if one.leads(self.time)]
            assert len(leaders) <= 1, (self.time, leaders, self.server.lease)
            for one in self.candidates:
                if one.name in leaders:
                    one.led.append(self.time)
        self.time = end

    def step(self, candidate: Candidate) -> None:
        """Let a candidate do what it wants to, and come back when it wants to be woken."""
        if candidate.frozen:
            return
        now = candidate.now(self.time)
        action = candidate.elector.next_action(now, candidate.wall + int(self.time * 1e6))
        if not isinstance(action, Wait):
            self.send(candidate, action)
        candidate.wakeup = number = next(self.order)
        if (wake := candidate.elector.next_wakeup(now)) < float("inf"):
            at = max(candidate.real(wake), self.time) + 1e-6
            self.at(at, lambda: self.step(candidate) if candidate.wakeup == number else None)

    def send(self, candidate: Candidate, action: Action) -> None:
        there, back, request_lost, answer_lost = (0.01, 0.01, False, False) if self.fair else self.network()

        def arrive() -> None:
            answer = self.server.carry_out(action)
            if not answer_lost:
                self.at(self.time + back, lambda: self.deliver(candidate, action, answer))

        if not request_lost:
            self.at(self.time + there, arrive)

    @property
    def fair(self) -> bool:
        return self.time >= END - FAIR

    def deliver(self, candidate: Candidate, action: Action, answer: Lease | str | None) -> None:
        now = candidate.now(self.time)
        if isinstance(answer, str):
            candidate.elector.refused(action, now)
        else:
            candidate.elector.answered(action, answer, now)
        self.step(candidate)


delays = st.sampled_from([0.0, 0.01, 0.5, 3.9, 4.1, 9.0, 14.0, 30.0]) | st.floats(0, 40)
rates = st.sampled_from([1 - RATE, 1.0, 1 + RATE]) | st.floats(1 - RATE, 1 + RATE)
clocks = st.tuples(st.floats(-1e6, 1e6), rates, st.integers(0, 2**50), st.floats(0, 20))


@settings(max_examples=150)
@given(st.lists(clocks, min_size=2, max_size=4), st.data())
def test_there_are_never_two_leaders_and_one_when_the_server_answers(
    machines: list[tuple[float, float, int, float]], data: st.DataObject
) -> None:
    random = data.draw(st.randoms(use_true_random=False), label="random")
    candidates = [
        Candidate(f"c{number}", Elector(f"c{number}", jitter=random.random), offset, rate, wall)
        for number, (offset, rate, wall, _) in enumerate(machines)
    ]
    trouble = data.draw(st.floats(0, 1), label="share of requests that are not answered as they should be")

    def network() -> tuple[float, float, bool, bool]:
        if random.random() > trouble:
            return 0.01, 0.01, False, False
        return (
            random.choice([0.01, 1.0, 3.9, 4.5, 9.0, 20.0]),
            random.random() * 6,
            random.random() < 0.2,
            random.random() < 0.4,
        )

    world = World(candidates, network)
    for candidate, (*_, start) in zip(candidates, machines, strict=True):
        world.at(start, lambda candidate=candidate: world.step(candidate))  # type: ignore[misc]
    for number, candidate in enumerate(candidates[1:]):
        if data.draw(st.booleans(), label=f"c{number + 1} resigns"):
            when = data.draw(st.floats(0, END - FAIR), label="at")

            def resign(candidate: Candidate = candidate) -> None:
                candidate.elector.resign(candidate.now(world.time))
                world.step(candidate)

            world.at(when, resign)
    world.run(END)
    leaders = [one.name for one in candidates if one.leads(END)]
    assert 1 == len(leaders), (leaders, world.server.lease)


@settings(max_examples=100)
@given(st.lists(clocks, min_size=2, max_size=3), delays, st.randoms(use_true_random=False))
def test_the_next_one_starts_when_a_leader_crashes_and_at_once_when_it_resigns(
    machines: list[tuple[float, float, int, float]], crash: float, random: object
) -> None:
    candidates = [
        Candidate(f"c{number}", Elector(f"c{number}", jitter=lambda: 0.5), offset, rate, wall)
        for number, (offset, rate, wall, _) in enumerate(machines)
    ]
    world = World(candidates, lambda: (0.01, 0.01, False, False))
    for number, candidate in enumerate(candidates):
        world.at(number, lambda candidate=candidate: world.step(candidate))  # type: ignore[misc]
    world.run(30 + crash)
    first = candidates[0]
    assert first.leads(world.time)
    first.elector.resign(first.now(world.time))
    world.step(first)
    world.run(world.time + 1)
    assert first.elector.finished(first.now(world.time))
    world.run(world.time + 4)
    (second,) = (one for one in candidates if one.leads(world.time))
    assert 1 == world.server.lease.record.transitions  # type: ignore[union-attr]
    crashed = world.time
    second.frozen = True
    world.run(crashed + 40)
    assert not second.leads(world.time)
    if len(candidates) > 2:
        third = candidates[3 - candidates.index(second)]
        assert third.leads(world.time)
        assert second.led[-1] < third.led[0]
