"""The controller's parts together: manifests in, status tree out."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from netlb.runtime.app import App
from netlb.source.tree import StatusTree
from netlb_controller.wiring import ControllerSettings, build
from tests.manifests import advertisement, node, pool, service
from tests.support.status import StatusReader
from tests.support.waiting import becomes
from tests.support.wired import common, wired, write

ADDRESS = "192.0.2.1"
WEB_FILE = "services/default.web.yaml"


def controller(root: Path) -> App:
    return build(ControllerSettings(common=common(root), status_dir=root / "cluster.status"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a pool of two addresses, and a Service."""
    common(tmp_path)
    write(tmp_path, "pool.yaml", [pool("two", "192.0.2.1-192.0.2.2"), advertisement()])
    write(tmp_path, "web.yaml", [service("web")])
    return tmp_path


@pytest.fixture
def status(root: Path) -> StatusReader:
    return StatusReader(root / "cluster.status")


def test_an_address_is_given_and_taken_back(root: Path, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            assert {"web": (ADDRESS,)} == status.held()
            assert {"ipv4": {"total": 2, "used": 1, "free": 1}} == status.pool("two")
            assert 1.0 == daemon.metric("netlb_allocator_addresses_in_use", pool="two", family="ipv4")
            (root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: not (status.root / WEB_FILE).exists(), "its file is gone")
            await daemon.until(lambda: status.pool("two")["ipv4"]["used"] == 0, "its address is free")
            assert 0.0 == daemon.metric("netlb_allocator_addresses_in_use", pool="two", family="ipv4")

    asyncio.run(scenario())


def test_a_service_without_an_address_says_why(root: Path, status: StatusReader) -> None:
    write(root, "more.yaml", [service("web-2"), service("web-3")])

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            assert ["web", "web-2"] == sorted(status.held())
            text = (status.root / "services/default.web-3.yaml").read_text()
            assert "reason: PoolExhausted" in text
            assert 1.0 == daemon.metric("netlb_allocator_refusals", reason="PoolExhausted")
            (root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: status.address("web-3") == ADDRESS, "it has what became free")

    asyncio.run(scenario())


def test_the_next_controller_gives_everyone_what_the_last_one_gave(root: Path, status: StatusReader) -> None:
    async def scenario() -> None:
        daemon: Any
        async with wired(controller(root)) as daemon:
            await daemon.ready()
        write(root, "early.yaml", [service("a-service-that-sorts-first")])
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            assert {"web": (ADDRESS,), "a-service-that-sorts-first": ("192.0.2.2",)} == status.held()

    asyncio.run(scenario())


@pytest.mark.parametrize("change", ["edit", "delete", "replace", "add"])
def test_what_is_changed_by_hand_is_put_back(root: Path, status: StatusReader, change: str) -> None:
    path = status.root / WEB_FILE
    intruder = status.root / "services" / "default.nobody.yaml"

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            good = path.read_text()
            match change:
                case "edit":
                    path.write_text(good.replace(ADDRESS, "192.0.2.2"))
                case "delete":
                    path.unlink()
                case "replace":
                    (status.root / "hand").write_text("kind: [")
                    (status.root / "hand").rename(path)
                case "add":
                    intruder.write_text(good.replace("web", "nobody"))
            await daemon.until(lambda: path.exists() and path.read_text() == good, "it is put back")
            await daemon.until(lambda: not intruder.exists(), "what nobody asked for is gone")
            await daemon.ready()
            assert {"web": (ADDRESS,)} == status.held()

    asyncio.run(scenario())


def test_files_of_speakers_and_strangers_are_left_alone(root: Path, status: StatusReader) -> None:
    others = [status.root / "nodes" / "node-1.yaml", status.root / "services" / "README", status.root / "other.yaml"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            (root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: not status.held(), "the Service is gone")

    asyncio.run(scenario())
    assert ["theirs"] * 3 == [path.read_text() for path in others]


def test_a_file_that_cannot_be_written_is_tried_again(root: Path, status: StatusReader) -> None:
    obstacle = status.root / WEB_FILE
    obstacle.mkdir(parents=True)
    write(root, "more.yaml", [service("web-2")])

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.until(lambda: status.address("web-2"), "the others are written")
            await daemon.until(lambda: daemon.metric("netlb_reconcile_errors", reconciler="status"), "it is counted")
            assert {"status": "not all written"} == daemon.problems()
            obstacle.rmdir()
            await daemon.ready()
            assert ADDRESS == status.address("web")

    asyncio.run(scenario())


def test_a_broken_manifest_keeps_what_is_held_and_becomes_a_finding(root: Path, status: StatusReader) -> None:
    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            (root / "cluster" / "pool.yaml").write_text("kind: [")
            await daemon.until(lambda: status.findings("controller.yaml"), "a finding")
            assert ["InvalidYAML"] == [finding["reason"] for finding in status.findings("controller.yaml")]
            assert {"web": (ADDRESS,)} == status.held()
            assert 1.0 == daemon.metric("netlb_findings", severity="error")
            write(root, "pool.yaml", [pool("two", "192.0.2.1-192.0.2.2"), advertisement(), node("n")])
            await daemon.until(lambda: not status.findings("controller.yaml"), "it is mended")
            assert 0.0 == daemon.metric("netlb_findings", severity="error")

    asyncio.run(scenario())


def test_an_address_has_one_holder_on_disk_at_any_moment(
    root: Path, status: StatusReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a crash between two files would leave two holders, and the wrong one might keep it."""
    write(root, "pool.yaml", [pool("one", ADDRESS), advertisement()])
    write(root, "waiting.yaml", [service("waiting")])
    holders: list[list[str]] = []

    def noting(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: Any) -> None:
            change(*arguments)
            holders.append(sorted(name for name, addresses in status.held().items() if ADDRESS in addresses))

        return changed

    monkeypatch.setattr(StatusTree, "_write", noting(StatusTree._write))
    monkeypatch.setattr(StatusTree, "_delete", noting(StatusTree._delete))

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            assert {"waiting": (ADDRESS,)} == status.held()
            write(root, "early.yaml", [service("early")])
            await daemon.until((status.root / "services/default.early.yaml").exists, "it waits")
            (root / "cluster" / "waiting.yaml").unlink()
            await daemon.until(lambda: status.address("early") == ADDRESS, "it has the address")
            await daemon.ready()

    asyncio.run(scenario())
    assert [["waiting"], [], ["early"]] == [names for names, _ in groupby(holders[holders.index(["waiting"]) :])]


def test_it_is_ready_when_everything_is_written_and_not_halfway(root: Path, status: StatusReader) -> None:
    async def scenario() -> None:
        daemon: Any
        async with wired(controller(root)) as daemon:
            await daemon.ready()
        (root / "cluster" / "web.yaml").unlink()
        write(root, "successor.yaml", [service("successor")])
        async with wired(controller(root)) as daemon:
            await daemon.ready(pause=0)
            assert {"successor": (ADDRESS,)} == status.held()

    asyncio.run(scenario())


def test_a_status_tree_that_rests_is_not_read_again(
    root: Path, status: StatusReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe, times = StatusTree.observe, 0

    async def counted(tree: StatusTree) -> Mapping[str, str]:
        nonlocal times
        times += 1
        return await observe(tree)

    monkeypatch.setattr(StatusTree, "observe", counted)

    async def scenario() -> None:
        async with wired(controller(root)) as daemon:
            await daemon.ready()
            (status.root / WEB_FILE).unlink()
            await daemon.until((status.root / WEB_FILE).exists, "it is put back")

            async def rests() -> bool:
                before = times
                await asyncio.sleep(0.3)
                return before == times

            await becomes(rests)

    asyncio.run(scenario())
