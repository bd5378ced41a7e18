"""What speakers say that they hold, from the status tree: speakerstatuses/NODE.yaml."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from netlb.api.documents import parse_value
from netlb.api.reports import SpeakerStatus
from netlb.errors import ConfigError
from netlb.plan.tenure import Terms, read_tenancies
from netlb.source.folder import Folder
from netlb.source.status import SPEAKERS
from netlb.source.watch import DirectoryWatch

__all__ = ["Tell", "TenancySource", "follow_tree"]

Tell = Callable[[Mapping[str, Terms]], None]
"""Is told what each node says that it holds: once at first, and then after every change."""
TenancySource = Callable[[Tell], Awaitable[None]]
"""Tells until cancelled."""


async def follow_tree(root: Path, tell: Tell) -> None:
    """Follow the files of a status tree; one that cannot be understood says nothing new."""
    path = root / SPEAKERS
    folder = Folder(path)
    said: dict[str, tuple[str, Terms]] = {}
    with DirectoryWatch([path]) as watch:
        while True:
            changes = folder.changes(touched=watch.take_touched())
            for name in changes.gone:
                said.pop(name, None)
            for name, text in changes.read.items():
                try:
                    status = msgspec.convert(parse_value(text, name), SpeakerStatus)
                except (ConfigError, msgspec.ValidationError):
                    continue
                said[name] = status.metadata.name, read_tenancies(status.status.holding)
            if changes.folder_failed:  # nobody has said anything yet
                said.clear()
            tell(dict(said.values()))
            await watch.changed()
