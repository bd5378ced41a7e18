"""What a NetBox client has to know, and the token, which is never shown."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netlb.errors import SettingError
from netlb.ipam.source import SourceRefusedError, check_url
from netlb.net import AddressRange, parse_prefix

__all__ = ["NetBoxSettings", "Token", "TokenFile"]

_LONGEST_TOKEN: Final = 4096
_V2_PREFIX: Final = "nbt_"


class Token:
    """A secret. Its text is shown by no `repr`, and `hide` takes it out of what others say."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Token(***)"

    def header(self) -> str:
        """Return the Authorization header: tokens of v2 (NetBox 4.5 and later) are told by how they begin."""
        return f"{'Bearer' if self._text.startswith(_V2_PREFIX) else 'Token'} {self._text}"

    def hide(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self._text, "***")


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that holds a token. It is read for every request, so that a new token counts at once."""

    path: Path

    def read(self) -> Token:
        """Return the token; SourceRefusedError names the file and what is wrong with it, never what it holds."""
        remedy = "write the API token into it, and nothing else"
        try:
            with self.path.open("rb") as file:
                content = file.read(_LONGEST_TOKEN + 1)
        except OSError as error:
            raise SourceRefusedError(f"token file {self.path}", error.strerror or "cannot be read", remedy) from None
        text = content.decode("ascii", errors="replace").strip()
        if not text:
            raise SourceRefusedError(f"token file {self.path}", "is empty", remedy)
        if len(content) > _LONGEST_TOKEN or not all("!" <= character <= "~" for character in text):
            raise SourceRefusedError(f"token file {self.path}", "holds something that is not a token", remedy)
        return Token(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBoxSettings:
    """Where NetBox is and which of its prefixes serve the pool. SettingError names the field that cannot work."""

    url: str
    """Without `/api`; `https://`, or `http://` to this machine."""
    token: TokenFile
    addresses: tuple[str, ...]
    """Prefixes as they are in NetBox (`192.0.2.0/24`), in the order in which they are used up."""
    vrf: str = ""
    """Name of the VRF that the prefixes are in; empty: the global table."""
    ca_file: str = ""
    """Certificates to trust (PEM); empty: the system's."""
    timeout: float = 10.0
    """Seconds that one request may take, from the first byte sent to the last one received."""
    page_size: int = 500
    """Objects to ask for at once; NetBox may give fewer (MAX_PAGE_SIZE)."""

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.addresses:
            raise SettingError("addresses", "no prefix is named", "name a prefix that exists in NetBox")
        for index, text in enumerate(self.addresses):
            try:
                parse_prefix(text)
            except ValueError as error:
                raise SettingError(
                    f"addresses[{index}]", str(error), "name a prefix that exists in NetBox, as in 192.0.2.0/24"
                ) from None
        for name, value in (("timeout", self.timeout), ("pageSize", self.page_size)):
            if not value > 0:
                raise SettingError(name, f"{value} is not more than 0", "leave it out, or take a larger number")

    @property
    def prefixes(self) -> tuple[AddressRange, ...]:
        """`addresses`, parsed, in the same order."""
        return tuple(parse_prefix(text) for text in self.addresses)

    def ssl_context(self) -> ssl.SSLContext:
        """Return what checks NetBox's certificate; SettingError if `ca_file` cannot be used."""
        if self.url.startswith("http://") and not self.ca_file:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; it trusts nobody, and takes no time to make
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:  # ssl.SSLError is one
            problem = f"{self.ca_file}: {error.strerror or 'no certificate can be read from it'}"
            raise SettingError("caFile", problem, "name a PEM file with the certificates to trust") from None
