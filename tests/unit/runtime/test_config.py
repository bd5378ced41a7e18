"""The shared settings: flags, environment, and what their values mean."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from netlb.api.dialects import Compatibility, System
from netlb.errors import SettingError
from netlb.runtime.config import CommonSettings, DirectorySpec, KubeSpec, common_options, parse_source
from netlb.runtime.listen import TcpListen
from netlb.runtime.log import LogFormat, LogLevel

SOURCES = "dir:PATH, kube or kube:KUBECONFIG"


@click.command()
@common_options(http="127.0.0.1:7481")
def command(**flags: Any) -> None:
    """Print what was understood."""
    click.echo(repr(CommonSettings.parse(**flags)))


def settings(**changes: Any) -> CommonSettings:
    defaults: dict[str, Any] = {
        "source": DirectorySpec(Path("/manifests")),
        "log_level": LogLevel.INFO,
        "log_format": LogFormat.CONSOLE,
        "http": TcpListen("127.0.0.1", 7481),
        "compatibility": Compatibility(),
    }
    return CommonSettings(**(defaults | changes))


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (["--source=dir:/manifests"], {}, settings()),
        ([], {"NETLB_SOURCE": "dir:/manifests"}, settings()),
        (
            ["--source=dir:/manifests", "--http=off", "--log-level=debug", "--log-format=json"],
            {},
            settings(http=None, log_level=LogLevel.DEBUG, log_format=LogFormat.JSON),
        ),
        (
            ["--source=dir:/manifests", "--compat=metallb, purelb", "--purelb-namespace=lb"],
            {},
            settings(
                compatibility=Compatibility(systems=frozenset({System.METALLB, System.PURELB}), purelb_namespace="lb")
            ),
        ),
        (
            ["--source=dir:/manifests"],
            {"NETLB_COMPAT": "none"},
            settings(compatibility=Compatibility(systems=frozenset())),
        ),
        (["--source=kube", "--namespace=lb"], {}, settings(source=KubeSpec(), namespace="lb")),
        (["--source=kube:/etc/k"], {}, settings(source=KubeSpec(Path("/etc/k")))),
        ([], {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, settings(source=KubeSpec())),
        ([], {"KUBECONFIG": "/etc/k"}, settings(source=KubeSpec())),
        (["--source=dir:/manifests"], {"KUBECONFIG": "/etc/k"}, settings()),
        (
            ["--log-level=error"],
            {
                "NETLB_SOURCE": "dir:/manifests",
                "NETLB_HTTP": "off",
                "NETLB_LOG_LEVEL": "debug",
                "NETLB_LOG_FORMAT": "json",
            },
            settings(http=None, log_level=LogLevel.ERROR, log_format=LogFormat.JSON),
        ),
    ],
)
def test_flags_go_before_the_environment_before_defaults(
    flags: list[str], environment: dict[str, str], expected: CommonSettings
) -> None:
    result = CliRunner().invoke(command, flags, env=environment)
    assert (result.exit_code, result.output) == (0, f"{expected!r}\n")


def test_help_names_every_variable_and_default() -> None:
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    for part in ("NETLB_SOURCE", "NETLB_HTTP", "127.0.0.1:7481", "debug, info, warning, error", "console, json"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, f"--source: is not set; say where the manifests are: {SOURCES}"),
        ("http:/x", f"--source: 'http:/x' is of no known kind; write {SOURCES}"),
        ("dir", f"--source: 'dir' names no directory; write {SOURCES}"),
        ("dir:", f"--source: 'dir:' names no directory; write {SOURCES}"),
        ("kube:", f"--source: 'kube:' names no kubeconfig; write {SOURCES}"),
    ],
)
def test_a_source_that_it_refuses(text: str | None, problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_source(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["dir:some/folder:x", "kube", "kube:/etc/netlb/kubeconfig"])
def test_a_source_reads_as_it_was_written(text: str) -> None:
    assert text == str(parse_source(text))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"log_level": "loud"},
            "--log-level: 'loud' is not a choice; choose one of: debug, info, warning, error",
        ),
        (
            {"compat": "metallb,kubevip"},
            "--compat: 'kubevip' is no system that is understood; "
            "name some of metallb,openelb,purelb,raven, with commas, or write none",
        ),
        (
            {"compat": ""},
            "--compat: '' is no system that is understood; "
            "name some of metallb,openelb,purelb,raven, with commas, or write none",
        ),
        ({"log_format": "xml"}, "--log-format: 'xml' is not a choice; choose one of: console, json"),
    ],
)
def test_a_word_that_is_no_choice_is_refused(changes: dict[str, str], problem: str) -> None:
    texts = {"source": "dir:x", "log_level": "info", "log_format": "json", "http": "off"} | changes
    with pytest.raises(SettingError) as caught:
        CommonSettings.parse(**texts)
    assert str(caught.value) == problem
