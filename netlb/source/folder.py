"""Reads the files of one directory, and of those that did not change nothing but their time stamps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netlb.findings import Finding
from netlb.reasons import ManifestProblem

__all__ = ["Changes", "Folder", "is_manifest"]

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})  # those that `kubectl apply -f DIRECTORY` reads
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the last time, by name of file."""

    read: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Finding] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    folder_failed: Finding | None = None
    """Set while the directory itself cannot be listed; then nothing else is known."""


def is_manifest(path: Path) -> bool:
    """Say whether a directory's entry is read: by its suffix, if it is a file and not hidden."""
    return path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()


class Folder:
    """The manifests of a directory: not its hidden files, and not its subdirectories, as with kubectl."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._seen: dict[str, tuple[int, ...]] = {}
        self._failed: set[str] = set()

    def changes(
        self,
        *,
        touched: frozenset[Path] = frozenset(),
        unfinished: frozenset[Path] = frozenset(),
        changing: Callable[[], frozenset[Path]] = frozenset,
    ) -> Changes:
        """Read what is new; a file among `touched` is read again even if its time stamp is the same.

        Files among `unfinished` stay as they were: somebody is writing them. So do those that are among `changing()`
        after they have been read: what was read may be half of them, and they are read again the next time.
        """
        try:
            names = sorted(path.name for path in self._path.iterdir() if is_manifest(path))
        except OSError as error:
            return Changes(folder_failed=_finding(str(self._path), error.strerror or str(error)))
        read: dict[str, str] = {}
        failed: dict[str, Finding] = {}
        for name in names:
            path = self._path / name
            if path in unfinished:
                continue
            try:
                status = path.stat()
                signature = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
                if self._seen.get(name) == signature and path not in touched:
                    continue
                if status.st_size > _MAX_BYTES:
                    failed[name] = _finding(name, f"the file is larger than {_MAX_BYTES} bytes")
                    continue
                read[name] = path.read_text("utf-8")
            except FileNotFoundError:
                continue
            except OSError as error:
                failed[name] = _finding(name, error.strerror or str(error))
            except UnicodeDecodeError:
                failed[name] = _finding(name, "the file is not UTF-8 text")
            else:
                self._seen[name] = signature
        for path in changing():
            if read.pop(path.name, None) is not None:
                self._seen[path.name] = ()
        gone = frozenset((self._seen.keys() | self._failed) - set(names))
        for name in gone:
            self._seen.pop(name, None)
        self._failed = (self._failed | failed.keys()) - gone - read.keys()
        return Changes(read, failed, gone)


def _finding(origin: str, problem: str) -> Finding:
    return Finding(
        origin=origin,
        reason=ManifestProblem.UNREADABLE_FILE,
        problem=problem,
        remedy="make it readable; until then the last good content stays in force",
    )
