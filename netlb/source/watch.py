"""Says when something in a directory changed, and which of its files somebody is writing at this moment."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncinotify import Event, Inotify, Mask

__all__ = ["DirectoryWatch"]

# Changes that belong together (a `kubectl`-style apply of several files) become one event.
_SETTLE_SECONDS = 0.02

_INSIDE = (
    Mask.CREATE
    | Mask.MODIFY
    | Mask.ATTRIB
    | Mask.CLOSE_WRITE
    | Mask.MOVED_FROM
    | Mask.MOVED_TO
    | Mask.DELETE
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
)
_PARENT = Mask.CREATE | Mask.MOVED_TO


class DirectoryWatch:
    """Watches directories by inotify; one that vanishes and comes back is watched again.

    A context manager: on entering, the watches stand before anything is read, so that no change is lost.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = tuple(directory.absolute() for directory in directories)
        self._unfinished: set[Path] = set()
        self._touched: set[Path] = set()

    def __enter__(self) -> Self:
        self._inotify = Inotify(sync_timeout=0)
        for parent in {directory.parent for directory in self._directories} - set(self._directories):
            self._inotify.add_watch(parent, _PARENT)  # the mask of a watched directory itself has all of this
        for directory in self._directories:
            self._watch(directory)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inotify.close()

    async def changed(self) -> None:
        """Wait until something changed, and a moment longer for what comes along with it."""
        if not self._touched:
            self._note(await self._inotify.get())
        await asyncio.sleep(_SETTLE_SECONDS)
        self.drain()

    def drain(self) -> frozenset[Path]:
        """Take in what has happened up to now, without waiting; return the files that changed since they were taken."""
        while (event := self._inotify.sync_get()) is not None:
            self._note(event)
        return frozenset(self._touched)

    def take_touched(self) -> frozenset[Path]:
        """Return the files that changed since the last call, and forget them."""
        touched, self._touched = frozenset(self._touched), set()
        return touched

    @property
    def unfinished(self) -> frozenset[Path]:
        """Files that are open and have been written to: what they hold now may be half of it."""
        return frozenset(self._unfinished)

    def _watch(self, directory: Path) -> None:
        try:
            self._inotify.add_watch(directory, _INSIDE)
        except OSError:
            # Not there (any more): the watch on its parent says when it is.
            self._unfinished = {path for path in self._unfinished if path.parent != directory}

    def _note(self, event: Event) -> None:
        if Mask.Q_OVERFLOW in event.mask:
            self._unfinished.clear()
            for directory in self._directories:
                self._watch(directory)
            return
        path = event.path
        if path is None:
            return
        if path in self._directories:
            self._watch(path)
            return
        self._touched.add(path)
        if Mask.CLOSE_WRITE in event.mask or event.mask & (Mask.MOVED_FROM | Mask.MOVED_TO | Mask.DELETE):
            self._unfinished.discard(path)
        elif Mask.MODIFY in event.mask or (Mask.CREATE in event.mask and _is_being_written(path)):
            self._unfinished.add(path)


def _is_being_written(path: Path) -> bool:
    """Tell a file that was created by opening it, which will be closed, from a link, which will not."""
    try:
        return path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1
    except OSError:
        return False
