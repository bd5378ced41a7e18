"""NetBox's REST API, the few calls of it that we make: one request, one deadline, and every failure by its name.

Documented at https://netboxlabs.com/docs/netbox/integrations/rest-api/; checked against NetBox 3.3.7 to 4.6. NetBox
ignores filters that it does not know, so the caller checks what comes back.
"""

import asyncio
import ssl
from collections.abc import Collection, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

import httpx
import msgspec

from netlb.errors import SettingError, TransientError
from netlb.ipam.adapter.settings import NetBoxSettings, Token
from netlb.ipam.source import SourceRefusedError

__all__ = ["NetBoxApi", "Query", "Reply", "Row"]

Query = Sequence[tuple[str, str]]

_AT_ONCE: Final = 4
"""Requests under way at the same time: NetBox has a handful of workers, and others use them, too."""
_MOST_ROWS: Final = 100_000
_LARGEST_BODY: Final = 64 << 20
"""Bytes of one response; 500 addresses are some 500 kB."""
_LONGEST_WAIT: Final = 3600.0
"""Seconds of Retry-After that are believed."""
_MOST_WORDS: Final = 300
"""Characters of NetBox's own words that go into a message."""
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises over bytes that are not JSON, or not of the right shape, or nested without end."""
_COMES_AND_GOES: Final = {408, 425, 429, *range(500, 600)}


class Row(msgspec.Struct, frozen=True):
    """Base of NetBox's objects: the fields that we read."""

    id: int


R = TypeVar("R", bound=Row)


class _Page(msgspec.Struct, Generic[R]):
    results: list[R]
    next: str | None = None


class Reply(NamedTuple):
    """A response that the caller knows what to make of."""

    status: int
    body: bytes
    words: str
    """NetBox's own words in an error, as `: ...`, without the token; empty where there are none."""


class NetBoxApi:
    """A connection pool to one NetBox. Raises TransientError and SourceRefusedError, and nothing of httpx."""

    def __init__(self, settings: NetBoxSettings) -> None:
        """Raise SettingError if the URL or the file of trusted certificates cannot be used."""
        self.url = settings.url.rstrip("/")
        try:
            httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise SettingError("url", str(error), "write https://HOST or https://HOST/PATH") from None
        self._settings = settings
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._client = httpx.AsyncClient(
            verify=settings.ssl_context(),
            timeout=None,  # noqa: S113  `request` has one deadline for the whole, where httpx has one for each step
            follow_redirects=False,  # the token goes to the host that was named, and to no other
            trust_env=False,  # neither proxies nor passwords that we were not told of
            headers={"Accept": "application/json", "User-Agent": "netlb"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def list(self, path: str, query: Query, kind: type[R]) -> list[R]:
        """Return all objects that match, oldest first.

        Pages are asked for by id: objects that come and go meanwhile push no other one out of sight, as they do where
        pages are counted. NetBox's `next` only says that there is more. It is not followed, wherever it leads.
        """
        rows: list[R] = []
        page_size = str(self._settings.page_size)
        while True:
            last = rows[-1].id if rows else 0
            paged = [*query, ("id__gt", str(last)), ("ordering", "id"), ("limit", page_size)]
            reply = await self.request("GET", path, {200}, query=paged)
            page = self.decode(reply, _Page[kind], f"GET {path}")  # type: ignore[valid-type]
            for row in page.results:
                if row.id <= last:
                    raise self.refused(f"GET {path} is not in the order of ids", "use NetBox 3.3.7 or newer")
                last = row.id
                rows.append(row)
            if page.next is None:
                return rows
            if not page.results:
                raise self.refused(
                    f"GET {path} has an empty page before its last", "see what stands in front of NetBox"
                )
            if len(rows) > _MOST_ROWS:
                raise self.refused(
                    f"GET {path} has more than {_MOST_ROWS} objects", "let netlb have prefixes of its own"
                )

    async def request(
        self, method: str, path: str, expected: Collection[int], *, query: Query = (), body: Any = None
    ) -> Reply:
        """Send one request to `/api/PATH`; return the response if its status is one of those expected."""
        what = f"{method} {path}"
        async with self._places:
            token = self._settings.token.read()
            headers = {"Authorization": token.header()}
            if body is not None:
                headers["Content-Type"] = "application/json"
            try:
                async with (
                    asyncio.timeout(self._settings.timeout),
                    self._client.stream(
                        method,
                        f"{self.url}/api/{path}",
                        params=list(query),
                        content=None if body is None else msgspec.json.encode(body),
                        headers=headers,
                    ) as response,
                ):
                    content = await self._read(response, what)
            except TimeoutError:
                raise TransientError(f"{self.name}: {what}: no answer in {self._settings.timeout:g} s") from None
            except httpx.HTTPError as error:
                raise self._failed(what, error) from None
        words = _words(content, token) if response.is_error else ""
        if response.status_code in expected and not (response.is_error and not words):  # a proxy's page is no answer
            return Reply(response.status_code, content, words)
        raise self._unexpected(what, response, words)

    def decode(self, reply: Reply, kind: Any, what: str) -> Any:
        """Return the body as a record of that kind."""
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except _UNREADABLE as error:
            raise self.refused(
                f"{what} is answered with something that is not NetBox's ({error})",
                "see that the URL is NetBox's own, and what stands in front of it",
            ) from None

    def refused(self, problem: str, remedy: str) -> SourceRefusedError:
        """Return the error of a NetBox that does not serve us."""
        return SourceRefusedError(self.name, problem, remedy)

    @property
    def name(self) -> str:
        """How messages call this NetBox."""
        return f"NetBox at {self.url}"

    async def _read(self, response: httpx.Response, what: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise self.refused(f"{what} is answered with more than {_LARGEST_BODY} bytes", "lower the page size")
        return bytes(body)

    def _failed(self, what: str, error: httpx.HTTPError) -> TransientError | SourceRefusedError:
        """Name what went wrong below HTTP. An httpx error's own text is used only where it cannot hold a header."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self.refused(
                    f"its certificate is not trusted: {cause.verify_message}",
                    "name the authority that signed it in caFile, or mend the certificate",
                )
            cause = cause.__cause__ or cause.__context__
        reason = str(error) if isinstance(error, httpx.NetworkError) and str(error) else type(error).__name__
        return TransientError(f"{self.name}: {what}: {reason}")

    def _unexpected(self, what: str, response: httpx.Response, words: str) -> TransientError | SourceRefusedError:
        status = response.status_code
        if status in _COMES_AND_GOES:
            return TransientError(f"{self.name}: {what}: status {status}{words}", _retry_after(response.headers))
        if 300 <= status < 400:
            return self.refused(
                f"{what} is answered with a redirect ({status})",
                "write the URL that NetBox itself has, with https:// and its path; redirects are not followed",
            )
        if status in (401, 403):
            return self.refused(
                f"{what} is not permitted ({status}{words})",
                f"see that the token in {self._settings.token.path} is valid and may write, and what its user may do "
                "(docs/external-pools.md lists the permissions)",
            )
        if status == 404:
            return self.refused(f"{what} is not there (404{words})", "see that the URL is NetBox's own, without /api")
        return self.refused(f"{what} is refused ({status}{words})", "see NetBox's own words, and its log")


def _words(body: bytes, token: Token) -> str:
    try:
        said = msgspec.json.decode(body)
    except _UNREADABLE:
        return ""
    if isinstance(said, dict) and isinstance(said.get("detail"), str):
        said = said["detail"]
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    text = "".join(character if character.isprintable() else " " for character in token.hide(text))
    return f": {text[:_MOST_WORDS]}"


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), a date's by the server's own clock."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):  # neither, no date, or one with and one without a zone
        return None
    return min(max(wait.total_seconds(), 0.0), _LONGEST_WAIT)
