"""A short run of the fuzzer of control sockets, the same in every run; and a proof that it would find something."""

import pytest

from netlb.l2 import control
from tests.fuzz.fuzz_control import fuzz


@pytest.mark.parametrize("name", ["l2", "bfd"])
def test_a_short_run(name: str) -> None:
    fuzz(name, 4_000, 0)


def test_it_finds_a_reader_that_takes_any_octets_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_octets", lambda value, *_: bytes.fromhex(value))
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz("l2", 4_000, 0)
