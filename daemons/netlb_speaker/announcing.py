"""What the speaker announces with: made where the daemon is put together, so that tests bring their own."""

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Protocol

from netlb.l2.adapter.operations import InKernel
from netlb.l2.announces import Announces, Event

__all__ = ["AnnouncerFactory", "KernelFactory", "OpenAnnouncer", "OpenKernel"]


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


class OpenKernel(InKernel, Protocol):
    """Addresses on interfaces, which are there between entering and leaving it."""

    async def __aenter__(self) -> object:
        """See what is there."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Remove them."""
        ...


class KernelFactory(Protocol):
    """Makes that; `netlb.l2.adapter.kernel.KernelAddresses` is one."""

    def __call__(self, *, interfaces: Collection[str], on_change: Callable[[], None]) -> OpenKernel:
        """Return addresses on interfaces; nothing is read or opened yet."""
        ...
