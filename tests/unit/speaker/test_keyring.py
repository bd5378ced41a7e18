"""How one key takes another's place."""

from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from netlb.bfd.packet import Key
from netlb.errors import SettingError
from netlb_speaker.keyring import ROLLOVER, Keyring

ONE, TWO, THREE = (Key(1, secret) for secret in (b"one", b"two", b"three"))


class Rig:
    """A keyring on a file that was read once."""

    def __init__(self, root: Path, *, unauthenticated: bool = False) -> None:
        self.path = root / "key"
        self.log = CapturingLogger()
        self.ring = Keyring(self.path, self.log, unauthenticated=unauthenticated)
        self.write(ONE)
        self.ring.begin()

    def write(self, key: Key, mode: int = 0o600) -> None:
        self.path.write_bytes(key.secret)
        self.path.chmod(mode)

    def told(self) -> list[tuple[str, str]]:
        return [(call.method_name, call.args[0]) for call in self.log.calls]

    def used(self) -> tuple[Key | None, ...]:
        return self.ring.key, *self.ring.former


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_nothing_changes_while_the_file_says_the_same(rig: Rig) -> None:
    assert not rig.ring.look(1.0)
    assert ((ONE,), []) == (rig.used(), rig.told())


def test_the_former_key_is_used_too_for_as_long_as_a_secret_may_take(rig: Rig) -> None:
    rig.write(TWO)
    assert (True, (TWO, ONE)) == (rig.ring.look(10.0), rig.used())
    assert (False, (TWO, ONE)) == (rig.ring.look(10.0 + ROLLOVER - 1), rig.used())
    assert (True, (TWO,)) == (rig.ring.look(10.0 + ROLLOVER), rig.used())
    assert [("info", "BFD key changed"), ("info", "former BFD key forgotten")] == rig.told()


def test_a_key_that_comes_back_is_no_former_one(rig: Rig) -> None:
    for now, (key, used) in enumerate([(TWO, (TWO, ONE)), (THREE, (THREE, ONE, TWO)), (ONE, (ONE, TWO, THREE))]):
        rig.write(key)
        assert (True, used) == (rig.ring.look(float(now)), rig.used())


def test_a_file_that_cannot_be_read_changes_nothing_and_is_told_once(rig: Rig) -> None:
    rig.write(TWO, 0o644)
    assert [False, False] == [rig.ring.look(1.0), rig.ring.look(2.0)]
    assert ((ONE,), [("warning", "BFD key not read, the last one stays")]) == (rig.used(), rig.told())
    rig.path.unlink()
    assert not rig.ring.look(3.0)
    rig.write(TWO)
    assert (True, (TWO, ONE)) == (rig.ring.look(4.0), rig.used())
    assert 3 == len(rig.told())


def test_the_first_time_it_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^--bfd-key-file: .*/key: No such file"):
        Keyring(tmp_path / "key", CapturingLogger()).begin()


def test_no_key_is_a_former_one_while_speakers_are_given_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, unauthenticated=True)
    assert (ONE, None) == rig.used()
    rig.write(TWO)
    assert (True, (TWO, ONE, None)) == (rig.ring.look(0.0), rig.used())


def test_no_secret_is_in_the_log(rig: Rig) -> None:
    rig.write(TWO)
    rig.ring.look(0.0)
    rig.write(Key(1, b"x" * 20), 0o666)
    rig.ring.look(ROLLOVER)
    said = repr(rig.log.calls)
    assert not [secret for secret in ("one", "two", "xxx") if f"'{secret}" in said]
