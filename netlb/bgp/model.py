"""What one gobgpd should have: the speaker itself, its peers and its own routes, as values.

ValueError says which field cannot be, in the words `field: problem`. Seconds are whole, as BGP counts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from netlb.net import Address, Family, family_of

__all__ = [
    "GRACEFUL_SHUTDOWN",
    "AsKind",
    "BgpState",
    "Global",
    "GracefulRestart",
    "Key",
    "Kind",
    "LargeCommunity",
    "Offer",
    "Origin",
    "Peer",
    "Prefix",
    "PrivateAsns",
    "Record",
    "Restriction",
    "Route",
    "Unlike",
]

Prefix = IPv4Network | IPv6Network

GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The community GRACEFUL_SHUTDOWN, 65535:0 (RFC 8326): routers prefer every other path."""

_U32 = 0xFFFFFFFF


class Kind(StrEnum):
    """What a key names."""

    GLOBAL = "global"
    ROUTE = "route"
    PEER = "peer"
    EXPORT = "export"


class Key(NamedTuple):
    """The name of one object of a gobgpd: a route's prefix; a peer's address, prefix or interface; an offer's id.

    Empty for Global and Restriction, of which there is one.
    """

    kind: Kind
    name: str = ""


def _within(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name}: {value} is not from {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GracefulRestart:
    """Peers keep our routes while we restart (RFC 4724)."""

    restart_time: int = 120
    """Seconds in which we promise to be back."""
    deferral_time: int = 360
    """Seconds until the first routes are sent after a restart, at the latest."""
    helper_only: bool = False
    """Help peers that restart, and claim nothing for ourselves."""
    notification: bool = False
    """Routes survive notifications, too (RFC 8538). Then they survive our orderly end: withdraw them first."""
    longlived: bool = False
    """Stale routes are kept for long, as a last resort (RFC 9494)."""

    def __post_init__(self) -> None:
        _within("restart_time", self.restart_time, 1, 4095)
        _within("deferral_time", self.deferral_time, 1, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Global:
    """The speaker itself: what StartBgp is told. A change of it means a restart of the speaker.

    Graceful restart is each peer's: gobgpd takes one for the speaker, too, and makes no use of it.
    """

    asn: int
    router_id: IPv4Address
    listen_port: int = 179
    """-1: nobody may connect, and all sessions are opened from here."""
    listen_addresses: tuple[Address, ...] = ()
    """None: all of the node's."""
    use_multiple_paths: bool = False

    def __post_init__(self) -> None:
        _within("asn", self.asn, 1, _U32)
        _within("listen_port", self.listen_port, -1, 65535)
        if not self.listen_port:
            raise ValueError("listen_port: gobgpd takes 0 for its default; write 179, or -1 for no listener")
        if int(self.router_id) == 0:
            raise ValueError("router_id: 0.0.0.0 is no BGP identifier (RFC 6286 section 2.1)")

    @property
    def key(self) -> Key:
        """The one name of it."""
        return Key(Kind.GLOBAL)


class AsKind(StrEnum):
    """Whose autonomous system a peer is in, where its number is not given."""

    INTERNAL = "internal"
    """Our own."""
    EXTERNAL = "external"
    """Whatever the peer says. GoBGP cannot refuse our own number here: give the number where that matters."""


class PrivateAsns(StrEnum):
    """What becomes of private numbers (RFC 6996) in paths towards a peer."""

    KEEP = "keep"
    REMOVE = "all"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A router, or all routers of a prefix, and the session with it."""

    address: Address | None = None
    """The router. A link-local address needs `interface` as well."""
    interface: str = ""
    """The interface at whose other end the router is (unnumbered); GoBGP 3 needs its link-local `address` as well."""
    prefix: Prefix | None = None
    """Instead of both: whoever connects from this prefix (dynamic neighbours)."""
    asn: int | AsKind
    local_asn: int | None = None
    """What we say we are (RFC 7705); None: Global's."""
    port: int = 179
    hold_time: int = 90
    """3 to 65535; GoBGP cannot do without."""
    keepalive: int = 30
    connect_retry: int = 120
    """Seconds between attempts to connect; GoBGP 3 takes no less than 5, GoBGP 4 no less than 2."""
    source: Address | None = None
    """Our end of the session; None: the kernel's choice."""
    password: str = field(default="", repr=False)
    """For TCP MD5 (RFC 2385), at most 80 bytes."""
    multihop_ttl: int | None = None
    """The router may be so many hops away (eBGP); None: one."""
    ttl_security_hops: int | None = None
    """Packets from further away are dropped (RFC 5082)."""
    passive: bool = False
    graceful_restart: GracefulRestart | None = None
    families: tuple[Family, ...] = ()
    """Of the prefixes in this session; none: that of the session itself, both on an interface."""
    allow_own_asn: int = 0
    """How often our own number may stand in a path that is accepted."""
    private_asns: PrivateAsns = PrivateAsns.KEEP
    replace_peer_asn: bool = False
    """The peer's number in paths towards it is replaced with our own."""
    admin_down: bool = False
    """The session is kept down."""
    description: str = ""

    def __post_init__(self) -> None:
        if (self.prefix is not None) == (self.address is not None or bool(self.interface)):
            raise ValueError("address: give one of address, interface and prefix")
        if isinstance(self.address, IPv6Address) and self.address.scope_id is not None:
            raise ValueError("address: it carries a zone; give the zone as interface")
        if self.address is not None and self.address.is_link_local and self.address.version == 6 and not self.interface:
            raise ValueError("interface: a link-local address needs it")
        if isinstance(self.asn, int) and not isinstance(self.asn, AsKind):
            _within("asn", self.asn, 1, _U32)
        _within("local_asn", self.local_asn, 1, _U32)
        _within("port", self.port, 1, 65535)
        _within("hold_time", self.hold_time, 3, 65535)
        _within("keepalive", self.keepalive, 1, self.hold_time)
        _within("connect_retry", self.connect_retry, 1, 65535)
        _within("multihop_ttl", self.multihop_ttl, 1, 255)
        _within("ttl_security_hops", self.ttl_security_hops, 1, 254)
        _within("allow_own_asn", self.allow_own_asn, 0, 255)
        if self.multihop_ttl is not None and self.ttl_security_hops is not None:
            raise ValueError("ttl_security_hops: it excludes multihop_ttl")
        if len(self.password.encode()) > 80 or "\0" in self.password:
            raise ValueError("password: TCP MD5 takes at most 80 bytes, and no zero byte")
        if self.prefix is not None:
            self._check_dynamic()
        if not self.families:
            object.__setattr__(self, "families", self._session_families())

    def _session_families(self) -> tuple[Family, ...]:
        if self.interface:
            return Family.IPV4, Family.IPV6
        end = self.address if self.address is not None else self.prefix.network_address if self.prefix else None
        return () if end is None else (family_of(end),)

    def _check_dynamic(self) -> None:
        impossible = {
            "passive": self.passive,
            "port": self.port != 179,
            "allow_own_asn": self.allow_own_asn,
            "private_asns": self.private_asns is not PrivateAsns.KEEP,
            "replace_peer_asn": self.replace_peer_asn,
            "admin_down": self.admin_down,
        }
        for name in (name for name, given in impossible.items() if given):
            raise ValueError(f"{name}: GoBGP does not have it for dynamic neighbours; give the peer an address instead")

    @property
    def key(self) -> Key:
        """Its interface, or its address, or its prefix."""
        return Key(Kind.PEER, self.interface or str(self.address or self.prefix))


class Origin(IntEnum):
    """Where a route is from (RFC 4271 section 4.3), by its number on the wire."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class LargeCommunity(NamedTuple):
    """A large community (RFC 8092): three numbers of 32 bits."""

    global_admin: int
    local1: int
    local2: int

    def __str__(self) -> str:
        return f"{self.global_admin}:{self.local1}:{self.local2}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A prefix that we announce, and how."""

    prefix: Prefix
    next_hop: Address
    """Always given: of a route without one, FRR installs nothing where session and prefix differ in family."""
    origin: Origin = Origin.IGP
    local_pref: int | None = None
    med: int | None = None
    communities: frozenset[int] = frozenset()
    """Of 32 bits each (RFC 1997): 65001:100 is `65001 << 16 | 100`."""
    large_communities: frozenset[LargeCommunity] = frozenset()
    as_path: tuple[int, ...] = ()
    """Numbers in front of which an eBGP session puts our own: our own here makes the path longer (prepending)."""
    offers: frozenset[int] | None = None
    """Ids of the offers by which peers are told of it; None: all peers are told."""

    def __post_init__(self) -> None:
        if self.prefix.version == 6 and self.next_hop.version == 4:
            raise ValueError(f"next_hop: {self.next_hop} is IPv4, and {self.prefix} can only be reached over IPv6")
        if self.next_hop.is_unspecified or self.next_hop.is_multicast:
            raise ValueError(f"next_hop: {self.next_hop} is no station")
        if isinstance(self.next_hop, IPv6Address) and (self.next_hop.scope_id or self.next_hop.ipv4_mapped):
            raise ValueError(f"next_hop: {self.next_hop} has a zone, or is an IPv4 address in IPv6 clothes")
        _within("local_pref", self.local_pref, 0, _U32)
        _within("med", self.med, 0, _U32)
        for community in self.communities:
            _within("communities", community, 0, _U32)
        for part in (part for large in self.large_communities for part in large):
            _within("large_communities", part, 0, _U32)
        for asn in self.as_path:
            _within("as_path", asn, 1, _U32)
        if len(self.as_path) > 255:
            raise ValueError("as_path: a segment holds 255 numbers (RFC 4271 section 4.3)")

    @property
    def key(self) -> Key:
        """Its prefix."""
        return Key(Kind.ROUTE, str(self.prefix))


@dataclass(frozen=True, slots=True)
class Restriction:
    """Routes that are not for all peers reach none of them, but for offers. Without it there are no such routes."""

    @property
    def key(self) -> Key:
        """The one name of it."""
        return Key(Kind.EXPORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One peer is told of the routes that belong to it (`Route.offers`), with these attributes besides their own.

    It is never changed: its id follows from what it says.
    """

    peer: str
    """The name in the peer's key."""
    neighbors: tuple[Prefix, ...]
    """Where that peer is, and no other; see `netlb.bgp.audience.audience`."""
    local_pref: int | None = None
    """Instead of the route's; GoBGP cannot set 0, and leaves it out where a session has none."""
    med: int | None = None
    """Instead of the route's."""
    communities: frozenset[int] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()

    def __post_init__(self) -> None:
        if not self.neighbors:
            raise ValueError(f"neighbors: it is not known where peer {self.peer} is; to GoBGP, nowhere is everywhere")
        _within("local_pref", self.local_pref, 1, _U32)
        _within("med", self.med, 0, _U32)

    @property
    def id(self) -> int:
        """A number of 32 bits, which is never 0."""
        said = (
            self.peer,
            sorted(map(str, self.neighbors)),
            self.local_pref,
            self.med,
            sorted(self.communities),
            sorted(self.large_communities),
        )
        return int.from_bytes(sha256(repr(said).encode()).digest()[:4], "big") or 1

    @property
    def key(self) -> Key:
        """Its id."""
        return Key(Kind.EXPORT, f"{self.id:08x}")


@dataclass(frozen=True, slots=True)
class Unlike:
    """Stands where something of ours is there and is like nothing that we make: it equals no record."""

    what: str


Record = Global | Restriction | Offer | Route | Peer | Unlike


@dataclass(frozen=True, slots=True)
class BgpState:
    """All that one gobgpd should have of ours."""

    speaker: Global
    peers: tuple[Peer, ...] = ()
    routes: tuple[Route, ...] = ()
    offers: tuple[Offer, ...] = ()

    def records(self) -> Mapping[Key, Record]:
        """Return everything by key; ValueError if two of a kind have the same, or a route belongs to no known offer."""
        records: dict[Key, Record] = {}
        everything: list[Global | Restriction | Offer | Route | Peer] = [self.speaker]
        if self.offers or any(route.offers is not None for route in self.routes):
            everything += [Restriction(), *self.offers]
        for record in (*everything, *self.routes, *self.peers):
            if record.key in records:
                raise ValueError(f"{record.key.kind} {record.key.name}: it is there twice")
            records[record.key] = record
        known = frozenset(offer.id for offer in self.offers)
        for route in self.routes:
            if route.offers is not None and not route.offers <= known:
                raise ValueError(f"route {route.prefix}: it belongs to an offer that is not there")
        return records
