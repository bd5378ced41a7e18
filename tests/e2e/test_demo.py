"""`make demo`: every step holds, and nothing of it is left."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from netlb.testing.lab import labs, requirements
from tests.support.bgp import without_gobgpd
from tests.support.needs import needs

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).parents[2]


def test_every_step_holds_with_its_time_and_nothing_is_left() -> None:
    frr = Path("/usr/lib/frr/bfdd")
    needs([*requirements(), *without_gobgpd(), *([] if frr.exists() else [f"{frr}: not found; install frr"])])
    before = {*REPOSITORY.glob("build/demo-*")}
    with tempfile.TemporaryDirectory(prefix="netlb-") as temporary:  # where FRR, which gives up root, has a way to
        Path(temporary).chmod(0o711)
        ran = subprocess.run(
            [sys.executable, "-m", "examples.demo"],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": temporary, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert [] == [*Path(temporary).iterdir()]
    lines = ran.stdout.splitlines()
    assert (0, "Every step held.") == (ran.returncode, lines[-1]), ran.stdout
    steps = [line for line in lines if line.startswith("✓")]
    assert all(re.match(r"✓ +\d+ ms  \S", line) for line in steps)
    assert 15 <= len(steps) <= 25
    assert 4 == len([line for line in steps if re.search(r"\d+ of \d+ requests lost", line)])
    assert [] == [lab.name for lab in labs() if lab.name.startswith("demo.") and not lab.owned]
    assert before == {*REPOSITORY.glob("build/demo-*")}
