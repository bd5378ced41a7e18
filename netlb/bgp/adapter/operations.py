"""A gobgpd as `Operations` of the reconcile engine: what is ours in it, by key.

Whatever the order of what is asked, the speaker is started first, then export policies are made, then routes are added,
then peers: a peer that comes up before the routes are there is told End-of-RIB without them, and drops what it kept for
us. A route that is not for all is announced only where policies keep it from the others, and withdrawn otherwise.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from ipaddress import ip_address

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import BgpError, ForeignDaemonError
from netlb.bgp.adapter.exports import Exports, keys_of
from netlb.bgp.adapter.neighbors import Neighbors
from netlb.bgp.adapter.table import Table
from netlb.bgp.messages import Message
from netlb.bgp.model import Global, Key, Kind, Offer, Peer, Record, Restriction, Route, Unlike
from netlb.bgp.owner import Owner
from netlb.bgp.paths import Found
from netlb.bgp.peers import encode_global, speaks_as
from netlb.errors import TransientError
from netlb.reasons import BgpRefusal

__all__ = ["BgpOperations", "Tenancy"]

_GLOBAL = Key(Kind.GLOBAL)


class Tenancy(StrEnum):
    """Whose a gobgpd is."""

    OWN = "own"
    """We started the process: the speaker is ours to stop, and whatever else is in it is left alone."""
    SOLE = "sole"
    """Somebody else started it, for us alone: it is refused if it has another speaker, or anybody else's things."""
    SHARED = "shared"
    """Somebody else speaks through it too: the speaker is theirs, and only what carries our mark is touched."""


class BgpOperations:
    """Keeps what is ours in a gobgpd as it is wanted. Keys and records are those of `BgpState.records`.

    `on_drift` is called when a change of ours made other things of ours vanish, which are to be observed then.
    """

    def __init__(
        self,
        client: Callable[[], GobgpClient],
        *,
        tenancy: Tenancy = Tenancy.SOLE,
        instance: int = 1,
        on_drift: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._tenancy = tenancy
        self._instance = instance
        self._on_drift = on_drift
        self._asked: dict[Key, Record] = {}
        self._refusal: ForeignDaemonError | None = None

    async def observe(self) -> Mapping[Key, Record]:
        """Return what is ours. ForeignDaemonError if this gobgpd should be ours alone, and is not."""
        client = self._client()
        running = await client.get_bgp()
        if running is None:
            return {}
        owner = Owner(running.asn, self._instance)
        local = await Table(client, owner).local()
        neighbors = await Neighbors.found(client, owner)
        if self._tenancy is Tenancy.SOLE:
            _refuse_strangers(local, neighbors)
        found: dict[Key, Record] = {_GLOBAL: self._found_speaker(running)}
        found.update((path.key, path.record) for path in local if path.ours)
        speaker = self._speaker()
        for key in neighbors.ours:
            asked = self._asked.get(key)
            same = speaker is not None and isinstance(asked, Peer) and neighbors.agrees(speaker, asked)
            found[key] = asked if same and asked is not None else Unlike(f"peer {key.name}, configured otherwise")
        exports = await Exports.found(client, owner)
        for key in exports.ours:
            asked = self._asked.get(key)
            same = isinstance(asked, Offer | Restriction) and exports.agrees(asked)
            found[key] = asked if same and asked is not None else Unlike(f"export policy {key.name}, not in force")
        return found

    async def apply(self, changes: Mapping[Key, Record]) -> Mapping[Key, Exception]:
        """Start the speaker, make export policies, announce routes, configure peers, in this order."""
        client = self._client()
        for record in changes.values():
            if isinstance(record, Global):
                await self._start(client, record)
        speaker = self._speaker()
        if speaker is None:
            raise self._refusal or TransientError("the BGP speaker is not started")
        owner = Owner(speaker.asn, self._instance)
        self._asked.update((key, record) for key, record in changes.items() if key.kind is not Kind.GLOBAL)
        exports = [record for record in changes.values() if isinstance(record, Offer | Restriction)]
        failures = dict(await self._configure_exports(client, owner, exports))
        failures |= await self._announce(client, owner, [each for each in changes.values() if isinstance(each, Route)])
        peers = [record for record in changes.values() if isinstance(record, Peer)]
        if peers:
            await self._await_restrictions(client, owner)
            failures |= await (await Neighbors.found(client, owner)).configure(speaker, peers)
        return failures

    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]:
        """Withdraw routes, remove peers and export policies, and stop the speaker if it is ours, in this order."""
        client = self._client()
        if self._refusal is not None:
            raise self._refusal
        for key in keys:
            self._asked.pop(key, None)
        running = await client.get_bgp()
        if running is None:
            return {}
        owner = Owner(running.asn, self._instance)
        await Table(client, owner).withdraw(
            [key for key in keys if key.kind is Kind.ROUTE], yield_to_strangers=self._tenancy is not Tenancy.SOLE
        )
        failures: dict[Key, Exception] = {}
        if peers := [key for key in keys if key.kind is Kind.PEER]:
            failures |= await (await Neighbors.found(client, owner)).remove(peers)
        if exports := [key for key in keys if key.kind is Kind.EXPORT]:
            failures |= await self._remove_exports(client, owner, exports)
        if _GLOBAL in keys and self._tenancy is not Tenancy.SHARED:
            await self._stop(client, owner)
        return failures

    def drifted(self, path: Found, *, withdrawn: bool) -> bool:
        """Whether a path that gobgpd tells of means that somebody else changed a route that is wanted."""
        asked = self._asked.get(path.key)
        return asked is not None and path.local and (withdrawn or asked != path.record)

    def peer_at(self, address: str, interface: str) -> Key | None:
        """Return the wanted peer that a router is, by its address (which may have a zone); None for a stranger."""
        bare, _, zone = address.partition("%")
        for name in (interface, zone, bare):
            if name and isinstance(self._asked.get(Key(Kind.PEER, name)), Peer):
                return Key(Kind.PEER, name)
        prefixes = [one.prefix for one in self._asked.values() if isinstance(one, Peer) and one.prefix is not None]
        try:
            around = [prefix for prefix in prefixes if ip_address(bare) in prefix]
        except ValueError:
            return None
        return Key(Kind.PEER, str(max(around, key=lambda prefix: prefix.prefixlen))) if around else None

    def owner(self) -> Owner | None:
        """Return under which mark we are known in this gobgpd; None until the speaker is started."""
        speaker = self._speaker()
        return None if speaker is None else Owner(speaker.asn, self._instance)

    async def _configure_exports(
        self, client: GobgpClient, owner: Owner, records: Collection[Offer | Restriction]
    ) -> Mapping[Key, Exception]:
        if not records:
            return {}
        if self._tenancy is Tenancy.SHARED:
            return {record.key: _not_ours() for record in records}
        return await (await Exports.found(client, owner)).configure(records)

    async def _announce(self, client: GobgpClient, owner: Owner, routes: Collection[Route]) -> Mapping[Key, Exception]:
        table = Table(client, owner)
        failures: dict[Key, Exception] = {}
        if any(route.offers is not None for route in routes):
            exports = await Exports.found(client, owner)
            loose = [route.key for route in routes if route.offers is not None and not exports.admits(route)]
            failures = {key: _not_ours() if self._tenancy is Tenancy.SHARED else _unguarded(key) for key in loose}
            for key in loose:
                del self._asked[key]
            if loose:  # some of them may be there from earlier, for all
                await table.withdraw(loose, yield_to_strangers=self._tenancy is not Tenancy.SOLE)
        rest = [route for route in routes if route.key not in failures]
        failures |= await table.announce(rest, yield_to_strangers=self._tenancy is not Tenancy.SOLE)
        return failures | await table.missing([route for route in rest if route.key not in failures])

    async def _await_restrictions(self, client: GobgpClient, owner: Owner) -> None:
        """Let nobody be configured as a peer while a route that is not for all is still there as one that is."""
        wanted = [one for one in self._asked.values() if isinstance(one, Route) and one.offers is not None]
        if wanted:
            there = {path.key: path for path in await Table(client, owner).local([route.prefix for route in wanted])}
            for route in wanted:
                path = there.get(route.key)
                if path is not None and path.ours and path.record != route:
                    raise TransientError(f"the route to {route.prefix} is not for all, and could not be restricted yet")

    async def _remove_exports(
        self, client: GobgpClient, owner: Owner, keys: Collection[Key]
    ) -> Mapping[Key, Exception]:
        """Remove policies by which no route is held any more."""
        local = await Table(client, owner).local()
        used = frozenset[Key]().union(*(keys_of(path.offers) for path in local))
        await (await Exports.found(client, owner)).remove([key for key in keys if key not in used])
        return {
            key: TransientError(f"export policy {key.name}: routes still depend on it") for key in keys if key in used
        }

    def _speaker(self) -> Global | None:
        asked = self._asked.get(_GLOBAL)
        return asked if isinstance(asked, Global) else None

    def _found_speaker(self, running: Message) -> Record:
        asked = self._speaker()
        if asked is None or not self._acceptable(asked, running):
            return Unlike(f"a BGP speaker of AS {running.asn} with router id {running.router_id}")
        return asked

    def _acceptable(self, wanted: Global, running: Message) -> bool:
        return wanted.asn == running.asn if self._tenancy is Tenancy.SHARED else speaks_as(wanted, running)

    async def _start(self, client: GobgpClient, wanted: Global) -> None:
        """Bring the speaker about; on failure nothing else may be applied, or pruned if it is somebody else's."""
        before = self._speaker()
        self._asked.pop(_GLOBAL, None)
        self._refusal = None
        running = await client.get_bgp()
        if running is not None and not self._acceptable(wanted, running):
            if self._tenancy is not Tenancy.OWN and not (before is not None and self._acceptable(before, running)):
                self._refusal = _another_speaker(wanted, running, shared=self._tenancy is Tenancy.SHARED)
                raise self._refusal
            await self._stop(client, Owner(running.asn, self._instance))
            self._asked.clear()
            self._on_drift("the BGP speaker was restarted with other settings")
            running = None
        if running is None:
            if self._tenancy is Tenancy.SHARED:
                raise TransientError("the BGP speaker is not started, and in a shared gobgpd that is not for us to do")
            await client.start_bgp(encode_global(wanted))
        self._asked[_GLOBAL] = wanted

    async def _stop(self, client: GobgpClient, owner: Owner) -> None:
        if self._tenancy is Tenancy.SOLE:
            _refuse_strangers(await Table(client, owner).local(), await Neighbors.found(client, owner))
        await client.stop_bgp()


def _not_ours() -> BgpError:
    return BgpError(
        BgpRefusal.SHARED_POLICIES,
        "routes for some peers only need export policies, and those of a shared gobgpd are somebody else's; "
        "give netlb a gobgpd of its own, or let all peers be told",
    )


def _unguarded(key: Key) -> BgpError:
    return BgpError(
        BgpRefusal.NOT_RESTRICTED,
        f"{key.name} is not for all peers, and gobgpd has no policy that keeps it from the others",
    )


def _refuse_strangers(local: Iterable[Found], neighbors: Neighbors) -> None:
    strangers = [f"the path to {path.prefix}" for path in local if not path.ours]
    strangers += [f"the peer {name}" for name in neighbors.strangers]
    if strangers:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        raise ForeignDaemonError(
            BgpRefusal.FOREIGN_CONTENT,
            f"gobgpd has what netlb did not configure: {strangers[0]}{more}; remove it, "
            "give netlb a gobgpd of its own, or declare this one shared",
        )


def _another_speaker(wanted: Global, running: Message, *, shared: bool) -> ForeignDaemonError:
    remedy = (
        "configure netlb with that AS number"
        if shared
        else "restart that gobgpd without a configuration, give netlb one of its own, or declare this one shared"
    )
    return ForeignDaemonError(
        BgpRefusal.FOREIGN_SPEAKER,
        f"gobgpd runs as AS {running.asn} with router id {running.router_id} and port {running.listen_port}, and AS "
        f"{wanted.asn} with router id {wanted.router_id} and port {wanted.listen_port} is wanted; {remedy}",
    )
