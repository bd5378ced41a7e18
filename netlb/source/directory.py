"""The embedded source: a directory of manifests, and the status tree beside it, as a stream of snapshots."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.errors import ConfigError, SettingError
from netlb.findings import ObjectRef
from netlb.source.folder import Folder
from netlb.source.gateway_status import FOLDER
from netlb.source.status import read_holdings, read_service_status
from netlb.source.watch import DirectoryWatch

__all__ = ["DirectorySource", "read_once"]

_REPORT = "status/"
"""What the origins of reports begin with: no file of the manifests is called so."""


def read_once(manifests: Path, status: Path, intake: Intake) -> Snapshot:
    """Return what is in force now, who holds what, and what gateways have published. Raises SettingError.

    What the status tree says counts more than a status that somebody's manifest carries along.
    """
    reports = status / FOLDER
    source = DirectorySource(manifests, None, intake, reports if reports.is_dir() else None)
    source.require()
    snapshot = source.read()
    try:
        files = {f"services/{path.name}": path.read_text("utf-8") for path in (status / "services").glob("[!.]*.yaml")}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError("--status-dir", f"{status}: {error}", "make it readable") from None
    return replace(snapshot, holdings={**snapshot.holdings, **read_holdings(files)})


class DirectorySource:
    """Follows a directory. A file that is broken or half written changes nothing and becomes a finding.

    `services` is the directory of the status tree that says who holds which address. Who writes that tree leaves it
    out, and knows better than the statuses that may stand in the manifests. `reports` is that in which daemons say of
    themselves what others read.
    """

    touched: frozenset[ObjectRef] | None = None
    """In which Services a snapshot differs from the one before is not known."""

    def __init__(self, path: Path, services: Path | None, intake: Intake, reports: Path | None = None) -> None:
        self._path = path
        self._watched = tuple(each for each in (path, services, reports) if each is not None)
        self._intake = intake
        self._manifests = Folder(path)
        self._statuses = None if services is None else Folder(services)
        self._reports = None if reports is None else Folder(reports)
        self._holdings: dict[str, tuple[ObjectRef, Holding]] = {}

    def require(self) -> None:
        """Raise SettingError if there is no such directory: worth knowing before anything else is made."""
        if not self._path.is_dir():
            raise SettingError(f"--source dir:{self._path}", "there is no such directory", "create it")

    def read(self, watch: DirectoryWatch | None = None) -> Snapshot:
        """Read what changed and return everything that is in force; `watch` tells what is being written meanwhile."""
        touched = watch.take_touched() if watch else frozenset()
        changes = (
            self._manifests.changes(touched=touched, unfinished=watch.unfinished, changing=watch.drain)
            if watch
            else self._manifests.changes()
        )
        for name, text in changes.read.items():
            try:
                self._intake.declare(name, parse_documents(text, name))
            except ConfigError as error:
                self._intake.unreadable(name, error.finding)
        for name, finding in changes.failed.items():
            self._intake.unreadable(name, finding)
        for name in changes.gone:
            self._intake.withdraw(name)
        if self._reports is not None:
            self._read_reports(self._reports, touched)
        if changes.folder_failed:
            self._intake.unreadable("", changes.folder_failed)
        else:
            self._intake.withdraw("")
        return self._intake.snapshot(self._read_holdings(touched))

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the snapshot of now, and then one after every change that changed something."""
        self.require()
        last: Snapshot | None = None
        with DirectoryWatch(self._watched) as watch:
            while True:
                snapshot = await asyncio.to_thread(self.read, watch)
                if snapshot != last:
                    yield snapshot
                last = snapshot
                await watch.changed()

    def _read_reports(self, folder: Folder, touched: frozenset[Path]) -> None:
        """Take in what daemons say; what cannot be understood says nothing new."""
        changes = folder.changes(touched=touched)
        for name in changes.gone:
            self._intake.withdraw(f"{_REPORT}{name}")
        for name, text in changes.read.items():
            with suppress(ConfigError):
                self._intake.declare(f"{_REPORT}{name}", parse_documents(text, name))

    def _read_holdings(self, touched: frozenset[Path]) -> Mapping[ObjectRef, Holding]:
        if self._statuses is None:
            return self._intake.holdings()
        changes = self._statuses.changes(touched=touched)
        for name in changes.gone:
            self._holdings.pop(name, None)
        for name, text in changes.read.items():
            if (parsed := read_service_status(text)) is not None:
                self._holdings[name] = parsed
        return dict(self._holdings.values())
