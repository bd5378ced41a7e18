"""`make demo`: every step holds, and nothing of it is left."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlb.testing.lab import labs
from netlb.testing.sites import requirements
from tests.support.bgp import without_gobgpd
from tests.support.needs import needs, needs_command

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def demo() -> Iterator["subprocess.Popen[str]"]:
    """Begin the demonstration; nothing of it is left in the end."""
    frr = Path("/usr/lib/frr/bfdd")
    needs([*requirements(), *without_gobgpd(), *([] if frr.exists() else [f"{frr}: not found; install frr"])])
    needs_command("wireguard-go", "wireguard-go")
    needs_command("ping", "iputils-ping")
    before = {*REPOSITORY.glob("build/demo-*")}
    with tempfile.TemporaryDirectory(prefix="netlb-") as temporary:  # where FRR, which gives up root, has a way to
        Path(temporary).chmod(0o711)
        running = subprocess.Popen(
            # Who runs these tests in the background has it ignored.
            ["env", "--default-signal=INT", sys.executable, "-m", "examples.demo"],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": temporary, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield running
        finally:
            running.kill()
            running.communicate()
        assert [] == [*Path(temporary).iterdir()]
    assert [] == [lab.name for lab in labs() if lab.owner == running.pid]
    assert before >= {*REPOSITORY.glob("build/demo-*")}


def test_every_step_holds_with_its_time_and_nothing_is_left() -> None:
    with demo() as running:
        said, _ = running.communicate(timeout=280)
        lines = said.splitlines()
        assert (0, "Every step held.") == (running.returncode, lines[-1]), said
    steps = [line for line in lines if line.startswith("✓")]
    assert all(re.match(r"✓ +\d+ ms  \S", line) for line in steps)
    assert 25 <= len(steps) <= 35
    assert 4 == len([line for line in steps if re.search(r"\d+ of \d+ requests lost", line)])
    sites = "\n".join(lines[next(place for place, line in enumerate(lines) if line.startswith("Sites:")) :])
    assert "64 of 64 answer" in sites
    assert re.search(r"holds the tunnels: silent for \d+ ms to the cloud and \d+ ms to the shop", sites), sites
    assert re.search(r"[1-9][\d,]* packets of tunnels, \d+ others, a pod's address in 0$", sites, re.MULTILINE), sites


def test_nothing_is_left_of_one_that_is_interrupted_among_sites() -> None:
    with demo() as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "tunnels come up" in line:
                break
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert 1 == running.returncode
