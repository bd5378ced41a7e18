"""Two questions about every error: whose fault is it, and will trying again help?

A library's own exceptions (netlink, sockets, YAML) never leave the adapter that uses the library.
"""

import errno as errno_module
import os

from netlb.findings import Finding

__all__ = ["ConfigError", "DataplaneError", "NetlbError", "SettingError", "TransientError"]


class NetlbError(Exception):
    """Base of every error that netlb raises on purpose."""


class ConfigError(NetlbError):
    """A declared object cannot be honoured; trying again does not help until somebody changes it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class SettingError(NetlbError):
    """A daemon's or command's own setting cannot work: `--flag` or variable, why, and the remedy."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting}: {problem}; {remedy}")
        self.setting = setting
        self.problem = problem
        self.remedy = remedy


class TransientError(NetlbError):
    """Something is not there yet; the reconciler tries again, after `retry_after` seconds if given."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DataplaneError(NetlbError):
    """The kernel refused an operation; `errno` says how, `operation` what was tried on what."""

    def __init__(self, operation: str, errno: int) -> None:
        name = errno_module.errorcode.get(errno, str(errno))
        super().__init__(f"{operation}: {name} ({os.strerror(errno)})")
        self.operation = operation
        self.errno = errno
