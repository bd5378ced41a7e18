"""An orderly end, before which a daemon's last words must be heard: drained, withdrawn, then silent."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from netlb.bgp.drain import disabled, shutting_down, withdrawn
from netlb.bgp.model import BgpState, Key, Record

__all__ = ["Keeps", "leave"]


class Keeps(Protocol):
    """What is needed of a reconciler."""

    def want(self, desired: Mapping[Key, Record]) -> None:
        """Set the whole desired state."""

    async def settled(self) -> None:
        """Wait until it is there."""


async def leave(reconciler: Keeps, state: BgpState, *, pause: float, patience: float) -> bool:
    """Bring a gobgpd from `state` to silence while the reconciler runs; return whether it got there.

    Routers are asked to prefer others, and have `pause` seconds for it; then all is withdrawn, and then the peers are
    disabled, since a gobgpd that is not ours goes on when we end. Each step has `patience` seconds: a gobgpd that is
    gone must not keep us.
    """
    done = True
    for step in (shutting_down(state), withdrawn(state), disabled(state)):
        reconciler.want(step.records())
        try:
            async with asyncio.timeout(patience):
                await reconciler.settled()
        except TimeoutError:
            done = False
        if done and step.routes:
            await asyncio.sleep(pause)
    return done
