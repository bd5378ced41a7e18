"""A short run of the BFD fuzzer, the same in every run; and proofs that it would find something."""

import pytest

from netlb.bfd import authentication, packet
from netlb.bfd.packet import Authentication
from tests.fuzz.fuzz_bfd import fuzz


@pytest.mark.parametrize("seed", range(3))
def test_a_short_run(seed: int) -> None:
    fuzz(3_000, seed)


def test_it_finds_a_session_that_does_not_look_at_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "authentic", lambda _data, _key: True)
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(3_000, 0)


def test_it_finds_a_reader_that_trusts_the_length_of_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(section: bytes) -> Authentication:
        return Authentication(section[0], section[2], int.from_bytes(section[4:8], "big") + 0 * section[section[1] - 1])

    monkeypatch.setattr(packet, "_read_authentication", trusting)
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(3_000, 0)
