"""The owner's end of the janitor: start it, and dismiss it when there is nothing left for it to do."""

import os
import subprocess
import sys
from pathlib import Path

from netlb.testing.lab import janitor

__all__ = ["Guardian"]


class Guardian:
    """A janitor process that removes the lab if this process dies before it calls `dismiss`."""

    def __init__(self, lab: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", Path(janitor.__file__), lab, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Tell the janitor that it is not needed, and wait for it; a second time does nothing."""
        if self._process.returncode is not None:
            return
        try:
            self._process.communicate(b".", timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
