"""Waiting in tests: for something that must happen, however slow the machine is."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["becomes", "eventually", "reaches"]

T = TypeVar("T")

_PAUSE = 0.01


def eventually(look: Callable[[], T | None], what: str, within: float = 60.0) -> T:
    """Return what `look` finds as soon as it is true.

    `within` bounds the wait of a test that fails and says nothing about how fast things ought to be.
    """
    deadline = time.monotonic() + within
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {found!r}")
        time.sleep(_PAUSE)


async def becomes(condition: Callable[[], bool | Awaitable[bool]], within: float = 60.0) -> None:
    """Wait on the event loop until something is true; `within` as of `eventually`."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(_PAUSE)


async def reaches(expected: object, look: Callable[[], object], within: float = 60.0) -> None:
    """Wait on the event loop until `look` finds what is expected, or say what it found; `within` as of `eventually`."""
    deadline = time.monotonic() + within
    while (found := look()) != expected:
        assert time.monotonic() < deadline, f"not within {within:g} s: {expected!r}; last seen: {found!r}"
        await asyncio.sleep(_PAUSE)
