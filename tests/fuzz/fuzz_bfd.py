"""No matter what octets come in: no exception, one verdict, and no change to a session but by its peer's own packets.

python tests/fuzz/fuzz_bfd.py [SECONDS]
"""

import random

from netlb.bfd.packet import ControlPacket, Key, State, decode, encode, sign
from netlb.bfd.session import Session
from netlb.bfd.sessions import Arrival, SessionPath, Sessions
from netlb.bfd.settings import Settings
from netlb.reasons import BfdVerdict
from tests.fuzz.timed import run

_KEY = Key(7, b"not to be guessed")
_HERE, _PEER, _OTHER = b"\xc0\0\2\1", b"\xc0\0\2\2", b"\xc0\0\2\3"
_OPEN, _SEALED = 0x11111111, 0x22222222
_CAME = {
    _OPEN: Arrival(_PEER, _HERE, 3, 255, multihop=False),
    _SEALED: Arrival(_OTHER, _HERE, 3, 255, multihop=False),
}
_INTERESTING = (0, 1, 2, 4, 23, 24, 25, 26, 27, 28, 51, 52, 0x20, 0x40, 0x44, 0x80, 0xC0, 0xC4, 0xFF)


def hello(discriminator: int, state: State = State.UP) -> bytes:
    """The peer's next packet, unsigned."""
    return encode(ControlPacket(5, discriminator, state, 3, 100_000, 100_000))


def corpus() -> list[bytes]:
    """Packets of both peers, as they were on the wire: those with the key have been seen."""
    plain = [hello(_OPEN, state) for state in State]
    sealed = [sign(hello(_SEALED, state), _KEY, number) for state in State for number in (1, 2, 30)]
    guessed = [sign(hello(_SEALED, State.DOWN), Key(7, b"guess"), number) for number in (3, 4)]
    return [*plain, *sealed, *guessed, sign(hello(_OPEN), _KEY, 3), hello(0, State.DOWN), b""]


def node() -> Sessions:
    """A node with two sessions that are up, one of them with a key."""
    sessions = Sessions(lambda: 0.5)
    for discriminator, key in ((_OPEN, None), (_SEALED, _KEY)):
        came = _CAME[discriminator]
        path = SessionPath(came.source, came.destination, came.interface, multihop=False)
        sessions.add(discriminator, path, Settings(key=key), 9, 0.0)
    sessions.due(0.0)
    for number, state in ((1, State.DOWN), (2, State.UP)):
        sessions.receive(hello(_OPEN, state), _CAME[_OPEN], 0.0)
        sessions.receive(sign(hello(_SEALED, state), _KEY, number), _CAME[_SEALED], 0.0)
    sessions.take_packets()
    sessions.take_events()
    return sessions


def mutate(octets: bytes, chance: random.Random) -> bytes:
    """Return the packet with some octets changed, cut, doubled or put on."""
    packet = bytearray(octets)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(packet) + 1)
        match chance.randrange(6):
            case 0:
                del packet[at:]
            case 1:
                packet[at:at] = chance.randbytes(chance.randrange(9))
            case 2:
                packet += chance.randbytes(chance.randrange(300))
            case 3 if at < len(packet):
                packet[at] = chance.choice(_INTERESTING)
            case _ if at < len(packet):
                packet[at] ^= 1 << chance.randrange(8)
    return bytes(packet)


def state_of(session: Session) -> dict[str, object]:
    """All that a session is, but for the counter of what it dropped."""
    return {name: value for name, value in vars(session).items() if name != "dropped"}


def check(octets: bytes, came: Arrival) -> None:
    """Raise AssertionError, or whatever is raised by what is called, if the invariant does not hold for this packet."""
    sessions = node()
    before = {discriminator: state_of(sessions[discriminator]) for discriminator in sessions}
    counted = sum(sessions.counts.values())
    verdict = sessions.receive(octets, came, 0.1)
    assert isinstance(verdict, BfdVerdict)
    assert sum(sessions.counts.values()) == counted + 1
    assert before[_SEALED] == state_of(sessions[_SEALED]) or made_with_the_key(octets)
    if verdict is BfdVerdict.ACCEPTED:
        assert came.ttl == 255
        assert came.source == _PEER or made_with_the_key(octets)
    else:
        assert before[_OPEN] == state_of(sessions[_OPEN])
        assert ([], []) == (sessions.take_packets(), sessions.take_events())
    sessions.due(1.0)
    wakeup = sessions.next_wakeup()
    assert wakeup is None or wakeup > 1.0


def made_with_the_key(octets: bytes) -> bool:
    """Say whether a packet is, but for what follows it, one that the peer would send next: signed, and in the window.

    Made anew from what it says, and compared, it does without the code that is tried.
    """
    packet = decode(octets)
    if isinstance(packet, BfdVerdict) or packet.authentication is None or octets[3] != 52:
        return False
    sequence = packet.authentication.sequence
    plain = bytearray(octets[:24])
    plain[1] &= ~0x04
    plain[3] = 24
    return 2 < sequence <= 2 + 3 * packet.detect_mult and sign(bytes(plain), _KEY, sequence) == octets[:52]


def fuzz(rounds: int, seed: int) -> None:
    """Check that many mutated packets; the one that breaks the invariant is in the error."""
    chance = random.Random(seed)
    packets = corpus()
    for _ in range(rounds):
        octets = mutate(chance.choice(packets), chance)
        came = chance.choice(list(_CAME.values()))
        if not chance.randrange(8):
            came = came._replace(ttl=chance.randrange(256))
        try:
            check(octets, came)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {octets.hex()} {came}") from error


if __name__ == "__main__":
    run(fuzz, "packets", 5_000)
