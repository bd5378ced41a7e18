"""Results as the statuses of objects in the API."""

from collections.abc import Callable, Collection, Mapping

from netlb.findings import Finding, ObjectRef
from netlb.ipam import Result
from netlb.plan import ClusterPlan, Selected
from netlb.source.kube_status import Told, object_key, object_status, service_key, service_status

__all__ = ["InApi"]


class InApi:
    """Statuses of objects in the API. `declared` returns the native objects that are there, honoured or not."""

    def __init__(self, declared: Callable[[], Collection[ObjectRef]]) -> None:
        self._declared = declared

    def key(self, service: ObjectRef) -> str:
        """Return the key of a Service's status."""
        return service_key(service)

    def service(self, service: ObjectRef, result: Result) -> Told:
        """Return what is said of a Service."""
        return service_status(service, result)

    def others(self, plan: ClusterPlan) -> Mapping[str, Told]:
        """Return what is said of each native object: whether it is honoured, how full it is, and what it is for."""
        found: dict[ObjectRef, list[Finding]] = {ref: [] for ref in self._declared()}
        for finding in plan.findings:
            if finding.subject is not None and finding.subject in found:
                found[finding.subject].append(finding)
        said: dict[str, Told] = {}
        for ref, findings in found.items():
            usage = plan.addresses.usage.get(ref.name, {}) if ref.kind == "AddressPool" else {}
            said[object_key(ref)] = object_status(usage, findings, _counts(plan.selected.get(ref)))
        return said


def _counts(selected: Selected | None) -> Mapping[str, int]:
    return {name: count for name, count in selected._asdict().items() if count is not None} if selected else {}
