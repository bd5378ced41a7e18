"""What nodes tell each other of their site: who is active by their reckoning, and how much they see. Pure.

BFD says that somebody is alive, and no more. Who takes over says so in a hello at once, through its own tunnels and to
the nodes of its site, so that nobody has to find out by the silence of the one before, and no cloud is asked. Through
the tunnels a hello is answered, which measures the way; one as long as the tunnel takes is the probe of its MTU.

Where a hello comes from says whose it is: inside the tunnels an address belongs to one key, and within the site our
filter takes them from its nodes only. What is no hello is dropped; of a hello that is longer than its content the rest
is blanks.
"""

from typing import Final

import msgspec

__all__ = ["HEADERS", "LEAST", "MOST_OCTETS", "Claim", "Hello", "decode", "encode"]

MOST_OCTETS: Final = 65_507
LEAST: Final = 1_280
"""The smallest packet, in octets, of which it is asked whether it passes: below it IPv6 does not go (RFC 8200)."""
HEADERS: Final = 28
"""Octets of IPv4 and UDP in front of a hello."""
_VERSION: Final = 1


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a node sees its own site."""

    active: tuple[str, ...] = ()
    """Its active endpoints, the preferred one first."""
    dead: tuple[str, ...] = ()
    """Its endpoints that are not."""
    hears: int = 0
    """How many other nodes of the site it has heard for a while: of two that contradict each other, who hears more is
    right."""
    reaches: int = 0
    """How many endpoints of other sites it has heard through its tunnels for a while."""
    leaving: bool = False
    """It is about to stop, and counts as dead."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One datagram."""

    version: int
    node: str
    site: str
    claim: Claim = Claim()
    sequence: int = 0
    """To be repeated in the answer; 0: no answer is wanted."""
    answer: int = 0
    """The sequence that is answered; 0: it is no answer."""

    @classmethod
    def of(cls, node: str, site: str, claim: Claim, *, sequence: int = 0, answer: int = 0) -> "Hello":
        """Make one of this version."""
        return cls(version=_VERSION, node=node, site=site, claim=claim, sequence=sequence, answer=answer)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Hello)


def encode(hello: Hello, size: int = 0) -> bytes:
    """Return a hello as octets, filled up to `size` of them."""
    return _ENCODER.encode(hello).ljust(size)


def decode(data: bytes) -> Hello | None:
    """Return the hello that a datagram is; None if it is none of this version."""
    try:
        hello = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return hello if hello.version == _VERSION else None
