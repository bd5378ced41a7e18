"""What goes wrong between a data plane and the kernel, in the terms of `netlb.errors`."""

import errno
from typing import Final

from pyroute2.netlink.exceptions import NetlinkError

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven.adapter.netlink import Refusal
from netlb.raven.objects import Key
from netlb.reasons import Foreign

__all__ = ["SOON", "ForeignStateError", "missing", "refused", "words_of"]

SOON: Final = 0.2
"""Seconds after which it is looked whether a device is there by now."""
_PASSING: Final = frozenset((errno.ENODEV, errno.ENETDOWN, errno.EBUSY, errno.ENOBUFS, errno.EAGAIN))


class ForeignStateError(NetlbError):
    """Somebody else has what is to be ours; it is left alone, and so is not as wanted. `reason` names what it is."""

    def __init__(self, reason: Foreign, key: Key, there: str, remedy: str) -> None:
        super().__init__(f"{key}: {there}, which netlb has not made; {remedy} ({reason})")
        self.reason = reason


def refused(key: Key, refusal: Refusal) -> NetlbError:
    """Return what a refusal of the kernel means: some pass by themselves."""
    number, words = refusal
    if number in _PASSING:
        return TransientError(f"{key}: {words}", SOON)
    return DataplaneError(f"{key}: {words}", number)


def missing(key: Key, device: str) -> TransientError:
    """Return the failure of what needs a device that is not there, or is not up."""
    return TransientError(f"{key}: {device} is not there yet", SOON)


def words_of(error: NetlinkError) -> Refusal:
    """Return errno and words of an error of pyroute2's."""
    return error.code, str(error.args[1])
