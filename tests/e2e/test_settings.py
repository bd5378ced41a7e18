"""Settings that cannot work: one line on stderr that says which, why and what to do, and the documented exit status."""

import os
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.daemons import BIN
from tests.support.site import Site

USAGE, NO_PERMISSION = 64, 77


def refused(status: int, command: Sequence[str], *words: str) -> None:
    """Run a daemon that has to refuse, and compare its exit status and its only line with what is expected."""
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    check_refusal(status, ended, *words)


def check_refusal(status: int, ended: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert "" == ended.stdout
    [line] = ended.stderr.splitlines()
    assert status == ended.returncode
    assert re.search(".*".join(map(re.escape, words)), line), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], ("--source", "is not set", "dir:PATH, kube"), id="no source"),
        pytest.param(
            ["--source", "http:/x"], ("--source", "'http:/x' is of no known kind", "dir:"), id="unknown scheme"
        ),
        pytest.param(["--source", "kube:/nowhere"], ("kubeconfig /nowhere", "not found"), id="no kubeconfig"),
        pytest.param(["--source", "kube", "--status-dir", "/x"], ("--status-dir", "into the API"), id="no status tree"),
        pytest.param(["--source", "dir:"], ("--source", "names no directory", "dir:PATH"), id="no path"),
        pytest.param(["--http", "0.0.0.0:9100"], ("--http", "0.0.0.0 can be reached", "proxy"), id="strangers"),
        pytest.param(["--http", "[::]:9100"], ("--http", ":: can be reached", "proxy"), id="strangers, IPv6"),
        pytest.param(["--http", "9100"], ("--http", "'9100' is not an address and a port"), id="no address"),
        pytest.param(["--log-level", "loud"], ("--log-level", "'loud' is not a choice", "debug"), id="log level"),
    ],
)
@pytest.mark.parametrize("daemon", ["controller", "speaker"])
def test_what_can_be_refused_before_anything_is_done(
    daemon: str, arguments: list[str], words: tuple[str, ...], tmp_path: Path
) -> None:
    with_source = [] if not arguments or "--source" in arguments else ["--source", f"dir:{tmp_path}"]
    refused(USAGE, [str(BIN / f"netlb-{daemon}"), *with_source, *arguments], f"netlb-{daemon}: ", *words)


def test_a_way_to_detect_conflicts_that_there_is_not(tmp_path: Path) -> None:
    words = ("--conflict-detection", "'maybe' is not a choice", "off, probe")
    command = [str(BIN / "netlb-speaker"), "--source", f"dir:{tmp_path}", "--conflict-detection", "maybe"]
    refused(USAGE, command, *words)
    variable = {**os.environ, "NETLB_CONFLICT_DETECTION": "maybe"}
    ended = subprocess.run(command[:-2], check=False, capture_output=True, text=True, timeout=30, env=variable)
    check_refusal(USAGE, ended, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bfd-key-file", "KEY"], ("--bfd-key-file: KEY: others may read or change it (mode 0644)", "chmod 600")),
        (["--bfd-key-file", "KEY", "--liveness", "static"], ("--bfd-key-file: with --liveness static", "leave one")),
        (["--bfd-unauthenticated", "accept"], ("--bfd-unauthenticated: without --bfd-key-file", "name a key")),
        (["--liveness", "lease"], ("--liveness: Leases are objects in the API", "choose bfd or static")),
        (["--lease-duration", "1"], ("--lease-duration: '1'", "from 2 to 3600")),
        (["--lease-duration", "soon"], ("--lease-duration: 'soon'", "leave it out for 4")),
        (["--bfd-unauthenticated", "perhaps"], ("--bfd-unauthenticated", "'perhaps' is not a choice")),
    ],
)
def test_a_key_that_cannot_be_one(tmp_path: Path, arguments: list[str], words: tuple[str, ...]) -> None:
    key = tmp_path / "key"
    key.write_text("not shown")
    key.chmod(0o644)
    given = [argument.replace("KEY", str(key)) for argument in arguments]
    expected = [word.replace("KEY", str(key)) for word in words]
    refused(USAGE, [str(BIN / "netlb-speaker"), "--source", f"dir:{tmp_path}", *given], "netlb-speaker: ", *expected)


@pytest.mark.parametrize("more", [[], ["--print-plan"]], ids=["run", "print"])
def test_a_source_that_is_missing_is_not_made_up(site: Site, more: list[str]) -> None:
    missing = site.root / "nowhere" / "cluster"
    command = [str(BIN / "netlb-controller"), "--source", f"dir:{missing}", *more]
    refused(USAGE, command, f"--source dir:{missing}", "there is no such directory", "create it")
    assert not missing.parent.exists()


def test_a_port_in_use(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [str(BIN / "netlb-controller"), "--source", f"dir:{site.manifests}", "--http", listen]
        refused(USAGE, command, f"--http: cannot listen on {listen}", "Address already in use", "stop it")
    assert not site.status.root.exists()


@pytest.mark.parametrize("directory", ["/dev/null/status", "/proc/nothing/status"])
def test_a_status_directory_that_cannot_be_made(site: Site, directory: str) -> None:
    command = site.command("controller", "--status-dir", directory)
    refused(USAGE, command, f"--status-dir: {directory}", "name a directory that can be written")


def test_a_second_controller_keeps_its_hands_off(site: Site) -> None:
    first = site.controller()
    site.await_ready(first)
    command = [str(BIN / "netlb-controller"), "--source", f"dir:{site.manifests}"]
    words = (f"another netlb-controller (pid {first.process.pid}) writes to", "a directory of its own")
    refused(USAGE, command, "--status-dir", *words)
    assert first.running()
    first.kill()
    successor = site.controller()
    site.await_ready(successor)
    assert successor.running()


@pytest.mark.root
def test_a_speaker_that_may_not_open_raw_sockets(cluster: Cluster) -> None:
    without = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]
    command = [*without, *cluster.command("speaker", "--node-name", "node-1")]
    ended = cluster.lab.nodes["node-1"].run(command, check=False, timeout=30)
    check_refusal(NO_PERMISSION, ended, "open a packet socket (it needs CAP_NET_RAW)", "EPERM")
    assert [] == cluster.status.announcers("192.168.122.90")


@pytest.mark.root
def test_a_speaker_whose_source_is_missing(cluster: Cluster) -> None:
    missing = cluster.root / "nowhere" / "cluster"
    command = [str(BIN / "netlb-speaker"), "--source", f"dir:{missing}", "--node-name", "node-1"]
    ended = cluster.lab.nodes["node-1"].run(command, check=False, timeout=30)
    check_refusal(USAGE, ended, f"--source dir:{missing}", "there is no such directory", "create it")
    assert not missing.parent.exists()


@pytest.mark.root
def test_a_second_speaker_of_the_same_node_keeps_its_hands_off(cluster: Cluster) -> None:
    first = cluster.speaker("node-1")
    cluster.await_ready(first)
    command = [str(BIN / "netlb-speaker"), "--source", f"dir:{cluster.manifests}", "--node-name", "node-1"]
    ended = cluster.lab.nodes["node-1"].run(command, check=False, timeout=30)
    lines = [line for line in ended.stderr.splitlines() if "error" in line]
    assert USAGE == ended.returncode
    [line] = lines
    assert f"another netlb-speaker-node-1 (pid {first.process.pid}) writes to" in line
    assert first.running()
