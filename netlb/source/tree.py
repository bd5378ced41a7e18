"""The status tree: small YAML files beside the manifests, which people read and other processes follow.

Every file has one writer. A file is replaced as a whole or not at all, so that a reader never sees half of it
and a writer that is killed leaves the old one.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from netlb.errors import DataplaneError, SettingError
from netlb.source.status import node_path, node_status, tenancy_path, tenancy_status

__all__ = ["StatusTree", "chosen_directory", "status_directory"]


def status_directory(manifests: Path, chosen: str | None) -> Path:
    """Return where the status tree of a directory of manifests is: as chosen, or beside it as PATH.status."""
    if chosen:
        return Path(chosen)
    absolute = manifests.absolute()
    return absolute.with_name(absolute.name + ".status")


def chosen_directory(manifests: Path | None, chosen: str | None) -> Path | None:
    """Return where the status tree is; None without manifests, as status is in the API then. Raises SettingError."""
    if manifests is None and chosen:
        raise SettingError("--status-dir", "with --source kube, status is written into the API", "leave it out")
    return None if manifests is None else status_directory(manifests, chosen)


class StatusTree:
    """One writer's part of the tree: `Operations` over the texts of its files, keyed by path within the tree.

    `mine` says which paths belong to this writer; no other file is touched. `writer` names the process in the
    lock that keeps a second one out.
    """

    def __init__(self, root: Path, writer: str, mine: Callable[[str], bool]) -> None:
        self._root = root
        self._writer = writer
        self._mine = mine
        self._lock: BinaryIO | None = None

    def open(self) -> None:
        """Make the directory and take the writer's lock; SettingError if another process holds it."""
        path = self._root / f".{self._writer}.lock"
        try:
            (self._root / "services").mkdir(parents=True, exist_ok=True)
            lock = path.open("ab+")
        except OSError as error:
            raise SettingError(
                "--status-dir", f"{self._root}: {error.strerror}", "name a directory that can be written"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().decode(errors="replace").strip()
            lock.close()
            raise SettingError(
                "--status-dir",
                f"another {self._writer} (pid {holder}) writes to {self._root}",
                "stop it, or give this one a directory of its own",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        self._lock = lock
        for leftover in self._root.rglob(".*.tmp"):
            if self._mine(str(leftover.relative_to(self._root).with_name(leftover.name[1:-4]))):
                leftover.unlink(missing_ok=True)

    @property
    def is_open(self) -> bool:
        """Whether this writer has the lock: nothing may be written without it."""
        return self._lock is not None

    def close(self) -> None:
        """Give up the lock; what was written stays."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def keeps_whole(self) -> bool:
        """All that is said of a node is in its file."""
        return True

    def forms(self, node: Mapping[str, Any], services: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of files."""
        name = node["node"]
        tenancy = {tenancy_path(name): tenancy_status(node)} if "holding" in node else {}
        return {node_path(name): node_status(node), **tenancy, **services}

    async def observe(self) -> Mapping[str, str]:
        """Return the texts of all files that are this writer's."""
        return await asyncio.to_thread(self.read)

    async def apply(self, changes: Mapping[str, str]) -> Mapping[str, Exception]:
        """Write files; return what failed."""
        return await asyncio.to_thread(self._each, changes, lambda path: self._write(path, changes[path]))

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Delete files; return what failed."""
        return await asyncio.to_thread(self._each, keys, self._delete)

    def read(self) -> dict[str, str]:
        """Return the texts of all files that are this writer's; a file that cannot be read is empty."""
        texts: dict[str, str] = {}
        for path in self._root.rglob("*.yaml"):
            name = str(path.relative_to(self._root))
            if path.is_file() and not path.name.startswith(".") and self._mine(name):
                try:
                    texts[name] = path.read_text("utf-8")
                except FileNotFoundError:
                    continue
                except (OSError, UnicodeDecodeError):
                    texts[name] = ""  # there, and not as anybody wants it
        return texts

    def _each(self, names: Collection[str], operation: Callable[[str], None]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        for name in names:
            try:
                operation(name)
            except OSError as error:
                failures[name] = DataplaneError(f"write {self._root / name}", error.errno or 0)
        for directory in {(self._root / name).parent for name in names if name not in failures}:
            _sync(directory)
        return failures

    def _write(self, name: str, text: str) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fdatasync(file.fileno())
        temporary.replace(path)

    def _delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Make new names and deletions last: an address must survive a power cut together with its Service."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # a deletion in a directory that is gone as a whole
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
