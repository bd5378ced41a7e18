"""An address source in memory, for tests of what gives addresses to Services: no server, no waiting.

Sources share a FakeAddressBook as installations share a NetBox; the same contract tests run against both.

    book = FakeAddressBook()
    source = FakeAddressSource(book, Lessee("edge", "default"), ["192.0.2.0/28"])
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netlb.errors import NetlbError, TransientError
from netlb.ipam.source import AddressNotServedError, AddressTakenError, Claim, Lessee, NoAddressLeftError
from netlb.net import Address, Family, family_of, parse_prefix, to_address

__all__ = ["FakeAddressBook", "FakeAddressSource"]

_NAME = "address book"


@dataclass
class FakeAddressBook:
    """What is reserved, in whose name: address to tag, or to whatever somebody else wrote."""

    entries: dict[Address, str] = field(default_factory=dict)
    error: NetlbError | None = None
    """Raised by every call, which then does nothing."""
    lose_answers: int = 0
    """So many changes, from now on, are made and answered with a TransientError."""


class FakeAddressSource:
    """See `netlb.ipam.source.AddressSource`. Prefixes are used up in their order, from their lowest address."""

    def __init__(self, book: FakeAddressBook, lessee: Lessee, prefixes: Sequence[str]) -> None:
        self.book = book
        self.lessee = lessee
        self.closed = False
        self._spans = [parse_prefix(prefix) for prefix in prefixes]

    async def leases(self) -> Mapping[Claim, Address]:
        """See AddressSource."""
        self._ready()
        return dict(self._ours())

    async def lease(self, claim: Claim, wanted: Address | None = None) -> Address:
        """See AddressSource."""
        self._ready()
        tag = self.lessee.tag(claim)
        held = dict(self._ours()).get(claim)
        if held is not None:
            return held
        address = self._free(claim.family) if wanted is None else self._check(claim.family, wanted)
        self.book.entries[address] = tag
        self._lose_answer()
        return address

    async def release(self, claim: Claim) -> None:
        """See AddressSource."""
        self._ready()
        tag = self.lessee.tag(claim)
        for address in [address for address, entry in self.book.entries.items() if entry == tag]:
            del self.book.entries[address]
            self._lose_answer()

    async def close(self) -> None:
        """See AddressSource."""
        self.closed = True

    def _ready(self) -> None:
        if self.book.error is not None:
            raise self.book.error

    def _lose_answer(self) -> None:
        if self.book.lose_answers:
            self.book.lose_answers -= 1
            raise TransientError(f"{_NAME}: the answer is lost")

    def _ours(self) -> Iterator[tuple[Claim, Address]]:
        for address, entry in self.book.entries.items():
            claim = self.lessee.claim(entry)
            if claim is not None and claim.family is family_of(address):
                yield claim, address

    def _free(self, family: Family) -> Address:
        spans = [span for span in self._spans if span.family is family]
        if not spans:
            raise AddressNotServedError(_NAME, f"{self.lessee} has no {family} prefix", "add one")
        for span in spans:
            for value in range(span.first, span.last + 1):
                address = to_address(family, value)
                if address not in self.book.entries:
                    return address
        raise NoAddressLeftError(_NAME, f"every {family} address is in use", "add a prefix")

    def _check(self, family: Family, wanted: Address) -> Address:
        if not any(wanted in span and span.family is family for span in self._spans):
            raise AddressNotServedError(_NAME, f"{wanted} is not served", "ask for another address")
        if wanted in self.book.entries:
            raise AddressTakenError(_NAME, f"{wanted} is entered already", "ask for another address")
        return wanted
