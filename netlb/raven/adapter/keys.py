"""Keys in files: our own, which is made once and kept, and the one that all endpoints share."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from netlb.errors import SettingError
from netlb.raven.keys import KEY_SIZE, PrivateKey, SharedKey

__all__ = ["own_key", "read_shared_key"]

_MOST: Final = 4096
_ANY_OTHER: Final = stat.S_IRWXG | stat.S_IRWXO
_NOT_A_SECRET: Final = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP
"""What a Secret that is mounted for a group does not allow, either."""


def own_key(
    path: Path, setting: str, *, running: PrivateKey | None = None, random: Callable[[int], bytes] = os.urandom
) -> PrivateKey:
    """Return the private key in a file, which is made if there is none (mode 0600, in a directory of mode 0700).

    `running` is the key of a device that runs: where the file was lost it is written there again, so that no peer has
    to learn another one. A file that cannot be read is never replaced. SettingError, in the name of the setting that
    gave the path, says what is wrong with it, and not what is in it.
    """
    try:
        return _parse(_read(path, setting, _ANY_OTHER, "chmod 600 it"), path, setting)
    except FileNotFoundError:
        pass
    key = running or PrivateKey.of(random(KEY_SIZE))
    try:
        _write(path, setting, f"{key.text}\n".encode())
    except FileExistsError:
        # Another process was quicker, and its key is the one that is kept.
        return _parse(_read(path, setting, _ANY_OTHER, "chmod 600 it"), path, setting)
    except OSError as error:
        raise SettingError(setting, f"{path}: {error.strerror or error}", "name a file that can be made") from None
    return key


def read_shared_key(path: Path, setting: str) -> SharedKey:
    """Read the secret that all endpoints have, without an end of line; SettingError as of `own_key`."""
    remedy = "chmod 600 it; where a Secret is mounted, set its defaultMode to 0400"
    try:
        content = _read(path, setting, _NOT_A_SECRET, remedy)
    except FileNotFoundError as error:
        raise SettingError(setting, f"{path}: {error.strerror}", "put the secret there that all have") from None
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise SettingError(setting, f"{path} is empty", "put the secret there that all have")
    return SharedKey(secret)


def _parse(content: bytes, path: Path, setting: str) -> PrivateKey:
    try:
        return PrivateKey.parse(content.decode("ascii").strip())
    except ValueError:
        remedy = "write one there as `wg genkey` makes it, or remove the file so that a new key is made"
        raise SettingError(setting, f"{path} holds no private key", remedy) from None


def _read(path: Path, setting: str, forbidden: int, remedy: str) -> bytes:
    """Return what a file holds; FileNotFoundError: there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingError(setting, f"{path}: {error.strerror or error}", "make it readable") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SettingError(setting, f"{path} is no file", "name the file that holds the key")
        if mode & forbidden:
            problem = f"{path}: others may read or change it (mode {stat.S_IMODE(mode):04o})"
            raise SettingError(setting, problem, remedy)
        content = os.read(descriptor, _MOST + 1)
    except OSError as error:
        raise SettingError(setting, f"{path}: {error.strerror or error}", "make it readable") from None
    finally:
        os.close(descriptor)
    if len(content) > _MOST:
        raise SettingError(setting, f"{path} holds more than {_MOST} octets", "name the file that holds the key")
    return content


def _write(path: Path, setting: str, content: bytes) -> None:
    """Make a file as a whole, on the disk, unless it is there (FileExistsError)."""
    directory = path.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = directory.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        problem = f"others may change {directory} (mode {stat.S_IMODE(mode):04o})"
        raise SettingError(setting, problem, "chmod 700 it, or name another one for the key")
    draft = directory / f".{path.name}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.link(draft, path)
    finally:
        draft.unlink()
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
