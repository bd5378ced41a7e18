"""What an operator decides about a session."""

from dataclasses import dataclass
from typing import Final

from netlb.bfd.packet import Key
from netlb.errors import SettingError

__all__ = ["DEFAULTS", "SINGLE_HOP_TTL", "Settings"]

SINGLE_HOP_TTL: Final = 255
_SHORTEST_INTERVAL: Final = 10_000
_LONGEST_INTERVAL: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one session. SettingError names the field that is out of its range."""

    transmit_interval: int = 300_000
    """Desired Min TX Interval: microseconds between our packets, 10,000 to 60,000,000; the peer may want fewer."""
    receive_interval: int = 300_000
    """Required Min RX Interval: how often the peer may send, in microseconds, 10,000 to 60,000,000."""
    detect_multiplier: int = 3
    """Packets that the peer may miss before it takes us for dead, 1 to 255. The peer's own decides when we do."""
    passive: bool = False
    """Say nothing until the peer does. At least one end must not be passive."""
    minimum_ttl: int = SINGLE_HOP_TTL
    """A packet with a lower TTL or hop limit is dropped, 1 to 255. On a single hop it is 255 (RFC 5881 section 5);
    over n hops, 256 - n (RFC 5883 section 5)."""
    key: Key | None = None
    """Authenticates what is sent, and all that is accepted."""
    former: tuple[Key | None, ...] = ()
    """What the peer may still use in place of `key`, None being no authentication: each packet is sent once more with
    each of them, and one that was made with any of them is believed. So keys are changed at leisure on both ends."""

    path_down: bool = False
    """Say that there is no way on from here (Concatenated Path Down, RFC 5880 section 6.8.17): we are alive, and of no
    use yet."""

    @property
    def keys(self) -> tuple[Key | None, ...]:
        """`key`, and all of `former`."""
        return self.key, *self.former

    @property
    def detection_time(self) -> int:
        """Microseconds in which a peer that has the same settings misses us (RFC 5880 section 6.8.4)."""
        return self.detect_multiplier * max(self.transmit_interval, self.receive_interval)

    def __post_init__(self) -> None:
        for field in ("transmit_interval", "receive_interval"):
            self._check(field, _SHORTEST_INTERVAL, _LONGEST_INTERVAL, " microseconds")
        self._check("detect_multiplier", 1, 255)
        self._check("minimum_ttl", 1, 255)

    def _check(self, field: str, least: int, most: int, unit: str = "") -> None:
        value = getattr(self, field)
        if not least <= value <= most:
            problem = f"{value}{unit} is out of range"
            raise SettingError(field, problem, f"give a value from {least} to {most}{unit}")


DEFAULTS: Final = Settings()
