"""What the speaker asks of whatever tells it which nodes are alive."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from prometheus_client import Metric

from netlb.bfd.adapter.bfd import Bfd
from netlb.net import Address
from netlb.plan.segment import Watched

__all__ = ["Watches", "WatchesFactory"]


class Watches(Protocol):
    """`netlb_speaker.liveness.Liveness` is one, by BFD, and `netlb_speaker.leases.LeaseLiveness`."""

    @property
    def dead(self) -> frozenset[str]:
        """The nodes that cannot answer."""
        ...

    @property
    def gives_way(self) -> bool:
        """Whether others may have taken this node for dead, who cannot see it: what they claim is theirs, then."""
        ...

    @property
    def defends(self) -> bool:
        """Whether what this node owns is its own, whoever claims it: the other may be a node that gives way."""
        ...

    @property
    def mute(self) -> bool:
        """Whether this node must not answer: others take it for dead, and know better in a moment."""
        ...

    @property
    def silences(self) -> int:
        """How often a node fell silent without a word; this one may be deaf."""
        ...

    def interrupted(self) -> None:
        """Take in that the process of BFD has ended; another takes its place."""
        ...

    @property
    def settled(self) -> bool:
        """Whether it is known of every watched node if it lives."""
        ...

    def why_not_settled(self) -> str | None:
        """Return why it is not known yet, or None."""
        ...

    def begin(self, bfd: Bfd) -> None:
        """Begin to watch what is wanted."""
        ...

    async def attend(self) -> None:
        """Do what takes time; never ends."""
        ...

    def watch(
        self,
        nodes: Mapping[str, Watched],
        graph: Mapping[str, frozenset[str]],
        own: Collection[Address],
        *,
        holding: bool = False,
    ) -> None:
        """Watch these nodes, and no others; the rest as of `Liveness.watch`."""
        ...

    def be_ready(self, ready: bool) -> None:
        """Tell the others whether this node can answer for addresses; at first it cannot."""
        ...

    def states(self) -> dict[str, str]:
        """Return how each watched node is: alive, not ready, dead, or unknown."""
        ...

    def notes(self) -> list[str]:
        """Return what an operator should know."""
        ...

    def metrics(self) -> Iterable[Metric]:
        """Show who is alive."""
        ...

    async def leave(self) -> None:
        """Tell everybody that this node leaves, and return when they have taken over."""
        ...


class WatchesFactory(Protocol):
    """Makes that."""

    def __call__(
        self,
        node: str,
        log: Any,
        on_change: Callable[[], None],
        on_return: Callable[[], None],
        on_note: Callable[[], None],
        /,
    ) -> Watches:
        """Return what tells who is alive; the three are called as by `Liveness`."""
        ...
