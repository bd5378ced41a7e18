"""What the admission webhook says: in every controller of a cluster, whether it leads or not."""

from typing import Final

from netlb.api.dialects import Compatibility
from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.plan.review import review
from netlb.runtime.webhook import Request, Verdict
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import Reader, watched
from netlb.source.kube_source import KubeSource
from netlb.source.reflector import Pace

__all__ = ["Reviewer"]

_ALLOWED: Final = Verdict(())
_UNKNOWN: Final = Verdict((), ("netlb has not read the cluster yet, and checked nothing",))


class Reviewer:
    """Follows what is declared, for that is what objects are judged beside."""

    def __init__(self, client: KubeClient, compatibility: Compatibility, *, pace: Pace) -> None:
        kinds = watched(compatibility, Reader.DECLARATIONS)
        self._intake = Intake(compatibility)
        self._source = KubeSource(client, self._intake, kinds, pace=pace)
        self._kinds = {(each.resources[0].group, each.resources[0].plural): each for each in kinds}
        self._known: Intake | None = None

    async def follow(self) -> None:
        """Follow until cancelled."""
        async for _ in self._source.snapshots():
            self._known = self._intake.copy()  # the intake itself is at work in another thread now and then

    def judge(self, request: Request) -> Verdict:
        """Say what would be wrong. What is on its way out may be changed in any way: finalizers have to go."""
        kind = self._kinds.get((request.resource.group, request.resource.resource))
        body = request.object
        if kind is None or body is None or "deletionTimestamp" in body.get("metadata", {}):
            return _ALLOWED
        if self._known is None:
            return _UNKNOWN
        origin = kind.origin(request.namespace, request.name)
        found = review(self._known, Document(origin, body))
        return Verdict(tuple(map(str, found.errors)), tuple(map(str, found.warnings)))
