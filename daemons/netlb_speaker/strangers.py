"""Nodes whose BFD packets are not made with our key: they have another one, or somebody forges them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.reasons import BfdVerdict

__all__ = ["Strangers"]

_TELL: Final = 10.0
"""Seconds between two warnings about one node."""
_REMEDY: Final = "give every speaker the same key (--bfd-key-file)"
_NOT_OURS: Final = (
    BfdVerdict.UNAUTHENTICATED,
    BfdVerdict.UNEXPECTED_AUTHENTICATION,
    BfdVerdict.WRONG_AUTHENTICATION_TYPE,
    BfdVerdict.UNKNOWN_KEY,
    BfdVerdict.WRONG_DIGEST,
)


class Strangers:
    """Tells of them in the log, and by `on_note` that `notes` have changed."""

    def __init__(self, log: Any, on_note: Callable[[], None]) -> None:
        self._log = log
        self._on_note = on_note
        self._seen = 0
        """Such packets altogether, when they were looked at last."""
        self._owed = False
        """Whether there was something to tell then that could not be told yet."""
        self._told: dict[str, tuple[int, float]] = {}
        """By node, how many were told of, and when."""

    def look(self, bfd: Bfd, sessions: Mapping[str, Peer], states: Mapping[str, str], now: float) -> None:
        """Take in what BFD has dropped of these nodes; `now` in seconds of any steady clock."""
        counts = bfd.counts()
        seen = sum(counts.get(verdict, 0) for verdict in _NOT_OURS)
        if seen == self._seen and not self._owed:
            return
        self._seen, self._owed = seen, False
        for node, peer in sessions.items():
            verdicts = bfd.status(peer).dropped
            number = sum(verdicts.get(verdict, 0) for verdict in _NOT_OURS)
            before, told = self._told.get(node, (0, float("-inf")))
            if not number:
                self._told.pop(node, None)  # counts begin anew with each process of BFD
            elif number != before and now < told + _TELL:
                self._owed = True
            elif number != before:
                self._told[node] = (number, now)
                why = ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in _NOT_OURS if verdicts.get(verdict))
                self._log.warning("packets of node dropped", node=node, state=states[node], dropped=why, remedy=_REMEDY)
                self._on_note()

    def forget(self, node: str) -> None:
        """Say no more of a node, which is watched no longer."""
        self._told.pop(node, None)

    def notes(self) -> list[str]:
        """Return what an operator should know."""
        return [
            f"{number} packets in the name of node {node} were not made with the key of this one; {_REMEDY}"
            for node, (number, _) in self._told.items()
        ]
