"""Where a daemon listens for HTTP: read from a setting (pure), then bound before the daemon does anything else.

There is no authentication here, so there is no way to listen where strangers are.
"""

import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from netlb.errors import SettingError
from netlb.net import Address

__all__ = ["Listen", "TcpListen", "UnixListen", "bind", "parse_endpoint", "parse_listen", "release"]

SETTING = "--http"
REMEDY = "write 127.0.0.1:PORT, [::1]:PORT, unix:PATH or off"
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class TcpListen:
    """A port of the loopback interface; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixListen:
    """A socket file that only its owner may open."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Listen = TcpListen | UnixListen


def parse_listen(text: str) -> Listen | None:
    """Read the value of `--http`; None means off. Raises `SettingError`."""
    if text == "off":
        return None
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute():
            raise SettingError(SETTING, f"{text!r} is not an absolute path", "write unix:/run/netlb/NAME.sock")
        return UnixListen(path)
    address, port = parse_endpoint(SETTING, text, REMEDY)
    if not address.is_loopback:
        raise SettingError(
            SETTING,
            f"{address} can be reached from other hosts, and nothing here asks who is calling",
            "listen on 127.0.0.1 or on a unix socket and put a proxy with authentication in front",
        )
    return TcpListen(str(address), port)


def parse_endpoint(setting: str, text: str, remedy: str) -> tuple[Address, int]:
    """Read an address and a port, as in 127.0.0.1:80 and [::1]:80. Raises `SettingError`."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        address = None
    if address is None or not colon or bracketed != (address.version == 6):
        raise SettingError(setting, f"{text!r} is not an address and a port", remedy)
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise SettingError(setting, f"{port!r} is not a port", remedy)
    return address, int(port)


def bind(listen: Listen) -> socket.socket:
    """Open the listening socket; connections wait until they are served. Raises `SettingError`."""
    try:
        if isinstance(listen, TcpListen):
            return _bind_tcp(listen)
        return _bind_unix(listen.path)
    except OSError as error:
        problem = f"cannot listen on {listen}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            remedy = "another process listens there: stop it, or choose another address"
        else:
            remedy = "choose an address that this process may use, or off"
        raise SettingError(SETTING, problem, remedy) from error


def release(listen: Listen) -> None:
    """Remove what `bind` made in the file system."""
    if isinstance(listen, UnixListen):
        listen.path.unlink(missing_ok=True)


def _bind_tcp(listen: TcpListen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A daemon that restarts must not wait for the connections of its predecessor to be forgotten.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((listen.host, listen.port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket (unix(7)); a chmod afterwards would leave a gap.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a process that is gone; any other file is left, and refused by `bind`."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a listener whose backlog is full is alive, too
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return
