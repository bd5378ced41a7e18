"""A directory of manifests: what counts, what changes, and what a broken file does not do."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import SettingError
from netlb.net import parse_address
from netlb.plan import plan_cluster
from netlb.reasons import ManifestProblem
from netlb.source.directory import DirectorySource
from netlb.source.status import cluster_status
from netlb.source.tree import StatusTree
from netlb.source.watch import DirectoryWatch
from tests.manifests import pool, ref, service, snapshot

LIVENESS = 20  # seconds; only a hang takes this long


class Follower:
    """Follows a directory through its snapshots."""

    def __init__(self, path: Path) -> None:
        self.path = path / "cluster"
        self.services = path / "cluster.status" / "services"
        self.path.mkdir(exist_ok=True)
        self.services.mkdir(parents=True, exist_ok=True)
        self.source = DirectorySource(self.path, self.services, Intake())
        self._snapshots: AsyncIterator[Snapshot] = self.source.snapshots()

    async def next(self) -> Snapshot:
        async with asyncio.timeout(LIVENESS):
            return await anext(self._snapshots)


def test_a_change_of_a_file_is_a_new_snapshot(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        assert {} == (await follower.next()).services
        (follower.path / "a.yaml").write_text(service("web"))
        assert [ref("web")] == list((await follower.next()).services)
        (follower.path / "a.yaml").write_text(service("api"))
        assert [ref("api")] == list((await follower.next()).services)
        (follower.path / "a.yaml").rename(follower.path / "b.json")
        (follower.path / "c.yml").write_text(service("web"))
        assert {ref("api"), ref("web")} == set((await follower.next()).services)
        (follower.path / "c.yml").unlink()
        assert [ref("api")] == list((await follower.next()).services)

    asyncio.run(scenario())


def test_a_file_that_is_being_written_changes_nothing_until_it_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        path = follower.path / "a.yaml"
        path.write_text(service("one") + "---" + service("two"))
        await follower.next()
        with path.open("w") as file:
            file.write(service("one") + "---")
            file.flush()  # valid YAML that lacks a Service
            (follower.path / "b.yaml").write_text(service("other"))
            during = await follower.next()
            assert {ref("one"), ref("two"), ref("other")} == set(during.services)
            file.write(service("three"))
        assert {ref("one"), ref("three"), ref("other")} == set((await follower.next()).services)

    asyncio.run(scenario())


def test_a_file_that_is_truncated_while_it_is_read_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        path = follower.path / "a.yaml"
        path.write_text(service("one"))
        await follower.next()
        read_text = Path.read_text

        def truncated(self: Path, *arguments: str) -> str:
            monkeypatch.undo()
            with path.open("w") as file:  # another process begins to write between our look and our reading
                text = read_text(self, *arguments)
                file.write(service("two"))
            return text

        monkeypatch.setattr(Path, "read_text", truncated)
        path.touch()
        assert [ref("two")] == list((await follower.next()).services)  # and never none

    asyncio.run(scenario())


def test_a_broken_file_is_reported_and_its_last_good_content_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        path = follower.path / "a.yaml"
        path.write_text(service("web"))
        await follower.next()
        for broken in (b"a: [", b"\xff\xfe"):
            path.write_bytes(broken)
            after = await follower.next()
            assert [ref("web")] == list(after.services)
            assert 1 == len(after.findings)
            assert "a.yaml" == after.findings[0].origin
        path.write_text(service("web"))
        assert () == (await follower.next()).findings

    asyncio.run(scenario())


def test_a_file_that_was_never_readable_is_forgotten_when_it_is_deleted(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        (follower.path / "bad.yaml").write_bytes(b"\xff")
        assert (await follower.next()).files_missing
        (follower.path / "bad.yaml").unlink()
        after = await follower.next()
        assert (False, ()) == (after.files_missing, after.findings)

    asyncio.run(scenario())


def test_a_directory_beside_its_own_parent_is_watched_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "inner").mkdir()
        (tmp_path / "a.yaml").write_text("x")
        with DirectoryWatch((tmp_path, tmp_path / "inner")) as watch:
            for change in (
                lambda: (tmp_path / "a.yaml").write_text("y"),
                (tmp_path / "a.yaml").unlink,
                lambda: (tmp_path / "inner" / "b.yaml").write_text("z"),
            ):
                change()
                async with asyncio.timeout(LIVENESS):
                    await watch.changed()
                assert watch.take_touched()

    asyncio.run(scenario())


def test_what_kubectl_would_not_read_is_not_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        for name in (".hidden.yaml", "notes.txt", "a.yaml~"):
            (follower.path / name).write_text(service("web"))
        (follower.path / "sub.yaml").mkdir()
        assert {} == (await follower.next()).services

    asyncio.run(scenario())


def test_a_volume_of_symlinks_that_is_swapped_as_a_whole_is_followed(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        for version, name in (("v1", "one"), ("v2", "two")):
            (follower.path / f"..{version}").mkdir()
            (follower.path / f"..{version}" / "a.yaml").write_text(service(name))
        (follower.path / "..data").symlink_to("..v1")
        (follower.path / "a.yaml").symlink_to("..data/a.yaml")
        assert [ref("one")] == list((await follower.next()).services)
        (follower.path / "..tmp").symlink_to("..v2")
        (follower.path / "..tmp").rename(follower.path / "..data")
        assert [ref("two")] == list((await follower.next()).services)

    asyncio.run(scenario())


def test_a_directory_that_vanishes_changes_nothing_and_is_followed_when_it_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        (follower.path / "a.yaml").write_text(service("web"))
        await follower.next()
        follower.path.rename(tmp_path / "away")
        gone = await follower.next()
        assert [ref("web")] == list(gone.services)
        assert [ManifestProblem.UNREADABLE_FILE] == [finding.reason for finding in gone.findings]
        follower.path.mkdir()
        (follower.path / "a.yaml").write_text(service("web"))
        while (await follower.next()).findings:
            continue
        (follower.path / "a.yaml").write_text(service("api"))
        assert [ref("api")] == list((await follower.next()).services)

    asyncio.run(scenario())


def test_a_directory_that_never_was_is_a_mistake_in_the_setting(tmp_path: Path) -> None:
    source = DirectorySource(tmp_path / "nope", tmp_path, Intake())
    with pytest.raises(SettingError, match="there is no such directory; create it"):
        asyncio.run(anext(source.snapshots()))  # type: ignore[arg-type]


def test_holdings_come_from_the_status_tree(tmp_path: Path) -> None:
    async def scenario() -> None:
        follower = Follower(tmp_path)
        tree = StatusTree(tmp_path / "cluster.status", "netlb-controller", lambda _: True)
        assert {} == (await follower.next()).holdings
        plan = plan_cluster(snapshot(pool("one", "192.0.2.1"), service("web"), service("zzz")))
        await tree.apply(cluster_status(plan))
        holdings = (await follower.next()).holdings
        assert (parse_address("192.0.2.1"),) == holdings[ref("web")].addresses
        assert "one" == holdings[ref("web")].pool
        await tree.prune(["services/default.web.yaml"])
        assert ref("web") not in (await follower.next()).holdings

    asyncio.run(scenario())


def test_a_file_that_may_not_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    follower = Follower(tmp_path)
    (follower.path / "a.yaml").write_text(service("web"))
    monkeypatch.setattr(Path, "read_text", refuse)  # root, whom no mode keeps out, sees the same
    snapshot_now = follower.source.read()
    assert snapshot_now.files_missing
    assert "Permission denied" in snapshot_now.findings[0].problem
