"""What `make` installs and when, with stand-ins for Python: nothing is downloaded here."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

PYTHON = """#!/bin/sh
# Stands in for Python: writes down what it was asked, makes environments of itself, fails where it is told to.
echo "$*" >> "$CALLS"
case "$*" in *"$FAILS_AT"*) [ -z "$FAILS_AT" ] || exit 1 ;; esac
[ "$1 $2 $3" != "-m venv --clear" ] || { rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; }
"""


class Clone:
    """A clone in a folder with a space in its name, with no more in it than `make` reads."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a clone"
        (self.root / "tools").mkdir(parents=True)
        for name in ("Makefile", "setup.cfg", "pyproject.toml", "tools/debian-packages"):
            shutil.copy2(REPOSITORY / name, self.root / name)
        self.python = root / "python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.calls = root / "calls"
        self.calls.touch()

    def run(self, *arguments: str, fails_at: str = "") -> int:
        """Run make; return its exit status."""
        own = {"CALLS": str(self.calls), "FAILS_AT": fails_at}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            ["make", f"PYTHON={self.python}", "NEEDS_lab=", "NEEDS_demo=", "NEEDS_test=", "NEEDS_bench=", "KEEP=", *arguments],
            cwd=self.root, env={**inherited, **own}, capture_output=True, text=True, timeout=30, check=False,
        ).returncode  # fmt: skip

    def make(self, *arguments: str, fails_at: str = "") -> tuple[int, list[str]]:
        """Run make; return its exit status and what Python was asked to do meanwhile."""
        before = len(self.asked())
        return self.run(*arguments, fails_at=fails_at), self.asked()[before:]

    def asked(self) -> list[str]:
        """Return all that Python was asked to do."""
        return self.calls.read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def kinds(calls: list[str]) -> list[str]:
    """The calls without their options."""
    return [" ".join(word for word in call.split()[:3] if not word.startswith("--")) for call in calls]


INSTALL = ["-m venv", "-m pip install", "-m pip install"]
DEMO = ["-m examples.demo"]


def test_the_second_run_installs_nothing(clone: Clone) -> None:
    first = clone.make("demo")
    second = clone.make("demo")

    assert (0, [*INSTALL, *DEMO]) == (first[0], kinds(first[1]))
    assert (0, DEMO) == (second[0], kinds(second[1]))


@pytest.mark.parametrize("step", ["venv", "pip install", "--editable"])
def test_an_install_that_was_cut_short_is_made_anew(clone: Clone, step: str) -> None:
    status, calls = clone.make("demo", fails_at=step)
    again = clone.make("demo")

    assert 2 == status
    assert DEMO[0] not in kinds(calls)
    assert (0, [*INSTALL, *DEMO]) == (again[0], kinds(again[1]))


def test_two_at_once_install_once(clone: Clone) -> None:
    with ThreadPoolExecutor() as pool:
        statuses = list(pool.map(clone.run, ["demo", "demo"]))

    assert [0, 0] == statuses
    assert sorted([*INSTALL, *DEMO, *DEMO]) == sorted(kinds(clone.asked()))


def test_changed_requirements_are_installed_into_the_same_environment(clone: Clone) -> None:
    clone.make("demo")
    later = (clone.root / ".venv/.stamp").stat().st_mtime + 10
    os.utime(clone.root / "setup.cfg", (later, later))

    status, calls = clone.make("demo")

    assert (0, [*INSTALL[1:], *DEMO]) == (status, kinds(calls))


def test_clean_leaves_what_came_with_the_clone(clone: Clone) -> None:
    before = {path for path in clone.root.rglob("*") if path.is_file()}
    clone.make("demo")
    (clone.root / "build" / "demo").mkdir(parents=True)

    status, calls = clone.make("clean")

    assert (0, ["-m netlb.testing.lab sweep"]) == (status, kinds(calls))
    assert before == {path for path in clone.root.rglob("*") if path.is_file()}
    assert not (clone.root / "build").exists()


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "clean"])
def test_every_target_has_commands(clone: Clone, target: str) -> None:
    assert 0 == clone.make("--dry-run", "--jobs=4", target)[0]


class TestDebianPackages:
    TOOL = REPOSITORY / "tools" / "debian-packages"

    def test_what_is_there_is_not_installed(self) -> None:
        result = subprocess.run(
            [self.TOOL, "/bin/sh:no-such-package"], capture_output=True, text=True, timeout=10, check=True
        )

        assert "" == result.stdout + result.stderr

    @pytest.mark.skipif(os.geteuid() != 0, reason="root: only root can become somebody else; run as root")
    def test_without_root_it_says_what_root_has_to_do(self) -> None:
        result = subprocess.run(
            ["sh", "-s", "--", "/nowhere/one:first", "/bin/sh:there", "/nowhere/two:second"],
            input=self.TOOL.read_text(), user=65534, cwd="/", capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip

        assert 1 == result.returncode
        assert (
            "netlb needs these Debian packages: first second. As root: apt-get install first second\n" == result.stderr
        )
