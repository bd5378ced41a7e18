"""Why a node does not answer for an address that a Service holds, worked out when somebody asks.

Who owns an address instead takes a hash for each candidate; that this node does not takes a few.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from netlb.findings import ObjectRef
from netlb.l2.election import owner
from netlb.net import Address
from netlb.reasons import Silence

__all__ = ["Outcome", "Silences", "SilentAddress"]


class SilentAddress:
    """An address that a Service holds and this node does not answer for. Equal to one of the same reason and owner."""

    __slots__ = ("_owner", "reason")

    def __init__(self, reason: Silence, owner: "str | Callable[[], str | None] | None" = None) -> None:
        """`owner` is the node that does, if any, or finds it."""
        self.reason = reason
        self._owner = owner

    @property
    def owner(self) -> str | None:
        """The node that does, if any."""
        return self._owner() if callable(self._owner) else self._owner

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SilentAddress):
            return NotImplemented
        return self.reason is other.reason and self.owner == other.owner

    def __hash__(self) -> int:
        return hash((self.reason, self.owner))

    def __repr__(self) -> str:
        return f"SilentAddress({self.reason!r}, {self.owner!r})"


Outcome = SilentAddress | frozenset[str]
"""Why nobody may announce an address for a Service; or the living candidates, of whom another one does."""


class Silences(Mapping[ObjectRef, Mapping[Address, SilentAddress]]):
    """What is not announced, by Service, in the order of their names."""

    __slots__ = ("_outcomes",)

    def __init__(self, outcomes: Mapping[ObjectRef, tuple[tuple[Address, Outcome], ...]]) -> None:
        """`outcomes` is not to be changed any more."""
        self._outcomes = outcomes

    def __getitem__(self, ref: ObjectRef) -> Mapping[Address, SilentAddress]:
        return {address: _silent(address, outcome) for address, outcome in self._outcomes[ref]}

    def __contains__(self, ref: object) -> bool:
        return ref in self._outcomes

    def __iter__(self) -> Iterator[ObjectRef]:
        return iter(sorted(self._outcomes))

    def __len__(self) -> int:
        return len(self._outcomes)

    def __repr__(self) -> str:
        return repr(dict(self))


def _silent(address: Address, outcome: Outcome) -> SilentAddress:
    if isinstance(outcome, SilentAddress):
        return outcome
    return SilentAddress(Silence.NOT_OWNER, partial(owner, str(address), outcome))
