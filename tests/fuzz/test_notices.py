"""A short run of the fuzzer of notices, the same in every run; and proofs that it would find something."""

from collections.abc import Collection

import pytest

from netlb.bfd import linkstate, notices
from netlb.bfd.packet import Key
from tests.fuzz.fuzz_notices import fuzz


@pytest.mark.parametrize("seed", range(2))
def test_a_short_run(seed: int) -> None:
    fuzz(3_000, seed)


def test_it_finds_a_reader_that_does_not_look_at_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(data: bytes, keys: Collection[Key | None]) -> bytes:
        return data if None in keys else data[:-32]

    monkeypatch.setattr(notices, "_authentic", trusting)
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(3_000, 0)


def test_it_finds_a_number_that_cannot_be_counted_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkstate, "_LAST", 2**64 - 1)
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(3_000, 0)
