"""No matter what comes over a worker's control socket: it is a message that is written as it was read, of addresses,
MAC addresses and numbers as there can be, or ValueError; and nothing else is ever raised.

python tests/fuzz/fuzz_control.py [SECONDS]
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, is_dataclass
from math import isfinite
from typing import Any

from netlb.bfd import control as bfd_control
from netlb.l2 import control as l2_control
from tests.fuzz.fuzz_bfd import mutate
from tests.unit.bfd.test_control import MESSAGES as BFD_MESSAGES
from tests.unit.l2.test_control import MESSAGES as L2_MESSAGES

Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]
_LENGTHS = {0, 4, 6, 16}
"""Of no MAC address, an IPv4 address, a MAC address and an IPv6 address."""
_STRANGE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 255, 2**31, 2**64, 10**400, 0.5, -0.0, float("nan"), float("inf"), "", "zz", "00",
    "c0000201", "c00002", "é", [], {}, [[]], {"1": {}}, ["c0000201", "020000000001"],
)  # fmt: skip


def codecs() -> dict[str, tuple[Codec, list[bytes]]]:
    """What is spoken with the responder's and with BFD's worker, each with a message of each kind."""
    return {
        "l2": ((l2_control.decode, l2_control.encode), [*map(l2_control.encode, L2_MESSAGES)]),
        "bfd": ((bfd_control.decode, bfd_control.encode), [*map(bfd_control.encode, BFD_MESSAGES)]),
    }


def bend(data: bytes, chance: random.Random) -> bytes:
    """Return the message with a value in it, at any depth, changed for another, put in or taken out."""
    message = json.loads(data)
    place = message
    while isinstance(place, list) and any(isinstance(each, list) and each for each in place) and chance.randrange(3):
        place = chance.choice([each for each in place if isinstance(each, list) and each])
    at = chance.randrange(len(place))
    match chance.randrange(4):
        case 0:
            del place[at]
        case 1:
            place.insert(at, chance.choice(_STRANGE))
        case _:
            place[at] = chance.choice(_STRANGE)
    return json.dumps(message).encode()


def leaves(value: Any) -> Iterator[Any]:
    """Yield all values within a message that are no containers."""
    if is_dataclass(value) and not isinstance(value, type):
        value = astuple(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def check(name: str, data: bytes) -> None:
    """Raise AssertionError, or whatever is raised by what is called, if the invariant does not hold for this."""
    (decode, encode), _ = codecs()[name]
    try:
        message = decode(data)
    except ValueError:
        return
    again = decode(encode(message))
    assert (type(message), message) == (type(again), again)
    assert all(isfinite(each) for each in leaves(message) if isinstance(each, float))
    if name == "l2":
        assert all(len(each) in _LENGTHS for each in leaves(message) if isinstance(each, bytes))


def fuzz(name: str, rounds: int, seed: int) -> None:
    """Check that many bent and mutated messages; the one that breaks the invariant is in the error."""
    chance = random.Random(seed)
    _, given = codecs()[name]
    for _ in range(rounds):
        data = chance.choice(given)
        for _ in range(chance.randrange(3)):
            if len(json.loads(data)):
                data = bend(data, chance)
        if not chance.randrange(3):
            data = mutate(data, chance)
        try:
            check(name, data)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data!r}") from error


def main(seconds: float) -> None:
    """Fuzz for that long, with new seeds."""
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        for name in codecs():
            fuzz(name, 2_000, time.monotonic_ns())
            done += 2_000
    print(f"{done} messages, and the invariant holds")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
