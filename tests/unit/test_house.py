"""The rules of the house, and that breaking one is noticed."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    path = f"{tree}{os.pathsep}{tree / 'daemons'}"
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for part in ("netlb", "daemons"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def test_the_house_as_it_stands_keeps_its_contracts(copy: Path) -> None:
    result = lint(copy)
    assert 0 == result.returncode, result.stdout


@pytest.mark.parametrize(
    ("module", "cheat", "broken"),
    [
        ("netlb/ipam/space.py", "import time", "a room has one door"),
        ("netlb/plan/node.py", "import socket", "a room has one door"),
        ("netlb/l2/responder.py", "import random", "a room has one door"),
        ("netlb/ipam/source.py", "import ssl", "a room has one door"),
        ("netlb/plan/cluster.py", "import netlb.ipam.adapter.netbox", "adapters are chosen"),
        ("netlb/runtime/app.py", "import httpx", "httpx is used in one place"),
        ("netlb/l2/election.py", "import netlb.ipam", "data flows one way"),
        ("netlb/api/core.py", "import netlb.plan", "data flows one way"),
        ("netlb/source/folder.py", "import netlb_speaker", "data flows one way"),
        ("netlb/l2/responder.py", "import netlb.api", "the responder's process"),
        ("netlb/bfd/session.py", "import time", "a room has one door"),
        ("netlb/bfd/packet.py", "import netlb.l2.arp", "data flows one way"),
        ("netlb/bfd/sessions.py", "import netlb.net", "the BFD engine"),
        ("netlb/bfd/adapter/worker.py", "import asyncio", "the BFD engine"),
        ("netlb/ipam/space.py", "import netaddr", "netaddr is used in one place"),
        ("netlb/source/reflector.py", "import asyncio", "the source's state machines"),
        ("netlb/source/lease.py", "import time", "the source's state machines"),
        ("netlb/source/kube_source.py", "import lightkube", "lightkube and its HTTP client"),
        ("netlb/source/kube_election.py", "import httpx2", "lightkube and its HTTP client"),
        ("netlb/cli/main.py", "import scapy", "scapy, which is GPL-2.0-only"),
        ("netlb/bgp/peers.py", "import asyncio", "a room has one door"),
        ("netlb/bgp/model.py", "import netlb.reconcile", "data flows one way"),
        ("netlb/raven/mesh.py", "import netlb.bgp", "data flows one way"),
        ("netlb/raven/election.py", "import time", "a room has one door"),
        ("netlb/cli/main.py", "import grpc", "gobgpd's API is known in one room"),
        ("netlb/bgp/adapter/client.py", "import google.protobuf", "gobgpd's API is known in one room"),
    ],
)
def test_a_forbidden_import_is_caught(copy: Path, module: str, cheat: str, broken: str) -> None:
    file = copy / module
    honest = file.read_text()
    try:
        file.write_text(f"{honest}\n{cheat}\n")
        result = lint(copy)
    finally:
        file.write_text(honest)
    assert 0 != result.returncode
    assert [line for line in result.stdout.splitlines() if broken in line and "BROKEN" in line], result.stdout


def test_setup_cfg_lists_every_package() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    listed = set(metadata["options"]["packages"].split())
    found = {
        ".".join(folder.relative_to(root).parts)
        for root, top in ((ROOT, "netlb"), (ROOT / "daemons", "*"))
        for init in root.glob(f"{top}/**/__init__.py")
        for folder in (init.parent,)
    }
    assert found == listed


def test_every_dependency_has_an_upper_bound_and_a_reason() -> None:
    lines = (ROOT / "setup.cfg").read_text().splitlines()
    start = lines.index("install_requires =") + 1
    for number, line in enumerate(lines[start:], start=start):
        if not line.startswith("    "):
            break
        if not line.strip().startswith("#"):
            assert ",<" in line, line
            assert lines[number - 1].strip().startswith("#"), line


def test_every_package_says_what_it_is_for() -> None:
    for init in (*ROOT.glob("netlb/**/__init__.py"), *ROOT.glob("daemons/*/__init__.py")):
        assert init.read_text().startswith('"""'), init
