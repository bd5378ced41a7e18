"""Addresses that the kernel is to answer for: where each belongs, what is there, and so what is to be done.

All that netlb put there has its mark; what has none is never touched, and what has it and is not asked for was left by
a process that died.
"""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_network
from typing import TypeVar

from netlb.l2.addrmsg import InterfaceAddress
from netlb.l2.holdings import Wanted
from netlb.l2.interfaces import Interface
from netlb.net import Address

__all__ = ["ELSEWHERE", "Place", "Residents"]

_Entry = TypeVar("_Entry")

Place = tuple[int, Address]
"""An interface's index, and an address on it."""

ELSEWHERE: Wanted = frozenset()
"""Where an address is that is not just where it was asked for: nobody asks for no interface at all."""


class Residents:
    """The addresses of one node's interfaces."""

    def __init__(self) -> None:
        self._asked: dict[Address, Wanted] = {}
        self._usable: dict[int, Interface] = {}
        self._ours: dict[Address, set[int]] = {}
        self._foreign: dict[Address, set[InterfaceAddress]] = {}
        self._early: set[Place] = set()

    # What is there

    def link(self, index: int, interface: Interface | None) -> bool:
        """Take in that an interface can be used, or cannot any more; return whether that is news."""
        if self._usable.get(index) == interface:
            return False
        if interface is None:
            del self._usable[index]
        else:
            self._usable[index] = interface
        return True

    def interface(self, index: int) -> Interface | None:
        """Return an interface that can be used."""
        return self._usable.get(index)

    def listed(self, found: Iterable[InterfaceAddress]) -> None:
        """Take in all addresses that there are, those of an interface in the kernel's order.

        For IPv4 the kernel sends from the first address of an interface, deprecated or not (inet_select_addr), so ours
        must come after all others.
        """
        self._ours.clear()
        self._foreign.clear()
        self._early.clear()
        before: dict[int, list[Address]] = {}
        for each in found:
            self.added(each)
            if each.address.version == 4 and each.ours:
                before.setdefault(each.index, []).append(each.address)
            elif each.address.version == 4:
                self._early.update((each.index, address) for address in before.pop(each.index, ()))

    def added(self, found: InterfaceAddress) -> bool:
        """Take in one more address; return whether where something belongs may have changed."""
        if found.ours:
            self._ours.setdefault(found.address, set()).add(found.index)
            return False
        known = self._foreign.setdefault(found.address, set())
        if found in known:
            return False
        known.add(found)
        return self._matters(found)

    def removed(self, found: InterfaceAddress) -> bool:
        """Take in that an address is gone; return whether that calls for something."""
        if found.ours:
            self._early.discard((found.index, found.address))
            return _forget(self._ours, found.address, found.index) and found.address in self._asked
        return _forget(self._foreign, found.address, found) and self._matters(found)

    def _matters(self, foreign: InterfaceAddress) -> bool:
        return foreign.address in self._asked or foreign.index in self._usable

    def foreign(self, address: Address) -> InterfaceAddress | None:
        """Return an address that is the same and that netlb has not put there, on whatever interface."""
        return next(iter(self._foreign.get(address, ())), None)

    # What is asked for

    def ask(self, wanted: Mapping[Address, Wanted]) -> None:
        """Have these addresses there from now on."""
        self._asked.update(wanted)

    def ask_no_more(self, addresses: Iterable[Address]) -> None:
        """Have these addresses nowhere."""
        for address in addresses:
            self._asked.pop(address, None)

    def targets(self, address: Address) -> frozenset[int]:
        """Return the interfaces on which an address belongs now: those named, or that whose subnet it is in.

        Of several such subnets the longest counts, then the first interface by name.
        """
        if address not in self._asked:
            return frozenset()
        names = self._asked[address]
        if names is not None:
            return frozenset(index for index, interface in self._usable.items() if interface.name in names)
        found = [
            (-each.prefix_length, self._usable[each.index].name, each.index)
            for subnets in self._foreign.values()
            for each in subnets
            if each.index in self._usable
            and _is_subnet(each)
            and each.network.version == address.version
            and address in ip_network((int(each.network), each.prefix_length), strict=False)
        ]
        return frozenset(index for _, _, index in sorted(found)[:1])

    # What is to be done

    def observed(self) -> dict[Address, Wanted]:
        """Return what is there as it was asked for; ELSEWHERE stands for everything else."""
        early = {address for _, address in self._early}
        return {
            address: self._asked[address]
            if address in self._asked
            and address not in early
            and self._ours.get(address, set()) == self.targets(address)
            else ELSEWHERE
            for address in self._asked.keys() | self._ours.keys()
        }

    def missing(self, addresses: Collection[Address]) -> list[Place]:
        """Return where those of the addresses that are asked for belong and are not."""
        return [
            (index, address)
            for address in addresses
            for index in sorted(self.targets(address) - self._ours.get(address, set()))
        ]

    def surplus(self, addresses: Collection[Address]) -> list[Place]:
        """Return where those of the addresses that are ours are and do not belong."""
        return [
            (index, address)
            for address in addresses
            for index in sorted(self._ours.get(address, set()) - self.targets(address))
        ]

    def early(self, addresses: Collection[Address]) -> list[Place]:
        """Return where those of the addresses that are ours come before others, and so must be put again."""
        return sorted(((index, address) for index, address in self._early if address in addresses), key=str)

    def places(self, addresses: Collection[Address] | None = None) -> list[Place]:
        """Return where those of the addresses are that are ours and asked for; without `addresses` all of them."""
        some = self._ours if addresses is None else addresses
        return [
            (index, address)
            for address in some
            if address in self._asked
            for index in sorted(self._ours.get(address, set()))
        ]

    def lives(self, place: Place) -> bool:
        """Say whether an address is there, ours, and asked for."""
        index, address = place
        return address in self._asked and index in self._ours.get(address, set())

    def held(self) -> dict[Address, frozenset[str]]:
        """Return what is asked for, with the names of the interfaces on which the kernel answers now."""
        return {
            address: frozenset(
                self._usable[index].name for index in self._ours.get(address, set()) if index in self._usable
            )
            for address in self._asked
        }


def _is_subnet(found: InterfaceAddress) -> bool:
    return found.prefix_length < found.address.max_prefixlen


def _forget(table: dict[Address, set[_Entry]], address: Address, entry: _Entry) -> bool:
    """Take an entry out of its set, and the set with the last one; say whether it was there."""
    known = table.get(address, set())
    if entry not in known:
        return False
    known.discard(entry)
    if not known:
        del table[address]
    return True
