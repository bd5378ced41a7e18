"""What a gateway of a cluster runs in: the API server, and what is kept of what it said."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Metric

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.runtime.config import CommonSettings
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import counter, source_metrics
from netlb.source import kube_once
from netlb.source.keeper import Keeper
from netlb.source.kube import KubeClient
from netlb.source.kube_gateways import GatewayReports
from netlb.source.kube_kinds import Reader, watched
from netlb.source.kube_recorder import EventRecorder
from netlb.source.kube_source import KubeSource
from netlb.source.reflector import Pace
from netlb_gateway.surroundings import Surroundings

__all__ = ["heard_last", "on_cluster", "read_cluster"]

_LONGEST_MANAGER = 128


def on_cluster(
    common: CommonSettings, state_dir: Path | None, *, name: str, node: str, pace: Pace, patience: float
) -> Surroundings:
    """Return the API server as source and sink; `name` is the daemon's, `patience` as of `KubeSource`."""
    log = get_logger(name).bind(node=node)
    client = KubeClient(common.kubeconfig, field_manager=f"{name}-{node}"[:_LONGEST_MANAGER])
    source = KubeSource(
        client,
        Intake(common.compatibility),
        watched(common.compatibility, Reader.SITES),
        keeper=Keeper(state_dir, name, str(common.source)) if state_dir is not None else None,
        on_trouble=lambda problem: log.warning("nothing kept", problem=problem),
        pace=pace,
        patience=patience,
    )
    recorder = EventRecorder(client, reporter="netlb.io/gateway", instance=node)

    async def connect() -> None:
        """Be able to reach an API server, until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            await client.close()

    def metrics() -> Iterable[Metric]:
        yield from source_metrics(source)
        yield counter("netlb_events_dropped_total", "Events that could not be sent.", (), {(): float(recorder.dropped)})

    def why_blind() -> str | None:
        why = next(iter(source.troubles().values()), "it has not told everything yet")
        if source.kept_since is not None:
            when = datetime.fromtimestamp(source.kept_since, UTC).isoformat()
            return f"in force is what was heard before {when} and kept: {why}"
        return None if source.synced else why

    return Surroundings(
        source=source,
        sink=GatewayReports(client, source.find, recorder, node=node),
        services={"client": connect, "events": recorder.run},
        metrics=metrics,
        why_blind=why_blind,
    )


async def heard_last(common: CommonSettings, state_dir: Path | None, *, name: str, patience: float) -> Snapshot | None:
    """Return what is in force, or what was kept of it where the API server does not answer; None: neither."""
    client = KubeClient(common.kubeconfig, field_manager=name)
    source = KubeSource(
        client,
        Intake(common.compatibility),
        watched(common.compatibility, Reader.SITES),
        keeper=Keeper(state_dir, name, str(common.source)) if state_dir is not None else None,
        patience=patience,
    )
    try:
        async with asyncio.timeout(2 * patience):
            return await source.first()
    except TimeoutError:
        return None
    finally:
        await client.close()


def read_cluster(common: CommonSettings) -> Snapshot:
    """Return what is in force now. Raises SettingError."""
    kinds = watched(common.compatibility, Reader.SITES)
    return kube_once.read_cluster(common.kubeconfig, Intake(common.compatibility), kinds)
