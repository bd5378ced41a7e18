"""The controller: a selection of rooms. What is declared in, allocations out, one way."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from netlb.api.intake import Intake
from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.runtime.app import App
from netlb.runtime.metrics import StateCollector, new_registry
from netlb.source.directory import DirectorySource
from netlb.source.lease import DEFAULT_LEASE_PACE, LeasePace
from netlb.source.reflector import DEFAULT_PACE, Pace
from netlb.source.status import is_controllers, read_holdings
from netlb.source.tree import StatusTree
from netlb.source.watch import DirectoryWatch
from netlb_controller.controller import NAME, Controller
from netlb_controller.in_files import InFiles
from netlb_controller.settings import Classless, ControllerSettings
from netlb_controller.sources import MakeSource, make_source

__all__ = ["NAME", "Classless", "ControllerSettings", "build"]


def build(
    settings: ControllerSettings,
    make_source: MakeSource = make_source,
    *,
    pace: Pace = DEFAULT_PACE,
    lease: LeasePace = DEFAULT_LEASE_PACE,
) -> App:
    """Put the controller together; nothing is read or written before the App runs.

    Tests bring their own address sources, and do not wait as long as there is time in a cluster.
    """
    if settings.common.directory is not None and settings.status_dir is not None:
        return _on_directory(settings.common.directory, settings.status_dir, settings, make_source)
    from netlb_controller.cluster import on_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return on_cluster(settings, make_source, pace=pace, lease=lease)


def _on_directory(path: Path, status_dir: Path, settings: ControllerSettings, make_source: MakeSource) -> App:
    tree = StatusTree(status_dir, NAME, is_controllers)
    source = DirectorySource(path, None, Intake(settings.common.compatibility, settings.serving))
    opened = asyncio.Event()

    async def held() -> Mapping[ObjectRef, Holding]:
        source.require()
        tree.open()
        opened.set()
        return read_holdings(await tree.observe())

    controller = Controller(
        source, tree, InFiles(), installation=settings.installation, make_source=make_source, held=held
    )

    async def guard() -> None:
        """Put back what somebody else changes in the status tree, once it is there and ours."""
        await opened.wait()
        with DirectoryWatch((status_dir, status_dir / "services", status_dir / "addresspools")) as watch:
            while True:
                await watch.changed()
                watch.take_touched()  # or it would be changed for ever
                controller.status.refresh()

    async def finish() -> None:
        """Write what is still to be written; the addresses stay where they are."""
        if controller.plan:
            await controller.status.settled()
        tree.close()

    registry = new_registry(NAME)
    registry.register(StateCollector(controller.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "source": controller.follow,
            "status": controller.status.run,
            "guard": guard,
            "address sources": controller.sources.run,
        },
        checks={
            "source": lambda: None if controller.plan else "no snapshot yet",
            "status": lambda: None if controller.is_written() else "not all written",
        },
        on_stop={"status": finish},
        http=settings.common.http,
    )
