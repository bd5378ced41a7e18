"""No matter what a neighbour's datagrams say: no exception, nothing is believed that was not made with the key, nobody
is heard of who is no node, and what is passed on can be sent.

python tests/fuzz/fuzz_notices.py [SECONDS]
"""

import hmac
import random

from netlb.bfd.linkstate import LinkState, Statement
from netlb.bfd.notices import MOST_OCTETS, decode, encode, mark
from netlb.bfd.packet import Key
from netlb.reasons import BfdVerdict
from tests.fuzz.fuzz_bfd import mutate
from tests.fuzz.timed import run

_KEY, _OTHER = Key(7, b"not to be guessed"), Key(7, b"guess")
_NODES = ("a", "b", "c", "d")
_GRAPH = {node: frozenset(_NODES) - {node} for node in _NODES}
_NAMES = {mark(node): node for node in _NODES}
_LAST = 2**64 - 1
_NOW = 1_000_000


def corpus() -> list[bytes]:
    """Datagrams as they are on the wire, with and without a key, and of nodes that are none."""
    said = [
        Statement("b", 5, frozenset({"c"})),
        Statement("a", 7, frozenset({"b", "c", "d"})),
        Statement("a", _LAST, frozenset({"b"})),
        Statement("c", _LAST, frozenset()),
        Statement("stranger", 9, frozenset({"a"})),
    ]
    return [*encode(said, [None, _KEY, _OTHER]), *encode(said[:1], [None, _KEY]), b""]


def check(data: bytes) -> None:
    """Raise AssertionError, or whatever is raised by what is called, if the invariant does not hold for this."""
    signed = hmac.digest(_KEY.secret, data[:-32], "sha256") == data[-32:]
    for keys in ([None], [_KEY], [_KEY, None]):
        found = decode(data, _NAMES, keys)
        if isinstance(found, BfdVerdict):
            continue
        assert signed or None in keys
        state = LinkState("a")
        state.arrange(_GRAPH)
        state.say(frozenset({"d"}), _NOW)
        for said in found:
            assert {said.origin, *said.lost} <= set(_NODES)
            reaction = state.hear(said, _NOW)
            if reaction is not None:
                assert all(len(sent) <= MOST_OCTETS for sent in encode([reaction.said], [_KEY]))
                heard = state.hear(reaction.said, _NOW)
                assert heard is None, "what is said by all is not news"
        assert len(list(encode(state.statements(), [None]))) <= 1
        assert state.dead(frozenset()) < set(_NODES)
        assert state.dead(frozenset(_NODES)) == set(_NODES) - {"a"}


def fuzz(rounds: int, seed: int) -> None:
    """Check that many mutated datagrams; the one that breaks the invariant is in the error."""
    chance = random.Random(seed)
    given = corpus()
    for _ in range(rounds):
        data = mutate(chance.choice(given), chance)
        if chance.randrange(2):
            data += hmac.digest(_KEY.secret, data, "sha256")
        try:
            check(data)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data.hex()}") from error


if __name__ == "__main__":
    run(fuzz, "datagrams", 5_000)
