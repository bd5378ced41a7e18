"""A site or a cluster for every test, and a look for leftovers after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlb.testing.lab import labs
from netlb.testing.lab.fixtures import lab_fixture
from netlb.testing.lab.lab import Lab
from tests.support.cluster import Cluster
from tests.support.kube_cluster import KubeCluster
from tests.support.kubernetes import Kubernetes, kubernetes
from tests.support.site import Site

opened = lab_fixture(nodes=3, clients=1, pods_per_node=1, name="e2e", scope="function")


@contextmanager
def ended(site: Site) -> Iterator[None]:
    """End the site in order after a test that passed, and at any rate."""
    try:
        yield
        site.stop()
    finally:
        site.kill()
        site.show_logs()


@pytest.fixture
def lab(opened: Lab) -> Iterator[Lab]:
    """Three nodes, a client and three pods; gone after the test, to the last namespace."""
    yield opened
    opened.close()
    assert opened.name not in {each.name for each in labs()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A directory of manifests for a controller, which needs no network; no daemon runs yet."""
    made = Site(tmp_path)
    with ended(made):
        yield made


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Iterator[Cluster]:
    """The lab with a directory of manifests; no daemon runs yet."""
    made = Cluster(tmp_path, lab)
    with ended(made):
        yield made


@pytest.fixture
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """The double of the API server; every right that a daemon lacked is a failure."""
    with kubernetes(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def kube(lab: Lab, api: Kubernetes, tmp_path: Path) -> Iterator[KubeCluster]:
    """The lab with that API server; no daemon runs yet."""
    made = KubeCluster(tmp_path, lab, api)
    with ended(made):
        yield made
