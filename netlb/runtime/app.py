"""The life of a daemon: start everything, run until told to stop, withdraw, stop everything, say how it went."""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from netlb.errors import DataplaneError, NetlbError, SettingError, TransientError
from netlb.runtime.http import Check, Page, application, standard_pages
from netlb.runtime.listen import Listen, bind, release
from netlb.runtime.log import get_logger
from netlb.runtime.systemd import notify, watchdog

__all__ = ["GC_ALLOCATIONS", "App", "Callback", "exit_code", "reporting", "run"]

Callback = Callable[[], Coroutine[Any, Any, None]]

GC_ALLOCATIONS = 100_000
"""How many objects are made before the garbage collector looks for cycles among them; Python's default is 700."""


@dataclass(frozen=True, kw_only=True)
class App:
    """A daemon, put together and not yet started: making one does no I/O."""

    name: str
    """The command, as in netlb-speaker."""
    registry: CollectorRegistry
    services: Mapping[str, Callback]
    """By name, what runs for the whole life of the daemon; one that ends, ends the daemon."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """By name, what must hold for /readyz."""
    on_stop: Mapping[str, Callback] = field(default_factory=dict)
    """By name, what is done in this order when the daemon stops, while the services still run."""
    on_failure: Mapping[str, Callback] | None = None
    """What is done in place of `on_stop` when a service failed, and nobody told the daemon to stop; None: the same."""
    stop_timeout: float = 10.0
    """Seconds for all of `on_stop`."""
    http: Listen | None = None
    pages: Mapping[str, Page] = field(default_factory=dict)
    """By path, what is shown beside /healthz, /readyz and /metrics."""


def exit_code(error: Exception) -> int:
    """Return how a daemon exits because of this error, in the codes of sysexits(3) where there is one."""
    match error:
        case SettingError():
            return os.EX_USAGE
        case DataplaneError(errno=errno.EPERM | errno.EACCES):
            return os.EX_NOPERM
        case NetlbError():
            return 1
        case _:
            return os.EX_SOFTWARE


def report(name: str, error: NetlbError) -> int:
    """Say in one line on stderr what is wrong, and return the exit code that goes with it."""
    sys.stderr.write(f"{name}: {error}\n")
    return exit_code(error)


@contextlib.contextmanager
def reporting(name: str) -> Iterator[None]:
    """Exit on a `NetlbError`, with one line and no traceback: for what a command does before it runs an App."""
    try:
        yield
    except NetlbError as error:
        raise SystemExit(report(name, error)) from None


def run(app: App) -> int:
    """Run the daemon until SIGTERM, SIGINT or a failure, and return its exit code."""
    # A snapshot of 100,000 Services is millions of objects without a cycle: by default a third of the time that it
    # takes to make one would go into looking for some.
    gc.set_threshold(GC_ALLOCATIONS)
    try:
        return asyncio.run(Supervisor(app).supervise())
    except NetlbError as error:
        return report(app.name, error)


class Supervisor:
    """Runs one App once."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._log = get_logger(app.name)
        self._stop = asyncio.Event()
        self._code = os.EX_OK
        self._is_told = False

    async def supervise(self) -> int:
        """Start, wait for the end, stop; return the exit code. Raises `SettingError` before anything starts."""
        services = {**self._app.services, "watchdog": watchdog}
        with self._http(services):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._told, number)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep(name, service)) for name, service in services.items()]
                # Started, not ready: a daemon that waits for a cable must not be killed by a start-up limit.
                notify("READY=1")
                await self._stop.wait()
                notify("STOPPING=1")
                await self._withdraw()
                for task in tasks:
                    task.cancel()
        return self._code

    @contextlib.contextmanager
    def _http(self, services: dict[str, Callback]) -> Iterator[None]:
        listen = self._app.http
        if listen is None:
            yield
            return
        sock = bind(listen)
        try:
            from netlb.runtime.server import serve  # noqa: PLC0415 - uvicorn is not free, and not always needed

            checks = {"running": lambda: "stopping" if self._stop.is_set() else None, **self._app.checks}
            pages = {**standard_pages(checks, self._app.registry), **self._app.pages}
            services["http"] = partial(serve, application(pages), sock)
            yield
        finally:
            sock.close()
            release(listen)

    def _told(self, number: signal.Signals) -> None:
        self._is_told = True
        self._log.info("told to stop", signal=number.name)
        self._stop.set()

    async def _keep(self, name: str, service: Callback) -> None:
        try:
            if await self._succeeds(name, service) and not self._stop.is_set():
                self._failed(name, RuntimeError("the service ended and nobody had told it to"))
        except asyncio.CancelledError:
            if not self._stop.is_set():
                self._failed(name, RuntimeError("the service cancelled itself"))
            raise

    async def _withdraw(self) -> None:
        failing = None if self._is_told else self._app.on_failure
        callbacks = self._app.on_stop if failing is None else failing
        try:
            async with asyncio.timeout(self._app.stop_timeout):
                for name, callback in callbacks.items():
                    await self._succeeds(name, callback)
        except TimeoutError:
            self._failed(name, TransientError(f"not finished after {self._app.stop_timeout:g} seconds"))

    async def _succeeds(self, name: str, callback: Callback) -> bool:
        try:
            await callback()
        except Exception as error:
            self._failed(name, error)
            return False
        return True

    def _failed(self, name: str, error: Exception) -> None:
        """Take down the first failure's exit code, and stop."""
        if isinstance(error, NetlbError):
            self._log.error("failed", part=name, error=str(error))
        else:
            self._log.error("failed", part=name, exc_info=error)
        self._code = self._code or exit_code(error)
        self._stop.set()
