"""A directory of manifests with its status tree, and daemons on it as real processes."""

import os
import signal
import subprocess
from pathlib import Path
from typing import IO

from tests.support.daemons import BIN, Daemon
from tests.support.status import StatusReader
from tests.support.waiting import eventually

__all__ = ["Site"]


class Site:
    """Everything that it starts is ended by `stop`, which also looks for what was left behind."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "cluster"
        self.status = StatusReader(root / "cluster.status")
        self.daemons: list[Daemon] = []
        self.temporary = root / "tmp"
        """Where its daemons' temporary files would be."""
        self.manifests.mkdir()
        self.temporary.mkdir()

    def write(self, name: str, *manifests: str) -> None:
        """Put a file in place as a whole."""
        temporary = self.manifests / f".{name}.tmp"
        temporary.write_text("\n---\n".join(manifests))
        temporary.rename(self.manifests / name)

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.manifests / name).unlink()

    def command(self, kind: str, *arguments: str, http: str | None = None) -> list[str]:
        """Return the command line of a daemon here."""
        listen = f"unix:{self.root / (http or kind)}.sock"
        return [str(BIN / f"netlb-{kind}"), "--source", f"dir:{self.manifests}", "--http", listen, *arguments]

    def controller(self, *arguments: str) -> Daemon:
        """Start a controller."""
        with self.log("controller") as log:
            process = subprocess.Popen(
                self.command("controller", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.temporary)},
            )
        return self.enrol("controller", process)

    def log(self, name: str) -> IO[str]:
        """Open the log of a daemon, which goes on where its predecessor's ended."""
        return (self.root / f"{name}.log").open("a")

    def enrol(self, name: str, process: "subprocess.Popen[str]") -> Daemon:
        """Take charge of a daemon."""
        daemon = Daemon(process, self.root / f"{name}.log", self.root / f"{name}.sock")
        self.daemons.append(daemon)
        return daemon

    def await_ready(self, daemon: Daemon) -> None:
        """Wait until a daemon says that it is ready."""
        name = daemon.log.stem
        eventually(lambda: (page := daemon.get("/readyz")) and page.status == 200, f"{name} is ready")

    def stop(self) -> None:
        """End the daemons; AssertionError for one that ends badly, and for whatever is left of any."""
        running = [daemon for daemon in self.daemons if daemon.running()]
        for daemon in running:
            daemon.process.terminate()
        statuses = {daemon.log.stem: daemon.wait() for daemon in running}
        assert not any(statuses.values()), statuses
        logs = {daemon.log.name: daemon.log.read_text() for daemon in self.daemons}
        assert not [name for name, text in logs.items() if "Traceback" in text or "unexpected failure" in text]
        assert list(self.temporary.iterdir()) == []
        known = {self.manifests.name, self.status.root.name, self.temporary.name, *logs}
        assert {path.name for path in self.root.iterdir()} <= known
        killed = any(daemon.process.returncode == -signal.SIGKILL for daemon in self.daemons)
        assert killed or not list(self.status.root.rglob("*.tmp"))

    def kill(self) -> None:
        """End whatever still runs, whatever happened before."""
        for daemon in self.daemons:
            if daemon.running():
                daemon.kill()

    def show_logs(self) -> None:
        """Print the logs, for the report of a test that failed."""
        for path in sorted(self.root.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text()}")
