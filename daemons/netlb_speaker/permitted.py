"""What a speaker announces of what is planned."""

from collections.abc import Collection, Mapping

from netlb.l2.adapter.operations import Way
from netlb.net import Address
from netlb.plan import AnnouncedAddress
from netlb.reconcile import differing

__all__ = ["Permitted"]


class Permitted:
    """All that is planned but for what is withheld. Of a plan like the one before, what differs is worked out."""

    def __init__(self) -> None:
        self._planned: Mapping[Address, AnnouncedAddress] = {}
        self._withheld: tuple[Address, ...] = ()
        self._ways: dict[Address, Way] = {}

    def ways(
        self,
        planned: Mapping[Address, AnnouncedAddress],
        withheld: Collection[Address],
        held: Collection[Address] | None,
    ) -> Mapping[Address, Way]:
        """Return how each address is wanted. `held`: nothing else may be announced; None: all may. Live: copy it."""
        if held is not None:
            return {
                address: _way(each) for address, each in planned.items() if address in held and address not in withheld
            }
        changed = dict.fromkeys((*differing(self._planned, planned), *self._withheld, *withheld))
        for address in changed:
            each = planned.get(address)
            if each is None or address in withheld:
                self._ways.pop(address, None)
            else:
                self._ways[address] = _way(each)
        self._planned, self._withheld = planned, tuple(withheld)
        return self._ways


def _way(each: AnnouncedAddress) -> Way:
    return Way(each.interfaces, by_kernel=each.announce == "address")
