"""What an adapter must be able to do so that the engine can keep its objects as they are wanted."""

from collections.abc import Collection, Hashable, Mapping
from typing import Protocol, TypeVar

__all__ = ["Operations"]

K = TypeVar("K", bound=Hashable)
D = TypeVar("D")


class Operations(Protocol[K, D]):
    """Three idempotent operations on one kind of object: `K` names an object, `D` is its whole wanted state.

    `D` is frozen and compares by value: an object is as wanted exactly when the observed `D` equals the
    desired one. An adapter therefore observes in the terms in which it is told what to make.

    Work comes in batches because adapters are faster in bulk. One object's fault is returned, so that it does
    not stop the others; an exception that is raised counts for every object of the batch. Failures are
    `NetlbError`s: a library's own exception that comes out of here is treated as a bug of the adapter.
    """

    async def observe(self) -> Mapping[K, D]:
        """Return every object of ours that is actually there, also those that an earlier process left."""
        ...

    async def apply(self, changes: Mapping[K, D]) -> Mapping[K, Exception]:
        """Make these objects, or change them into this; return the failures by key."""
        ...

    async def prune(self, keys: Collection[K]) -> Mapping[K, Exception]:
        """Remove these objects; return the failures by key. Removing what is not there is a success."""
        ...
