"""A short run of the frame fuzzer, the same in every run; and a proof that it would find something."""

import pytest

from netlb.l2 import ndp
from netlb.l2.responder import Reaction, Responder
from tests.fuzz.fuzz_frames import fuzz


@pytest.mark.parametrize("seed", range(4))
def test_a_short_run(seed: int) -> None:
    fuzz(5_000, seed)


def test_it_finds_a_responder_that_trusts_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Responder.receive_nd

    def trusting(self: Responder, frame: bytes) -> Reaction:
        if len(frame) >= ndp.SHORTEST and frame[20] == 58:
            frame[53 + (frame[18] << 8 | frame[19])]
        return judge(self, frame)

    monkeypatch.setattr(Responder, "receive_nd", trusting)
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(5_000, 0)
