"""What a command is about: manifests named on its line, read together as one cluster would see them, or a cluster."""

import sys
from collections.abc import Iterable
from pathlib import Path

from netlb.api.dialects import Compatibility
from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.reasons import ManifestProblem
from netlb.runtime.config import DirectorySpec, parse_source
from netlb.source.directory import read_once
from netlb.source.folder import is_manifest
from netlb.source.tree import status_directory

__all__ = ["read_files", "read_source"]


def read_files(files: Iterable[str], compatibility: Compatibility) -> Intake:
    """Read files, directories of manifests, and standard input (-); what cannot be read becomes a finding."""
    intake = Intake(compatibility)
    for file in files:
        try:
            origins = _expand(file)
        except OSError as error:
            intake.unreadable(file, _unreadable(file, error))
            continue
        for origin in origins:
            try:
                text = sys.stdin.read() if origin == "-" else Path(origin).read_text("utf-8")
                intake.declare(origin, parse_documents(text, origin))
            except ConfigError as error:
                intake.unreadable(origin, error.finding)
            except (OSError, UnicodeDecodeError) as error:
                intake.unreadable(origin, _unreadable(origin, error))
    return intake


def read_source(
    source: str | None, status_dir: str | None, compatibility: Compatibility, reader: str = "ANNOUNCEMENTS"
) -> Snapshot:
    """Return what is declared where `--source` says, who holds what, and what gateways have published.

    Of a cluster only what `reader` follows is asked for: the name of a `netlb.source.kube_kinds.Reader`. Raises
    SettingError.
    """
    chosen = parse_source(source)
    if isinstance(chosen, DirectorySpec):
        return read_once(chosen.path, status_directory(chosen.path, status_dir), Intake(compatibility))
    from netlb.source.kube_kinds import Reader, watched  # noqa: PLC0415 - as the next one
    from netlb.source.kube_once import read_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return read_cluster(chosen.kubeconfig, Intake(compatibility), watched(compatibility, Reader[reader]))


def _expand(file: str) -> list[str]:
    path = Path(file)
    if file != "-" and path.is_dir():
        return sorted(str(path / entry.name) for entry in path.iterdir() if is_manifest(entry))
    return [file]


def _unreadable(origin: str, error: OSError | UnicodeDecodeError) -> Finding:
    return Finding(
        origin=origin,
        reason=ManifestProblem.UNREADABLE_FILE,
        problem=(error.strerror or str(error)) if isinstance(error, OSError) else "the file is not UTF-8 text",
        remedy="name a file that can be read",
    )
