"""The double itself: an API server on a port of its own, in a thread of its own."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from netlb.testing.apiserver.api import Api
from netlb.testing.apiserver.faults import Effect, Fault, Faults
from netlb.testing.apiserver.http import Connection, Head
from netlb.testing.apiserver.request import Request, Watching
from netlb.testing.apiserver.resources import Resource
from netlb.testing.apiserver.rights import Rules, check, check_creation
from netlb.testing.apiserver.routes import route
from netlb.testing.apiserver.status import Refused
from netlb.testing.apiserver.store import Body, Name, Store
from netlb.testing.apiserver.stream import Stream

__all__ = ["ApiServer", "Seen"]

T = TypeVar("T")

_LIMIT = 2**20
"""Bytes of a request that are read ahead."""
_LATEST = 10_000
"""Requests that are remembered."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    verb: str
    resource: str
    name: str
    query: Mapping[str, str]
    subresource: str = ""


class ApiServer:
    """A context manager. What it offers beside HTTP may be called from any thread, also from a running event loop."""

    def __init__(
        self,
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        bookmark_interval: float | None = None,
        rights: Mapping[str, Rules] | None = None,
    ) -> None:
        """Without a token everybody is let in; without an interval bookmarks are sent by `bookmark` alone.

        `rights` say, by token, what its bearer may do; `token` may do everything.
        """
        self._api = Api(Store())
        self._rights = dict(rights or {})
        self._forbidden: list[str] = []
        self._tokens = {token, *self._rights} - {""}
        self._tls = tls
        self._interval = bookmark_interval
        self._faults = Faults()
        self._seen: deque[Seen] = deque(maxlen=_LATEST)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._streams: set[Stream] = set()
        self._held: list[asyncio.Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="apiserver", daemon=True)
        self._listeners: list[asyncio.Server] = []
        self._elsewhere: list[Callable[[], socket.socket]] = []
        self.port = 0
        self._api.store.on_write = lambda: self._signal(Stream.wake)

    # Its life

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._listen([]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._await(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def listen_at(self, open_socket: Callable[[], socket.socket]) -> None:
        """Listen on another socket, too, as inside a network namespace; it is opened anew by `come_back`."""
        self._elsewhere.append(open_socket)
        self._await(self._listen_on(open_socket()))

    def write_kubeconfig(
        self, path: Path, *, token: str = "", token_file: Path | None = None, ca: Path | None = None
    ) -> Path:
        """Write a kubeconfig for it; the token is in it, or in a file that `rotate_token` keeps."""
        token = token or next(iter(self._tokens), "")
        user: dict[str, str] = {"tokenFile": str(token_file)} if token_file else {"token": token} if token else {}
        if token_file:
            token_file.write_text(token)
        cluster = {"server": self.url, **({"certificate-authority": str(ca)} if ca else {})}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": cluster}],
            "users": [{"name": "double", "user": user}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "double"}}],
            "current-context": "double",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    # Objects, past HTTP

    def put(self, *bodies: Mapping[str, Any]) -> list[Body]:
        """Create these objects, or replace those that are there, with their status."""
        return self._call(lambda: [self._put(dict(body)) for body in bodies])

    def put_files(self, folder: Path) -> None:
        """Create what the manifests of a folder declare, as `deploy/crds`."""
        for path in sorted(folder.glob("*.yaml")):
            self.put(*filter(None, yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)))

    def delete(self, resource: str, name: str, namespace: str = "") -> None:
        """Delete an object: `delete("services", "web", "default")`."""
        self._call(lambda: self._api.store.drop(resource, Name(namespace, name)))

    def get(self, resource: str, name: str, namespace: str = "") -> Body | None:
        """Return an object as it is stored."""
        return self._call(lambda: self._api.store.get(resource, Name(namespace, name)))

    def all(self, resource: str) -> dict[Name, Body]:
        """Return all objects of a resource as they are stored."""
        return self._call(lambda: dict(self._api.store.all(resource)))

    def history(self, resource: str) -> list[tuple[Name, Body | None]]:
        """Return every write of a resource since the last compaction, oldest first; None: deleted."""
        return self._call(lambda: self._api.store.history(resource))

    @property
    def revision(self) -> int:
        """The last resourceVersion."""
        return self._call(lambda: self._api.store.revision)

    # What goes wrong

    @property
    def faults(self) -> Faults:
        """Switches for the next requests."""
        return self._faults

    def release(self) -> None:
        """Carry out the requests that `faults.hold` holds."""
        self._call(self._release)

    def compact(self) -> None:
        """Forget the history: who watches from before that is told 410."""
        self._call(self._api.store.compact)

    def bookmark(self) -> None:
        """Send a bookmark to every watch that asked for them."""
        self._call(lambda: self._signal(Stream.mark))

    def expire_watches(self) -> None:
        """Send every open watch an ERROR event, 410, and end it."""
        self._call(lambda: self._signal(Stream.expire))

    def end_watches(self) -> None:
        """End every open watch in order."""
        self._call(lambda: self._signal(Stream.end))

    def reset_connections(self) -> None:
        """Break every connection."""
        self._call(self._reset)

    def freeze(self) -> None:
        """Send nothing more on the connections that are open now, and do not close them: half-open TCP."""
        self._call(self._freeze)

    def go_away(self) -> None:
        """Break every connection and refuse new ones."""
        self._await(self._hang_up())

    def come_back(self, *, revision: int | None = None) -> None:
        """Listen again; with a revision, as it was then, as after restoring a backup."""
        if revision is not None:
            self._call(lambda: self._api.store.rewind(revision))
        self._await(self._listen([open_socket() for open_socket in self._elsewhere]))

    def rotate_token(self, token: str, *files: Path, old: str = "") -> None:
        """Let in this token in place of the old one, or of all, and write it into these files; rights go over to it."""
        for path in files:
            path.write_text(token)
        self._tokens = {token} | (self._tokens - {old} if old else set())
        if old in self._rights:
            self._rights[token] = self._rights.pop(old)

    def seen(self, verb: str = "", resource: str = "") -> list[Seen]:
        """Return the requests that came in, oldest first."""
        every = self._call(lambda: list(self._seen))
        return [one for one in every if verb in ("", one.verb) and resource in ("", one.resource)]

    @property
    def forbidden(self) -> list[str]:
        """What was refused for want of rights, oldest first."""
        return self._call(lambda: list(self._forbidden))

    # Inside, all of it on the thread's loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        result: T = self._await(called())
        return result

    async def _listen(self, sockets: list[socket.socket]) -> None:
        """Listen at the port, which is the same as before, and on these sockets."""
        first = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls, limit=_LIMIT)
        self.port = first.sockets[0].getsockname()[1]
        self._listeners.append(first)
        for sock in sockets:
            await self._listen_on(sock)

    async def _listen_on(self, sock: socket.socket) -> None:
        self._listeners.append(await asyncio.start_server(self._accept, sock=sock, ssl=self._tls, limit=_LIMIT))

    async def _hang_up(self) -> None:
        for listener in self._listeners:
            for sock in listener.sockets:
                self._loop.remove_reader(sock)
        await asyncio.sleep(0)  # who has been accepted already is lost, and never closed, where its listener is closed
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        ended: set[Connection] = set()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # one may still be about to be accepted
            for connection in self._connections.keys() - ended:
                ended.add(connection)
                connection.reset()
                self._connections[connection].cancel()
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)

    def _signal(self, what: Callable[[Stream], None]) -> None:
        for stream in self._streams:
            what(stream)

    def _release(self) -> None:
        for held in self._held:
            held.set_result(None)
        self._held.clear()

    def _reset(self) -> None:
        for connection in self._connections:
            connection.reset()

    def _freeze(self) -> None:
        for connection in self._connections:
            connection.frozen = True

    def _put(self, body: Body) -> Body:
        served = self._api.resources()
        resource = next(one for one in served if (one.api_version, one.kind) == (body["apiVersion"], body["kind"]))
        namespace = body["metadata"].get("namespace", "default") if resource.namespaced else ""
        name = body["metadata"].get("name", "")
        there = self._api.store.get(resource.name, Name(namespace, name))
        stored = self._write(resource, namespace, body, there)
        if resource.status and "status" in body:
            stored = self._write(resource, namespace, body, stored, "status")
        return stored

    def _write(self, resource: Resource, namespace: str, body: Body, there: Body | None, sub: str = "") -> Body:
        version = {"resourceVersion": there["metadata"]["resourceVersion"]} if there else {}
        metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"} | version
        if namespace:
            metadata["namespace"] = namespace
        request = Request(
            method="PUT" if there else "POST",
            path=(),
            body=json.dumps({**body, "metadata": metadata}).encode(),
            resource=resource,
            namespace=namespace,
            name=there["metadata"]["name"] if there else "",
            subresource=sub,
            user_agent="double",
        )
        answer = self._api.handle(request)
        assert isinstance(answer, tuple)
        assert isinstance(answer[1], dict)
        return answer[1]

    def _check(self, demand: Callable[[Rules, Request], None], rules: Rules, request: Request) -> None:
        """Note what is forbidden, and refuse it."""
        try:
            demand(rules, request)
        except Refused as refused:
            self._forbidden.append(str(refused))
            raise

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                while (received := await connection.receive()) is not None:
                    await self._respond(connection, *received)
        finally:
            del self._connections[connection]
            await connection.close()

    async def _respond(self, connection: Connection, head: Head, content: bytes) -> None:
        token = head.headers.get("authorization", "").removeprefix("Bearer ")
        if self._tokens and token not in self._tokens:
            await _refuse(connection, Refused(401, "Unauthorized", "Unauthorized"))
            return
        if head.path in (("healthz",), ("livez",), ("readyz",)):
            await connection.answer(200, "ok")
            return
        if head.path == ("version",):
            await connection.answer(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0-netlb-double"})
            return
        request = route(head, content, self._api.resources())
        if request is None:
            await connection.answer(404, "404 page not found\n")
            return
        name = request.resource.name if request.resource else "/".join(head.path)
        self._seen.append(Seen(request.verb, name, request.name, head.query, request.subresource))
        rules = self._rights.get(token)
        if rules is not None:
            request = replace(request, may_create=partial(self._check, check_creation, rules))
        fault = self._faults.strike(request) or Fault()
        match fault.effect:
            case Effect.DROP:
                connection.reset()
                return
            case Effect.STALL:
                await connection.gone()
                return
            case Effect.SLOW:
                await asyncio.sleep(fault.seconds)
            case Effect.HOLD:
                held = self._loop.create_future()
                self._held.append(held)
                await held
            case Effect.GARBAGE if request.verb != "watch":
                await connection.answer(200, "<html>not an API server</html>")
                return
        try:
            if rules is not None:
                self._check(check, rules, request)
            if fault.status:
                raise fault.status
            answer = self._api.handle(request)
        except Refused as refused:
            await _refuse(connection, refused)
            return
        if isinstance(answer, Watching):
            stream = Stream(connection, answer, self._api.store, self._interval)
            self._streams.add(stream)
            try:
                await stream.run(fault.effect)
            finally:
                self._streams.remove(stream)
        else:
            await connection.answer(*answer, cut=fault.effect is Effect.CUT)


async def _refuse(connection: Connection, refused: Refused) -> None:
    headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    await connection.answer(refused.code, refused.body, headers)
