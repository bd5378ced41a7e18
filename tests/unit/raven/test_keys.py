"""Keys, and the files that keep them."""

import os
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.errors import SettingError
from netlb.raven.adapter.keys import own_key, read_shared_key
from netlb.raven.backend import DEVICE, Device, Remote, parts
from netlb.raven.dataplane import Tunnel
from netlb.raven.keys import Keys, PrivateKey, SharedKey, key_octets
from netlb.raven.mesh import Peer
from tests.support.tunnels import prefixes

CLAMPED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHl8="
PUBLIC = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8="
"""As `wg pubkey` has it."""
SETTING = "--key-file"


def test_a_key_is_clamped_and_its_public_one_belongs_to_it() -> None:
    key = PrivateKey.of(bytes(range(32)))
    assert (CLAMPED, PUBLIC) == (key.text, key.public)
    assert key == PrivateKey.of(key.octets) == PrivateKey.parse(CLAMPED)
    assert key == PrivateKey.parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


@pytest.mark.parametrize("octets", [b"", bytes(31), bytes(33)])
def test_a_key_has_32_octets(octets: bytes) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        PrivateKey.of(octets)


def test_one_that_is_not_clamped_is_refused_where_a_device_says_it() -> None:
    with pytest.raises(ValueError, match="not clamped"):
        PrivateKey(bytes(range(32)))


@pytest.mark.parametrize(
    "text", ["", "SECRET", CLAMPED[:-1], CLAMPED + "=", CLAMPED + "\n", CLAMPED[:-2] + "9=", "*" + CLAMPED[1:]]
)
def test_text_that_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="it is not 32 octets in base64") as refusal:
        key_octets(text)
    assert not text or text not in str(refusal.value)


def test_secrets_do_not_show_themselves() -> None:
    keys = Keys(PrivateKey.of(bytes(range(32))), SharedKey(b"hush"))
    assert "Keys(private=PrivateKey(), shared=SharedKey())" == repr(keys)
    assert "PrivateKey()" == f"{keys.private}"


def test_the_shared_key_is_ravens() -> None:
    assert sha256(b"openyurt-raven").digest() == SharedKey(b"openyurt-raven").octets
    with pytest.raises(ValueError, match="empty"):
        SharedKey(b"")


def test_the_parts_of_a_tunnel_leave_ourselves_out() -> None:
    keys = Keys(PrivateKey.of(bytes(range(32))))
    other = PrivateKey.of(bytes(32)).public
    where = (ip_address("192.0.2.1"), 4500)
    peers = (
        Peer("hangzhou", "n1", other, tuple(prefixes("10.0.0.0/8")), where, 15),
        Peer("here", "n2", PUBLIC, tuple(prefixes("10.1.0.0/16"))),
    )
    tunnel = Tunnel(device="raven-wg0", port=51820, mtu=1420, peers=peers)
    expected = {
        DEVICE: Device(key=PUBLIC, port=51820, mtu=1420),
        other: Remote(allowed=prefixes("10.0.0.0/8"), destination=where, keepalive=15),
    }
    assert expected == parts(tunnel, keys)


def test_a_key_is_made_once_and_kept_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "private"
    key = own_key(path, SETTING)
    assert (0o700, 0o600) == (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777)
    assert f"{key.text}\n" == path.read_text()
    assert key == own_key(path, SETTING)
    assert [path] == list(path.parent.iterdir())


def test_a_file_that_was_lost_is_written_again_with_the_key_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "private"
    running = own_key(path, SETTING)
    path.unlink()
    assert running == own_key(path, SETTING, running=running)
    assert running == own_key(path, SETTING)
    path.unlink()
    assert running != own_key(path, SETTING)


def test_a_file_counts_for_more_than_what_runs(tmp_path: Path) -> None:
    kept = own_key(tmp_path / "private", SETTING)
    assert kept == own_key(tmp_path / "private", SETTING, running=PrivateKey.of(bytes(32)))


def test_of_two_that_make_one_the_first_is_right(tmp_path: Path) -> None:
    path = tmp_path / "private"
    first = PrivateKey.of(b"\1" * 32)

    def other_is_quicker(size: int) -> bytes:
        own_key(path, SETTING, running=first)
        return bytes(size)

    assert first == own_key(path, SETTING, random=other_is_quicker)
    assert [path] == list(tmp_path.iterdir())


def test_one_that_wg_made_is_read(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.touch(0o600)
    path.write_text(f"{CLAMPED}\n")
    assert PUBLIC == own_key(path, SETTING).public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660, 0o601])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "private"
    own_key(path, SETTING)
    path.chmod(mode)
    with pytest.raises(
        SettingError, match=f"--key-file: .*others may read or change it .mode {mode:04o}.; chmod 600 it"
    ):
        own_key(path, SETTING)


@pytest.mark.parametrize("content", [b"", b"SECRET", b"\xff" * 44, b"x" * 5000])
def test_a_file_without_a_key_is_refused_kept_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "private"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SettingError, match=f"--key-file: {path} holds ") as refusal:
        own_key(path, SETTING, running=PrivateKey.of(bytes(32)))
    assert "SECRET" not in str(refusal.value)
    assert content == path.read_bytes()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SettingError, match="is no file; name the file that holds the key"):
            own_key(path, SETTING)


def test_a_directory_that_others_may_change_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingError, match=r"others may change .* chmod 700 it, or name another one"):
        own_key(tmp_path / "private", SETTING)
    assert [] == list(tmp_path.iterdir())


def test_where_no_file_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="Not a directory"):
        own_key(tmp_path / "file" / "private", SETTING)


def test_the_shared_key_is_read_without_its_end_of_line(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.touch(0o600)
    for content in (b"hush", b"hush\n", b"hush\r\n"):
        path.write_bytes(content)
        assert SharedKey(b"hush") == read_shared_key(path, "--psk-file")
    path.chmod(0o440)
    assert SharedKey(b"hush") == read_shared_key(path, "--psk-file")


def test_a_shared_key_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    with pytest.raises(SettingError, match=r"--psk-file: .*No such file.*; put the secret there that all have"):
        read_shared_key(path, "--psk-file")
    path.touch(0o600)
    with pytest.raises(SettingError, match="is empty"):
        read_shared_key(path, "--psk-file")
    path.write_text("hush")
    path.chmod(0o444)
    with pytest.raises(SettingError, match="defaultMode") as refusal:
        read_shared_key(path, "--psk-file")
    assert "hush" not in str(refusal.value)
