"""Keeps what was last heard from the API server on disk, to start from while it is away.

A file is replaced as a whole and synced to the disk; its first line has a checksum over the rest, so that half a file,
or a changed one, is seen to be that. It is readable by its owner only. Passwords go into it only if the directory, too,
is closed to others.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgspec

from netlb.errors import SettingError, TransientError
from netlb.source.kube_kinds import SECRETS

__all__ = ["Keeper", "Kept"]

_FORMAT = 1
_PIECE = 100
"""Objects that are written without a pause."""
_SECRET = f"{SECRETS}/"


class _Head(msgspec.Struct, frozen=True):
    netlb: int
    """The format."""
    source: str
    saved: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was heard, as of a time in seconds since 1970."""

    saved: int
    objects: Mapping[str, bytes]
    """The JSON of objects, by origin."""


class Keeper:
    """One file of a directory. `source` names what is followed: what was heard from another one does not count."""

    def __init__(self, directory: Path, name: str, source: str) -> None:
        self.path = directory / f"{name}.snapshot"
        self._source = source
        self._private = False

    def open(self) -> bool:
        """Make the directory if it is not there; say whether it is closed to others. Raises SettingError."""
        directory = self.path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = directory.stat()
        except OSError as error:
            remedy = "name a directory that can be written"
            raise SettingError("--state-dir", f"{directory}: {error.strerror}", remedy) from None
        self._private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        return self._private

    def load(self) -> Kept | None:
        """Return what was kept, or None. Raises TransientError, which says why what is there is not used."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        line, _, body = content.partition(b"\n")
        try:
            head = msgspec.json.decode(line, type=_Head)
            if head.netlb != _FORMAT:
                raise self._unusable(f"it is of format {head.netlb}, not {_FORMAT}")
            if head.sha256 != sha256(body).hexdigest():
                raise self._unusable("its checksum is not that of its content")
            if head.source != self._source:
                raise self._unusable(f"it was heard from {head.source}, not from {self._source}")
            objects = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            raise self._unusable("it is not what netlb writes") from None
        return Kept(head.saved, {origin: bytes(content) for origin, content in objects.items()})

    def save(self, objects: Iterable[tuple[str, bytes]], now: int) -> Iterator[None]:
        """Replace what is kept by the JSON of objects, by origin; yields now and then. Raises TransientError.

        What is kept is whole, and the one of before, until all of it has been written: memory is not taken for it.
        """
        kept = (
            msgspec.json.encode(origin) + b":" + content
            for origin, content in objects
            if self._private or not origin.startswith(_SECRET)
        )
        temporary = self.path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)  # one that a predecessor left
                checksum = sha256()
                file.write(self._head(checksum.hexdigest(), now))
                before = b"{"
                while piece := b",".join(islice(kept, _PIECE)):
                    checksum.update(before + piece)
                    file.write(before + piece)
                    before = b","
                    yield
                end = b"}" if before == b"," else b"{}"
                checksum.update(end)
                file.write(end)
                file.seek(0)
                file.write(self._head(checksum.hexdigest(), now))
                file.flush()
                os.fsync(descriptor)
            temporary.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise TransientError(f"{self.path}: what was heard cannot be kept: {error.strerror}") from None

    def _head(self, checksum: str, now: int) -> bytes:
        """Return the first line, which is as long whatever the checksum is."""
        return msgspec.json.encode(_Head(_FORMAT, self._source, now, checksum)) + b"\n"

    def _unusable(self, why: str) -> TransientError:
        return TransientError(f"{self.path}: {why}; it is not used, and replaced when the API server answers")
