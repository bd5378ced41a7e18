"""What the controller's files should say, and which of them have to wait.

An address is given up on disk before it is given again, so that no crash leaves it with two holders: the file of a
Service waits, and is not there, until the files of those who held its addresses before no longer say so.
"""

from collections.abc import Collection, Mapping

from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.ipam import PoolUsage
from netlb.net import Address, Family
from netlb.plan import ClusterPlan
from netlb.source.status import findings_status, pool_path, pool_status, service_path, service_status

__all__ = ["StatusFiles"]


class StatusFiles:
    """Follows the plans; only what changed is written anew. No I/O."""

    def __init__(self, held: Mapping[ObjectRef, Holding]) -> None:
        """Begin with what the files on disk say."""
        self._held = {ref: holding.addresses for ref, holding in held.items()}
        self._files: dict[str, str] = {}
        self._usage: dict[str, Mapping[Family, PoolUsage]] = {}
        self._leaving: dict[Address, set[str]] = {}
        self._waits: dict[str, set[str]] = {}

    @property
    def waiting(self) -> bool:
        """Whether some file has to wait."""
        return bool(self._waits)

    def writable(self) -> dict[str, str]:
        """Return the files that may be there now, by path."""
        return {path: text for path, text in self._files.items() if path not in self._waits}

    def update(self, plan: ClusterPlan) -> None:
        """Take note of what a new plan changes."""
        result = plan.addresses
        changed = plan.changed
        if changed is None:
            changed = frozenset((*self._held, *result.allocations, *result.refusals))
        before = {ref: self._held.pop(ref, ()) for ref in changed}
        for ref in changed:
            if ref in result.allocations:
                self._held[ref] = result.allocations[ref].addresses
            for address in before[ref]:
                if address not in self._held.get(ref, ()):
                    self._leaving.setdefault(address, set()).add(service_path(ref))
        for ref in changed:
            path = service_path(ref)
            if ref in result.allocations or ref in result.refusals:
                self._files[path] = service_status(ref, result)
            else:
                self._files.pop(path, None)
            self._wait(path, self._held.get(ref, ()))
        for pool in self._usage.keys() - result.usage.keys():
            del self._files[pool_path(pool)]
        for pool, usage in result.usage.items():
            if self._usage.get(pool) != usage:
                self._files[pool_path(pool)] = pool_status(pool, usage)
        self._usage = dict(result.usage)
        self._files |= findings_status(plan)

    def advance(self, unsettled: Collection[str]) -> bool:
        """Let go on who waited for files other than these; say whether that is anybody."""
        self._leaving = {
            address: still for address, paths in self._leaving.items() if (still := paths & set(unsettled))
        }
        waits = {path: still for path, paths in self._waits.items() if (still := paths & set(unsettled))}
        released = waits.keys() != self._waits.keys()
        self._waits = waits
        return released

    @property
    def cares(self) -> bool:
        """Whether it matters which files are settled."""
        return bool(self._waits or self._leaving)

    def _wait(self, path: str, addresses: Collection[Address]) -> None:
        """Let a file wait for those who leave its addresses, and for those that these wait for themselves."""
        first = set().union(*(self._leaving.get(address, ()) for address in addresses))
        all_of_them = first.union(*(self._waits.get(other, ()) for other in (*first, path))) - {path}
        if all_of_them:
            self._waits[path] = all_of_them
        else:
            self._waits.pop(path, None)
