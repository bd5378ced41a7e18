"""A key in a file: of a Secret that is mounted into a pod, or on the host."""

import os
import stat
from pathlib import Path
from typing import Final

from netlb.bfd.packet import Key
from netlb.errors import SettingError

__all__ = ["read_key"]

_IDENTIFIER: Final = 1
"""Auth Key ID: the same on all nodes, whatever is in the file; of several keys the digest tells which it is."""
_MOST: Final = 20
_OPEN_TO_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def read_key(path: Path, setting: str) -> Key:
    """Read a key for Meticulous Keyed SHA1 (RFC 5880 section 6.7.4): 1 to 20 octets, and perhaps an end of line.

    SettingError, in the name of the setting that gave the path, where the file cannot be one that holds a secret.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        problem = f"{path}: {error.strerror or error}"
        raise SettingError(setting, problem, f"put 1 to {_MOST} octets there, readable by this user alone") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SettingError(setting, f"{path} is no file", "name the file that holds the key")
        if mode & _OPEN_TO_OTHERS:
            problem = f"{path}: others may read or change it (mode {stat.S_IMODE(mode):04o})"
            raise SettingError(setting, problem, "chmod 600 it; where a Secret is mounted, set its defaultMode to 0400")
        content = os.read(descriptor, _MOST + 3)
    except OSError as error:
        raise SettingError(setting, f"{path}: {error.strerror or error}", "make it readable") from None
    finally:
        os.close(descriptor)
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise SettingError(setting, f"{path} is empty", f"put 1 to {_MOST} octets there")
    if len(secret) > _MOST:
        raise SettingError(setting, f"{path} holds more than {_MOST} octets", f"BFD's keys have 1 to {_MOST}")
    return Key(_IDENTIFIER, secret)
