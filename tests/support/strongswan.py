"""A strongSwan in a namespace, which does ESP in a process of its own: the kernel need not have it."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from vici import Session
from vici.exception import CommandException

from netlb.raven.adapter.strongswan import LIBIPSEC_DEVICE, Strongswan, Vici
from netlb.raven.backend import Backend
from tests.support.tunnels import PORT, End, Namespaces, World
from tests.support.waiting import eventually

__all__ = ["Charon", "missing", "strongswan"]

_PLUGINS = "random nonce aes sha1 sha2 hmac kdf gcm openssl gmp kernel-libipsec kernel-netlink socket-default vici"
_PLUGIN = Path("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so")


def missing() -> list[str]:
    """What is not installed."""
    return [] if _PLUGIN.exists() else [f"{_PLUGIN}: not found; install libcharon-extra-plugins"]


class Charon:
    """One charon. It gives every CHILD_SA a route, and these go behind all others (table 9029)."""

    def __init__(self, directory: Path, namespace: str) -> None:
        self.directory = directory
        self.namespace = namespace
        self.vici = directory / "vici"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        configuration = self.directory / "strongswan.conf"
        configuration.write_text(
            f"""charon-systemd {{
  load = {_PLUGINS}
  port = 0
  port_nat_t = {PORT}
  install_routes = no
  routing_table = 9029
  routing_table_prio = 33000
  retransmit_tries = 2
  journal {{
    default = -1
  }}
  filelog {{
    log {{
      path = {self.directory / "log"}
      default = 1
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{self.vici}
    }}
    kernel-libipsec {{
      load = yes
    }}
  }}
}}
"""
        )
        self._process = subprocess.Popen(
            (
                *("ip", "netns", "exec", self.namespace, "nice", "-n", "-15"),
                *("env", f"STRONGSWAN_CONF={configuration}", "charon-systemd"),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self._listens, f"charon in {self.namespace} listens")

    def ask(self, command: str, message: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask it something, as other programs do."""
        with self._session() as channel:
            return dict(Session(channel).request(command, message))

    def listed(self, command: str, event: str) -> dict[str, Mapping[str, Any]]:
        """Return what a request streams, by name."""
        with self._session() as channel:
            messages = list(Session(channel).streamed_request(command, event, {}))
        return {name: told for message in messages for name, told in message.items()}

    def give(self, name: str, here: str, there: str, peer: str) -> None:
        """Give it a connection and a secret that are not ours, to a peer; the others are identities and prefixes."""
        ends = {
            "local": {"auth": "psk", "id": here},
            "remote": {"auth": "psk", "id": there},
        }
        child = {"local_ts": [f"{here}/32"], "remote_ts": [f"{there}/32"]}
        ports = {"local_port": str(PORT), "remote_port": str(PORT)}
        addresses = {"local_addrs": ["%any"], "remote_addrs": [peer]}
        connection = {"version": "2", "encap": "yes", **addresses, **ports, **ends, "children": {name: child}}
        self.ask("load-shared", {"id": name, "type": "IKE", "data": b"theirs", "owners": [here, there]})
        self.ask("load-conn", {name: connection})

    def has(self) -> set[str]:
        """Return its connections, secrets and SAs, these by what changes when they are made anew."""
        found = {f"connection {name}" for name in self.listed("list-conns", "list-conn")}
        found |= {f"secret {name.decode()}" for name in self.ask("get-shared").get("keys", ())}
        for name, sa in self.listed("list-sas", "list-sa").items():
            spi = sa["initiator-spi"].decode()
            found |= {f"SA {name} {spi}"} | {f"CHILD_SA {child} {spi}" for child in sa["child-sas"]}
        return found

    def forget(self, prefix: str) -> None:
        """Take its connections of these names away, with their SAs."""
        for name in self.listed("list-conns", "list-conn"):
            if name.startswith(prefix):
                self.ask("unload-conn", {"name": name})
                with suppress(CommandException):  # it has none
                    self.ask("terminate", {"ike": name, "force": "yes", "timeout": "-1"})

    def _session(self) -> "closing[socket.socket]":
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(10.0)
        channel.connect(str(self.vici))
        return closing(channel)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.vici)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
        self._process = None
        self.vici.unlink(missing_ok=True)


@contextmanager
def strongswan(namespaces: Namespaces, directory: Path) -> Iterator[tuple[World, list[Charon]]]:
    charons = []
    for name in namespaces.names:
        (directory / name).mkdir()
        charons.append(Charon(directory / name, name))

    def make(end: End) -> Backend:
        return Strongswan(LIBIPSEC_DEVICE, Vici(charons[end.number - 1].vici), libipsec=True)

    ends: list[End] = []
    try:
        for number, charon in enumerate(charons, start=1):
            charon.start()
            ends.append(End(number, charon.namespace, make))
        yield World(ends[0], ends[1], kill=lambda end: charons[end.number - 1].kill(), says_all=False), charons
    finally:
        for end in ends:
            end.do(end.backend.close())
            end.end()
        for charon in charons:
            charon.kill()
