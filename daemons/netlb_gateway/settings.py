"""What netlb-gateway is told."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from netlb.errors import SettingError
from netlb.raven.adapter.strongswan import VICI
from netlb.raven.backend import Choice
from netlb.raven.dataplane import Numbers
from netlb.runtime.config import CommonSettings

__all__ = ["KEY_FILE", "NAME", "SHARED_KEY_FILE", "GatewaySettings", "parse_numbers"]

NAME: Final = "netlb-gateway"
KEY_FILE: Final = "--key-file"
SHARED_KEY_FILE: Final = "--shared-key-file"
_NUMBER: Final = "--number"


_DEFAULTS: Final = Numbers()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What netlb-gateway is told."""

    common: CommonSettings
    status_dir: Path | None
    """Of a directory of manifests: the status tree."""
    node: str
    key_file: Path
    shared_key_file: Path | None = None
    """None: tunnels are bound by their own keys alone."""
    backend: Choice = Choice.AUTO
    vici: Path = VICI
    """Where strongSwan listens, with `Choice.IPSEC`."""
    numbers: Numbers = _DEFAULTS
    state_dir: Path | None = None
    """Of a cluster: where what was heard is kept; None: nowhere."""
    withdraws: bool = False
    """Whether nothing is left when it stops."""


def parse_numbers(texts: tuple[str, ...]) -> Numbers:
    """Read the values of --number. Raises `SettingError`."""
    readers: dict[str, Any] = {each.name: type(each.default) for each in fields(Numbers)}
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in readers:
            remedy = f"write NAME=VALUE, NAME being one of: {', '.join(readers)}"
            raise SettingError(_NUMBER, f"{text!r} names no number", remedy)
        try:
            given[name] = readers[name](value)
        except ValueError as error:
            raise SettingError(_NUMBER, f"{text!r}: {error}", "correct it") from None
    try:
        return Numbers(**given)
    except ValueError as error:
        raise SettingError(_NUMBER, str(error), "correct it; all nodes need the same") from None
