"""The kernel as `Operations` of the reconcile engine."""

from collections.abc import AsyncIterator, Collection, Mapping
from enum import Enum
from typing import Self

from netlb.net import Address
from netlb.raven.dataplane import Numbers
from netlb.raven.node import Local
from netlb.raven.objects import Key, Value

__all__ = ["Change", "KernelOperations", "cleanup"]


class Change(Enum):
    """What has changed in the kernel without us."""

    OBJECTS = "objects"
    """Something of ours, or in its place: what is there is to be observed again."""
    LOCAL = "local"
    """An interface or an address of the node: what only the node knows is to be read again."""


class KernelOperations:
    """Keeps the objects of a data plane in one network namespace.

    Use it with `async with`: sockets are opened at its beginning (DataplaneError if netlink does not serve) and closed
    at its end; nothing in the kernel is removed by that.
    """

    def __init__(self, numbers: Numbers, *, netns: str | None = None) -> None:
        """Work in a network namespace, by its name (as of `ip netns`); None: in that of the process."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def observe(self) -> Mapping[Key, Value]:
        """Return every object of ours that is there, whoever of us made it."""
        raise NotImplementedError

    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]:
        """Make objects, or change them into these; return failures by key, in the kernel's words.

        What is there in their place and is not ours stays, and is the failure (`RavenError`).
        """
        raise NotImplementedError

    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]:
        """Remove objects of ours; return failures by key."""
        raise NotImplementedError

    async def local(self, underlay: Address | None, watched: Collection[Address] = ()) -> Local:
        """Return what only the node itself knows.

        `underlay` is its address within the site: the interface that has it carries overlay and tunnels; where none
        has it, it is the one of the default route. `watched` is passed on.
        """
        raise NotImplementedError

    def changes(self) -> AsyncIterator[frozenset[Change]]:
        """Yield whenever something has changed that was not changed by these operations; never ends by itself.

        What happens while nobody iterates is not told: begin to iterate, then observe.
        """
        raise NotImplementedError


async def cleanup(numbers: Numbers, *, netns: str | None = None) -> Mapping[Key, Exception | None]:
    """Remove everything of ours but for the tunnels' device, also what a process left that was killed.

    Return what was there by key, with what went wrong; None: it is gone.
    """
    raise NotImplementedError
