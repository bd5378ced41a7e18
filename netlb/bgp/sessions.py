"""What is known of the sessions of one gobgpd: how each is, since when, and why it was last ended. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from netlb.bgp.peers import Session, SessionState

__all__ = ["Sessions", "Watched"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A session, and since when it has been up, or down, as far as was seen."""

    session: Session
    since: float
    """Seconds since 1970: attempts to connect do not count as changes."""

    @property
    def up(self) -> bool:
        """Whether routes are exchanged."""
        return self.session.state is SessionState.ESTABLISHED


class Sessions:
    """Takes in events, which say how a session is and why it ended, and lists, which say everything but that."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}

    def __iter__(self) -> Iterator[Watched]:
        """Every session, those of strangers too."""
        return iter(self._watched.values())

    def hear(self, session: Session, now: float) -> bool:
        """Take in an event; return whether the session is in another state than before."""
        before = self._watched.get(session.address)
        if before is not None:
            known = before.session
            session = replace(
                session,
                reason=session.reason or known.reason,
                accepted=known.accepted,
                advertised=known.advertised,
                sent=known.sent,
                received=known.received,
            )
        self._watched[session.address] = _seen(before, session, now)
        return before is None or before.session.state is not session.state

    def listed(self, sessions: Iterable[Session], now: float) -> bool:
        """Take in all sessions that there are; return whether anything but messages is another than before."""
        before = self._watched
        self._watched = {
            session.address: _seen(
                known := before.get(session.address),
                replace(session, reason=session.reason or (known.session.reason if known else "")),
                now,
            )
            for session in sessions
        }
        return self._watched != before

    def forget(self) -> None:
        """Know nothing, as of a gobgpd that is out of reach."""
        self._watched = {}


def _seen(before: Watched | None, session: Session, now: float) -> Watched:
    after = Watched(session, now)
    return replace(after, since=before.since) if before is not None and before.up is after.up else after
