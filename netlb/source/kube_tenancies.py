"""What speakers say that they hold, from the API: their SpeakerStatuses, followed while somebody needs that."""

import asyncio
from random import SystemRandom

import msgspec

from netlb.api.reports import SpeakerStatus
from netlb.plan.tenure import Terms, read_tenancies
from netlb.source.kube import KubeClient
from netlb.source.kube_follower import Follower
from netlb.source.kube_kinds import SPEAKER_STATUSES, Watched
from netlb.source.reflector import Pace
from netlb.source.tenancies import Tell

__all__ = ["follow_api"]

_LOTS = SystemRandom()


async def follow_api(client: KubeClient, pace: Pace, tell: Tell) -> None:
    """Follow them; while the API server is away what it said last stays."""
    kind = Watched(resources=(SPEAKER_STATUSES,), records=(SpeakerStatus,), optional=True)
    changed = asyncio.Event()
    follower = Follower(client, kind, changed.set, pace=pace, jitter=_LOTS.random)
    said: dict[str, Terms] = {}
    told = False

    async def follow() -> None:
        nonlocal told
        while True:
            await changed.wait()
            changed.clear()
            if not follower.reflector.synced:
                continue
            work = follower.take().declared
            for key, known in work.items():
                said.pop(key.name, None)
                if isinstance(known, bytes):
                    said[key.name] = read_tenancies(msgspec.json.decode(known, type=SpeakerStatus).status.holding)
            if work or not told:
                told = True
                tell(dict(said))

    async with asyncio.TaskGroup() as group:
        group.create_task(follower.run())
        group.create_task(follow())
