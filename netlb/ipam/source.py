"""Where a pool's addresses come from when another system keeps them: what it promises, how it names, how it refuses.

Several installations and pools may share one such system. What each has there is told apart by a tag on every address,
which a person can read and which reads back exactly: `netlb:INSTALLATION:POOL:NAMESPACE/NAME:IPv4`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from netlb.errors import NetlbError, SettingError
from netlb.findings import ObjectRef
from netlb.net import Address, Family

__all__ = [
    "AddressNotServedError",
    "AddressSource",
    "AddressTakenError",
    "Claim",
    "Lessee",
    "NoAddressLeftError",
    "SourceError",
    "SourceRefusedError",
    "check_url",
]

TAG_LENGTH: Final = 200
"""Characters that every tag fits into: what NetBox has room for in a description."""
NAMES_LENGTH: Final = 60
"""Characters that are left for installation and pool together, whatever the Service is called (63 + 63)."""

_NAME = r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?"
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_CLAIM = re.compile(rf"(?P<namespace>{_LABEL})/(?P<name>{_LABEL}):(?P<family>IPv4|IPv6)")


class Claim(NamedTuple):
    """One address for one Service."""

    service: ObjectRef
    family: Family

    def __str__(self) -> str:
        return f"{self.service.namespace}/{self.service.name}:{self.family}"


@dataclass(frozen=True, slots=True)
class Lessee:
    """In whose name addresses are reserved: one pool of one installation. SettingError if a name cannot be used."""

    installation: str
    """What tells this installation from others that use the same system: most often the cluster's name."""
    pool: str

    def __post_init__(self) -> None:
        for setting, name in (("installation", self.installation), ("pool", self.pool)):
            if re.fullmatch(_NAME, name) is None:
                raise SettingError(
                    setting,
                    f"{name!r} cannot be part of a tag",
                    "use lower-case letters, digits, '-' and '.', a letter or digit first and last",
                )
        if len(self.installation) + len(self.pool) > NAMES_LENGTH:
            raise SettingError(
                "installation",
                f"{self.installation!r} and the pool's name {self.pool!r} have more than {NAMES_LENGTH} characters",
                "shorten one of them: a tag holds them both, and the Service's name and namespace",
            )

    @property
    def tag_prefix(self) -> str:
        """What every tag of this lessee begins with, and no tag of another one."""
        return f"netlb:{self.installation}:{self.pool}:"

    def tag(self, claim: Claim) -> str:
        """Return the tag of a claim, of at most TAG_LENGTH characters.

        ValueError: not a Service, or one whose name Kubernetes would not accept.
        """
        tag = f"{self.tag_prefix}{claim}"
        if self.claim(tag) != claim:
            raise ValueError(f"{claim.service} is not a Service that an address can be reserved for")
        return tag

    def claim(self, tag: str) -> Claim | None:
        """Return the claim that a tag names; None if it is another lessee's, or no tag at all."""
        found = _CLAIM.fullmatch(tag.removeprefix(self.tag_prefix)) if tag.startswith(self.tag_prefix) else None
        if found is None:
            return None
        return Claim(ObjectRef("Service", found["namespace"], found["name"]), Family(found["family"]))

    def __str__(self) -> str:
        return f"pool {self.pool} of {self.installation}"


class AddressSource(Protocol):
    """A system that keeps addresses: an address is reserved there before anybody has it, and given back after.

    Every call may raise `TransientError` (out of reach, too busy: what was asked may or may not have been done, and
    asking again is safe) or a `SourceError`. After either, nothing that was held is any less held.
    """

    async def leases(self) -> Mapping[Claim, Address]:
        """Return what is reserved in this lessee's name, whoever reserved it and when: all of it, or an error.

        What two calls at the same time change meanwhile may or may not be in it. Leftovers of calls that were cut
        short, such as a second address for one claim, are given back on the way.
        """

    async def lease(self, claim: Claim, wanted: Address | None = None) -> Address:
        """Reserve an address: `wanted`, or any one of the claim's family.

        A claim that has an address keeps it, and that one is returned, even if `wanted` is another: release it first.
        Raises NoAddressLeftError, AddressTakenError, AddressNotServedError.
        """

    async def release(self, claim: Claim) -> None:
        """Give back what the claim has; nothing, if it has nothing. Other people's addresses are never touched."""

    async def close(self) -> None:
        """Close connections. What is reserved stays reserved."""


class SourceError(NetlbError):
    """An address source says no, and will until somebody changes something: who says so, why, and the remedy."""

    def __init__(self, source: str, problem: str, remedy: str) -> None:
        super().__init__(f"{source}: {problem}; {remedy}")
        self.source = source
        self.problem = problem
        self.remedy = remedy


class SourceRefusedError(SourceError):
    """The source does not serve us: token, permissions, a prefix that does not exist, a proxy in the way."""


class NoAddressLeftError(SourceError):
    """Every address is reserved, by us or by others."""


class AddressTakenError(SourceError):
    """The wanted address is reserved by somebody else, or for another Service."""


class AddressNotServedError(SourceError):
    """The wanted address, or the claim's family, is in none of the prefixes that serve the pool."""


def check_url(url: str) -> None:
    """Refuse a URL to which a token must not be sent, or that is not one of a whole system: SettingError.

    The message does not repeat the URL, which may hold a password.
    """
    remedy = "write https://HOST or https://HOST/PATH"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingError("url", "it is not a URL", remedy) from None
    if not host or parts.scheme not in ("http", "https") or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingError("url", "it is not a URL", remedy)
    if parts.username is not None or parts.password is not None:
        raise SettingError("url", "it carries a user or a password", "take them out: the token is enough")
    if "?" in url or "#" in url:
        raise SettingError("url", "it has a query or a fragment", remedy)
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingError(
            "url", f"http:// would send the token to {host} in clear text", "write https://; http is for this machine"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
