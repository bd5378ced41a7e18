"""A short run of the fuzzer of messages, the same in every run; and a proof that it would find something."""

import json

import pytest

from netlb.l2 import control
from tests.fuzz import fuzz_worker
from tests.fuzz.fuzz_worker import fuzz


@pytest.mark.parametrize("seed", range(4))
def test_a_short_run(seed: int) -> None:
    fuzz(5_000, seed)


def test_it_finds_a_reader_that_trusts_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(data: bytes) -> control.Message:
        name, *values = json.loads(data)
        return control.Beat(*values) if name == "Beat" else control.decode(data)

    monkeypatch.setattr(fuzz_worker, "_PROTOCOLS", ((trusting, control.encode),))
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(5_000, 0)
