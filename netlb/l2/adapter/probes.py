"""What is still to be heard of the probes that were asked for: each call waits for its own."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address

from netlb.errors import TransientError
from netlb.l2.announces import Stranger
from netlb.net import Address

__all__ = ["ProbeRound", "ProbeRounds"]


class ProbeRound:
    """One call of `Announces.probe`: done when every address has been told of, or given up, on every interface."""

    def __init__(self, asked: Mapping[int, Collection[bytes]]) -> None:
        self._open = {(index, address) for index, addresses in asked.items() for address in addresses}
        self._found: dict[Address, Stranger | None] = {}
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._close_if_done()

    async def found(self) -> Mapping[Address, Stranger | None]:
        """Wait for the end; TransientError if the responder process is gone before."""
        await self._done
        return self._found

    def tell(self, index: int, address: bytes, stranger: Stranger | None) -> None:
        """Take in how one probe ended; passed over if nobody waits for it here."""
        if (index, address) in self._open:
            known = ip_address(address)
            self._found[known] = self._found.get(known) or stranger
            self.give_up(index, [address])

    def give_up(self, index: int, addresses: Collection[bytes] | None = None) -> None:
        """Wait no more for these addresses on an interface, or for all."""
        self._open -= {key for key in self._open if key[0] == index and (addresses is None or key[1] in addresses)}
        self._close_if_done()

    def lose(self) -> None:
        """Wait no more for anything: who probes is gone."""
        if not self._done.done():
            self._done.set_exception(TransientError("the responder process is gone", retry_after=0.5))
            self._done.exception()  # whoever asked may have been cancelled meanwhile

    def _close_if_done(self) -> None:
        if not self._open and not self._done.done():
            self._done.set_result(None)


class ProbeRounds:
    """The calls that wait."""

    def __init__(self) -> None:
        self._rounds: list[ProbeRound] = []

    @contextmanager
    def begin(self, asked: Mapping[int, Collection[bytes]]) -> Iterator[ProbeRound]:
        """Wait for probes of these addresses, by interface; what comes in before they are sent counts already."""
        waiting = ProbeRound(asked)
        self._rounds.append(waiting)
        try:
            yield waiting
        finally:
            self._rounds.remove(waiting)

    def tell(self, index: int, address: bytes, stranger: Stranger | None) -> None:
        """Take in how a probe ended."""
        for waiting in self._rounds:
            waiting.tell(index, address, stranger)

    def interface_closed(self, index: int) -> None:
        """Take in that nothing will be heard from an interface."""
        for waiting in self._rounds:
            waiting.give_up(index)

    def lose(self) -> None:
        """Take in that the responder process is gone."""
        for waiting in self._rounds:
            waiting.lose()
