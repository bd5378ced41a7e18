"""What a speaker of a cluster runs in: the API server, and what is kept of what it said."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prometheus_client import Metric

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.runtime.config import CommonSettings
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import counter, received_metric, source_metrics
from netlb.source import kube_once
from netlb.source.keeper import Keeper
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import NODES, Reader, watched
from netlb.source.kube_leases import NodeLeases
from netlb.source.kube_recorder import EventRecorder
from netlb.source.kube_reports import NodeReports
from netlb.source.kube_rights import secret_namespaces
from netlb.source.kube_source import KubeSource
from netlb.source.kube_tenancies import follow_api
from netlb.source.reflector import Pace
from netlb_speaker.leases import LeaseLiveness
from netlb_speaker.surroundings import Surroundings

__all__ = ["on_cluster", "read_cluster"]

_LONGEST_MANAGER = 128
_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What is the same until the machine starts anew, and on no other one."""


def on_cluster(
    common: CommonSettings,
    state_dir: Path | None,
    *,
    name: str,
    node: str,
    pace: Pace,
    patience: float,
    lease_duration: int | None = None,
    grace: float = 0.0,
) -> Surroundings:
    """Return the API server as source and sink; `name` is the daemon's, `patience` as of `KubeSource`.

    With a `lease_duration`, in seconds, nodes know of each other by Leases. A speaker that starts without the API
    server waits `grace` seconds longer than that.
    """
    log = get_logger(name).bind(node=node)
    client = KubeClient(common.kubeconfig, field_manager=f"{name}-{node}"[:_LONGEST_MANAGER])
    compatibility = common.compatibility
    source = KubeSource(
        client,
        Intake(compatibility),
        watched(compatibility, Reader.ANNOUNCEMENTS, lean=True),
        secrets_in=lambda: secret_namespaces(common.namespace or client.namespace, compatibility),
        takes_over=False,
        keeper=Keeper(state_dir, name, str(common.source)) if state_dir is not None else None,
        on_trouble=lambda problem: log.warning("nothing kept", problem=problem),
        pace=pace,
        patience=patience,
    )
    liveness = None
    if lease_duration is not None:
        leases = NodeLeases(
            client,
            node,
            namespace=lambda: common.namespace or client.namespace,
            uid=lambda: entry.uid if (entry := source.find(NODES, "", node)) else "",
            identity=f"{node}_{_BOOT.read_text().strip()}",
            duration=lease_duration,
        )
        liveness = partial(LeaseLiveness, leases=leases, patience=lease_duration + grace)
    recorder = EventRecorder(client, reporter="netlb.io/speaker", instance=node)

    async def connect() -> None:
        """Be able to reach an API server, until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            await client.close()

    def metrics() -> Iterable[Metric]:
        yield from source_metrics(source)
        yield received_metric(client.received())
        yield counter("netlb_events_dropped_total", "Events that could not be sent.", (), {(): float(recorder.dropped)})

    def why_blind() -> str | None:
        why = next(iter(source.troubles().values()), "it has not told everything yet")
        if source.kept_since is not None:
            when = datetime.fromtimestamp(source.kept_since, UTC).isoformat()
            return f"in force is what was heard before {when} and kept: {why}"
        return None if source.synced else why

    def on_rewound(call: Callable[[], None]) -> None:
        source.on_rewound = call

    return Surroundings(
        source=source,
        sink=NodeReports(client, source.find, recorder, node=node, kept_since=lambda: source.kept_since),
        tenancies=partial(follow_api, client, pace),
        services={"client": connect, "events": recorder.run},
        metrics=metrics,
        on_rewound=on_rewound,
        why_blind=why_blind,
        liveness=liveness,
    )


def read_cluster(common: CommonSettings) -> Snapshot:
    """Return what is in force now, and who holds what. Raises SettingError."""
    return kube_once.read_cluster(
        common.kubeconfig,
        Intake(common.compatibility),
        watched(common.compatibility, Reader.ANNOUNCEMENTS, lean=True),
        secrets_in=lambda own: secret_namespaces(common.namespace or own, common.compatibility),
        takes_over=False,
    )
