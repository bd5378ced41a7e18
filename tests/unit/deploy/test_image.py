"""The Dockerfile has what it copies and starts what there is; its probe asks as the kubelet would."""

import configparser
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.deployed import DEPLOY, containers, kustomized

ROOT = DEPLOY.parent
DOCKER = DEPLOY / "docker"
PROBE = DOCKER / "netlb-probe"


def instructions() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's instructions, by stage."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, text.splitlines()):
        verb, _, rest = line.partition(" ")
        if verb == "FROM":
            found = stages[rest.partition(" AS ")[2]] = []
        found.append((verb, " ".join(rest.split())))
    return stages


def test_it_copies_what_there_is_and_what_the_build_may_see() -> None:
    seen = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {
        source
        for stage in instructions().values()
        for verb, rest in stage
        if verb == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert [] == [source for source in copied if not (ROOT / source).exists()]
    assert sorted(seen) == sorted(copied)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = {"setup.cfg", "pyproject.toml", setup["metadata"]["license_files"], "netlb", "daemons"}
    needed.add(setup["metadata"]["long_description"].removeprefix("file: "))
    assert needed <= copied


def test_it_starts_commands_that_are_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = setup["options.entry_points"]["console_scripts"]
    stages = instructions()
    for daemon in ("controller", "speaker", "gateway"):
        (entrypoint,) = (rest for verb, rest in stages[daemon] if verb == "ENTRYPOINT")
        assert f'["netlb-{daemon}"]' == entrypoint
        assert f"netlb-{daemon} =" in scripts


def test_what_needs_capabilities_runs_as_root_and_has_the_programs_that_it_starts() -> None:
    stages = instructions()
    users = {name: [rest for verb, rest in stage if verb == "USER"] for name, stage in stages.items()}
    assert {"build": [], "controller": ["65532:65532"], "speaker": ["0:0"], "gateway": ["0:0"]} == users
    installed = {
        name: " ".join(
            re.findall(r"--no-install-recommends ([^&]+)", rest)[0] for verb, rest in stage if "apt-get" in rest
        )
        for name, stage in stages.items()
        if stage
    }
    assert {
        "build": "python3 python3-venv ",
        "controller": "python3 ca-certificates ",
        "speaker": "gobgpd ",
        "gateway": "nftables wireguard-go ",
    } == installed


def test_the_last_stages_begin_at_debian_and_the_build_is_left_behind() -> None:
    bases = {name: stage[0][1].partition(" AS ")[0] for name, stage in instructions().items()}
    debian = "debian:12-slim"
    assert {"build": debian, "controller": debian, "speaker": "controller", "gateway": "controller"} == bases


def test_the_manifests_run_the_programs_of_the_image() -> None:
    found = containers(kustomized(DEPLOY / "overlays" / "raven-prometheus"))
    asked = found["netlb-controller/controller"]["livenessProbe"]["exec"]["command"][0]
    assert any(
        rest.endswith(f"/usr/local/bin/{asked}") for verb, rest in instructions()["controller"] if verb == "COPY"
    )
    for container in found.values():
        assert "command" not in container, "the image's entry point is the daemon"


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {"/healthz": (200, b"ok\n"), "/readyz": (503, b"source: no snapshot yet\n")}[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def probe(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-IS", PROBE, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_probe_passes_where_a_page_answers_200(pages: str) -> None:
    assert (0, "") == probe(pages, "/healthz")


def test_the_probe_says_what_a_page_says_that_does_not(pages: str) -> None:
    code, said = probe(pages, "/readyz")
    assert (1, "source: no snapshot yet\n") == (code, said.replace("\n\n", "\n"))


def test_the_probe_fails_where_nobody_listens(pages: str) -> None:
    host, _, _ = pages.partition(":")
    code, said = probe(f"{host}:1", "/healthz")
    assert 1 == code
    assert fnmatch(said, "127.0.0.1:1: *refused*\n")


def test_the_probe_runs_as_it_is_in_the_image() -> None:
    assert "#!/usr/bin/python3 -IS" == PROBE.read_text().splitlines()[0]
    assert PROBE.stat().st_mode & 0o111
