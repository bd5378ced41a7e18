"""The API server that is asked: one for all tests here."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.testing.apiserver import ApiServer
from tests.support.apiserver import MERGE, POOLS, REAL, Api, prepared


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if REAL:
        yield from prepared(Api(Path(REAL), None))
        return
    with ApiServer() as double:
        yield from prepared(Api(double.write_kubeconfig(tmp_path_factory.mktemp("double") / "kubeconfig"), double))


@pytest.fixture
def api(shared: Api) -> Iterator[Api]:
    """The server; what a test makes in our namespace is removed."""
    yield shared
    for path in (shared.services, shared.configmaps, shared.leases):
        for item in shared.ok("GET", path)["items"]:
            if item["metadata"]["name"] != "kube-root-ca.crt":
                one = f"{path}/{item['metadata']['name']}"
                shared.ask("PATCH", one, {"metadata": {"finalizers": None}}, kind=MERGE)
                shared.ask("DELETE", one)


@pytest.fixture
def pool(api: Api) -> Iterator[str]:
    """The path of a pool that is removed again."""
    path = f"{POOLS}/contract-{uuid.uuid4().hex[:8]}"
    yield path
    api.ask("DELETE", path)
