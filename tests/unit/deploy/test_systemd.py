"""The units are ones that systemd takes, start the daemons with settings that these know, and give them little."""

import re
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from netlb.raven.adapter import wireguard_go
from tests.support.deployed import DAEMONS, DEPLOY
from tests.support.needs import needs_command

FOLDER = DEPLOY / "systemd"
EXPOSURE = {"controller": 1.5, "speaker": 2.0, "gateway": 2.0}
"""Of 10, as systemd counts; most programs without hardening have 9.6."""

every = pytest.mark.parametrize("daemon", DAEMONS)


class Repeated(dict[str, Any]):
    """Keeps every value of an option that stands more than once."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            value = self[key] + value
        super().__setitem__(key, value)


def unit(daemon: str) -> dict[str, str]:
    parser = RawConfigParser(strict=False, dict_type=Repeated, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(FOLDER / f"netlb-{daemon}.service")
    return dict(parser["Service"])


def environment(daemon: str) -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in unit(daemon)["Environment"].split())


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with programs that are there."""
    for path in FOLDER.glob("*.service"):
        text = re.sub(
            r"^ExecStart=/opt/netlb/bin/netlb-\w+$", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE
        )
        assert "ExecStart=/bin/true" in text
        (tmp_path / path.name).write_text(text)
    return tmp_path


def test_systemd_takes_them(units: Path) -> None:
    analyze = needs_command("systemd-analyze", "systemd")
    paths = sorted(units.glob("*.service"))
    done = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stdout + done.stderr)


@every
def test_little_is_open_to_them(units: Path, daemon: str) -> None:
    analyze = needs_command("systemd-analyze", "systemd")
    command = [analyze, "security", "--offline=yes", str(units / f"netlb-{daemon}.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (exposure,) = re.findall(r"Overall exposure level for \S+ ([\d.]+)", done.stdout)
    assert float(exposure) <= EXPOSURE[daemon]


@every
def test_settings_are_ones_that_the_daemon_knows(daemon: str) -> None:
    known = {str(option.envvar) for option in DAEMONS[daemon].params if option.envvar}
    assert environment(daemon).keys() <= known
    assert f"/opt/netlb/bin/netlb-{daemon}" == unit(daemon)["ExecStart"]


@every
def test_it_may_write_where_it_is_told_to(daemon: str) -> None:
    service, told = unit(daemon), environment(daemon)
    kept = [f"/var/lib/{name}" for name in service["StateDirectory"].split()]
    assert told["NETLB_STATUS_DIR"] == kept[0]
    assert told["NETLB_HTTP"].startswith(f"unix:/run/{service['RuntimeDirectory'].split()[0]}/")
    if daemon == "gateway":
        assert [str(Path(told["NETLB_KEY_FILE"]).parents[1])] == kept[1:], "the key's own directory has mode 0700"
    if daemon == "speaker":
        assert "netlb" == service["RuntimeDirectory"], "the default of --gobgp-dir is below it"


def test_all_share_a_user_that_sysusers_makes() -> None:
    assert re.search(r"^u netlb ", (FOLDER / "netlb.conf").read_text(), re.MULTILINE)
    for daemon in DAEMONS:
        assert ("netlb", "netlb") == (unit(daemon)["User"], unit(daemon)["Group"])


def test_each_has_the_capabilities_that_it_needs() -> None:
    assert "" == unit("controller")["CapabilityBoundingSet"]
    assert "AmbientCapabilities" not in unit("controller")
    needed = {"CAP_NET_RAW", "CAP_NET_BIND_SERVICE"}
    for setting in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert needed == set(unit("speaker")[setting].split())
        assert {"CAP_NET_ADMIN"} == set(unit("gateway")[setting].split())


def test_what_holds_the_tunnels_outlives_the_gateway() -> None:
    """wireguard-go is not killed with it, finds /dev/net/tun, and keeps its sockets where the next start looks for them."""
    service = unit("gateway")
    assert ("process", "yes", "/dev/net/tun rw") == tuple(
        service[name] for name in ("KillMode", "RuntimeDirectoryPreserve", "DeviceAllow")
    )
    assert f"/run/{service['RuntimeDirectory'].split()[1]}" == str(wireguard_go.SOCKETS).removeprefix("/var")
    assert "PrivateDevices" not in service


@every
def test_it_is_left_the_time_to_stop_in_order(daemon: str) -> None:
    assert ("notify", "20s", "30s") == tuple(unit(daemon)[name] for name in ("Type", "TimeoutStopSec", "WatchdogSec"))


def test_the_responder_is_told_to_stop_by_the_speaker_alone_and_outlives_its_crash() -> None:
    assert "process" == unit("speaker")["KillMode"]
    assert "restart" == unit("speaker")["RuntimeDirectoryPreserve"], "the default of --worker-dir is below it"
    assert 0 < float(environment("speaker")["NETLB_ORPHAN_GRACE"])
