"""What all that is written into the API has in common: how much at once, and who may."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from netlb.errors import NetlbError, TransientError
from netlb.source.kube_errors import RequestError

__all__ = ["AT_ONCE", "write_each"]

AT_ONCE = 16
"""Requests under way at any moment. So the API server sets the pace, and no rate is guessed for it."""


async def write_each(
    keys: Collection[str], write: Callable[[str], Awaitable[None]], why_not: Callable[[], str]
) -> dict[str, Exception]:
    """Write each of these; return what failed, by key.

    `why_not` is asked before each request: what it says is why this process may not write now. Once the API server asks
    for time (Retry-After), nothing more is begun: all that is left fails with that, and is due when it is over.
    """
    failures: dict[str, Exception] = {}
    left = iter(keys)
    busy: RequestError | None = None

    async def work() -> None:
        nonlocal busy
        for key in left:
            if why := why_not():
                failures[key] = TransientError(why)
            elif busy is not None:
                failures[key] = busy
            else:
                try:
                    await write(key)
                except NetlbError as error:
                    failures[key] = error
                    if isinstance(error, RequestError) and error.status in (429, 503):
                        busy = error if error.retry_after is not None else None

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(keys))):
            group.create_task(work())
    return failures
