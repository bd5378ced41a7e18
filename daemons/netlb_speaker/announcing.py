"""What the speaker asks of an announcer, and of what makes one."""

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Protocol

from netlb.l2.announces import Announces, Event

__all__ = ["AnnouncerFactory", "OpenAnnouncer"]


class OpenAnnouncer(Announces, Protocol):
    """An announcer that works between entering and leaving it."""

    async def __aenter__(self) -> object:
        """Start answering."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Be silent."""
        ...


class AnnouncerFactory(Protocol):
    """Makes an announcer; `netlb.l2.adapter.announcer.Announcer` is one."""

    def __call__(self, *, interfaces: Collection[str], on_event: Callable[[Event], None]) -> OpenAnnouncer:
        """Return an announcer that is not started yet."""
        ...
