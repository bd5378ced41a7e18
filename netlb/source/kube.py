"""The API server, through lightkube: kubeconfig, TLS and authentication. The only file that knows lightkube or httpx.

Requests go through the HTTP client that lightkube configures, one call here for each. lightkube's own calls do not ask
for bookmarks, decode lists as a whole or not at all, and lose connection errors (lightkube 1.0.1).

Nothing that an error says comes from a kubeconfig, a token or a plug-in's output.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx2
import msgspec
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError as LightkubeError

from netlb import __version__
from netlb.errors import SettingError
from netlb.source.kube_errors import NOT_FOUND, UNAUTHORIZED, About, RequestError, refusal
from netlb.source.kube_kinds import Resource
from netlb.source.kube_sockets import discard_unsent
from netlb.source.reflector import List, Page, Watch

__all__ = ["KubeClient"]

T = TypeVar("T")

_AGENT = f"netlb/{__version__}"
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_REACH = "check that the API server can be reached from here"
_BETWEEN = "look what stands between netlb and the API server"
_LONGEST_LINE = 16 * 2**20
"""Bytes; etcd takes objects of 1.5 MB."""


class _Event(msgspec.Struct, Generic[T], frozen=True):
    """`metav1.WatchEvent`."""

    type: str
    object: T


class _GroupVersion(msgspec.Struct, frozen=True, rename="camel"):
    group_version: str


class _Group(msgspec.Struct, frozen=True):
    versions: tuple[_GroupVersion, ...]


class _Groups(msgspec.Struct, frozen=True):
    groups: tuple[_Group, ...]


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _ListAnswer(msgspec.Struct, Generic[T], frozen=True):
    metadata: _ListMeta
    items: list[T] | None = None


class KubeClient:
    """Speaks to one API server. Not connected before its first request; `close` when done.

    Without a kubeconfig: the service account of the pod, else $KUBECONFIG, else ~/.kube/config. Credentials are read
    again when they are refused: a token file at once, a changed kubeconfig with the next request.
    """

    def __init__(self, kubeconfig: Path | None = None, *, field_manager: str, deadline: float = 10.0) -> None:
        """`field_manager` owns what is applied; `deadline` is that of a request, in seconds."""
        self._kubeconfig = kubeconfig
        self._manager = field_manager
        self._deadline = deadline
        self._config: SingleConfig | None = None
        self._http: httpx2.AsyncClient | None = None
        self._retired: httpx2.AsyncClient | None = None
        """The one before: open watches may still use it."""
        self._refused = False
        self._closed = False
        self._received: Counter[tuple[str, ...]] = Counter()
        self._open: dict[httpx2.Response, About] = {}

    async def close(self) -> None:
        """Close every connection; requests fail from now on."""
        self._closed = True
        every, self._http, self._retired = (self._http, self._retired), None, None
        for http in filter(None, every):
            await http.aclose()

    def check(self) -> None:
        """Raise SettingError if there is no configuration that could be used."""
        _read_config(self._kubeconfig)

    @property
    def namespace(self) -> str:
        """The namespace that this pod is in, or that the kubeconfig names. Raises SettingError."""
        return (self._config or _read_config(self._kubeconfig)).namespace

    def received(self) -> Mapping[tuple[str, ...], float]:
        """Return how many bytes of answers have come in, by resource and verb: as sent, without headers and TLS."""
        received = self._received.copy()
        for response, what in self._open.items():
            received[str(what.resource), what.verb] += response.num_bytes_downloaded
        return received

    # Reading

    async def list_page(
        self,
        resource: Resource,
        page: List,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        form: Any = Any,
    ) -> Page:
        """Return a page of a collection. Raises RequestError. No deadline but the caller's.

        With a form, objects are decoded by that type; if one of them is not of it, all of the page as mappings.
        """
        query = _selecting(labels, fields)
        if page.limit:
            query["limit"] = str(page.limit)
        if page.continue_token:
            query["continue"] = page.continue_token
        what = About("list", resource, namespace)
        async with self._opened("GET", what, query) as response:
            content = await _content(what, response)
        answer = _decoded(what, content, _ListAnswer, form)
        return Page(answer.items or (), answer.metadata.resource_version, answer.metadata.continue_)

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        watch: Watch,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        form: Any = Any,
    ) -> AsyncIterator[AsyncIterator[list[tuple[str, Any]]]]:
        """Open a watch; it yields what has arrived, as pairs of an event's type and object. Raises RequestError.

        With a form, an object that is of that type is decoded by it, and any other one as a mapping.
        No deadline but the caller's, who knows for how long silence is right.
        """
        query = _selecting(labels, fields) | {
            "watch": "true",
            "resourceVersion": watch.resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(watch.timeout),
        }
        what = About("watch", resource, namespace)
        async with self._opened("GET", what, query) as response:
            yield _events(what, response, form)

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return one object. Raises RequestError."""
        return await self._request("GET", About("get", resource, namespace, name), {}, None)

    async def served(self) -> frozenset[str]:
        """Return the apiVersions of all groups that are served now. Raises RequestError."""
        what = About("get", Resource(group="", version="", plural="apis", kind=""))
        groups = _parsed(what, await self._answer("GET", what, {}, None, path="/apis"), _Groups).groups
        return frozenset(version.group_version for group in groups for version in group.versions)

    # Writing

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object. Raises RequestError (409: it is there), and ConfigError if it is refused."""
        return await self._request("POST", About("create", resource, namespace, _name(body)), {}, body)

    async def replace(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object at the resourceVersion in its metadata.

        Raises RequestError (409: it is at another one by now), and ConfigError if it is refused.
        """
        return await self._request("PUT", About("update", resource, namespace, _name(body)), {}, body)

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        force: bool = False,
    ) -> dict[str, Any]:
        """Apply the fields in `body` as this client's own; those that it applied before and not now are removed.

        With a resourceVersion in its metadata, only at that version. Without `force`, fields that somebody else owns
        with other values are a conflict. Raises RequestError (409, and `owners`), and ConfigError if it is refused.
        """
        what = About("patch", resource, namespace, _name(body), subresource)
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._request("PATCH", what, {"force": "true"} if force else {}, whole)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object, if it is still the one with this uid; what is not there is. Raises RequestError."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}} if uid else None
        try:
            await self._request("DELETE", About("delete", resource, namespace, name), {}, body)
        except RequestError as error:
            if error.status != NOT_FOUND:
                raise

    # How

    async def _request(
        self, method: str, what: About, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Carry out a request about one object."""
        if method in ("POST", "PUT", "PATCH"):
            query = {"fieldManager": self._manager, **query}
        return _parsed(what, await self._answer(method, what, query, body), dict[str, Any])

    async def _answer(
        self, method: str, what: About, query: Mapping[str, str], body: Mapping[str, Any] | None, *, path: str = ""
    ) -> bytes:
        """Return a whole answer, within the deadline."""
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._opened(method, what, query, body, path=path) as response,
            ):
                return await _content(what, response)
        except TimeoutError:
            raise RequestError(f"{what}: no answer within {self._deadline:g} s; {_REACH}") from None

    @contextlib.asynccontextmanager
    async def _opened(
        self,
        method: str,
        what: About,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        path: str = "",
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and give its answer, whose body is still to come. Whatever goes wrong is RequestError."""
        if self._closed:
            raise RequestError(f"{what}: not asked, as netlb is stopping")
        http = await self._connected()
        content = None if body is None else msgspec.json.encode(body)
        kind = {"Content-Type": _APPLY if method == "PATCH" else _JSON} if content else {}
        headers = {**kind, "User-Agent": _AGENT}
        with _explained(what):
            request = http.build_request(
                method,
                path or what.path,
                params=dict(query),
                content=content,
                headers=headers,
                extensions={"trace": discard_unsent},
            )
            response = await http.send(request, stream=True)
        self._open[response] = what
        try:
            if response.is_error:
                self._refused |= response.status_code == UNAUTHORIZED
                said = await _content(what, response)
                raise refusal(what, response.status_code, said, response.headers.get("Retry-After", ""))
            yield response
        finally:
            del self._open[response]
            self._received[str(what.resource), what.verb] += response.num_bytes_downloaded
            await response.aclose()

    async def _connected(self) -> httpx2.AsyncClient:
        """Return the HTTP client; after a refusal, one with the credentials of now. Raises SettingError."""
        if self._http is not None and not self._refused:
            return self._http
        try:
            config = _read_config(self._kubeconfig)
        except SettingError:
            if self._http is None:
                raise
            return self._http  # being rewritten, perhaps: the next request tries again
        if self._http is None or config != self._config:
            renewed = _http_client(config, self._kubeconfig, self._deadline)
            retired, self._retired = self._retired, self._http
            self._http, self._config = renewed, config
            if retired is not None:
                await retired.aclose()
        self._refused = False
        return self._http


def _selecting(labels: str, fields: str) -> dict[str, str]:
    return {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}


def _name(body: Mapping[str, Any]) -> str:
    metadata = body["metadata"]
    return str(metadata.get("name") or metadata.get("generateName", ""))


async def _content(what: About, response: httpx2.Response) -> bytes:
    with _explained(what):
        return await response.aread()


async def _events(what: About, response: httpx2.Response, form: Any) -> AsyncIterator[list[tuple[str, Any]]]:
    """Yield the events of each piece of an answer. Lines end in LF only: a text may have other line ends in it."""
    rest = b""
    pieces = response.aiter_bytes()
    while True:
        with _explained(what):
            piece = await anext(pieces, None)
        if piece is None:
            return
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise RequestError(f"{what}: an event of more than {_LONGEST_LINE} bytes; {_BETWEEN}")
        if events := [_decoded(what, line, _Event, form) for line in lines if line]:
            yield [(event.type, event.object) for event in events]


def _decoded(what: About, content: bytes, kind: Any, form: Any) -> Any:
    """Decode an answer about objects of a form, or of any where one of them is not of it."""
    if form is not Any:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(content, type=kind[form])
    return _parsed(what, content, kind[Any])


def _parsed(what: About, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError:
        raise RequestError(f"{what}: the answer is none of an API server; {_BETWEEN}") from None


@contextlib.contextmanager
def _explained(what: About) -> Iterator[None]:
    """Turn every failure of a request into RequestError, without what a foreign text may carry along."""
    try:
        yield
    except httpx2.TimeoutException:
        raise RequestError(f"{what}: no answer in time; {_REACH}") from None
    except httpx2.ConnectError as error:
        raise RequestError(f"{what}: no connection ({error}); {_REACH}") from None
    except httpx2.HTTPError as error:
        raise RequestError(f"{what}: the connection broke ({type(error).__name__}); {_REACH}") from None
    except TimeoutError:
        raise  # the caller's deadline
    except (LightkubeError, KeyError, ValueError, OSError) as error:
        problem = f"the credentials of the kubeconfig cannot be had ({type(error).__name__})"
        raise RequestError(f"{what}: {problem}; try its token file, or the command in its `exec`") from None


def _read_config(path: Path | None) -> SingleConfig:
    """Return the configuration. Raises SettingError, which says nothing of its content."""
    setting = f"kubeconfig {path}" if path else "kubeconfig"
    remedy = "run in a pod, set KUBECONFIG, or write ~/.kube/config"
    try:
        whole = KubeConfig.from_file(path) if path else KubeConfig.from_env()
        config = whole.get()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise SettingError(setting, f"{line}it is not YAML", "mend it") from None
    except LightkubeError as error:
        raise SettingError(setting, str(error), remedy if path is None else "name another file") from None
    except (AttributeError, LookupError, TypeError, ValueError, OSError, yaml.YAMLError) as error:
        problem = f"it cannot be read as one ({type(error).__name__})"
        raise SettingError(setting, problem, "try it with `kubectl get --raw /version`") from None
    if config is None:
        raise SettingError(setting, "no current-context is set", "set one: kubectl config use-context NAME")
    return config if config.user else config._replace(user=User())


def _http_client(config: SingleConfig, path: Path | None, deadline: float) -> httpx2.AsyncClient:
    """Return the HTTP client that lightkube makes of a configuration. Raises SettingError."""
    timeout = httpx2.Timeout(deadline, read=None)
    try:
        return client_adapter.AsyncClient(config, client_adapter.ConnectionParams(timeout=timeout))
    except (LightkubeError, httpx2.InvalidURL, AttributeError, TypeError, ValueError, OSError) as error:
        setting = f"kubeconfig {path}" if path else "kubeconfig"
        problem = f"its server, certificates or credentials cannot be used ({type(error).__name__})"
        raise SettingError(setting, problem, "try it with `kubectl get --raw /version`") from None
