"""What is wanted, what interfaces there are, and what is answered where: the difference is what is to be done."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from netlb.l2.interfaces import Interface
from netlb.net import Address

__all__ = ["Holdings", "Wanted"]

Wanted = frozenset[str] | None
"""Names of the interfaces an address is to be held on, or None for all."""


class Holdings:
    """The addresses of one node, by interface."""

    def __init__(self) -> None:
        self._wanted: dict[bytes, Wanted] = {}
        self._open: dict[int, Interface] = {}
        self._answering: dict[int, set[bytes]] = {}

    def want(self, wanted: Mapping[bytes, Wanted]) -> None:
        """Want these addresses there, whatever was wanted of them before."""
        self._wanted.update(wanted)

    def unwant(self, addresses: Iterable[bytes]) -> None:
        """Want these addresses nowhere."""
        for address in addresses:
            self._wanted.pop(address, None)

    def wanted(self, addresses: Iterable[bytes]) -> dict[bytes, Wanted]:
        """Return what is wanted of those addresses that are."""
        return {address: self._wanted[address] for address in addresses if address in self._wanted}

    def all_wanted(self) -> list[bytes]:
        """Return every address that is wanted anywhere."""
        return list(self._wanted)

    def opened(self, interface: Interface) -> None:
        """Note an interface on which nothing is answered yet."""
        self._open[interface.index] = interface
        self._answering[interface.index] = set()

    def closed(self, index: int) -> Interface | None:
        """Forget an interface; return it if it was known."""
        self._answering.pop(index, None)
        return self._open.pop(index, None)

    def answers(self, index: int, addresses: Iterable[bytes]) -> None:
        """Note that the addresses are answered for on an interface."""
        self._answering[index].update(addresses)

    def silent(self, index: int, addresses: Iterable[bytes]) -> None:
        """Note that the addresses are answered for there no more."""
        self._answering[index].difference_update(addresses)

    def interface(self, index: int) -> Interface | None:
        """Return an open interface."""
        return self._open.get(index)

    def interfaces(self) -> frozenset[Interface]:
        """Return the open interfaces."""
        return frozenset(self._open.values())

    def missing(self, index: int, addresses: Iterable[bytes]) -> list[bytes]:
        """Return those of the addresses that are wanted on the interface and not answered for."""
        return [
            address
            for address in addresses
            if address not in self._answering[index] and self._is_wanted(address, self._open[index].name)
        ]

    def to_probe(self, wanted: Mapping[bytes, Wanted]) -> dict[int, list[bytes]]:
        """Return, by open interface, those of the addresses that are wanted nowhere yet and would be answered there."""
        return {
            index: [
                address
                for address, names in wanted.items()
                if address not in self._wanted and (names is None or interface.name in names)
            ]
            for index, interface in self._open.items()
        }

    def surplus(self, index: int, addresses: Iterable[bytes]) -> list[bytes]:
        """Return those of the addresses that are answered for on the interface and not wanted."""
        return [
            address
            for address in addresses
            if address in self._answering[index] and not self._is_wanted(address, self._open[index].name)
        ]

    def held(self) -> dict[Address, frozenset[str]]:
        """Return the wanted addresses with the names of the interfaces that answer for them."""
        names: dict[bytes, set[str]] = {address: set() for address in self._wanted}
        for index, answering in self._answering.items():
            for address in answering & names.keys():
                names[address].add(self._open[index].name)
        return {ip_address(address): frozenset(found) for address, found in names.items()}

    def _is_wanted(self, address: bytes, name: str) -> bool:
        if address not in self._wanted:
            return False
        names = self._wanted[address]
        return names is None or name in names
