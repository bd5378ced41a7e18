"""A daemon's parts in this process: its services run, its readiness is asked, its stop is followed step by step."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from netlb.api.intake import Intake
from netlb.plan import plan_cluster
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.source.directory import DirectorySource
from netlb.source.status import cluster_status

__all__ = ["Wired", "allocate", "common", "wired", "write"]

_PAUSE = 0.005
_LIVENESS = 60.0  # seconds; only a hang takes this long


class Wired:
    """A daemon whose services run."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._tasks = [asyncio.create_task(service(), name=name) for name, service in app.services.items()]

    async def until(self, look: Callable[[], object], what: str, *, pause: float = _PAUSE) -> None:
        """Wait until `look` finds something true; whatever ends a service ends the wait.

        It looks every `pause` seconds; 0: in every turn of the event loop.
        """
        try:
            async with asyncio.timeout(_LIVENESS):
                while not look():
                    for task in self._tasks:
                        if task.done():
                            task.result()
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise AssertionError(f"not within {_LIVENESS:g} s: {what}") from None

    async def ready(self, *, pause: float = _PAUSE) -> None:
        """Wait until every check passes."""
        await self.until(lambda: not self.problems(), "ready", pause=pause)

    def problems(self) -> dict[str, str]:
        """Return what the checks find wrong, by name."""
        found = {name: check() for name, check in self.app.checks.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a sample's value; None if there is no such sample."""
        return self.app.registry.get_sample_value(name, labels)

    async def stop(self) -> None:
        """Do what a daemon does when it is told to stop, while its services run."""
        async with asyncio.timeout(_LIVENESS):
            for callback in self.app.on_stop.values():
                await callback()

    async def cancel(self) -> None:
        """End the services, as a crash would end them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def wired(app: App) -> AsyncIterator[Wired]:
    """Run a daemon's services; stop in order unless something failed."""
    daemon = Wired(app)
    try:
        yield daemon
        await daemon.stop()
    finally:
        await daemon.cancel()


def common(root: Path) -> CommonSettings:
    """Return the settings of a daemon on the directory `cluster` under a root, which is made."""
    (root / "cluster").mkdir(exist_ok=True)
    return CommonSettings.parse(source=f"dir:{root / 'cluster'}", log_level="info", log_format="console", http="off")


def write(root: Path, name: str, manifests: Iterable[str]) -> None:
    """Put manifests in place as one file."""
    temporary = root / "cluster" / f".{name}.tmp"
    temporary.write_text("\n---\n".join(manifests))
    temporary.rename(root / "cluster" / name)


def allocate(root: Path) -> None:
    """Write what a controller would write about the manifests that are there, and who holds what."""
    services = root / "cluster.status" / "services"
    services.mkdir(parents=True, exist_ok=True)
    files = cluster_status(plan_cluster(DirectorySource(root / "cluster", services, Intake()).read()))
    for path, text in files.items():
        target = root / "cluster.status" / path
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_text(text)
        temporary.rename(target)
    for gone in {f"services/{path.name}" for path in services.glob("*.yaml")} - files.keys():
        (root / "cluster.status" / gone).unlink()
