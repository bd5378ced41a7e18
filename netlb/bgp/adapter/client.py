"""gobgpd's API for asyncio: one class for GoBGP 3 and 4, every call with a deadline.

Two calls that do harm are not here to be made by mistake: DeletePath does not exist (routes are withdrawn by
AddPathStream), and `start_bgp` starts nothing that runs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from ipaddress import ip_address
from itertools import islice
from typing import Any, Final, Self, TypeVar

import grpc

from netlb.bgp.adapter.errors import ApiError, translated
from netlb.bgp.adapter.target import Target
from netlb.bgp.dialect import DIALECTS, Dialect
from netlb.bgp.exports import GLOBAL_TABLE
from netlb.bgp.messages import Message, message
from netlb.bgp.model import Prefix
from netlb.bgp.paths import family_message
from netlb.errors import TransientError
from netlb.net import Family

__all__ = ["GobgpClient"]

_DEADLINE: Final = 5.0
"""Seconds for a call about one thing."""
_BULK_DEADLINE: Final = 60.0
"""Seconds for a call about all paths: listing 50,000 takes under 4."""
_BATCH: Final = 100
"""Paths in one message of AddPathStream, each of which gobgpd takes or refuses as a whole."""

_GLOBAL_FIELD: Final = "global"
"""A word that Python keeps to itself."""

_T = TypeVar("_T")


class GobgpClient:
    """A connection to one gobgpd. TransientError: it is not there, or silent; ApiError: it refused."""

    def __init__(self, channel: Any, dialect: Dialect) -> None:
        self.dialect = dialect
        self._channel = channel
        self._starting = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def connect(cls, target: Target, *, deadline: float = _DEADLINE) -> Self:
        """Connect, and find out which dialect is spoken: the service of the other one is unknown here."""
        channel = target.channel()
        try:
            return cls(channel, await _dialect(channel, target, deadline))
        except BaseException:
            await channel.close()
            raise

    async def close(self) -> None:
        """End the connection, and the watch with it."""
        await self._channel.close()

    # The speaker

    async def get_bgp(self, *, deadline: float = _DEADLINE) -> Message | None:
        """Return the running speaker (`Global`), or None while there is none."""
        answer = await self._unary("GetBgp", message("GetBgpRequest")(), "GetBgpResponse", deadline)
        running = getattr(answer, _GLOBAL_FIELD)
        return running if running.asn else None

    async def start_bgp(self, speaker: Message) -> None:
        """Start the speaker; ApiError if one runs.

        gobgpd itself takes a second StartBgp without a listening port for a first one, and empties its table.
        """
        async with self._starting:
            if await self.get_bgp() is not None:
                raise ApiError("StartBgp", "ALREADY_EXISTS", "BGP is started already")
            await self._unary("StartBgp", message("StartBgpRequest")(**{_GLOBAL_FIELD: speaker}), "Empty")

    async def stop_bgp(self) -> None:
        """Stop the speaker: every session ends, and peers and paths are forgotten."""
        await self._unary("StopBgp", message("StopBgpRequest")(), "Empty")

    # Paths

    async def send_paths(self, paths: Iterable[Message]) -> None:
        """Announce or withdraw paths. After an ApiError some of them are in the table and some are not.

        They are taken from the iterable while those before are on their way: gobgpd does not wait for the last one.
        """
        remaining = iter(paths)
        batch = list(islice(remaining, _BATCH))
        if batch:
            await self._await("AddPathStream", lambda: self._send_batches(batch, remaining))

    async def _send_batches(self, batch: list[Message], remaining: Iterator[Message]) -> None:
        request = message("AddPathStreamRequest")
        self._idle.clear()
        call = self._method("stream_unary", "AddPathStream", message("Empty"))(timeout=_BULK_DEADLINE)
        try:
            while batch:
                await call.write(request(table_type=self.dialect.table_global, paths=batch))
                batch = list(islice(remaining, _BATCH))
            await call.done_writing()
            await call
        finally:
            self._idle.set()
            call.cancel()

    async def list_paths(self, family: Family, prefixes: Iterable[Prefix] | None = None) -> list[Message]:
        """Return the paths to these prefixes, or to all."""
        exact = self.dialect.lookup_exact
        lookup = message("TableLookupPrefix")
        asked = None if prefixes is None else [lookup(prefix=str(prefix), type=exact) for prefix in prefixes]
        if asked == []:
            return []
        request = message("ListPathRequest")(
            table_type=self.dialect.table_global, family=family_message(family), prefixes=asked
        )
        answers = await self._stream("ListPath", request, "ListPathResponse", _BULK_DEADLINE)
        return [path for answer in answers for path in answer.destination.paths]

    # Peers

    async def list_peers(self, *, advertised: bool = False) -> list[Message]:
        """Return all peers, dynamic ones that are connected among them; passwords are in clear text."""
        request = message("ListPeerRequest")(enable_advertised=advertised)
        return [answer.peer for answer in await self._stream("ListPeer", request, "ListPeerResponse")]

    async def add_peer(self, peer: Message) -> None:
        """Add a peer that is not there."""
        await self._unary("AddPeer", message("AddPeerRequest")(peer=peer), "Empty")

    async def update_peer(self, peer: Message) -> None:
        """Change a peer; its session may begin anew, and some changes are not taken: see what came of it."""
        await self._unary("UpdatePeer", message("UpdatePeerRequest")(peer=peer), "UpdatePeerResponse")

    async def delete_peer(self, address: str) -> None:
        """Remove a peer that is there. Its password stays with the listening socket: `update_peer` it away first."""
        ip_address(address)  # over what is none GoBGP 4 crashes
        await self._unary("DeletePeer", message("DeletePeerRequest")(address=address), "Empty")

    async def list_groups(self) -> list[Message]:
        """Return the groups of peers."""
        answers = await self._stream("ListPeerGroup", message("ListPeerGroupRequest")(), "ListPeerGroupResponse")
        return [answer.peer_group for answer in answers]

    async def list_dynamic(self) -> list[tuple[str, str]]:
        """Return prefix and group of all dynamic neighbours."""
        request = message("ListDynamicNeighborRequest")()
        answers = await self._stream("ListDynamicNeighbor", request, "ListDynamicNeighborResponse")
        return [(answer.dynamic_neighbor.prefix, answer.dynamic_neighbor.peer_group) for answer in answers]

    async def add_group(self, group: Message, prefix: str) -> None:
        """Add a group, and let whoever connects from a prefix be a peer like it."""
        await self._unary("AddPeerGroup", message("AddPeerGroupRequest")(peer_group=group), "Empty")
        neighbor = message("DynamicNeighbor")(prefix=prefix, peer_group=group.conf.peer_group_name)
        request = message("AddDynamicNeighborRequest")(dynamic_neighbor=neighbor)
        await self._unary("AddDynamicNeighbor", request, "Empty")

    async def delete_dynamic(self, group: str, prefixes: Iterable[str]) -> None:
        """Let nobody connect as a member of a group any more. The group must exist: without it, gobgpd crashes."""
        for prefix in prefixes:
            request = message("DeleteDynamicNeighborRequest")(prefix=prefix, peer_group=group)
            await self._unary("DeleteDynamicNeighbor", request, "Empty")

    async def delete_group(self, name: str) -> None:
        """Remove a group that has no members."""
        await self._unary("DeletePeerGroup", message("DeletePeerGroupRequest")(name=name), "Empty")

    # Policies, and the sets that they refer to

    async def list_sets(self, kind: int) -> list[Message]:
        """Return all sets of one type."""
        request = message("ListDefinedSetRequest")(defined_type=kind)
        return [one.defined_set for one in await self._stream("ListDefinedSet", request, "ListDefinedSetResponse")]

    async def add_set(self, wanted: Message) -> None:
        """Add a set that is not there: to one that is, its members would be added."""
        await self._unary("AddDefinedSet", message("AddDefinedSetRequest")(defined_set=wanted), "Empty")

    async def delete_set(self, kind: int, name: str) -> None:
        """Remove a set that no policy refers to."""
        named = message("DefinedSet")(defined_type=kind, name=name)
        request = message("DeleteDefinedSetRequest")(defined_set=named, all=True)
        await self._unary("DeleteDefinedSet", request, "Empty")

    async def list_policies(self) -> list[Message]:
        """Return all policies, in force or not."""
        request = message("ListPolicyRequest")()
        return [answer.policy for answer in await self._stream("ListPolicy", request, "ListPolicyResponse")]

    async def add_policy(self, policy: Message) -> None:
        """Add a policy that is not there; it counts once it is assigned."""
        await self._unary("AddPolicy", message("AddPolicyRequest")(policy=policy), "Empty")

    async def delete_policy(self, name: str) -> None:
        """Remove a policy that is not assigned, and its statements."""
        request = message("DeletePolicyRequest")(policy=message("Policy")(name=name), all=True)
        await self._unary("DeletePolicy", request, "Empty")

    async def get_assignment(self, direction: int) -> Message:
        """Return which policies are asked, in this order, before a path is taken or sent (`PolicyAssignment`)."""
        request = message("ListPolicyAssignmentRequest")(name=GLOBAL_TABLE, direction=direction)
        [found] = await self._stream("ListPolicyAssignment", request, "ListPolicyAssignmentResponse")
        return found.assignment

    async def set_assignment(self, direction: int, names: Iterable[str], default_action: int) -> None:
        """Set which policies are asked. It counts from now on: what was taken or sent before stays."""
        policies = [message("Policy")(name=name) for name in names]
        assignment = message("PolicyAssignment")(
            name=GLOBAL_TABLE, direction=direction, policies=policies, default_action=default_action
        )
        request = message("SetPolicyAssignmentRequest")(assignment=assignment)
        await self._unary("SetPolicyAssignment", request, "Empty")

    async def import_anew(self) -> None:
        """Ask import policies again about everything that peers have sent; sessions go on."""
        request = message("ResetPeerRequest")(address="all", soft=True, direction=self.dialect.first)
        await self._unary("ResetPeer", request, "Empty")

    # Events

    async def watch(self) -> AsyncIterator[Message]:
        """Yield what happens to peers and best paths (`WatchEventResponse`) until the connection ends.

        Take everything, and take it soon: gobgpd queues what is not taken without a limit.
        """
        request = message("WatchEventRequest")
        best = request.Table.Filter(type=self.dialect.watch_best)
        call = self._method("unary_stream", "WatchEvent", message("WatchEventResponse"))(
            request(peer=request.Peer(), table=request.Table(filters=[best]))
        )
        try:
            async for event in call:
                yield event
                # gobgpd tells of every path that it is sent: taken in meanwhile, that would halve the pace of sending.
                await self._idle.wait()
        except grpc.RpcError as error:
            raise translated("WatchEvent", error) from None
        finally:
            call.cancel()
        raise TransientError("gobgpd: WatchEvent: it was ended")

    # How calls are made

    async def _unary(self, name: str, request: Message, answer: str, deadline: float = _DEADLINE) -> Message:
        call = self._method("unary_unary", name, message(answer))
        return await self._await(name, lambda: call(request, timeout=deadline))

    async def _stream(self, name: str, request: Message, answer: str, deadline: float = _DEADLINE) -> list[Message]:
        method = self._method("unary_stream", name, message(answer))

        async def collect() -> list[Message]:
            return [each async for each in method(request, timeout=deadline)]

        return await self._await(name, collect)

    async def _await(self, name: str, begin: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await begin()
        except grpc.RpcError as error:
            raise translated(name, error) from None
        except grpc.aio.UsageError:
            raise TransientError(f"gobgpd: {name}: the connection was closed") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # grpc.aio says "cancelled" of a call whose channel was closed, too.
            raise TransientError(f"gobgpd: {name}: the connection was closed") from None

    def _method(self, shape: str, name: str, answer: Message) -> Any:
        return getattr(self._channel, shape)(
            f"/{self.dialect.service}/{name}",
            request_serializer=_serialize,
            response_deserializer=answer.FromString,
        )


async def _dialect(channel: Any, target: Target, deadline: float) -> Dialect:
    for dialect in DIALECTS:
        try:
            await GobgpClient(channel, dialect).get_bgp(deadline=deadline)
        except ApiError as error:
            if error.code != grpc.StatusCode.UNIMPLEMENTED.name:
                raise
        else:
            return dialect
    raise ApiError("GetBgp", "UNIMPLEMENTED", f"{target.address} speaks neither GoBGP 3's API nor GoBGP 4's")


def _serialize(request: Message) -> bytes:
    data: bytes = request.SerializeToString()
    return data
