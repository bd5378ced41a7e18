"""Export policies in a gobgpd: for whom the routes are that are not for all."""

from collections.abc import Collection, Iterable, Mapping
from typing import Self

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import BgpError
from netlb.bgp.exports import encode_policy, encode_sets, export_key, export_name, set_types
from netlb.bgp.messages import Message
from netlb.bgp.model import Key, Kind, Offer, Restriction, Route
from netlb.bgp.owner import Owner

__all__ = ["Exports", "keys_of"]

_REST = Restriction().key


class Exports:
    """The export policies of one gobgpd, as one owner sees them and keeps them.

    Ours come first: the offers, and then the restriction, so that nobody else's policy lets pass what it keeps.
    """

    def __init__(
        self, client: GobgpClient, owner: Owner, sets: Iterable[Message], policies: Iterable[Message], assigned: Message
    ) -> None:
        self._client = client
        self._owner = owner
        self._sets = {(each.defined_type, each.name) for each in sets}
        self._policies = {each.name for each in policies}
        self._assigned = [each.name for each in assigned.policies]
        self._default = assigned.default_action

    @classmethod
    async def found(cls, client: GobgpClient, owner: Owner) -> Self:
        """List what is there now."""
        sets = [each for kind in set_types(client.dialect) for each in await client.list_sets(kind)]
        return cls(client, owner, sets, await client.list_policies(), await client.get_exports())

    @property
    def ours(self) -> frozenset[Key]:
        """The keys of all of which something is there, if only a set."""
        names = {*self._policies, *(name for _, name in self._sets)}
        return frozenset(key for name in names if (key := export_key(self._owner, name)) is not None)

    def agrees(self, record: Offer | Restriction) -> bool:
        """Whether all of an offer or of the restriction is there, and in force."""
        return self._is_made(record) and self._assigned == self._order(self._assigned)

    def admits(self, route: Route) -> bool:
        """Whether a route that is not for all reaches those that it is for, and nobody else."""
        return _REST in self._in_force() and keys_of(route.offers) <= self._in_force()

    async def configure(self, records: Iterable[Offer | Restriction]) -> Mapping[Key, Exception]:
        """Add what is not there. No session is touched, and nothing is sent because of it."""
        failures: dict[Key, Exception] = {}
        made: list[Key] = []
        for record in records:
            try:
                await self._make(record)
            except BgpError as error:
                failures[record.key] = error
            else:
                made.append(record.key)
        try:
            await self._assign([*self._assigned, *(export_name(self._owner, key) for key in made)])
        except BgpError as error:
            failures |= dict.fromkeys(made, error)
        return failures

    async def remove(self, keys: Collection[Key]) -> None:
        """Remove what is ours; removing what is not there is nothing."""
        names = {export_name(self._owner, key) for key in keys}
        await self._assign([name for name in self._assigned if name not in names])
        for name in sorted(names & self._policies):
            await self._client.delete_policy(name)
        for kind, name in sorted(self._sets):
            if name in names:
                await self._client.delete_set(kind, name)

    async def _make(self, record: Offer | Restriction) -> None:
        for wanted in encode_sets(self._client.dialect, self._owner, record):
            if (wanted.defined_type, wanted.name) not in self._sets:
                await self._client.add_set(wanted)
        if export_name(self._owner, record.key) not in self._policies:
            await self._client.add_policy(encode_policy(self._client.dialect, self._owner, record))

    async def _assign(self, names: Iterable[str]) -> None:
        order = self._order(names)
        if order != self._assigned:
            await self._client.set_exports(order, self._default)
            self._assigned = order

    def _order(self, names: Iterable[str]) -> list[str]:
        """Return the order in which policies are to be asked: offers, the restriction, and everybody else's."""
        rest = export_name(self._owner, _REST)
        distinct = list(dict.fromkeys(names))
        offers = sorted(name for name in distinct if name != rest and export_key(self._owner, name) is not None)
        strangers = [name for name in distinct if export_key(self._owner, name) is None]
        return [*offers, *(name for name in distinct if name == rest), *strangers]

    def _is_made(self, record: Offer | Restriction) -> bool:
        name = export_name(self._owner, record.key)
        sets = {(each.defined_type, each.name) for each in encode_sets(self._client.dialect, self._owner, record)}
        return sets <= self._sets and name in self._policies and name in self._assigned

    def _in_force(self) -> frozenset[Key]:
        if self._assigned != self._order(self._assigned):
            return frozenset()
        return frozenset(key for name in self._assigned if (key := export_key(self._owner, name)) is not None)


def keys_of(offers: Collection[int] | None) -> frozenset[Key]:
    """Return the keys of offers by their ids; 0 stands for the restriction."""
    return frozenset(Key(Kind.EXPORT, f"{number:08x}" if number else "") for number in offers or ())
