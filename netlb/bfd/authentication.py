"""Whether a packet was made with a key, and may follow another one (RFC 5880 section 6.7)."""

from collections.abc import Callable

from netlb.bfd.packet import ControlPacket, Key, authentic
from netlb.reasons import BfdVerdict

__all__ = ["SEQUENCE_MASK", "follows", "judge"]

SEQUENCE_MASK = 0xFFFF_FFFF


def judge(
    key: Key | None, packet: ControlPacket, data: bytes, in_window: Callable[[Key, ControlPacket], bool]
) -> BfdVerdict:
    """Say ACCEPTED, or why not; without a key, what is authenticated is refused.

    `data` are the octets that the packet was decoded from. `in_window` says whether its sequence number may follow the
    last one, and is asked before the digest is computed.
    """
    authentication = packet.authentication
    if key is None:
        return BfdVerdict.ACCEPTED if authentication is None else BfdVerdict.UNEXPECTED_AUTHENTICATION
    if authentication is None:
        return BfdVerdict.UNAUTHENTICATED
    if authentication.type != key.type:
        return BfdVerdict.WRONG_AUTHENTICATION_TYPE
    if authentication.key_identifier != key.identifier:
        return BfdVerdict.UNKNOWN_KEY
    if not in_window(key, packet):
        return BfdVerdict.REPLAYED
    return BfdVerdict.ACCEPTED if authentic(data, key) else BfdVerdict.WRONG_DIGEST


def follows(key: Key, packet: ControlPacket, last: int) -> bool:
    """Say whether a packet's sequence number is in the window after the last one (section 6.7.4)."""
    if packet.authentication is None:
        return True
    ahead = packet.authentication.sequence - last & SEQUENCE_MASK
    return (1 if key.meticulous else 0) <= ahead <= 3 * packet.detect_mult
