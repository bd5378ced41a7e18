"""A gobgpd in memory behind a real gRPC server, for tests of what talks to one: GoBGP 3 or 4, as you like.

It has a speaker, peers, groups and a table, and no sessions: `establish` plays the router. It refuses what a real one
refuses, in its words, and does the harm that a real one does; the same contract tests run against both.

    async with FakeGobgpd(tmp_path / "api.sock", V4) as gobgpd:
        client = await GobgpClient.connect(gobgpd.target)
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import grpc

from netlb.bgp.adapter.target import Target
from netlb.bgp.dialect import V3, V4, Dialect
from netlb.bgp.messages import Message, message
from netlb.bgp.peers import SessionState
from netlb.testing import gobgp_policies
from netlb.testing.gobgp_policies import Policies, RefusedError

__all__ = ["FakeGobgpd"]

_INIT, _END_OF_INIT, _STATE = 1, 2, 3
_UNARY: Final = {
    "StartBgp": "StartBgpRequest",
    "StopBgp": "StopBgpRequest",
    "GetBgp": "GetBgpRequest",
    "AddPath": "AddPathRequest",
    "AddPeer": "AddPeerRequest",
    "UpdatePeer": "UpdatePeerRequest",
    "DeletePeer": "DeletePeerRequest",
    "AddPeerGroup": "AddPeerGroupRequest",
    "DeletePeerGroup": "DeletePeerGroupRequest",
    "AddDynamicNeighbor": "AddDynamicNeighborRequest",
    "DeleteDynamicNeighbor": "DeleteDynamicNeighborRequest",
    **{name: f"{name}Request" for name in gobgp_policies.UNARY},
}
_STREAMS: Final = {
    "ListPath": "ListPathRequest",
    "ListPeer": "ListPeerRequest",
    "ListPeerGroup": "ListPeerGroupRequest",
    "ListDynamicNeighbor": "ListDynamicNeighborRequest",
    **{name: f"{name}Request" for name in gobgp_policies.STREAMS},
    "WatchEvent": "WatchEventRequest",
}


class FakeGobgpd:
    """One gobgpd; `calls` has the names of all calls that it was sent, in order."""

    def __init__(self, socket: Path, dialect: Dialect = V3) -> None:
        self.target = Target.unix(socket)
        self.calls: list[str] = []
        self.rejects_imports = False
        """Whether an import policy rejects everything: paths are taken, and vanish."""
        self._dialect = dialect
        self._server: Any = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._watchers: set[asyncio.Queue[Message]] = set()
        self._forget()

    def _forget(self) -> None:
        self._global: Message = message("Global")()
        self._peers: dict[str, Message] = {}
        self._groups: dict[str, Message] = {}
        self._dynamic: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._table: dict[tuple[int, str, str], Message] = {}
        self._exports = Policies(self._dialect)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    # What the world does to it

    async def start(self) -> None:
        """Start the process, which knows nothing."""
        self._forget()
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", 256 << 20)])
        unary = {
            name: grpc.unary_unary_rpc_method_handler(self._answering(name), message(request).FromString, _serialize)
            for name, request in _UNARY.items()
        }
        streams = {
            name: grpc.unary_stream_rpc_method_handler(self._streaming(name), message(request).FromString, _serialize)
            for name, request in _STREAMS.items()
        }
        bulk = grpc.stream_unary_rpc_method_handler(
            self._add_path_stream, message("AddPathStreamRequest").FromString, _serialize
        )
        handlers = {**unary, **streams, "AddPathStream": bulk}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self._dialect.service, handlers),))
        self._server.add_insecure_port(self.target.address)
        await self._server.start()

    async def kill(self) -> None:
        """Let the process die as of SIGKILL: connections break, and everything is forgotten."""
        self._thawed.set()
        await self._server.stop(0)

    def freeze(self) -> None:
        """Stop it as with SIGSTOP: it answers nobody."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Let it go on."""
        self._thawed.set()

    def establish(self, address: str, *, advertised: int = 0) -> None:
        """Let a peer's session come up, by an OPEN and a KEEPALIVE in each direction."""
        peer = self._peers[address]
        peer.state.session_state = SessionState.ESTABLISHED
        for counts in (peer.state.messages.sent, peer.state.messages.received):
            counts.open += 1
            counts.keepalive += 1
            counts.total += 2
        for family in peer.afi_safis:
            family.state.advertised = advertised
        self._tell_peer(_STATE, peer)

    # Calls

    def _answering(self, name: str) -> Callable[[Message, Any], Any]:
        async def answer(request: Message, context: Any) -> Message:
            await self._arrives(name)
            try:
                return self._method(name)(request) or message("Empty")()
            except RefusedError as refusal:
                return await context.abort(grpc.StatusCode[refusal.code], str(refusal))

        return answer

    def _streaming(self, name: str) -> Callable[[Message, Any], AsyncIterator[Message]]:
        async def answer(request: Message, context: Any) -> AsyncIterator[Message]:
            await self._arrives(name)
            try:
                if name == "WatchEvent":
                    async for event in self._do_WatchEvent(request):
                        yield event
                else:
                    for each in self._method(name)(request):
                        yield each
            except RefusedError as refusal:
                await context.abort(grpc.StatusCode[refusal.code], str(refusal))

        return answer

    def _method(self, name: str) -> Any:
        return getattr(self._exports, name) if name in gobgp_policies.CALLS else getattr(self, f"_do_{name}")

    async def _arrives(self, name: str) -> None:
        await self._thawed.wait()
        self.calls.append(name)

    def _require_started(self) -> None:
        if not self._global.asn:
            raise RefusedError("bgp server hasn't started yet")

    def _do_GetBgp(self, _: Message) -> Message:  # noqa: N802 - the call's name
        return message("GetBgpResponse")(**{"global": self._global})

    def _do_StartBgp(self, request: Message) -> None:  # noqa: N802
        wanted = getattr(request, "global")
        if self._global.asn and wanted.listen_port > 0:
            raise RefusedError(f"listen tcp4 0.0.0.0:{wanted.listen_port}: bind: address already in use")
        self._global, self._table = wanted, {}  # one that does not listen is started again, and its table is gone
        if not wanted.listen_addresses:
            wanted.listen_addresses.extend(["0.0.0.0", "::"])  # noqa: S104 - what the real one says

    def _do_StopBgp(self, _: Message) -> None:  # noqa: N802
        self._global, self._table, self._peers = message("Global")(), {}, {}  # groups outlive it

    # Paths

    def _require_table(self, request: Message, words: str) -> None:
        if request.table_type != self._dialect.table_global:
            raise RefusedError(words, "INVALID_ARGUMENT")

    def _do_AddPath(self, request: Message) -> Message:  # noqa: N802
        self._add_paths([request.path])
        return message("AddPathResponse")(uuid=bytes(16))

    async def _add_path_stream(self, requests: AsyncIterator[Message], context: Any) -> Message:
        await self._arrives("AddPathStream")
        try:
            async for request in requests:
                self._require_table(request, "unsupported resource: TABLE_TYPE_UNSPECIFIED")
                self._add_paths(request.paths)
        except RefusedError as refusal:
            await context.abort(grpc.StatusCode[refusal.code], str(refusal))
        return message("Empty")()

    def _add_paths(self, paths: Iterable[Message]) -> None:
        """Take paths, all or none."""
        self._require_started()
        paths = list(paths)
        for path in paths:
            self._check_path(path)
        nobody = "<nil>" if self._dialect is V3 else ""
        for path in paths:
            nlri: Message = self._dialect.unwrap_nlri(path.nlri)
            key = path.family.afi, f"{nlri.prefix}/{nlri.prefix_len}", nobody
            path.neighbor_ip = nobody
            if path.is_withdraw:
                if self._table.pop(key, None) is not None:
                    self._tell_path(path)
            elif not self.rejects_imports and self._table.get(key) != path:
                self._table[key] = path
                self._tell_path(path)

    def _check_path(self, path: Message) -> None:
        if self._dialect is V4 and not path.HasField("family"):
            raise RefusedError("invalid nlri: family cannot be nil")
        if self._dialect.unwrap_nlri(path.nlri) is None:
            raise RefusedError("invalid nlri")
        found = [self._dialect.unwrap_attribute(data) for data in path.pattrs]
        names = [attribute[0] for attribute in found if attribute is not None]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RefusedError(f"duplicated path attribute type: {twice[0]}")
        if not path.is_withdraw and not {"next_hop", "mp_reach"} & {*names}:
            raise RefusedError("nexthop not found")

    def _do_ListPath(self, request: Message) -> Iterable[Message]:  # noqa: N802
        self._require_started()
        exported = request.table_type == self._dialect.table_adj_out
        if not exported:
            self._require_table(request, "unspecified table type")
        asked = {each.prefix for each in request.prefixes}
        for (afi, prefix, _), found in list(self._table.items()):
            path = self._exported(request.name, afi, found) if exported else found
            if path is not None and afi == request.family.afi and (not asked or prefix in asked):
                destination = message("Destination")(prefix=prefix, paths=[path])
                yield message("ListPathResponse")(destination=destination)

    def _exported(self, address: str, afi: int, path: Message) -> Message | None:
        """Return a path as a peer is told of it; None if it is not."""
        peer = self._peers.get(address)
        if peer is None:
            raise RefusedError(f"neighbor that has {address} doesn't exist")
        found = dict(filter(None, map(self._dialect.unwrap_attribute, path.pattrs)))
        attributes = self._exports.exported(address, found)
        if attributes is None or afi not in [each.config.family.afi for each in peer.afi_safis]:
            return None
        if peer.conf.peer_asn != peer.conf.local_asn:
            attributes.pop("local_pref", None)
        told = message("Path").FromString(path.SerializeToString())
        del told.pattrs[:]
        told.pattrs.extend(self._dialect.wrap_attribute(name, each) for name, each in attributes.items())
        return told

    # Peers

    def _do_ListPeer(self, request: Message) -> Iterable[Message]:  # noqa: N802
        for name, peer in list(self._peers.items()):
            if request.address in ("", name):
                yield message("ListPeerResponse")(peer=peer)

    def _do_AddPeer(self, request: Message) -> None:  # noqa: N802
        self._require_started()
        peer = request.peer
        name = peer.conf.neighbor_address or peer.conf.neighbor_interface
        if self._dialect is V3 and not peer.conf.neighbor_address:
            raise RefusedError("NeighborAddress is not configured")
        if name in self._peers:
            raise RefusedError(f"can't overwrite the existing peer: {name}")
        self._put(name, peer)

    def _put(self, name: str, peer: Message) -> None:
        if peer.conf.neighbor_address in ("", "invalid IP"):
            peer.conf.neighbor_address = "invalid IP"
            peer.state.neighbor_address = f"fe80::1%{name}"  # whom it found there
        else:
            peer.state.neighbor_address = peer.conf.neighbor_address
        down = peer.conf.admin_down
        peer.state.session_state = SessionState.IDLE if down else SessionState.ACTIVE
        peer.state.admin_state = self._dialect.admin_down - (0 if down else 1)
        peer.transport.local_address = peer.transport.local_address or ("::" if ":" in name else "0.0.0.0")  # noqa: S104
        self._peers[name] = peer
        self._tell_peer(_STATE, peer)

    def _do_UpdatePeer(self, request: Message) -> Message:  # noqa: N802
        peer = request.peer
        named = peer.conf.neighbor_address.removeprefix("invalid IP")  # as it was told back
        name = named or peer.conf.neighbor_interface
        before = self._peers.get(name)
        if before is None:
            raise RefusedError(f"neighbor that has {name} doesn't exist")
        before.conf.neighbor_address = before.conf.neighbor_address.removeprefix("invalid IP")
        if self._dialect is V4 and (before.conf, before.transport.passive_mode) == (
            peer.conf,
            peer.transport.passive_mode,
        ):
            peer.ebgp_multihop.CopyFrom(before.ebgp_multihop)  # not taken unless something makes it begin anew
            peer.ttl_security.CopyFrom(before.ttl_security)
        self._put(name, peer)
        return message("UpdatePeerResponse")()

    def _do_DeletePeer(self, request: Message) -> None:  # noqa: N802
        address = request.address
        if self._dialect is V4 and not address:
            self._crash()
        name = next((name for name, peer in self._peers.items() if peer.state.neighbor_address == address), None)
        if name is None:
            raise RefusedError(f"can't delete a peer configuration for {address}")
        del self._peers[name]

    def _do_ListPeerGroup(self, _: Message) -> Iterable[Message]:  # noqa: N802
        return [message("ListPeerGroupResponse")(peer_group=group) for group in self._groups.values()]

    def _do_AddPeerGroup(self, request: Message) -> None:  # noqa: N802
        name = request.peer_group.conf.peer_group_name
        if name in self._groups:
            raise RefusedError(f"can't overwrite the existing peer-group: {name}")
        self._groups[name] = request.peer_group

    def _do_DeletePeerGroup(self, request: Message) -> None:  # noqa: N802
        if self._groups.pop(request.name, None) is None:
            raise RefusedError(f"can't delete a peer-group {request.name} which does not exist")
        self._dynamic.pop(request.name, None)

    def _do_ListDynamicNeighbor(self, _: Message) -> Iterable[Message]:  # noqa: N802
        for group, prefixes in self._dynamic.items():
            for prefix in prefixes:
                neighbor = message("DynamicNeighbor")(prefix=prefix, peer_group=group)
                yield message("ListDynamicNeighborResponse")(dynamic_neighbor=neighbor)

    def _do_AddDynamicNeighbor(self, request: Message) -> None:  # noqa: N802
        self._dynamic[self._crash_without(request.dynamic_neighbor.peer_group)][request.dynamic_neighbor.prefix] = None

    def _do_DeleteDynamicNeighbor(self, request: Message) -> None:  # noqa: N802
        self._dynamic[self._crash_without(request.peer_group)].pop(request.prefix, None)

    def _crash_without(self, group: str) -> str:
        if group not in self._groups:
            self._crash()
        return group

    def _crash(self) -> NoReturn:
        self._forget()
        raise RefusedError("panic: the process is gone", "UNAVAILABLE")

    # Events

    async def _do_WatchEvent(self, request: Message) -> AsyncIterator[Message]:  # noqa: N802
        filters = list(request.table.filters)
        if not request.HasField("peer") and not filters:
            raise RefusedError("no events to watch", "INVALID_ARGUMENT")
        if self._dialect is V4 and any(each.type == 0 for each in filters):
            raise RefusedError("unspecified filter type", "INVALID_ARGUMENT")
        queue: asyncio.Queue[Message] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            for peer in self._peers.values():
                yield _peer_event(_INIT, peer)
            yield _peer_event(_END_OF_INIT, _nobody())
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    def _tell_peer(self, kind: int, peer: Message) -> None:
        for queue in self._watchers:
            queue.put_nowait(_peer_event(kind, peer))

    def _tell_path(self, path: Message) -> None:
        event = message("WatchEventResponse")()
        event.table.paths.append(path)
        for queue in self._watchers:
            queue.put_nowait(event)


def _peer_event(kind: int, peer: Message) -> Message:
    """Return an event, which has less of a peer than a list has."""
    event = message("WatchEventResponse")()
    event.peer.type = kind
    event.peer.peer.conf.neighbor_address = peer.conf.neighbor_address
    event.peer.peer.conf.neighbor_interface = peer.conf.neighbor_interface
    event.peer.peer.state.CopyFrom(peer.state)
    event.peer.peer.state.ClearField("messages")
    return event


def _nobody() -> Message:
    peer = message("Peer")()
    peer.conf.neighbor_address = peer.state.neighbor_address = "<nil>"
    peer.state.session_state = SessionState.IDLE
    return peer


def _serialize(answer: Message) -> bytes:
    data: bytes = answer.SerializeToString()
    return data
