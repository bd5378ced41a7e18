"""Our daemons as processes, with their logs in files."""

import socket
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

__all__ = ["BIN", "Daemon", "Page"]

BIN = Path(sys.executable).parent
"""Where the commands of this project are installed."""

_END = 15.0  # seconds; a daemon limits its own stop to ten
_REPLY = 5.0


@dataclass(frozen=True, slots=True)
class Page:
    """What a daemon's HTTP server answered."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Daemon:
    """One process of ours."""

    process: subprocess.Popen[str]
    log: Path
    """All that it printed, after what predecessors of the same name printed."""
    http: Path
    """Its HTTP socket."""

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def stop(self) -> int:
        """Tell it to stop, wait for the end and return the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit status; one that does not end is killed."""
        try:
            return self.process.wait(_END)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(_END)

    def get(self, path: str) -> Page | None:
        """GET a page; None while nobody listens, or answers in time."""
        exchange = HTTPConnection("localhost", timeout=_REPLY)
        exchange.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            exchange.sock.settimeout(_REPLY)
            exchange.sock.connect(str(self.http))
            exchange.request("GET", path)
            response = exchange.getresponse()
            return Page(response.status, response.read().decode())
        except (FileNotFoundError, ConnectionError, TimeoutError):
            return None
        finally:
            exchange.close()

    def lines(self, *words: str) -> list[str]:
        """Return the log's lines that hold all of these words."""
        return [line for line in self.log.read_text().splitlines() if all(word in line for word in words)]
