"""What netlb-gateway makes tunnels of at its start: what it is told, else what its Gateway asks for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.errors import SettingError
from netlb.raven.backend import Backend, Choice
from netlb.runtime.config import CommonSettings
from netlb.testing.tunnels import FakeDevice, fake_backend
from netlb_gateway import __main__ as command
from netlb_gateway.cluster import heard_last, on_cluster
from netlb_gateway.settings import GatewaySettings
from tests.support.kubernetes import GATEWAY, PACE, Kubernetes, kubernetes
from tests.support.sites import documents
from tests.support.waiting import becomes
from tests.support.wired import common, write


class Chosen:
    """Stands for `choose`: takes note of what is asked for, and has some of it."""

    def __init__(self, *has: Choice) -> None:
        self.has = has
        self.asked: list[Choice] = []

    async def __call__(self, choice: Choice, device: str, *, setting: str, **_: Any) -> Backend:
        self.asked.append(choice)
        if choice not in self.has:
            raise SettingError(setting, f"{choice} cannot work here", "choose another one")
        return fake_backend(FakeDevice(), device)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Chosen:
    made = Chosen(Choice.AUTO, Choice.USERSPACE)
    monkeypatch.setattr(command, "choose", made)
    return made


def sites(backend: str) -> dict[str, Any]:
    return {"edge": {"backend": backend, "nodes": ["e1"], "endpoints": [{"nodeName": "e1", "underNAT": True}]}}


def settings(root: Path, shared: CommonSettings, backend: Choice = Choice.AUTO, **more: Any) -> GatewaySettings:
    return GatewaySettings(common=shared, node="e1", key_file=root / "keys" / "key", backend=backend, **more)


def started(given: GatewaySettings) -> bool:
    """Prepare tunnels as the command does; say whether there are any."""
    backend, keys = asyncio.run(command._tunnels(given))
    assert (backend is None) == (keys is None)
    return backend is not None


@pytest.mark.parametrize(
    ("told", "declared", "asked", "tunnels"),
    [
        (Choice.AUTO, "auto", Choice.AUTO, True),
        (Choice.AUTO, "userspace", Choice.USERSPACE, True),
        (Choice.USERSPACE, "ipsec", Choice.USERSPACE, True),
        (Choice.AUTO, "kernel", Choice.KERNEL, False),  # its Gateway asks for what there is not: the log says so
    ],
)
def test_what_it_is_told_counts_and_else_what_its_gateway_asks_for(  # noqa: PLR0917 - one row of a table
    tmp_path: Path, chosen: Chosen, told: Choice, declared: str, asked: Choice, tunnels: bool
) -> None:
    shared = common(tmp_path)
    write(tmp_path, "sites.yaml", [yaml.safe_dump(dict(one.body)) for one in documents(sites(declared))])
    given = settings(tmp_path, shared, told, status_dir=tmp_path / "status")
    assert tunnels == started(given)
    assert [asked] == chosen.asked
    directory = tmp_path / "keys"
    assert tunnels == directory.exists(), "no key is made for tunnels that cannot be"
    if tunnels:
        assert [0o700, 0o600] == [path.stat().st_mode & 0o777 for path in (directory, directory / "key")]


def test_what_it_is_told_and_cannot_have_is_an_error(tmp_path: Path, chosen: Chosen) -> None:
    given = settings(tmp_path, common(tmp_path), Choice.KERNEL, status_dir=tmp_path / "status")
    with pytest.raises(SettingError, match="kernel cannot work here"):
        started(given)


def test_in_a_cluster_the_api_server_says_it_and_while_it_is_away_what_was_kept(
    tmp_path: Path, chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"

    async def keep(cluster: Kubernetes) -> None:
        """Hear what is declared, and keep it, as a daemon does."""
        surroundings = on_cluster(
            cluster.common(GATEWAY), state, name="netlb-gateway", node="e1", pace=PACE, patience=60.0
        )
        services = [asyncio.create_task(run()) for run in surroundings.services.values()]
        snapshots = aiter(surroundings.source.snapshots())
        await anext(snapshots)
        await becomes((state / "netlb-gateway.snapshot").exists)
        for task in services:
            task.cancel()
        await asyncio.gather(*services, return_exceptions=True)

    with kubernetes(tmp_path) as cluster:
        cluster.server.put(*(dict(one.body) for one in documents(sites("userspace"))))
        given = settings(tmp_path, cluster.common(GATEWAY), status_dir=None, state_dir=state)
        assert started(given)
        asyncio.run(keep(cluster))
        cluster.server.go_away()
        monkeypatch.setattr(command, "PATIENCE", 0.3)
        assert started(given)
        assert [Choice.USERSPACE] * 2 == chosen.asked
        lost = asyncio.run(heard_last(given.common, tmp_path / "none", name="netlb-gateway", patience=0.1))
        assert None is lost, "neither heard nor kept: it goes on with what it finds"
        cluster.server.come_back()
