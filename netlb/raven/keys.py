"""Keys of tunnels: X25519 (RFC 7748), and one that all endpoints share. What is secret shows itself to nobody."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["KEY_SIZE", "Keys", "PrivateKey", "SharedKey", "key_octets", "key_text"]

KEY_SIZE = 32
_TEXT = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
"""32 octets in base64: of the last digit only four bits count (RFC 4648 section 3.5)."""


@dataclass(frozen=True)
class PrivateKey:
    """A private key, clamped: a device says it so, and would differ from one that is not for ever."""

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Take 32 octets that are clamped already; ValueError says what they are not, and never what they are."""
        if len(self.octets) != KEY_SIZE:
            raise ValueError("it has not 32 octets")
        if self.octets != clamped(self.octets):
            raise ValueError("it is not clamped (RFC 7748 section 5)")

    @classmethod
    def of(cls, octets: bytes) -> "PrivateKey":
        """Make a key of 32 random octets."""
        return cls(clamped(octets)) if len(octets) == KEY_SIZE else cls(octets)

    @classmethod
    def parse(cls, text: str) -> "PrivateKey":
        """Read base64; ValueError does not repeat it."""
        octets = key_octets(text)
        return cls.of(octets)

    @property
    def text(self) -> str:
        """The key in base64, as its file has it."""
        return key_text(self.octets)

    @cached_property
    def public(self) -> str:
        """The public key that belongs to it, in base64."""
        return key_text(X25519PrivateKey.from_private_bytes(self.octets).public_key().public_bytes_raw())


@dataclass(frozen=True)
class SharedKey:
    """A secret that all endpoints have."""

    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """ValueError where there is nothing."""
        if not self.text:
            raise ValueError("it is empty")

    @cached_property
    def octets(self) -> bytes:
        """32 octets: the SHA-256 of the secret, which is how Raven makes WireGuard's pre-shared key of it."""
        return sha256(self.text).digest()


@dataclass(frozen=True)
class Keys:
    """The secrets of an endpoint."""

    private: PrivateKey
    shared: SharedKey | None = None

    @property
    def public(self) -> str:
        """Our public key, in base64."""
        return self.private.public


def clamped(octets: bytes) -> bytes:
    """Return 32 octets as X25519 uses them (RFC 7748 section 5)."""
    return bytes((octets[0] & 248, *octets[1:31], octets[31] & 127 | 64))


def key_octets(text: str) -> bytes:
    """Return the 32 octets of a key in base64; ValueError does not repeat the text, which may be secret."""
    if not _TEXT.fullmatch(text):
        raise ValueError("it is not 32 octets in base64")
    return b64decode(text)


def key_text(octets: bytes) -> str:
    """Return a key in base64."""
    return b64encode(octets).decode()
