"""What a speaker is told about who succeeds it."""

from pathlib import Path

import pytest

from netlb.errors import SettingError
from netlb_speaker.succession import Succession, SuccessionSettings, parse_orphan_grace


@pytest.mark.parametrize("grace", ["0", "0.0"])
def test_nothing_outlives_it_unless_it_is_to(grace: str) -> None:
    assert parse_orphan_grace(grace, "not absolute") is None
    succession = Succession(None, "one", None)
    assert succession.shelter is None
    assert not succession.begin()


@pytest.mark.parametrize("grace", ["5", "10", "60", "7.5"])
def test_a_time_and_a_place(grace: str) -> None:
    expected = SuccessionSettings(grace=float(grace), directory=Path("/run/here"))
    assert expected == parse_orphan_grace(grace, "/run/here")


@pytest.mark.parametrize("grace", ["-1", "4.9", "61", "nan", "inf", "ten", ""])
def test_a_time_that_cannot_be(grace: str) -> None:
    with pytest.raises(SettingError, match=r"--orphan-grace: .*; give 0, or 5 to 60 seconds"):
        parse_orphan_grace(grace, "/run/here")


def test_a_place_that_depends_on_where_one_is() -> None:
    with pytest.raises(SettingError, match="--worker-dir: 'here' is not absolute; give a path from / on"):
        parse_orphan_grace("10", "here")
