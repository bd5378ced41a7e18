"""What is to be said of every object, and what of it has to wait.

An address is given up in writing before it is given again, so that no crash leaves it with two holders: what is said of
a Service waits, and is not there, until those who held its addresses before are not said to hold them any more.
"""

from collections.abc import Collection, Mapping
from typing import Generic, Protocol, TypeVar

from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.ipam import Result
from netlb.net import Address
from netlb.plan import ClusterPlan

__all__ = ["Form", "Results"]

D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)


class Form(Protocol[D_co]):
    """How results are written down."""

    def key(self, service: ObjectRef) -> str:
        """Return the key of what is said of a Service."""
        ...

    def service(self, service: ObjectRef, result: Result) -> D_co:
        """Return what is said of a Service that is served or refused."""
        ...

    def others(self, plan: ClusterPlan) -> Mapping[str, D_co]:
        """Return all else that is said."""
        ...


class Results(Generic[D]):
    """Follows the plans; only what changed is made anew. No I/O."""

    def __init__(self, form: Form[D], held: Mapping[ObjectRef, Holding]) -> None:
        """Begin with what is said already."""
        self._form = form
        self._held = {ref: holding.addresses for ref, holding in held.items()}
        self._services: dict[str, D] = {}
        self._others: Mapping[str, D] = {}
        self._leaving: dict[Address, set[str]] = {}
        self._waits: dict[str, set[str]] = {}

    @property
    def waiting(self) -> bool:
        """Whether something has to wait."""
        return bool(self._waits)

    def writable(self) -> dict[str, D]:
        """Return what may be said now, by key."""
        services = {key: said for key, said in self._services.items() if key not in self._waits}
        return {**services, **self._others}

    def update(self, plan: ClusterPlan) -> None:
        """Take note of what a new plan changes."""
        result, form = plan.addresses, self._form
        changed = plan.changed
        if changed is None:
            changed = frozenset((*self._held, *result.allocations, *result.refusals))
        before = {ref: self._held.pop(ref, ()) for ref in changed}
        for ref in changed:
            if ref in result.allocations:
                self._held[ref] = result.allocations[ref].addresses
            for address in before[ref]:
                if address not in self._held.get(ref, ()):
                    self._leaving.setdefault(address, set()).add(form.key(ref))
        for ref in changed:
            key = form.key(ref)
            if ref in result.allocations or ref in result.refusals:
                self._services[key] = form.service(ref, result)
            else:
                self._services.pop(key, None)
            self._wait(key, self._held.get(ref, ()))
        self._others = form.others(plan)

    def advance(self, unsettled: Collection[str]) -> bool:
        """Let go on who waited for others than these; say whether that is anybody."""
        self._leaving = {address: still for address, keys in self._leaving.items() if (still := keys & set(unsettled))}
        waits = {key: still for key, keys in self._waits.items() if (still := keys & set(unsettled))}
        released = waits.keys() != self._waits.keys()
        self._waits = waits
        return released

    @property
    def cares(self) -> bool:
        """Whether it matters what is settled."""
        return bool(self._waits or self._leaving)

    def _wait(self, key: str, addresses: Collection[Address]) -> None:
        """Let one wait for those who leave its addresses, and for those that these wait for themselves."""
        first = set().union(*(self._leaving.get(address, ()) for address in addresses))
        all_of_them = first.union(*(self._waits.get(other, ()) for other in (*first, key))) - {key}
        if all_of_them:
            self._waits[key] = all_of_them
        else:
            self._waits.pop(key, None)
