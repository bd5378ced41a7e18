"""What is ours in a gobgpd: a mark on every path and peer, since gobgpd itself knows no owners."""

from dataclasses import dataclass

from netlb.bgp.model import LargeCommunity

__all__ = ["AUDIENCE_MARK", "OWNER_MARK", "Owner", "is_local"]

OWNER_MARK = int.from_bytes(b"LBGP", "big")
"""0x4C424750, the second number of the large community on every path of ours."""

AUDIENCE_MARK = int.from_bytes(b"LBTO", "big")
"""0x4C42544F, the second number of the large communities that say for whom a path is; no router sees them."""

_LOCAL_ORIGIN = frozenset({"", "<nil>"})
"""How GoBGP 4 and GoBGP 3 spell the neighbour of a path that came from no neighbour."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One user of a gobgpd. `instance` tells several of them apart, from 0 to 2**32-1; it must outlive a restart."""

    asn: int
    instance: int = 1

    @property
    def community(self) -> LargeCommunity:
        """The large community on every path of ours; routers see it, and may match it."""
        return LargeCommunity(self.asn, OWNER_MARK, self.instance)

    @property
    def restricted(self) -> LargeCommunity:
        """The large community on every path of ours that is not for all peers."""
        return self.offered(0)

    def offered(self, number: int) -> LargeCommunity:
        """The large community on every path of ours that belongs to an offer, by the offer's id."""
        return LargeCommunity(self.asn, AUDIENCE_MARK, number)

    @property
    def export_prefix(self) -> str:
        """How the names of our policies and sets begin; what they match carries our AS number."""
        return f"netlb:{self.instance}:{self.asn}:"

    def owns_path(self, neighbor_ip: str, communities: frozenset[LargeCommunity]) -> bool:
        """Whether a path is ours: it carries the mark, and did not come back from a router."""
        return is_local(neighbor_ip) and self.community in communities

    @property
    def group_prefix(self) -> str:
        """How the names of our peer groups begin."""
        return f"netlb:{self.instance}:"

    def describe(self, description: str) -> str:
        """Return a peer's description with the mark."""
        return f"netlb:{self.instance} {description}".rstrip()

    def description(self, described: str) -> str | None:
        """Return a description without the mark; None if it has none: the peer is somebody else's."""
        mark, _, rest = described.partition(" ")
        return rest if mark == f"netlb:{self.instance}" else None


def is_local(neighbor_ip: str) -> bool:
    """Whether a path was added through the API, and not received from a peer."""
    return neighbor_ip in _LOCAL_ORIGIN
