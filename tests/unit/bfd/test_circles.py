"""Who watches whom in a large segment."""

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.bfd.circles import MOST, neighbours


def names(number: int) -> list[str]:
    return [f"node-{index}" for index in range(number)]


def test_a_few_nodes_all_watch_each_other() -> None:
    graph = neighbours(names(MOST + 1))
    assert all(set(graph) - {node} == others for node, others in graph.items())


@given(st.integers(MOST + 2, 200))
@settings(max_examples=20)
def test_many_nodes_watch_a_few_each_mutually(number: int) -> None:
    graph = neighbours(names(number))
    assert all(MOST // 2 < len(others) <= MOST for others in graph.values())
    assert all(node in graph[other] for node, others in graph.items() for other in others)
    assert graph == neighbours(names(number)[::-1])


def test_who_comes_changes_little() -> None:
    before, after = neighbours(names(200)), neighbours(names(201))
    changed = sum(len(before[node] ^ after[node]) for node in before)
    assert changed <= 3 * MOST  # it takes the place between two others in each circle


@given(st.sets(st.integers(0, 99), min_size=1, max_size=60))
@settings(max_examples=50)
def test_whoever_is_left_is_joined(gone: set[int]) -> None:
    left = {f"node-{index}" for index in set(range(100)) - gone}
    graph = neighbours(names(100))
    reached = {min(left)}
    while more := {other for node in reached for other in graph[node] & left} - reached:
        reached |= more
    assert left == reached
