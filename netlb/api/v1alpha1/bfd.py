"""BFDProfile: how fast a dead neighbour is noticed (RFC 5880)."""

from netlb.api.v1alpha1.base import Native, Spec, check_bounds

__all__ = ["BFDProfile", "BFDProfileSpec"]


class BFDProfileSpec(Spec, frozen=True, kw_only=True):
    """Timers of a BFD session; a neighbour is dead after detectMultiplier intervals of silence."""

    receive_interval: int = 300
    """The shortest interval, in milliseconds, at which we take packets."""
    transmit_interval: int = 300
    """The shortest interval, in milliseconds, at which we send them."""
    detect_multiplier: int = 3
    """Intervals without a packet after which the neighbour is down."""
    echo_mode: bool = False
    """Whether the echo function is used (RFC 5880 section 6.4)."""
    echo_interval: int = 50
    """The shortest interval of echo packets in milliseconds."""
    passive_mode: bool = False
    """True: wait for the neighbour to begin."""
    minimum_ttl: int | None = None
    """The lowest TTL of a packet that counts, for sessions over several hops (RFC 5883); absent: 254."""

    def __post_init__(self) -> None:
        check_bounds("receiveInterval", self.receive_interval, 10, 60000)
        check_bounds("transmitInterval", self.transmit_interval, 10, 60000)
        check_bounds("detectMultiplier", self.detect_multiplier, 2, 255)
        check_bounds("echoInterval", self.echo_interval, 10, 60000)
        check_bounds("minimumTtl", self.minimum_ttl, 1, 254)


class BFDProfile(Native, frozen=True, kw_only=True):
    """Timers that peers and pools refer to by name."""

    spec: BFDProfileSpec = BFDProfileSpec()
