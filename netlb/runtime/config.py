"""The settings that all daemons share: as click options, and parsed (purely) into one frozen value.

Click reads the flag or the environment; what the text means is decided here, so that a mistake is one
`SettingError` that names the flag, wherever the value came from.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

import click

from netlb.api.dialects import DEFAULT, Compatibility, System
from netlb.errors import SettingError
from netlb.runtime.listen import Listen, parse_listen
from netlb.runtime.log import LogFormat, LogLevel

__all__ = [
    "CommonSettings",
    "DirectorySpec",
    "KubeSpec",
    "SourceSpec",
    "Switch",
    "common_options",
    "compatibility_options",
    "namespace_options",
    "one_of",
    "option",
    "parse_choice",
    "parse_compatibility",
    "parse_source",
    "parse_switch",
]

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=StrEnum)


class Switch(StrEnum):
    """Whether something is done."""

    ON = "on"
    OFF = "off"


SOURCES = "dir:PATH, kube or kube:KUBECONFIG"
EVERY_SYSTEM = ",".join(System)
NO_SYSTEM = "none"


@dataclass(frozen=True, slots=True)
class DirectorySpec:
    """A directory of manifests."""

    path: Path

    def __str__(self) -> str:
        return f"dir:{self.path}"


@dataclass(frozen=True, slots=True)
class KubeSpec:
    """The API server of a kubeconfig, whose current-context counts."""

    kubeconfig: Path | None = None
    """None: the pod's service account, else $KUBECONFIG, else ~/.kube/config."""

    def __str__(self) -> str:
        return f"kube:{self.kubeconfig}" if self.kubeconfig else "kube"


SourceSpec = DirectorySpec | KubeSpec
"""Where what is declared comes from, and where status goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What every daemon is told."""

    source: SourceSpec
    log_level: LogLevel
    log_format: LogFormat
    http: Listen | None
    """None: no HTTP."""
    compatibility: Compatibility
    namespace: str = ""
    """Of netlb's own objects in the API; empty: that of the pod, or of the kubeconfig's context."""

    @property
    def directory(self) -> Path | None:
        """The directory of manifests; None: the API server."""
        return self.source.path if isinstance(self.source, DirectorySpec) else None

    @property
    def kubeconfig(self) -> Path | None:
        """The kubeconfig that was named, if any."""
        return self.source.kubeconfig if isinstance(self.source, KubeSpec) else None

    @classmethod
    def parse(
        cls,
        *,
        source: str | None,
        log_level: str,
        log_format: str,
        http: str,
        namespace: str | None = None,
        **compatibility: str,
    ) -> Self:
        """Read the values of `common_options`. Raises `SettingError`."""
        return cls(
            source=parse_source(source),
            namespace=namespace or "",
            compatibility=parse_compatibility(**compatibility),
            log_level=parse_choice("--log-level", LogLevel, log_level),
            log_format=parse_choice("--log-format", LogFormat, log_format),
            http=parse_listen(http),
        )


def option(
    flag: str, description: str, *, metavar: str, default: str | Callable[[], str | None] | None = None
) -> Callable[[F], F]:
    """Return a click option that is also read from `NETLB_*`: `--log-level` from NETLB_LOG_LEVEL."""
    variable = "NETLB_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(
        flag,
        default=default,
        metavar=metavar,
        envvar=variable,
        show_envvar=True,
        show_default=isinstance(default, str),
        help=description,
    )


def compatibility_options(command: F) -> F:
    """Add the options that say which other systems are understood, and where they keep their objects."""
    add = option("--compat", COMPAT_HELP, metavar="SYSTEMS", default=EVERY_SYSTEM)
    return add(namespace_options(command))


def namespace_options(command: F) -> F:
    """Add the options that say where other systems keep their objects."""
    for system, default in (("PureLB", DEFAULT.purelb_namespace), ("MetalLB", DEFAULT.metallb_namespace)):
        flag = f"--{system.lower()}-namespace"
        command = option(flag, f"The namespace of {system}'s objects.", metavar="NAME", default=default)(command)
    return command


def common_options(*, http: str) -> Callable[[F], F]:
    """Return a decorator that adds the shared options to a command; `http` is the daemon's own default."""
    options: list[Callable[[F], F]] = [
        option("--source", SOURCE_HELP, metavar="SPEC", default=surrounding_source),
        option("--namespace", "With kube: where netlb's own objects are; its pod's if not set.", metavar="NAME"),
        option("--http", HTTP_HELP, metavar="ADDRESS", default=http),
        option("--log-level", one_of(LogLevel), metavar="LEVEL", default=LogLevel.INFO.value),
        option("--log-format", one_of(LogFormat), metavar="FORMAT", default=LogFormat.CONSOLE.value),
        compatibility_options,
    ]

    def decorate(command: F) -> F:
        for add in reversed(options):
            command = add(command)
        return command

    return decorate


def surrounding_source() -> str | None:
    """Return the source that the surroundings suggest: the API in a pod, or where KUBECONFIG says so on purpose.

    A ~/.kube/config alone is none: a daemon that writes must not take whichever cluster its user looked at last.
    """
    return "kube" if os.environ.get("KUBERNETES_SERVICE_HOST") or os.environ.get("KUBECONFIG") else None


def parse_source(text: str | None) -> SourceSpec:
    """Read the value of `--source`. Raises `SettingError`."""
    if text is None:
        raise SettingError("--source", "is not set", f"say where the manifests are: {SOURCES}")
    scheme, colon, path = text.partition(":")
    if scheme not in ("dir", "kube"):
        raise SettingError("--source", f"{text!r} is of no known kind", f"write {SOURCES}")
    if not path and (scheme == "dir" or colon):
        what = "directory" if scheme == "dir" else "kubeconfig"
        raise SettingError("--source", f"{text!r} names no {what}", f"write {SOURCES}")
    if scheme == "kube":
        return KubeSpec(Path(path) if path else None)
    return DirectorySpec(Path(path))


def parse_compatibility(
    *,
    compat: str = EVERY_SYSTEM,
    metallb_namespace: str = DEFAULT.metallb_namespace,
    purelb_namespace: str = DEFAULT.purelb_namespace,
) -> Compatibility:
    """Read the values of `compatibility_options`. Raises `SettingError`."""
    systems = set()
    for name in (part.strip() for part in compat.split(",")) if compat != NO_SYSTEM else ():
        if name not in tuple(System):
            remedy = f"name some of {EVERY_SYSTEM}, with commas, or write {NO_SYSTEM}"
            raise SettingError("--compat", f"{name!r} is no system that is understood", remedy)
        systems.add(System(name))
    return Compatibility(
        systems=frozenset(systems), metallb_namespace=metallb_namespace, purelb_namespace=purelb_namespace
    )


def parse_switch(setting: str, text: str) -> bool:
    """Read on or off. Raises `SettingError`."""
    return parse_choice(setting, Switch, text) is Switch.ON


def parse_choice(setting: str, choices: type[E], text: str) -> E:
    """Read one of a closed set of words. Raises `SettingError`."""
    try:
        return choices(text)
    except ValueError:
        remedy = f"choose one of: {', '.join(choices)}"
        raise SettingError(setting, f"{text!r} is not a choice", remedy) from None


def one_of(choices: type[StrEnum]) -> str:
    """Return the help text of a closed set of words."""
    return f"One of: {', '.join(choices)}."


COMPAT_HELP = "The systems whose objects, annotations and classes are understood, with commas; or none."
SOURCE_HELP = (
    "Where the manifests are: dir:PATH, a directory that is watched; kube, the API server; or kube:KUBECONFIG. "
    "In a pod, or with KUBECONFIG set, kube is the default."
)
HTTP_HELP = "Where /healthz, /readyz and /metrics are served: 127.0.0.1:PORT, [::1]:PORT, unix:PATH or off."
