"""What a session tells: only what a user of it acts on. A failure is `Down`, and nothing else is."""

from typing import NamedTuple

from netlb.bfd.packet import Diagnostic

__all__ = ["AdminDown", "Down", "Event", "ParametersChanged", "Up"]


class Up(NamedTuple):
    """The peer is alive, in both directions."""

    transmit_interval: int
    """Microseconds between our packets, before jitter takes up to a quarter off."""
    detection_time: int
    """Microseconds of silence after which the peer counts as dead."""
    usable: bool = True
    """False: the peer says that there is no way on from it (Concatenated Path Down, RFC 5880 section 6.8.17)."""


class ParametersChanged(NamedTuple):
    """The session stays up, with other timers or another way on."""

    transmit_interval: int
    detection_time: int
    usable: bool = True


class Down(NamedTuple):
    """The session was up and failed: the peer, or the path to it, is dead."""

    diagnostic: Diagnostic
    """CONTROL_DETECTION_TIME_EXPIRED where we found out, NEIGHBOR_SIGNALED_SESSION_DOWN where the peer did."""
    remote_diagnostic: int
    """What the peer last gave as its reason: a Diagnostic, or a number that none is assigned to."""


class AdminDown(NamedTuple):
    """The peer has taken its end down on purpose: this says nothing about the path (RFC 5882 section 3.2)."""


Event = Up | ParametersChanged | Down | AdminDown
