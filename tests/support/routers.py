"""Routers that learn routes by BGP and put them into their kernel's table: FRR and BIRD, in a host of a lab."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from netlb.testing.lab import Host

ASN = 65000
_FRR = Path("/usr/lib/frr")


def next_hops(router: Host, prefix: str) -> set[str]:
    """Return the gateways of the kernel's route to a prefix; none if there is no route."""
    family = "-6" if ":" in prefix else "-4"
    listed = json.loads(router.run(["ip", family, "-json", "route", "show", prefix]).stdout or "[]")
    return {hop["gateway"] for route in listed for hop in route.get("nexthops", [route])}


def missing_frr() -> list[str]:
    """What is missing for FRR; tests skip with these words."""
    return [] if (_FRR / "bgpd").exists() else ["FRR: the daemons are not found; install frr"]


def missing_bird() -> list[str]:
    """What is missing for BIRD; tests skip with these words."""
    return [] if shutil.which("bird") else ["bird: the command is not found; install bird2"]


class Frr:
    """FRR on a router."""

    def __init__(self, router: Host, folder: Path) -> None:
        self._router = router
        self._folder = folder

    def paths(self, prefix: str) -> int:
        """Return how many paths to a prefix BGP knows, chosen or not."""
        said = self._router.run(
            ["vtysh", "--vty_socket", self._folder, "-c", f"show bgp ipv4 unicast {prefix} json"], check=False
        ).stdout
        return len(json.loads(said or "{}").get("paths", []))


@contextmanager
def frr(router: Host, nodes: Sequence[Host], asn: int, password: str) -> Iterator[Frr]:
    """Run zebra and bgpd, with the nodes as neighbours."""
    # FRR gives up root: what it writes and listens on is in a folder that is its own.
    folder = Path(tempfile.mkdtemp(prefix="netlb-frr-"))
    user = pwd.getpwnam("frr")
    try:
        neighbors = "".join(
            f" neighbor {node.ipv4} remote-as {asn}\n neighbor {node.ipv4} password {password}\n"
            f" neighbor {node.ipv4} timers 3 9\n neighbor {node.ipv4} timers connect 1\n"
            for node in nodes
        )
        activate = "".join(f"  neighbor {node.ipv4} activate\n" for node in nodes)
        (folder / "zebra.conf").write_text("hostname router\n")
        (folder / "bgpd.conf").write_text(
            f"router bgp {ASN}\n bgp router-id {router.ipv4}\n no bgp ebgp-requires-policy\n"
            f" no bgp default ipv4-unicast\n bgp graceful-restart\n{neighbors}"
            f" address-family ipv4 unicast\n  maximum-paths 8\n{activate} exit-address-family\n"
            f" address-family ipv6 unicast\n  maximum-paths 8\n{activate} exit-address-family\n"
        )
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        zebra_api = folder / "zserv.api"
        common: list[str | Path] = [
            "-u",
            "frr",
            "-g",
            "frr",
            "--vty_socket",
            folder,
            "-z",
            zebra_api,
            "-A",
            "127.0.0.1",
            "--log",
            "stdout",
        ]
        for daemon in ("zebra", "bgpd"):
            files: list[str | Path] = ["-f", folder / f"{daemon}.conf", "-i", folder / f"{daemon}.pid"]
            router.popen([_FRR / daemon, *common, *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield Frr(router, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def bird(router: Host, nodes: Sequence[Host], asn: int, password: str) -> Iterator[None]:
    """Run BIRD, with the nodes as neighbours."""
    with tempfile.TemporaryDirectory(prefix="netlb-bird-") as name:
        folder = Path(name)
        kernel = "".join(
            f"protocol kernel {{ merge paths yes limit 8; {family} {{ import none; export where source = RTS_BGP; }}; }}\n"
            for family in ("ipv4", "ipv6")
        )
        sessions = "".join(
            f'protocol bgp {{ local {router.ipv4} as {ASN}; neighbor {node.ipv4} as {asn}; password "{password}";\n'
            " connect delay time 1; connect retry time 1; error wait time 1, 2;\n"
            " ipv4 { import all; export none; }; ipv6 { import all; export none; }; }\n"
            for node in nodes
        )
        (folder / "bird.conf").write_text(f"router id {router.ipv4};\nprotocol device {{ }}\n{kernel}{sessions}")
        router.popen(["bird", "-f", "-c", folder / "bird.conf", "-s", folder / "bird.ctl"], stderr=subprocess.DEVNULL)
        yield
