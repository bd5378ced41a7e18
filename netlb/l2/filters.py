"""Socket filters: classic BPF programs that keep from the responder what it would drop anyway.

They are pure data, lists of (code, jump if true, jump if false, operand) as `setsockopt(SO_ATTACH_FILTER)` takes
them. Two things only they can do. A VLAN tag is gone from the data when a packet socket sees a frame: that there is
no such VLAN here shows only in the packet type, "for another host". And a broadcast for an address that is not held
wakes no process at all (20,000 of them a second cost a fifth of a core without the list of addresses).

A program holds at most 4096 instructions, or what the kernel has memory for. Where the list of addresses does not
fit in, it is left out, and the responder's own table does the work.
"""

from collections.abc import Collection, Iterable

from netlb.l2 import arp, ndp

__all__ = ["LIMIT", "Instruction", "Program", "arp_filter", "nd_filter", "nothing"]

Instruction = tuple[int, int, int, int]
Program = list[Instruction]

LIMIT = 4096
"""BPF_MAXINSNS of the kernel."""

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_LENGTH = 0x20, 0x28, 0x30, 0x80
_JUMP_EQUAL, _JUMP_AT_LEAST = 0x15, 0x35
_RETURN = 0x06

_ACCEPT: Instruction = (_RETURN, 0, 0, 0xFFFF)
_REJECT: Instruction = (_RETURN, 0, 0, 0)
_PACKET_TYPE = 0xFFFFF000 + 4
"""SKF_AD_OFF + SKF_AD_PKTTYPE: an offset that reads the packet's type in place of its bytes."""
_OTHER_HOST = 3
_GROUP = 250
"""Comparisons in front of one return: a jump reaches 255 instructions."""


def nothing() -> Program:
    """Return the program that lets no frame pass, for a socket on which nothing is held."""
    return [_REJECT]


def arp_filter(addresses: Collection[bytes], limit: int = LIMIT) -> Program:
    """Pass requests for these IPv4 addresses, and requests and replies that claim one of them."""
    if not addresses:
        return nothing()
    words = _words(addresses)
    head = [
        *_at_least(arp.LENGTH),
        *_for_this_host(),
        *_unless(_LOAD_WORD, 12, int.from_bytes(arp.HEADER[:4], "big")),
        *_unless(_LOAD_WORD, 16, int.from_bytes(arp.HEADER[4:], "big")),
    ]
    operations = [
        (_LOAD_HALF, 0, 0, 20),
        (_JUMP_EQUAL, 2, 0, arp.REQUEST),
        (_JUMP_EQUAL, 1, 0, arp.REPLY),
        _REJECT,
    ]
    claims = _match(28, words)
    # Only a request is asked by its target; a reply is of interest for its sender alone.
    requests = [*_unless(_LOAD_HALF, 20, arp.REQUEST), *_match(38, words)]
    program = [*head, *operations, *claims, *requests, _REJECT]
    return program if len(program) <= limit else [*head, *operations, _ACCEPT]


def nd_filter(addresses: Collection[bytes], limit: int = LIMIT) -> Program:
    """Pass solicitations and advertisements whose target ends like one of these IPv6 addresses.

    Only the low 32 bits of the target are compared; the hop limit and all else is left to the responder, which
    counts what it drops.
    """
    if not addresses:
        return nothing()
    head = [
        *_at_least(ndp.SHORTEST),
        *_for_this_host(),
        *_unless(_LOAD_HALF, 12, 0x86DD),
        *_unless(_LOAD_BYTE, 20, 58),
        (_LOAD_BYTE, 0, 0, 54),
        (_JUMP_EQUAL, 2, 0, ndp.SOLICITATION),
        (_JUMP_EQUAL, 1, 0, ndp.ADVERTISEMENT),
        _REJECT,
    ]
    program = [*head, *_match(74, _words(addresses)), _REJECT]
    return program if len(program) <= limit else [*head, _ACCEPT]


def _words(addresses: Iterable[bytes]) -> list[int]:
    return sorted({int.from_bytes(address[-4:], "big") for address in addresses})


def _at_least(length: int) -> Program:
    return [(_LOAD_LENGTH, 0, 0, 0), (_JUMP_AT_LEAST, 1, 0, length), _REJECT]


def _for_this_host() -> Program:
    return [(_LOAD_WORD, 0, 0, _PACKET_TYPE), (_JUMP_AT_LEAST, 0, 1, _OTHER_HOST), _REJECT]


def _unless(load: int, offset: int, value: int) -> Program:
    """Reject the frame unless the field holds the value."""
    return [(load, 0, 0, offset), (_JUMP_EQUAL, 1, 0, value), _REJECT]


def _match(offset: int, words: list[int]) -> Program:
    """Accept the frame if the word at the offset is listed; otherwise go on behind."""
    program: Program = [(_LOAD_WORD, 0, 0, offset)]
    for start in range(0, len(words), _GROUP):
        group = words[start : start + _GROUP]
        last = len(group) - 1
        program += [(_JUMP_EQUAL, last - at, 0 if at < last else 1, word) for at, word in enumerate(group)]
        program.append(_ACCEPT)
    return program
