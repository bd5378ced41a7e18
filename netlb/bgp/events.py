"""What a gobgpd and its sessions do of themselves, as values."""

from dataclasses import dataclass

from netlb.bgp.peers import Session

__all__ = ["DaemonBack", "DaemonLost", "Drifted", "Event", "ProcessEnded", "ProcessStarted", "SessionChanged"]


@dataclass(frozen=True, slots=True)
class DaemonLost:
    """The API is out of reach. Whether routers still hear our routes is not known: gobgpd keeps no lease on them."""

    problem: str


@dataclass(frozen=True, slots=True)
class DaemonBack:
    """The API answers, for the first time or again; a gobgpd that was restarted has lost everything."""

    service: str
    """Which API it speaks: `apipb.GobgpApi` (GoBGP 3) or `api.GoBgpService` (GoBGP 4)."""


@dataclass(frozen=True, slots=True)
class Drifted:
    """Something of ours is no longer as it was made, and the gobgpd is to be observed again."""

    what: str


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A session is in another state."""

    session: Session


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """A gobgpd of our own was started."""

    pid: int


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A gobgpd of our own has ended without being told to, or could not be started."""

    problem: str


Event = DaemonLost | DaemonBack | Drifted | SessionChanged | ProcessStarted | ProcessEnded
