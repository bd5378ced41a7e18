"""No matter what bytes a station sends: no exception, one verdict, and no answer or probe ended but for its address.

python tests/fuzz/fuzz_frames.py [SECONDS]
"""

import random

from netlb.l2 import arp, ndp
from netlb.l2.filters import arp_filter, nd_filter
from netlb.l2.probe import RFC_TIMINGS, Probing
from netlb.l2.responder import Responder
from netlb.reasons import FrameVerdict
from tests.fuzz.timed import run
from tests.unit.l2.bpf import passes
from tests.unit.l2.crafted import CRAFTED, HELD4, HELD6, NODE

_MATTERS = {FrameVerdict.ANSWERED, FrameVerdict.CONFLICT}
_INTERESTING = (0, 1, 2, 6, 0x3A, 0x7F, 0x80, 0x81, 0x86, 0x87, 0x88, 0xFE, 0xFF)


def mutate(frame: bytes, chance: random.Random) -> bytes:
    """Return the frame with some bytes changed, cut, doubled or put on."""
    octets = bytearray(frame)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(6):
            case 0:
                del octets[at:]
            case 1:
                octets[at:at] = chance.randbytes(chance.randrange(20))
            case 2:
                octets[at:at] = octets[: chance.randrange(64)]
            case 3 if at < len(octets):
                octets[at] = chance.choice(_INTERESTING)
            case _ if at < len(octets):
                octets[at] ^= 1 << chance.randrange(8)
            case _:
                octets += bytes(chance.randrange(1500))
    if chance.randrange(2) and len(octets) >= ndp.SHORTEST:
        octets[56:58] = bytes(2)
        length = octets[18] << 8 | octets[19]
        message = bytes(octets[54 : 54 + length // 2 * 2])
        octets[56:58] = ndp.checksum(bytes(octets[22:38]), bytes(octets[38:54]), message).to_bytes(2, "big")
    return bytes(octets)


def check(frame: bytes) -> None:
    """Raise AssertionError, or whatever is raised by what is called, if the invariant does not hold for this frame."""
    responder = Responder(NODE, {NODE})
    responder.hold(HELD4)
    responder.hold(HELD6)
    verdict, answer = responder.receive_arp(frame)
    assert (verdict is FrameVerdict.ANSWERED) == (answer is not None)
    if answer is not None:
        assert arp.ArpPacket.decode(answer).sender_address == HELD4
    if verdict in _MATTERS and frame[12:14] == b"\x08\x06":
        assert passes(arp_filter([HELD4]), frame)
    verdict, answer = responder.receive_nd(frame)
    assert (verdict is FrameVerdict.ANSWERED) == (answer is not None)
    if answer is not None:
        assert ndp.NeighborAdvertisement.decode(answer).target == HELD6
    if verdict in _MATTERS and frame[12:14] == b"\x86\xdd":
        assert passes(nd_filter([HELD6]), frame)
    assert sum(responder.counts.values()) == 2
    probing = Probing(lambda: 0.0)
    probing.set_interface(1, NODE)
    probing.start(1, [HELD4, HELD6], RFC_TIMINGS, 0.0)
    probing.receive(1, frame)
    for _, address, mac in probing.verdicts():
        assert address in {HELD4, HELD6}
        assert mac not in {NODE, b""}
        assert passes(arp_filter([HELD4]) if address == HELD4 else nd_filter([HELD6]), frame)


def fuzz(rounds: int, seed: int) -> None:
    """Check that many mutated frames; the frame that breaks the invariant is in the error."""
    chance = random.Random(seed)
    corpus = [crafted.frame for crafted in CRAFTED]
    for _ in range(rounds):
        frame = mutate(chance.choice(corpus), chance)
        try:
            check(frame)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {frame.hex()}") from error
        if len(frame) < 200 and chance.randrange(50) == 0:
            corpus[chance.randrange(len(CRAFTED), len(corpus) + 1) :] = [frame]


if __name__ == "__main__":
    run(fuzz, "frames", 10_000)
