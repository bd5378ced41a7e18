"""A key in a file: what is one, and what is said of what is none."""

import os
from pathlib import Path

import pytest

from netlb.bfd.adapter.keyfile import read_key
from netlb.bfd.packet import Key
from netlb.errors import SettingError


def written(root: Path, content: bytes, mode: int = 0o400) -> Path:
    path = root / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"a", b"a"),
        (b"twenty octets, no mor", None),
        (b"twenty octets, not m", b"twenty octets, not m"),
        (b"twenty octets, not m\r\n", b"twenty octets, not m"),
        (b"secret\n", b"secret"),
        (b"secret\n\n", b"secret\n"),
        (b" \0\xff\r\n", b" \0\xff"),
    ],
)
def test_one_end_of_line_is_no_part_of_the_key(tmp_path: Path, content: bytes, secret: bytes | None) -> None:
    path = written(tmp_path, content)
    if secret is None:
        with pytest.raises(SettingError, match="holds more than 20 octets; BFD's keys have 1 to 20"):
            read_key(path, "--key")
    else:
        assert Key(1, secret) == read_key(path, "--key")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_group_may_read_it_as_with_the_volume_of_a_pod(tmp_path: Path, mode: int) -> None:
    assert Key(1, b"secret") == read_key(written(tmp_path, b"secret", mode), "--key")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, b"secret", mode)
    words = rf"^--key: {path}: others may read or change it \(mode {mode:04o}\); chmod 600 it; .* defaultMode to 0400$"
    with pytest.raises(SettingError, match=words):
        read_key(path, "--key")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"x" * 21, "more than 20")],
    ids=["empty", "a line", "long"],
)
def test_what_is_no_key(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SettingError, match=words) as refused:
        read_key(written(tmp_path, content), "--key")
    assert "xx" not in str(refused.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path, pipe):
        with pytest.raises(SettingError, match="is no file; name the file that holds the key"):
            read_key(path, "--key")
    with pytest.raises(SettingError, match="No such file or directory; put 1 to 20 octets there"):
        read_key(tmp_path / "missing", "--key")


def test_a_link_to_a_file_is_followed_as_in_the_volume_of_a_secret(tmp_path: Path) -> None:
    written(tmp_path, b"secret")
    (tmp_path / "..data").symlink_to(".")
    (tmp_path / "link").symlink_to("..data/key")
    assert Key(1, b"secret") == read_key(tmp_path / "link", "--key")
