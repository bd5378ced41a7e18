"""Nodes that pass on what they hear, messages that are lost, late and in any order: all come to see the same."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.bfd.circles import neighbours
from netlb.bfd.linkstate import LinkState, Statement

NAMES = tuple(f"node-{index}" for index in range(8))
GRAPH = neighbours(NAMES, most=2)  # a circle, where each link matters


@dataclass
class Segment:
    """Nodes, which links work, and what is under way."""

    random: Random
    now: int = 1_000_000
    loss: float = 0.3
    down: set[frozenset[str]] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    clocks: dict[str, int] = field(default_factory=dict)
    said: dict[str, frozenset[str]] = field(default_factory=dict)
    under_way: list[tuple[str, str, Statement]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = {name: self.fresh(name) for name in NAMES}

    def fresh(self, name: str) -> LinkState:
        self.said.pop(name, None)
        state = LinkState(name)
        state.arrange(GRAPH)
        return state

    def works(self, one: str, other: str) -> bool:
        return not {one, other} & self.stopped and frozenset({one, other}) not in self.down

    def lost(self, name: str) -> frozenset[str]:
        return frozenset(other for other in GRAPH[name] if not self.works(name, other))

    def clock(self, name: str) -> int:
        self.now += 1
        return self.now + self.clocks.get(name, 0)

    def look(self) -> None:
        """Every node that hears others than before says so."""
        for name in NAMES:
            if name in self.stopped or self.said.get(name) == self.lost(name):
                continue
            self.said[name] = self.lost(name)
            if said := self.nodes[name].say(self.lost(name), self.clock(name)):
                self.send(name, said)

    def send(self, name: str, said: Statement, others: Iterable[str] = ()) -> None:
        for other in others or GRAPH[name]:
            if self.works(name, other) and self.random.random() >= self.loss:
                self.under_way.append((name, other, said))

    def carry(self) -> None:
        """Deliver everything in some order, and what is passed on."""
        while self.under_way:
            sender, name, said = self.under_way.pop(self.random.randrange(len(self.under_way)))
            if name not in self.stopped and (reaction := self.nodes[name].hear(said, self.clock(name))):
                self.send(name, reaction.said, () if reaction.everybody else [sender])

    def refresh(self) -> None:
        for name, state in self.nodes.items():
            for said in state.statements() if name not in self.stopped else ():
                self.send(name, said)

    def reachable(self, name: str) -> frozenset[str]:
        reached = {name}
        while more := {o for n in reached for o in GRAPH[n] if self.works(n, o)} - reached:
            reached |= more
        return frozenset(reached)


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=300)
def test_in_the_end_everybody_sees_who_can_be_reached(seed: int, faults: int) -> None:
    random = Random(seed)
    segment = Segment(random)
    for _ in range(faults):
        name = random.choice(NAMES)
        match random.randrange(5):
            case 0:
                segment.stopped ^= {name}
                segment.nodes[name] = segment.fresh(name)  # it begins anew, and knows nothing
            case 1:
                segment.down ^= {frozenset({name, random.choice(sorted(GRAPH[name]))})}
            case 2:
                segment.clocks[name] = random.randrange(-(10**6), 10**6)
            case 3:
                half = set(random.sample(NAMES, 4))
                segment.down ^= {frozenset({a, b}) for a in half for b in GRAPH[a] - half}
            case _:
                segment.refresh()
        segment.look()
        segment.carry()
    segment.loss = 0.0
    for _ in range(3):  # what was lost is said again
        segment.look()
        segment.refresh()
        segment.carry()
    for name in set(NAMES) - segment.stopped:
        alive = frozenset(NAMES) - segment.nodes[name].dead(segment.lost(name))
        assert segment.reachable(name) == alive


NUMBERED_TWICE = [
    Statement("node-0", 7, frozenset(lost)) for lost in ((), ("node-1",), ("node-2",), ("node-1", "node-2"))
]


@given(st.permutations(NUMBERED_TWICE))
def test_of_statements_with_one_number_the_same_counts_for_all(heard: list[Statement]) -> None:
    state = LinkState("node-1")
    state.arrange(GRAPH)
    for said in heard:
        state.hear(said, 1)
    [counts] = state.statements()
    assert counts == max(NUMBERED_TWICE, key=lambda said: sorted(said.lost))
    assert [None if said == counts else counts for said in NUMBERED_TWICE] == [
        reaction and reaction.said for said in NUMBERED_TWICE for reaction in [state.hear(said, 1)]
    ]


@given(st.sampled_from(NUMBERED_TWICE), st.sampled_from(NUMBERED_TWICE))
def test_who_hears_another_statement_of_its_own_with_the_same_number_says_what_counts_more(
    ours: Statement, other: Statement
) -> None:
    state = LinkState("node-0")
    state.arrange(GRAPH)
    ours = state.say(ours.lost, ours.version) or Statement("node-0", 0, frozenset())
    reaction = state.hear(other._replace(version=ours.version), 1)
    assert (reaction is None) == (ours.lost == other.lost)
    if reaction is not None:
        assert (ours.version + 1, ours.lost, True) == (reaction.said.version, reaction.said.lost, reaction.everybody)
