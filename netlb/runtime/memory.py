"""Memory that the C library keeps though nobody uses it any more."""

import ctypes

__all__ = ["give_back"]


def give_back() -> None:
    """Return free memory to the kernel, in milliseconds: to read a cluster takes some that is not needed again.

    malloc_trim(3) is glibc's; another C library does without.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
