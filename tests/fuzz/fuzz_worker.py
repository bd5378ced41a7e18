"""No matter what bytes come on a worker's socket: a message that is written as it was read, or ValueError that shows none.

python tests/fuzz/fuzz_worker.py [SECONDS]
"""

import random
from collections.abc import Callable

from netlb.bfd import control as bfd
from netlb.l2 import control as l2
from tests.fuzz.timed import run
from tests.unit.bfd.test_control import MESSAGES as BFD_MESSAGES
from tests.unit.l2.test_control import MESSAGES as L2_MESSAGES

_SECRETS = (b"secret".hex(),)
_TOKENS = (b"[", b"]", b"{", b"}", b",", b'"', b"null", b"-1", b"1e999", b"NaN", b"true", b'"zz"', b"\xff", b"\\ud800")
_SEEDS = [*map(l2.encode, L2_MESSAGES), *map(bfd.encode, BFD_MESSAGES)]
_PROTOCOLS: tuple[tuple[Callable[[bytes], object], Callable[..., bytes]], ...] = (
    (l2.decode, l2.encode),
    (bfd.decode, bfd.encode),
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the message with some bytes changed, cut, doubled or put in."""
    octets = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(5):
            case 0:
                octets[at:at] = chance.choice(_TOKENS)
            case 1:
                del octets[at : at + chance.randrange(1, 8)]
            case 2:
                octets[at:at] = octets[at : at + chance.randrange(16)]
            case 3:
                octets[at:at] = chance.choice(_SEEDS)[: chance.randrange(40)]
            case _ if at < len(octets):
                octets[at] = chance.randrange(256)
    return bytes(octets)


def check(data: bytes) -> None:
    """Raise AssertionError, or whatever is raised by what is called, if the invariant does not hold for these bytes."""
    for decode, encode in _PROTOCOLS:
        try:
            message = decode(data)
        except ValueError as error:
            shown = str(error)
            if decode is bfd.decode:
                assert not any(secret in shown for secret in _SECRETS), shown
        else:
            assert repr(decode(encode(message))) == repr(message)


def fuzz(rounds: int, seed: int) -> None:
    """Try so many; the bytes that break the invariant are in the error."""
    chance = random.Random(seed)
    for _ in range(rounds):
        data = mutate(chance.choice(_SEEDS), chance)
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data!r}") from error


if __name__ == "__main__":
    run(fuzz, "messages", 10_000)
