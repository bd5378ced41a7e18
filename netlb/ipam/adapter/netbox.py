"""NetBox keeps a pool's addresses: an IP address object there, with our tag as its description, is a lease.

It is made with the status `reserved`, looked at once more, and then set to `active`: NetBox allows the same address
twice unless it is told not to, and of two that are made at the same time the older one counts. Whatever cuts a call
short, the tag is there from the first moment, so the next call finds what has been made, and settles it.

NetBox 3.3.7 is the oldest that makes addresses one at a time, which "the older one" rests on.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from netlb.errors import TransientError
from netlb.ipam.adapter.netbox_api import NetBoxApi, Query, Reply, Row
from netlb.ipam.adapter.settings import NetBoxSettings
from netlb.ipam.source import (
    AddressNotServedError,
    AddressTakenError,
    Claim,
    Lessee,
    NoAddressLeftError,
    SourceRefusedError,
)
from netlb.net import Address, AddressRange, Family, family_of, parse_address, parse_prefix, to_address

__all__ = ["NetBox"]

_ADDRESSES: Final = "ipam/ip-addresses/"
_PREFIXES: Final = "ipam/prefixes/"
_VRFS: Final = "ipam/vrfs/"
_RESERVED: Final = "reserved"
_ACTIVE: Final = "active"
_ATTEMPTS: Final = 3
"""How often an address that somebody else has, too, is given back and another one asked for, before we wait."""
_ASKED_AT_ONCE: Final = 40
"""Addresses in one query string: some 2 kB, where servers take 4 to 8."""


class _Choice(msgspec.Struct, frozen=True):
    value: str


class _Vrf(Row, frozen=True):
    name: str


class _Prefix(Row, frozen=True):
    prefix: str
    vrf: Row | None = None


class _Place(NamedTuple):
    """Where an address can be once only: the text of the host part, and the VRF's id (None: the global table)."""

    host: str
    vrf: int | None


class _Entry(Row, frozen=True):
    """One IP address object."""

    address: str
    status: _Choice
    description: str = ""
    vrf: Row | None = None

    @property
    def place(self) -> _Place:
        return _Place(self.address.partition("/")[0], _id(self.vrf))


class NetBox:
    """The addresses of one lessee in NetBox; see `netlb.ipam.source.AddressSource` for what that promises.

    One object for each lessee at a time: calls for the same claim wait for each other here, and nowhere else.
    """

    def __init__(self, settings: NetBoxSettings, lessee: Lessee) -> None:
        """Connect to nothing yet. SettingError if the URL or the certificates cannot be used."""
        self._api = NetBoxApi(settings)
        self._vrf = settings.vrf
        self._prefixes = settings.prefixes
        self._lessee = lessee
        self._locks: WeakValueDictionary[Claim, asyncio.Lock] = WeakValueDictionary()
        self._leaving: set[int] = set()
        """Entries whose removal was asked for and not yet confirmed: it may happen at any time, so nobody has them."""

    async def leases(self) -> Mapping[Claim, Address]:
        """See AddressSource."""
        kept, surplus = await self._settle(await self._find([("description__isw", self._lessee.tag_prefix)]))
        for entry in surplus:
            # Nobody has these, and the next call finds them again: no reason to keep from the caller what is held.
            with contextlib.suppress(TransientError, SourceRefusedError):
                await self._give_back(entry)
        return {claim: parse_address(entry.place.host) for claim, entry in kept.items()}

    async def lease(self, claim: Claim, wanted: Address | None = None) -> Address:
        """See AddressSource."""
        async with self._locks.setdefault(claim, asyncio.Lock()):
            held = await self._held(claim, await self._find_claim(claim))
            if held is not None:
                return held
            if wanted is not None:
                return await self._take(claim, wanted)
            return await self._take_any(claim)

    async def release(self, claim: Claim) -> None:
        """See AddressSource."""
        async with self._locks.setdefault(claim, asyncio.Lock()):
            for entry in await self._find_claim(claim):
                await self._give_back(entry)

    async def close(self) -> None:
        """See AddressSource."""
        await self._api.close()

    # Reserving

    async def _take(self, claim: Claim, wanted: Address) -> Address:
        span = next((span for span in self._prefixes if wanted in span and span.family is claim.family), None)
        if span is None:
            raise AddressNotServedError(
                self._api.name,
                f"{wanted} is no {claim.family} address of {self._named_prefixes()}",
                f"ask for an address of {self._lessee}, or add its prefix there",
            )
        vrf = _id((await self._prefix(span)).vrf)
        place = _Place(str(wanted), vrf)
        await self._refuse_if_taken(place)
        address = f"{wanted}/{span.prefix_lengths()[0]}"
        body = {"address": address, "vrf": vrf, "status": _RESERVED, "description": self._lessee.tag(claim)}
        reply = await self._api.request("POST", _ADDRESSES, {201, 400}, body=body)
        if reply.status == 400:
            await self._refuse_if_taken(place)  # since we looked; NetBox's own words say so in its own language
            raise self._api.refused(f"{wanted} is refused{reply.words}", "see NetBox's own words")
        held = await self._made(claim, reply)
        if held is None:
            await self._refuse_if_taken(place)
            raise self._contended(str(wanted))
        return held

    async def _take_any(self, claim: Claim) -> Address:
        spans = [span for span in self._prefixes if span.family is claim.family]
        if not spans:
            raise AddressNotServedError(
                self._api.name,
                f"{self._lessee} has no {claim.family} prefix, only {self._named_prefixes()}",
                f"add an {claim.family} prefix to the pool",
            )
        body = {"status": _RESERVED, "description": self._lessee.tag(claim)}
        for span in spans:
            prefix = await self._prefix(span)
            for _ in range(_ATTEMPTS):
                reply = await self._api.request("POST", f"{_PREFIXES}{prefix.id}/available-ips/", {201, 409}, body=body)
                if reply.status == 409:
                    break
                held = await self._made(claim, reply)
                if held is not None:
                    return held
            else:
                raise self._contended(_text(span))
        raise NoAddressLeftError(
            self._api.name,
            f"every {claim.family} address of {self._named_prefixes(claim.family)} is in use",
            "add a prefix to the pool, or free addresses in NetBox",
        )

    async def _made(self, claim: Claim, reply: Reply) -> Address | None:
        """Return what the claim has after a POST; None if somebody else's entry for the address is older."""
        made = self._api.decode(reply, _Entry | list[_Entry], "POST")
        found = await self._find_claim(claim)
        for entry in made if isinstance(made, list) else [made]:
            if all(entry.id != row.id for row in found):
                # Each attempt would leave one more behind that we never find again.
                await self._give_back(entry)
                raise self._api.refused(
                    f"{entry.address} has been made and cannot be found by {self._lessee.tag(claim)!r}",
                    "let the token view every IP address, and let nothing in NetBox change descriptions",
                )
        return await self._held(claim, found)

    async def _refuse_if_taken(self, place: _Place) -> None:
        for entry in await self._at([place]):
            whose = f"for {entry.description!r}" if entry.description else "without a description"
            raise AddressTakenError(
                self._api.name,
                f"{place.host} is entered already, {whose} (IP address {entry.id}, status {entry.status.value})",
                "ask for another address, or free this one in NetBox",
            )

    # Settling

    async def _held(self, claim: Claim, found: Sequence[_Entry]) -> Address | None:
        """Return what the claim has, after everything has been given back that it must not have."""
        kept, surplus = await self._settle(found)
        for entry in surplus:
            await self._give_back(entry)
        return parse_address(kept[claim].place.host) if claim in kept else None

    async def _settle(self, entries: Sequence[_Entry]) -> tuple[dict[Claim, _Entry], list[_Entry]]:
        """Choose the one entry of each claim that counts, and make it active; return them, and the others."""
        fresh = {entry.id: entry.place for entry in entries if entry.status.value == _RESERVED}
        oldest: dict[_Place, int] = {}
        for rival in await self._at(fresh.values()):
            oldest[rival.place] = min(rival.id, oldest.get(rival.place, rival.id))
        beaten = {number for number, place in fresh.items() if oldest.get(place) != number}
        kept: dict[Claim, _Entry] = {}
        surplus: list[_Entry] = []
        # What has been settled stays, then the oldest counts.
        for entry in sorted(entries, key=lambda entry: (entry.id in fresh, entry.id)):
            claim = self._claim(entry)
            if claim is None or claim in kept or entry.id in beaten or entry.id in self._leaving:
                surplus.append(entry)
            else:
                kept[claim] = entry
        for entry in kept.values():
            if entry.id in fresh:
                await self._activate(entry)
        return kept, surplus

    async def _activate(self, entry: _Entry) -> None:
        path = f"{_ADDRESSES}{entry.id}/"
        reply = await self._api.request("PATCH", path, {200, 404}, body={"status": _ACTIVE})
        if reply.status == 404:
            await self._refuse_if_there(entry, "changed")
            raise self._contended(entry.address)
        self._api.decode(reply, _Entry, f"PATCH {path}")

    async def _give_back(self, entry: _Entry) -> None:
        self._leaving.add(entry.id)
        reply = await self._api.request("DELETE", f"{_ADDRESSES}{entry.id}/", {204, 404, 409})
        if reply.status == 409:
            raise self._api.refused(
                f"{entry.address} cannot be released{reply.words}",
                f"take off in NetBox what hangs on IP address {entry.id}",
            )
        if reply.status == 404:
            await self._refuse_if_there(entry, "deleted")
        self._leaving.discard(entry.id)

    async def _refuse_if_there(self, entry: _Entry, what: str) -> None:
        """Tell an entry that is gone from one that the token may see and not touch: NetBox says 404 of both."""
        if any(row.id == entry.id for row in await self._api.list(_ADDRESSES, [("id", str(entry.id))], _Entry)):
            raise self._api.refused(
                f"{entry.address} ({entry.description!r}) may not be {what} with this token",
                f"see that the constraints of its permissions let through {self._lessee.tag_prefix!r}",
            )

    def _contended(self, what: str) -> TransientError:
        return TransientError(f"{self._api.name}: somebody else changes {what} at the same time", retry_after=1.0)

    # Looking

    async def _find(self, query: Query) -> list[_Entry]:
        """Return entries that are ours. NetBox compares without case, and a person may have changed the address."""
        return [entry for entry in await self._api.list(_ADDRESSES, query, _Entry) if self._claim(entry) is not None]

    async def _find_claim(self, claim: Claim) -> list[_Entry]:
        found = await self._find([("description", self._lessee.tag(claim))])
        return [entry for entry in found if self._claim(entry) == claim]

    def _claim(self, entry: _Entry) -> Claim | None:
        claim = self._lessee.claim(entry.description)
        try:
            fits = claim is not None and family_of(parse_address(entry.place.host)) is claim.family
        except ValueError:
            return None
        return claim if fits else None

    async def _at(self, places: Iterable[_Place]) -> list[_Entry]:
        """Return everybody's entries at these places."""
        wanted = sorted(set(places), key=str)
        found: list[_Entry] = []
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            some = wanted[start : start + _ASKED_AT_ONCE]
            rows = await self._api.list(_ADDRESSES, [("address", place.host) for place in some], _Entry)
            found += [row for row in rows if row.place in some]
        return found

    async def _prefix(self, span: AddressRange) -> _Prefix:
        """Return NetBox's prefix; the oldest, where there are several. It is asked for each time, so it is there."""
        vrf = await self._vrf_id() if self._vrf else None
        query = [("prefix", _text(span)), ("vrf_id", "null" if vrf is None else str(vrf))]
        for row in await self._api.list(_PREFIXES, query, _Prefix):
            if parse_prefix(row.prefix) == span and _id(row.vrf) == vrf:
                return row
        table = f"VRF {self._vrf}" if self._vrf else "the global table"
        raise self._api.refused(
            f"there is no prefix {_text(span)} in {table}, or the token does not show it",
            "make the prefix in NetBox, or correct the pool's addresses or vrf",
        )

    async def _vrf_id(self) -> int:
        rows = await self._api.list(_VRFS, [("name", self._vrf)], _Vrf)
        ids = [row.id for row in rows if row.name == self._vrf]
        if len(ids) != 1:
            problem = f"{len(ids)} VRFs have the name {self._vrf!r}"
            raise self._api.refused(problem, "name a VRF that is there once, and that the token shows")
        return ids[0]

    def _named_prefixes(self, family: Family | None = None) -> str:
        return ", ".join(_text(span) for span in self._prefixes if family in (None, span.family))


def _id(row: Row | None) -> int | None:
    return None if row is None else row.id


def _text(span: AddressRange) -> str:
    return f"{to_address(span.family, span.first)}/{span.prefix_lengths()[0]}"
