"""The status tree: one writer a file, whole files only."""

import asyncio
from pathlib import Path

import pytest

from netlb.errors import SettingError
from netlb.source.status import is_controllers
from netlb.source.tree import StatusTree


def test_what_is_written_is_observed_and_what_is_pruned_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        tree = StatusTree(tmp_path, "netlb-controller", is_controllers)
        assert {} == await tree.apply({"controller.yaml": "a", "services/x.y.yaml": "b"})
        assert {"controller.yaml": "a", "services/x.y.yaml": "b"} == await tree.observe()
        assert {} == await tree.prune(["services/x.y.yaml", "services/never.yaml"])
        assert {"controller.yaml": "a"} == await tree.observe()

    asyncio.run(scenario())


def test_another_writers_files_are_neither_seen_nor_swept(tmp_path: Path) -> None:
    tree = StatusTree(tmp_path, "netlb-controller", is_controllers)
    (tmp_path / "nodes").mkdir()
    for name in ("nodes/n1.yaml", "nodes/.n1.yaml.tmp", "services/.x.yaml.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    tree.open()
    assert {} == tree.read()
    assert (tmp_path / "nodes/.n1.yaml.tmp").exists()
    assert not (tmp_path / "services/.x.yaml.tmp").exists()
    tree.close()


def test_a_second_writer_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    first, second = (StatusTree(tmp_path, "netlb-controller", is_controllers) for _ in range(2))
    first.open()
    with pytest.raises(SettingError, match=r"another netlb-controller \(pid \d+\) writes to"):
        second.open()
    other = StatusTree(tmp_path, "netlb-speaker-n1", lambda _: False)
    other.open()
    other.close()
    first.close()
    second.open()
    second.close()


def test_what_cannot_be_written_is_reported_by_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        tree = StatusTree(tmp_path, "netlb-controller", is_controllers)
        (tmp_path / "services").write_text("in the way")
        failures = await tree.apply({"services/x.yaml": "a", "controller.yaml": "b"})
        assert ["services/x.yaml"] == list(failures)
        assert {"controller.yaml": "b"} == await tree.observe()

    asyncio.run(scenario())


def test_a_directory_that_cannot_be_made_is_a_mistake_in_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="--status-dir"):
        StatusTree(tmp_path / "file", "netlb-controller", is_controllers).open()
