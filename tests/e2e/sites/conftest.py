"""Sites with a daemon on every node: one lab for each module, since what takes time is tunnels that come up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlb.testing.sites import SitesLab, requirements
from tests.support.mesh.pairs import unreachable
from tests.support.mesh.world import World
from tests.support.needs import needs, needs_command
from tests.support.strongswan import missing


@contextmanager
def _world(root: Path, backend: str) -> Iterator[World]:
    needs(requirements())
    if backend == "ipsec":
        needs_command("charon-systemd", "charon-systemd")
        needs(missing())
    else:
        needs_command("wireguard-go", "wireguard-go")
    with SitesLab(name="mesh") as lab:
        made = World(root, lab, backend=backend)
        try:
            made.declare()
            made.serve()
            yield made
            made.stop()
        finally:
            made.kill()


@pytest.fixture(params=["userspace", "ipsec"])
def empty(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Sites of which nothing runs yet, with tunnels of either kind."""
    with _world(tmp_path, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Sites joined by IPsec, which strongSwan does beside the kernel; every daemon runs."""
    with _world(tmp_path_factory.mktemp("mesh"), "ipsec") as made:
        made.start_charons()
        made.start(*made.lab.nodes)
        assert {} == unreachable(made.lab)
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Sites joined by WireGuard beside the kernel; every daemon runs."""
    with _world(tmp_path_factory.mktemp("mesh"), "userspace") as made:
        made.start(*made.lab.nodes)
        assert {} == unreachable(made.lab)
        yield made
