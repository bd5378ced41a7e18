"""A directory and segments for the speaker."""

from pathlib import Path

import pytest

from tests.manifests import advertisement, node, pool
from tests.support.speaking import Net, declare
from tests.support.status import StatusReader
from tests.support.wired import common, write


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with two nodes, a pool, and a Service whose address node-1 owns."""
    common(tmp_path)
    write(tmp_path, "nodes.yaml", [node("node-1"), node("node-2")])
    write(tmp_path, "pool.yaml", [pool("all", "192.0.2.1-192.0.2.6"), advertisement(spec="{ipAddressPools: [all]}")])
    declare(tmp_path, "web")
    return tmp_path


@pytest.fixture
def status(root: Path) -> StatusReader:
    return StatusReader(root / "cluster.status")
