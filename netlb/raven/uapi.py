"""The text in which programs that do WireGuard beside the kernel are spoken to (wireguard.com/xplatform). Pure.

Lines of `key=value`, and an empty one that ends each request and each answer. Keys are in hexadecimal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from netlb.raven.keys import KEY_SIZE, PrivateKey, key_octets, key_text
from netlb.raven.model import Prefix
from netlb.raven.nat import Destination
from netlb.raven.wireguard import NO_SHARED_KEY, DeviceDump, PeerDump, PeerWrite, Write

__all__ = ["END", "GET", "AnswerError", "answer_to_get", "answer_to_set", "request_to_set"]

GET: Final = b"get=1\n\n"
END: Final = b"\n\n"
"""The end of every answer."""
_MOST: Final = (1 << 64) - 1


class AnswerError(ValueError):
    """What came is no answer of this protocol. It says which line, and never what is in it, which may be secret."""


@dataclass(slots=True)
class _Peer:
    shared: bytes = field(default=NO_SHARED_KEY, repr=False)
    endpoint: Destination | None = None
    keepalive: int = 0
    seconds: int = 0
    nanoseconds: int = 0
    received: int = 0
    sent: int = 0
    allowed: set[Prefix] = field(default_factory=set)

    def dump(self) -> PeerDump:
        return PeerDump(
            shared=self.shared,
            endpoint=self.endpoint,
            keepalive=self.keepalive,
            handshake=self.seconds + self.nanoseconds / 1e9,
            received=self.received,
            sent=self.sent,
            allowed=frozenset(self.allowed),
        )


def request_to_set(write: Write) -> bytes:
    """Return the request that writes all of it."""
    return "\n".join(("set=1", *_device_lines(write), "", "")).encode()


def answer_to_set(answer: bytes) -> int:
    """Return the errno of an answer, 0 for success. A request that failed may have been carried out in part."""
    lines = _lines(answer)
    if len(lines) != 1:
        raise AnswerError("an answer to `set` has one line")
    return _errno(*lines[0])


def answer_to_get(answer: bytes) -> tuple[DeviceDump | None, int]:
    """Return what the device says, or None and an errno. Keys that this version does not know are passed over."""
    private: PrivateKey | None = None
    port = 0
    peers: dict[str, _Peer] = {}
    peer: _Peer | None = None
    errno: int | None = None
    for number, (key, value) in enumerate(_lines(answer), start=1):
        if errno is not None:
            raise AnswerError(f"line {number} comes behind the errno")
        try:
            if key == "errno":
                errno = _errno(key, value)
            elif key == "public_key":
                peer = peers.setdefault(key_text(_octets(value)), _Peer())
            elif peer is not None:
                _read_peer(peer, key, value)
            elif key == "private_key":
                octets = _octets(value)
                private = PrivateKey(octets) if any(octets) else None
            elif key == "listen_port":
                port = _number(value, 65535)
        except ValueError:
            # What is wrong with a value may quote it.
            raise AnswerError(f"line {number}, {key[:40]}: its value cannot be read") from None
    if errno is None:
        raise AnswerError("there is no errno")
    if errno:
        return None, errno
    return DeviceDump(private=private, port=port, peers={key: peer.dump() for key, peer in peers.items()}), 0


def _read_peer(peer: _Peer, key: str, value: str) -> None:
    if key == "allowed_ip":
        peer.allowed.add(_prefix(value))
    elif read := _PEER.get(key):
        name, convert = read
        setattr(peer, name, convert(value))


def _device_lines(write: Write) -> Iterator[str]:
    if write.private is not None:
        yield f"private_key={write.private.octets.hex()}"
    if write.port is not None:
        yield f"listen_port={write.port}"
    for peer in write.peers:
        yield from _peer_lines(peer)


def _peer_lines(peer: PeerWrite) -> Iterator[str]:
    yield f"public_key={key_octets(peer.key).hex()}"
    if peer.remove:
        yield "remove=true"
        return
    if peer.shared is not None:
        yield f"preshared_key={peer.shared.hex()}"
    if peer.endpoint is not None:
        address, port = peer.endpoint
        yield f"endpoint={f'[{address}]' if address.version == 6 else address}:{port}"
    if peer.keepalive is not None:
        yield f"persistent_keepalive_interval={peer.keepalive}"
    for prefix in peer.add:
        yield f"allowed_ip={prefix}"


def _lines(answer: bytes) -> list[tuple[str, str]]:
    try:
        text = answer.decode("ascii")
    except UnicodeDecodeError:
        raise AnswerError("it is not ASCII") from None
    if not text.endswith("\n\n"):
        raise AnswerError("it does not end with an empty line")
    found = []
    for number, line in enumerate(text[:-2].split("\n"), start=1):
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise AnswerError(f"line {number} is not key=value")
        found.append((key, value))
    return found


def _errno(key: str, value: str) -> int:
    """Return the number of an errno, which wireguard-go gives with a sign and the kernel's tools without."""
    digits = value.removeprefix("-")
    if key != "errno" or not (digits.isdecimal() and len(digits) < 6):
        raise AnswerError("its last line is no errno")
    return int(digits)


@lru_cache(maxsize=1 << 16)
def _prefix(text: str) -> Prefix:
    """Read a prefix: the same ones come with every answer, and reading them is most of the work."""
    return ip_network(text)


def _octets(text: str) -> bytes:
    if len(text) != 2 * KEY_SIZE:
        raise ValueError("not as long as a key")
    return bytes.fromhex(text)


def _number(text: str, most: int = _MOST) -> int:
    if not text.isdecimal() or int(text) > most:
        raise ValueError("no number, or too large")
    return int(text)


def _seconds(text: str) -> int:
    return _number(text, 65535)


def _destination(text: str) -> Destination:
    host, _, port = text.rpartition(":")
    address = ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0])
    if host.startswith("[") != isinstance(address, IPv6Address):
        raise ValueError("brackets belong to IPv6")
    return address, _number(port, 65535)


_PEER: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "preshared_key": ("shared", _octets),
    "endpoint": ("endpoint", _destination),
    "persistent_keepalive_interval": ("keepalive", _seconds),
    "last_handshake_time_sec": ("seconds", _number),
    "last_handshake_time_nsec": ("nanoseconds", _number),
    "rx_bytes": ("received", _number),
    "tx_bytes": ("sent", _number),
}
