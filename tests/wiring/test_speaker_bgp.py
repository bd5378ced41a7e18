"""What is wrong around BGP: one clear message each, in the node's file too, and everything else goes on."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from netlb.bgp.adapter.speaker import GobgpSpeaker
from netlb.bgp.dialect import V3
from netlb.testing.gobgp import FakeGobgpd
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.wiring import LivenessMode, SpeakerSettings, build
from tests.manifests import advertisement, node, pool, service, slice_of
from tests.support.needs import needs
from tests.support.speaking import Net
from tests.support.status import StatusReader
from tests.support.wired import Wired, allocate, common, wired, write

ADDRESS = "192.0.2.1"


def native(kind: str, name: str, **spec: Any) -> str:
    return yaml.safe_dump({"apiVersion": "netlb.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def peer(name: str, **spec: Any) -> str:
    return native("BGPPeer", name, **{"myASN": 65001, "peerASN": 65000, "peerAddress": "10.0.0.254", **spec})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Service that is announced on the segment and to a router."""
    common(tmp_path)
    write(tmp_path, "node.yaml", [node("node-1", addresses=["10.0.0.1"])])
    write(tmp_path, "pool.yaml", [pool("all", ADDRESS), advertisement(), native("BGPAdvertisement", "all")])
    write(tmp_path, "peers.yaml", [peer("tor")])
    write(tmp_path, "web.yaml", [service("web"), slice_of("web", "node-1")])
    allocate(tmp_path)
    return tmp_path


@asynccontextmanager
async def speaking(root: Path, net: Net, gobgp: GobgpSettings) -> AsyncIterator[Wired]:
    """Run the speaker; what it answers on the segment is none of BGP's business."""
    settings = SpeakerSettings(
        common=common(root),
        status_dir=root / "cluster.status",
        node="node-1",
        liveness=LivenessMode.STATIC,
        gobgp=gobgp,
    )
    async with wired(build(settings, net, kernel=net.addresses)) as daemon:
        await daemon.until(lambda: [ADDRESS] == [str(address) for address in net.worker.held()], "it is answered for")
        yield daemon


def told(status: StatusReader) -> dict[str, Any]:
    """What the node's file says of BGP."""
    found: dict[str, Any] = status.node("node-1").get("bgp", {})
    return found


def script(folder: Path, words: str) -> None:
    """Put a gobgpd on PATH that says its version."""
    path = folder / "gobgpd"
    path.write_text(f"#!/bin/sh\necho {words}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "gobgpd: not found on PATH; install it"),
        ("gobgpd version 2.34.0", "speaks an API of its own; install GoBGP 3 or 4"),
    ],
    ids=["none", "too old"],
)
@pytest.mark.usefixtures("programs")
def test_without_a_gobgpd_that_works_the_segment_is_served(
    root: Path, net: Net, status: StatusReader, words: str, problem: str
) -> None:
    if words:
        script(root / "programs", words)

    async def scenario() -> None:
        async with speaking(root, net, GobgpSettings(directory=root / "gobgp")) as daemon:
            await daemon.until(lambda: problem in told(status).get("problem", ""), "the node's file says it")
            [entry] = told(status)["announcing"]
            assert problem in entry["error"]
            assert ["l2"] == list(daemon.problems())
            assert problem in daemon.problems()["l2"]

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert [True] == [problem in entry["problem"] for entry in logs if entry["event"] == "no BGP"]


def test_a_socket_that_is_not_there_is_waited_for(
    root: Path, net: Net, status: StatusReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = root / "api.sock"
    defaults = GobgpSpeaker.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "patience", 60.0)  # or that it took too long is what is said, on a busy machine

    async def scenario() -> None:
        async with speaking(root, net, GobgpSettings(target=f"unix:{socket}", directory=root)) as daemon:
            await daemon.until(lambda: "No such file" in told(status).get("problem", ""), "the node's file says it")
            async with FakeGobgpd(socket, V3):
                await daemon.ready()
                await daemon.until(lambda: told(status)["problem"] == "", "the node's file says it")

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    [problem] = [entry["problem"] for entry in logs if entry["event"] == "gobgpd lost"][:1]
    assert str(socket) in problem


@pytest.mark.root
def test_a_socket_without_permission_is_named_with_the_reason(root: Path) -> None:
    """Root may everything: another user asks."""
    needs([] if os.geteuid() == 0 else ["root: to become another user"])
    script_text = (
        "import asyncio, os, sys\n"
        "from netlb.bgp.adapter.link import GobgpLink\n"
        "from netlb.bgp.adapter.target import Target\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "async def main():\n"
        "    events = []\n"
        "    link = GobgpLink(Target(address=sys.argv[1]), on_event=events.append, on_message=print, patience=60.0)\n"
        "    task = asyncio.create_task(link.run())\n"
        "    while not events:\n"
        "        await asyncio.sleep(0.01)\n"
        "    task.cancel()\n"
        "    print(events[0].problem)\n"
        "asyncio.run(main())\n"
    )
    folder = root / "private"
    folder.mkdir(mode=0o700)

    async def scenario() -> str:
        async with FakeGobgpd(folder / "api.sock", V3) as gobgpd:
            command = [sys.executable, "-c", script_text, gobgpd.target.address]
            asked = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
            assert [] == gobgpd.calls
        return asked.stdout

    said = asyncio.run(scenario())
    assert "Permission denied" in said
    assert f"{folder}/api.sock" in said


BAD = {
    "AS number 0": (peer("bad", peerASN=0, peerAddress="10.0.0.253"), "spec.peerASN: 0 is not from 1 to 4294967295"),
    "a hold time of 1 s": (peer("bad", holdTime="1s", peerAddress="10.0.0.253"), "spec.holdTime: BGP allows 0 or 3 to"),
    "no hold time": (peer("bad", holdTime="0s", peerAddress="10.0.0.253"), "spec.holdTime: GoBGP cannot do without"),
    "the node itself": (peer("bad", peerAddress="10.0.0.1"), "spec.peerAddress: it is node node-1's own"),
    "a prefix that is not ours": (
        native("BGPAdvertisement", "bad", aggregationLength=24),
        "spec.aggregationLength: 192.0.2.0/24 has more addresses than pool all",
    ),
    "an unknown profile": (
        peer("bad", bfdProfile="nowhere", peerAddress="10.0.0.253"),
        "spec.bfdProfile: there is no BFDProfile 'nowhere'",
    ),
}


@pytest.mark.parametrize(("manifest", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_said_and_the_rest_is_told(
    root: Path, net: Net, status: StatusReader, manifest: str, words: str
) -> None:
    async def scenario() -> None:
        async with (
            FakeGobgpd(root / "api.sock", V3) as gobgpd,
            speaking(root, net, GobgpSettings(target=gobgpd.target.address, directory=root)) as daemon,
        ):
            await daemon.ready()
            write(root, "bad.yaml", [manifest])

            def findings() -> list[str]:
                listed = [*status.node("node-1").get("findings", []), *told(status).get("findings", [])]
                return [text for each in listed if words in (text := f"{each['field']}: {each['problem']}")]

            await daemon.until(lambda: len(findings()) == 1, "the node's file says it once")
            await daemon.ready()

            def routers() -> list[str]:
                return [each.get("router", "") for each in told(status)["peers"] if each["name"] == "tor"]

            await daemon.until(lambda: ["10.0.0.254"] == routers(), "its session is known")
            assert [ADDRESS] == [entry["address"] for entry in told(status)["announcing"]]
            assert {"AddPeer", "AddPathStream"} <= {*gobgpd.calls}
            (root / "cluster" / "bad.yaml").unlink()
            await daemon.until(lambda: not findings(), "it is mended")

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert 1 == len([entry for entry in logs if entry["event"] == "manifest problem" and words in entry["finding"]])
