"""Statements of nodes (`linkstate`) as UDP datagrams, and their authentication by HMAC-SHA256 (RFC 2104).

    0      4 octets   "nlbn"
    4      1 octet    version, 1
    5      1 octet    number of statements
    then each         8 octets origin, 8 octets version, 2 octets count, 8 octets for each neighbour that is lost
    at the end        32 octets of digest, where there is a key

Nodes are named by the first 8 octets of the SHA-256 of their names.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from struct import Struct
from typing import Final

from netlb.bfd.linkstate import Statement
from netlb.bfd.packet import Key
from netlb.reasons import BfdVerdict

__all__ = ["MOST_OCTETS", "decode", "encode", "mark"]

MOST_OCTETS: Final = 1200
"""Of a datagram: less than the MTU of any network (RFC 8200 section 5)."""

_HEADER: Final = Struct("!4sBB")
_STATEMENT: Final = Struct("!8sQH")
_MAGIC: Final = b"nlbn"
_VERSION: Final = 1
_MARK: Final = 8
_DIGEST: Final = 32


@lru_cache(maxsize=1 << 16)
def mark(node: str) -> bytes:
    """Return what stands for a node."""
    return sha256(node.encode()).digest()[:_MARK]


def encode(statements: Iterable[Statement], keys: Collection[Key | None]) -> Iterator[bytes]:
    """Yield datagrams that hold all statements, once for each key; None stands for no authentication.

    A statement of more neighbours than a datagram holds (about 140) is not sent: nobody has so many.
    """
    room = MOST_OCTETS - _HEADER.size - _DIGEST
    batch: list[bytes] = []
    for said in statements:
        octets = _STATEMENT.pack(mark(said.origin), said.version, len(said.lost)) + b"".join(
            sorted(map(mark, said.lost))
        )
        if len(octets) > room:
            continue
        if sum(map(len, batch)) + len(octets) > room or len(batch) == 255:
            yield from _signed(batch, keys)
            batch = []
        batch.append(octets)
    if batch:
        yield from _signed(batch, keys)


def decode(data: bytes, names: Mapping[bytes, str], keys: Collection[Key | None]) -> list[Statement] | BfdVerdict:
    """Return the statements of a datagram, or why it is not believed.

    `names` has the known nodes by their marks. What is said of or by others is left out.
    """
    body = _authentic(data, keys)
    if isinstance(body, BfdVerdict):
        return body
    if len(body) < _HEADER.size:
        return BfdVerdict.TOO_SHORT
    magic, version, number = _HEADER.unpack_from(body)
    if magic != _MAGIC or version != _VERSION:
        return BfdVerdict.WRONG_VERSION
    found: list[Statement] = []
    at = _HEADER.size
    for _ in range(number):
        if at + _STATEMENT.size > len(body):
            return BfdVerdict.WRONG_LENGTH
        origin, counter, lost = _STATEMENT.unpack_from(body, at)
        at += _STATEMENT.size
        end = at + lost * _MARK
        marks = [body[place : place + _MARK] for place in range(at, end, _MARK)]
        at = end
        if origin in names:
            found.append(Statement(names[origin], counter, frozenset(names[each] for each in marks if each in names)))
    return found if at == len(body) else BfdVerdict.WRONG_LENGTH


def _authentic(data: bytes, keys: Collection[Key | None]) -> bytes | BfdVerdict:
    """Return what was signed with one of the keys, or is not signed where that will do."""
    body, told = data[:-_DIGEST], data[-_DIGEST:]
    if any(key is not None and compare_digest(told, digest(key.secret, body, "sha256")) for key in keys):
        return body
    return data if None in keys else BfdVerdict.WRONG_DIGEST


def _signed(batch: list[bytes], keys: Collection[Key | None]) -> Iterator[bytes]:
    body = _HEADER.pack(_MAGIC, _VERSION, len(batch)) + b"".join(batch)
    for key in keys:
        yield body if key is None else body + digest(key.secret, body, "sha256")
