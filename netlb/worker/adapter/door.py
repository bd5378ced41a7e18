"""Where an orphan is found: a socket in a directory that is its user's alone.

Who calls is known by the kernel (SO_PEERCRED, unix(7)), not by what it says: of another user, root included, nothing is
read. A caller says one JSON array a message:

    ["Who"]             -> ["I am", identity, whether its program is dead]
    ["Adopt", identity] -> ["Adopted"]: the connection is the worker's line to its program from now on; or "Refused"
    ["End"]             -> ["Ending"], or "Refused": a program that lives decides itself
    ["Companion"]       -> ["Here"]: this process lives, and does not hang
"""

import json
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from netlb.worker.terms import Terms

__all__ = ["MOST_BYTES", "Door", "peer_credentials"]

MOST_BYTES: Final = 4096
_MOST_CALLERS: Final = 8
_CREDENTIALS: Final = struct.Struct("3i")


class Door:
    """The socket, and who has called and not been let in."""

    def __init__(self, terms: Terms, watch: Callable[[socket.socket], object], orphaned: Callable[[], bool]) -> None:
        """Listen; what a predecessor left at the path goes. `watch` is given each socket that is to be read."""
        self.told_to_end = False
        self._terms = terms
        self._watch = watch
        self._orphaned = orphaned
        self._callers: dict[int, socket.socket] = {}
        with suppress(FileNotFoundError):
            os.unlink(terms.path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(terms.path)
        self._listener.listen(_MOST_CALLERS)
        self._inode = os.stat(terms.path).st_ino
        watch(self._listener)

    def has(self, fileno: int) -> bool:
        """Whether a socket is its own."""
        return fileno == self._listener.fileno() or fileno in self._callers

    def readable(self, fileno: int) -> socket.socket | None:
        """Take in what waits in a socket; return the one that a new program was let in by."""
        if fileno == self._listener.fileno():
            self._accept()
            return None
        return self._answer(self._callers[fileno])

    def close(self) -> None:
        """Listen no more, and leave nothing at the path."""
        for caller in self._callers.values():
            caller.close()
        self._callers.clear()
        with suppress(OSError):
            if os.stat(self._terms.path).st_ino == self._inode:  # a successor's otherwise
                os.unlink(self._terms.path)
        self._listener.close()

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except OSError:  # it has hung up
            return
        _, user = peer_credentials(caller)
        if user != os.geteuid() or len(self._callers) == _MOST_CALLERS:
            caller.close()
            return
        caller.setblocking(False)
        self._callers[caller.fileno()] = caller
        self._watch(caller)

    def _answer(self, caller: socket.socket) -> socket.socket | None:
        try:
            data = caller.recv(MOST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        match _read(data):
            case ["Who"]:
                _say(caller, "I am", self._terms.identity, self._orphaned())
            case ["Adopt", self._terms.identity] if self._orphaned():
                _say(caller, "Adopted")
                return self._callers.pop(caller.fileno())
            case ["End"] if self._orphaned():
                _say(caller, "Ending")
                self.told_to_end = True
            case ["Companion"]:
                _say(caller, "Here")
            case ["Adopt" | "End", *_]:
                _say(caller, "Refused")
            case _:
                del self._callers[caller.fileno()]
                caller.close()
        return None


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end, as they were when it connected or began to listen."""
    process, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return process, user


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _say(caller: socket.socket, *words: object) -> None:
    with suppress(OSError):  # it has hung up
        caller.send(json.dumps(words).encode())
