"""Nodes that each watch a few others, on a real segment: what a few of them hear, all of them know."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.bfd.circles import neighbours
from netlb.testing.lab import Lab
from tests.support.waiting import eventually

pytestmark = pytest.mark.root


class Segment:
    """Six nodes that stand in a circle."""

    def __init__(self, lab: Lab, root: Path) -> None:
        self.lab, self.root = lab, root
        self.running: dict[str, subprocess.Popen[str]] = {}
        for name in lab.nodes:
            self.start(name)

    def start(self, name: str) -> None:
        addresses = [f"{node}={host.addresses[0]}" for node, host in self.lab.nodes.items()]
        command = [sys.executable, "-m", "tests.support.watcher", name, str(self.root / name), *addresses]
        self.running[name] = self.lab.nodes[name].popen(command)

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()
        (self.root / name).unlink()

    def dead(self, name: str) -> set[str] | None:
        file = self.root / name
        return set(json.loads(file.read_text())) if file.exists() else None

    def agree(self, *dead: str) -> None:
        """Wait until all others hold these for dead, and nobody else."""
        others = self.running.keys() - set(dead)
        eventually(lambda: all(self.dead(name) == set(dead) for name in others), f"{dead or 'nobody'} dead for all")

    def link(self, name: str, state: str) -> None:
        self.lab.nodes[name].run(["ip", "link", "set", "eth0", state])


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with Lab(nodes=6) as lab:
        yield Segment(lab, tmp_path)


def test_everybody_knows_who_is_dead_and_who_is_back(segment: Segment) -> None:
    segment.agree()
    circle = neighbours(segment.lab.nodes, most=2)
    first = min(segment.lab.nodes)
    watchers = sorted(circle[first])
    segment.kill(first)
    segment.agree(first)
    segment.link(watchers[0], "down")
    others = segment.running.keys() - {watchers[0]}
    eventually(lambda: all(segment.dead(name) == {first, watchers[0]} for name in others), "both are dead for the rest")
    everybody_else = set(segment.lab.nodes) - {watchers[0]}
    eventually(lambda: segment.dead(watchers[0]) == everybody_else, "all others are dead for whoever is cut off")
    segment.start(first)  # and knows nothing of what was said before
    segment.link(watchers[0], "up")
    segment.agree()
