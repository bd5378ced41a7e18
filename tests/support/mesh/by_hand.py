"""A data plane made by hand: the text of a plan, given to `ip`, `wg`, `bridge` and `nft`."""

import socket
import subprocess

from netlb.raven.dataplane import DataPlane
from netlb.raven.text import ip_commands, wg_configuration
from netlb.testing.lab import Host
from tests.support.waiting import eventually

__all__ = ["make", "new_key", "public_key"]


def new_key() -> str:
    """Return a new private key."""
    return _wg(["genkey"])


def public_key(private: str) -> str:
    """Return the public key of a private one."""
    return _wg(["pubkey"], private)


def make(host: Host, plane: DataPlane, private: str, protocol: int) -> None:
    """Give a node what a plan says, from nothing; tunnels are made by wireguard-go."""
    if plane.tunnel:
        host.popen(["wireguard-go", "-f", plane.tunnel.device], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = f"/run/wireguard/{plane.tunnel.device}.sock"
        eventually(lambda: _listens(path), f"wireguard-go listens at {path}")
        text = wg_configuration(plane.tunnel).replace("[Interface]", f"[Interface]\nPrivateKey = {private}")
        text = text.replace("AllowedIPs =\n", "")
        _wg(["setconf", plane.tunnel.device, "/dev/stdin"], text)
    for line in ip_commands(plane, protocol):
        words = line.split()
        if words[-2:] == ["type", "wireguard"]:  # it is there already
            words = ["ip", "link", "set", words[3], "mtu", words[5]]
        host.run(words)
    if plane.nft:
        host.run(["nft", "-f", "-"], input=plane.nft)


def _listens(path: str) -> bool:
    """Whether somebody does; `wg` removes a socket at which nobody listens yet."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _wg(arguments: list[str], text: str = "") -> str:
    done = subprocess.run(["wg", *arguments], input=text, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
