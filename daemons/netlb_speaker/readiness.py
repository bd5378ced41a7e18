"""Whether a speaker knows enough to announce, and whether it tells the others that it can."""

from collections.abc import Callable

from netlb_speaker.watching import Watches

__all__ = ["Readiness"]


class Readiness:
    """Others keep what they announce until all that is this node's was tried once, and while it cannot be.

    Who has nothing yet, as a node that was drained, is new to the others, and begins as one that starts.
    """

    def __init__(
        self, liveness: Watches | None, *, can_answer: Callable[[], bool], tried_all: Callable[[], bool]
    ) -> None:
        self._liveness = liveness
        self._can_answer = can_answer
        self._tried_all = tried_all
        self._began = False
        self.settled = liveness is None
        """Whether it is known which nodes are alive, or was when this one came to have what it has."""
        self.holding = False
        """Whether this node has anything."""
        self.answering = False
        """Whether there is what answers."""

    def look(self) -> None:
        """Take in what is known of other nodes now."""
        if self._liveness:
            before = self.settled
            self.settled = self._liveness.settled or (before and self.holding)
            self._began = self._began and (self.settled or not before)

    def inherit(self) -> None:
        """Go on as ready as the speaker before, whose responder answers still."""
        if not self._began:
            self._began = True
            if self._liveness:
                self._liveness.be_ready(True)

    def say(self) -> None:
        """Tell the others."""
        if self._liveness and (self.answering or not self._began):
            self._began = self._began or (self.settled and self._tried_all())
            self._liveness.be_ready(self._began and self._can_answer())
