"""Results as the texts of the status tree."""

from collections.abc import Mapping

from netlb.findings import ObjectRef
from netlb.ipam import PoolUsage, Result
from netlb.net import Family
from netlb.plan import ClusterPlan
from netlb.source.status import findings_status, pool_path, pool_status, service_path, service_status

__all__ = ["InFiles"]


class InFiles:
    """Texts of the status tree."""

    def __init__(self) -> None:
        self._pools: dict[str, tuple[Mapping[Family, PoolUsage], str]] = {}

    def key(self, service: ObjectRef) -> str:
        """Return the path of a Service's file."""
        return service_path(service)

    def service(self, service: ObjectRef, result: Result) -> str:
        """Return the text of a Service's file."""
        return service_status(service, result)

    def others(self, plan: ClusterPlan) -> Mapping[str, str]:
        """Return the files of findings and of pools; to write YAML takes time, so that only what changed is written."""
        usage = plan.addresses.usage
        for pool in self._pools.keys() - usage.keys():
            del self._pools[pool]
        for pool, counts in usage.items():
            if pool not in self._pools or self._pools[pool][0] != counts:
                self._pools[pool] = counts, pool_status(pool, counts)
        return findings_status(plan) | {pool_path(pool): text for pool, (_, text) in self._pools.items()}
