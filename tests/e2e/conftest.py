"""A cluster in a lab for every test, and a look for leftovers after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.testing.lab import labs
from netlb.testing.lab.fixtures import lab_fixture
from netlb.testing.lab.lab import Lab
from tests.support.cluster import Cluster

opened = lab_fixture(nodes=3, clients=1, pods_per_node=1, name="e2e", scope="function")


@pytest.fixture
def lab(opened: Lab) -> Iterator[Lab]:
    """Three nodes, a client and three pods; gone after the test, to the last namespace."""
    yield opened
    opened.close()
    assert opened.name not in {each.name for each in labs()}


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Iterator[Cluster]:
    """The lab with a directory of manifests; no daemon runs yet."""
    made = Cluster(tmp_path, lab)
    try:
        yield made
        made.stop()
    finally:
        made.kill()
        made.show_logs()
