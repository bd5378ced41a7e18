"""The fast path of one interface: its program and maps in the kernel, and the lease under which it may answer.

The responder's process imports this only where it is to have a fast path. See `netlb/l2/bpf/fastpath.c` for what the
program answers and what it leaves to the responder.
"""

import errno
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from netlb.l2.adapter.bpf import BpfMap, attach_tcx, load
from netlb.l2.adapter.clsact import attach_clsact, detach_clsact
from netlb.l2.bpf.maps import HELD, LISTENED, MAPS, answered, encode_state, totals
from netlb.l2.bpf.program import INSTRUCTIONS, RELOCATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CLSACT", "TCX", "FastPath"]

TCX: Final = "tcx"
CLSACT: Final = "clsact"

_LEASE: Final = 500_000_000
"""Nanoseconds after which a process that renews no more is silent here too."""
_ONLY = bytes(4)


class FastPath:
    """A loaded program, attached by `attach`; nothing is answered before `renew`, nor without it for half a second.

    Errors are OSErrors that say what was refused. `close` makes it silent and lets go of everything.
    """

    def __init__(self, index: int, mac: bytes) -> None:
        """Create the maps and load the program, for answers of this MAC address on this interface."""
        self.hook = ""
        """How it is attached: TCX, CLSACT, or not at all."""
        self._index = index
        self._mac = mac
        self._held: set[bytes] = set()
        self._listened: set[bytes] = set()
        self._maps: dict[str, BpfMap] = {}
        self._exit = ExitStack()
        with ExitStack() as undo:
            with _naming("create a BPF map"):
                for name, shape in MAPS.items():
                    self._maps[name] = BpfMap(name, shape)
                    undo.callback(self._maps[name].close)
            with _naming("load a BPF program"):
                self._program = load(INSTRUCTIONS, RELOCATIONS, self._maps, "l2_fastpath")
            undo.callback(os.close, self._program)
            self._exit = undo.pop_all()

    def attach(self, hooks: Sequence[str] = (TCX, CLSACT)) -> None:
        """Attach the program, by the first hook that the kernel has."""
        for hook in hooks:
            try:
                with _naming(f"attach a BPF program by {hook}"):
                    self._attach(hook)
            except OSError as error:
                if error.errno != errno.EINVAL or hook == hooks[-1]:
                    raise
            else:
                self.hook = hook
                return

    def _attach(self, hook: str) -> None:
        if hook == TCX:
            self._exit.callback(os.close, attach_tcx(self._program, self._index))
        else:
            attach_clsact(self._program, self._index)
            self._exit.callback(detach_clsact, self._index)

    def close(self) -> None:
        """Detach the program."""
        self._exit.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is held, so that no lease is needed."""
        return not self._held

    def renew(self) -> None:
        """Be allowed to answer for half a second from now, suspended time included."""
        deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + _LEASE
        self._maps["state"].update(_ONLY, encode_state(deadline, self._mac))

    def hold(self, addresses: Iterable[bytes]) -> None:
        """Answer for the addresses from now on; for those without room in the maps the responder goes on alone."""
        for family in _by_family(addresses):
            room = self._map(family[0]).update_many(family, HELD)
            self._held.update(family[:room])
            self._listened.difference_update(family[:room])

    def listen(self, addresses: Iterable[bytes]) -> None:
        """Leave to the responder what comes from these IPv4 addresses, none of which is held.

        An ARP request tells whose address its sender's is, whatever it asks for; a solicitation is told by its target.
        """
        wanted = [address for address in addresses if len(address) == 4 and address not in self._held]
        if wanted:
            room = self._maps["addresses4"].update_many(wanted, LISTENED)
            self._listened.update(wanted[:room])

    def listen_no_more(self, address: bytes) -> None:
        """Answer, in front of the responder, what comes from there too."""
        if address in self._listened:
            with suppress(OSError):  # a request too many for the responder is no harm
                self._map(address).delete_many([address])
            self._listened.discard(address)

    def drop(self, addresses: Iterable[bytes]) -> None:
        """Answer for the addresses no more; no answer is given once this returns. What is not held is passed over."""
        for family in _by_family(address for address in addresses if address in self._held):
            rest = family
            while rest:
                out = self._map(rest[0]).delete_many(rest) + 1  # with the one that was not in, if it ended there
                self._held.difference_update(rest[:out])
                rest = rest[out:]

    def answered(self, address: bytes) -> int:
        """Return how many requests for a held address were answered since it was held."""
        value = self._map(address).lookup(address) if address in self._held else None
        return answered(value) if value is not None else 0

    def total(self) -> int:
        """Return how many requests were answered."""
        value = self._maps["counts"].lookup(_ONLY)
        return totals(value) if value is not None else 0

    def _map(self, address: bytes) -> BpfMap:
        return self._maps["addresses4" if len(address) == 4 else "addresses6"]


def _by_family(addresses: Iterable[bytes]) -> "Iterator[list[bytes]]":
    known = list(addresses)
    for length in (4, 16):
        if family := [address for address in known if len(address) == length]:
            yield family


@contextmanager
def _naming(step: str) -> "Iterator[None]":
    """Let an OSError say what was refused in place of the system's words for its errno."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, step) from error
