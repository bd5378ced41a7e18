"""BGPConfiguration, BGPPeer, BGPAdvertisement, Community: what routers are told, by whom, and how."""

from typing import Literal

import msgspec

from netlb.api.meta import LabelSelector
from netlb.api.v1alpha1.base import (
    U32,
    Native,
    Spec,
    check_address,
    check_bounds,
    check_distinct,
    duration_seconds,
    is_community,
)
from netlb.net import Family, family_of, parse_address, parse_prefix

__all__ = [
    "AddPaths",
    "BGPAdvertisement",
    "BGPAdvertisementSpec",
    "BGPConfiguration",
    "BGPConfigurationSpec",
    "BGPPeer",
    "BGPPeerSpec",
    "Community",
    "CommunityAlias",
    "CommunitySpec",
    "GracefulRestart",
    "SecretReference",
]


def _check_router_id(field: str, text: str) -> None:
    check_address(field, text)
    if text and family_of(parse_address(text)) is not Family.IPV4:
        raise ValueError(f"{field}: {text!r} is not written as an IPv4 address (RFC 4271 section 4.2)")


def _check_prefix(field: str, text: str) -> None:
    try:
        parse_prefix(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _check_timers(hold: str, keepalive: str, connect: str) -> None:
    seconds = {}
    for field, text in (("holdTime", hold), ("keepaliveTime", keepalive), ("connectTime", connect)):
        if text:
            value = duration_seconds(text)
            if value is None:
                raise ValueError(f"{field}: {text!r} is not a duration such as 90s or 1m30s")
            seconds[field] = value
    held = seconds.get("holdTime")
    if held is not None and ((held and held < 3) or held > 65535):
        raise ValueError("holdTime: BGP allows 0 or 3 to 65535 seconds (RFC 4271 section 4.2)")
    if held is not None and seconds.get("keepaliveTime", 0.0) > held:
        raise ValueError("keepaliveTime: it is longer than holdTime, so the session would end between two of them")
    connecting = seconds.get("connectTime")
    if connecting is not None and (not 1 <= connecting <= 65535 or connecting != int(connecting)):
        raise ValueError("connectTime: whole seconds from 1 to 65535")


class GracefulRestart(Spec, frozen=True, kw_only=True):
    """Peers keep our routes while we restart (RFC 4724)."""

    enabled: bool = True
    """False: off, even where BGPConfiguration has it on."""
    restart_time: int = 120
    """Seconds in which we promise to be back."""
    stale_routes_time: int | None = None
    """Seconds for which a peer's routes are kept after it is back; absent: the BGP daemon's default."""
    deferral_time: int | None = None
    """Seconds until the first routes are sent after a restart; absent: the BGP daemon's default."""
    helper_only: bool = False
    """True: help peers that restart, and claim nothing for ourselves."""
    notification_enabled: bool = False
    """Routes survive notifications, too (RFC 8538)."""
    longlived_enabled: bool = False
    """Stale routes are kept for long, as a last resort (RFC 9494)."""

    def __post_init__(self) -> None:
        check_bounds("restartTime", self.restart_time, 1, 4095)
        check_bounds("staleRoutesTime", self.stale_routes_time, 1, U32)
        check_bounds("deferralTime", self.deferral_time, 0, 65535)


class BGPConfigurationSpec(Spec, frozen=True, kw_only=True):
    """The BGP daemon of each node."""

    asn: int | None = msgspec.field(default=None, name="asn")
    """Our autonomous system; absent: each peer's myASN, which then has to be the same."""
    asn_per_rack: dict[str, int] = msgspec.field(default_factory=dict, name="asnPerRack")
    """Our autonomous system on nodes with the label `openelb.kubesphere.io/rack`, by its value."""
    router_id: str = msgspec.field(default="", name="routerID")
    """An IPv4 address that tells this router from others; empty: each node's own address."""
    listen_port: int = 179
    """The TCP port on which peers may connect; -1: none may."""
    listen_addresses: tuple[str, ...] = ()
    """Addresses on which to listen; none: all of the node's."""
    use_multiple_paths: bool = False
    """Whether several best paths are kept."""
    graceful_restart: GracefulRestart | None = None
    """For peers that say nothing else; absent: off."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Nodes that this is for; none: every node."""

    def __post_init__(self) -> None:
        check_bounds("asn", self.asn, 1, U32)
        for rack, asn in self.asn_per_rack.items():
            check_bounds(f"asnPerRack.{rack}", asn, 1, U32)
        check_bounds("listenPort", self.listen_port, -1, 65535)
        _check_router_id("routerID", self.router_id)
        for index, text in enumerate(self.listen_addresses):
            check_address(f"listenAddresses[{index}]", text)


class BGPConfiguration(Native, frozen=True, kw_only=True):
    """How the nodes speak BGP."""

    spec: BGPConfigurationSpec = BGPConfigurationSpec()


class SecretReference(Spec, frozen=True, kw_only=True):
    """A Secret of type kubernetes.io/basic-auth; its key `password` counts."""

    name: str
    """Name of the Secret."""
    namespace: str = ""
    """Namespace of the Secret; empty: that of netlb's daemons."""


class AddPaths(Spec, frozen=True, kw_only=True):
    """Several paths for one prefix in one session (RFC 7911)."""

    receive: bool = False
    """Whether the peer may send several."""
    send_max: int = 0
    """How many we send for one prefix at most; 0: one, as without this extension."""

    def __post_init__(self) -> None:
        check_bounds("sendMax", self.send_max, 0, 255)


class BGPPeerSpec(Spec, frozen=True, kw_only=True):
    """One router, or all routers of a prefix, and the session with it."""

    my_asn: int | None = msgspec.field(default=None, name="myASN")
    """Our autonomous system in this session; absent: BGPConfiguration's."""
    peer_asn: int | None = msgspec.field(default=None, name="peerASN")
    """The router's autonomous system."""
    dynamic_asn: Literal["internal", "external"] | None = msgspec.field(default=None, name="dynamicASN")
    """Instead of peerASN: whatever the peer says, as long as it is our own, or is not."""
    local_asn: int | None = msgspec.field(default=None, name="localASN")
    """What we say we are, instead of myASN (RFC 7705)."""
    peer_address: str = ""
    """The router's address, IPv4 or IPv6."""
    peer_prefix: str = ""
    """Instead of peerAddress: any router whose address is in this prefix may connect."""
    interface: str = ""
    """Instead of peerAddress: the router at the other end of this interface (unnumbered, RFC 8950)."""
    peer_port: int = 179
    """The TCP port to which we connect."""
    source_address: str = ""
    """Our end of the session, of the same family as peerAddress; empty: whatever the kernel takes."""
    router_id: str = msgspec.field(default="", name="routerID")
    """Instead of BGPConfiguration's, in this session."""
    hold_time: str = ""
    """As in 90s; 0, or at least 3s (RFC 4271 section 4.2). Empty: 90s, or three times keepaliveTime."""
    keepalive_time: str = ""
    """As in 30s; empty: a third of holdTime."""
    connect_time: str = ""
    """Time between attempts to connect, 1s to 65535s; empty: the BGP daemon's default."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Nodes that have this session; none: every node."""
    password: str = ""
    """For TCP MD5 (RFC 2385), in clear text; better: passwordSecret."""
    password_secret: SecretReference | None = None
    """Instead of password: the Secret that holds it."""
    bfd_profile: str = ""
    """Name of the BFDProfile that watches the peer; empty: BFD is off."""
    ebgp_multi_hop: bool = msgspec.field(default=False, name="ebgpMultiHop")
    """True: the router may be several hops away."""
    multi_hop_ttl: int | None = msgspec.field(default=None, name="multiHopTTL")
    """How many, where ebgpMultiHop is set; absent: the BGP daemon's default."""
    ttl_security_hops: int | None = msgspec.field(default=None, name="ttlSecurityHops")
    """Packets from further away are dropped (RFC 5082)."""
    passive: bool = False
    """True: wait for the router to connect."""
    vrf: str = ""
    """Name of the VRF in which the session is; empty: the default one."""
    graceful_restart: GracefulRestart | None = None
    """Instead of BGPConfiguration's, with this peer."""
    address_families: tuple[Literal["ipv4", "ipv6"], ...] = ()
    """Families of the prefixes in this session; none: that of the session itself."""
    add_paths: AddPaths | None = None
    """Several paths for one prefix (RFC 7911); absent: off."""
    allow_own_asn: int = msgspec.field(default=0, name="allowOwnASN")
    """How often our own number may stand in a path that we accept."""
    remove_private_asn: Literal["all", "replace"] | None = msgspec.field(default=None, name="removePrivateASN")
    """Private numbers (RFC 6996) are taken out of paths towards this peer, or replaced with our own."""
    replace_peer_asn: bool = msgspec.field(default=False, name="replacePeerASN")
    """True: the peer's number in paths towards it is replaced with our own."""
    mtu_discovery: bool = False
    """True: the session's TCP connection discovers the path's MTU (RFC 1191, RFC 8201)."""
    tcp_mss: int | None = msgspec.field(default=None, name="tcpMSS")
    """The largest TCP segment in octets; absent: the kernel's choice."""
    disabled: bool = False
    """True: the session is kept down (administratively)."""
    description: str = ""
    """For people."""

    def __post_init__(self) -> None:
        for field, asn in (("myASN", self.my_asn), ("peerASN", self.peer_asn), ("localASN", self.local_asn)):
            check_bounds(field, asn, 1, U32)
        if (self.peer_asn is None) == (self.dynamic_asn is None):
            raise ValueError("peerASN: give either peerASN or dynamicASN")
        if [self.peer_address, self.peer_prefix, self.interface].count("") != 2:
            raise ValueError("peerAddress: give one of peerAddress, peerPrefix and interface")
        check_address("peerAddress", self.peer_address)
        if self.peer_prefix:
            _check_prefix("peerPrefix", self.peer_prefix)
        check_bounds("peerPort", self.peer_port, 1, 65535)
        check_address("sourceAddress", self.source_address)
        if self.source_address and self.peer_address:
            ours, theirs = family_of(parse_address(self.source_address)), family_of(parse_address(self.peer_address))
            if ours is not theirs:
                raise ValueError(f"sourceAddress: it is {ours}, and peerAddress is {theirs}")
        _check_router_id("routerID", self.router_id)
        _check_timers(self.hold_time, self.keepalive_time, self.connect_time)
        check_distinct("nodeSelectors", self.node_selectors)
        check_distinct("addressFamilies", self.address_families)
        if self.password and self.password_secret:
            raise ValueError("password: give either password or passwordSecret")
        if self.ebgp_multi_hop and self.my_asn is not None and self.my_asn == self.peer_asn:
            raise ValueError("ebgpMultiHop: both ends are in one autonomous system; it is for sessions between two")
        if self.multi_hop_ttl is not None and not self.ebgp_multi_hop:
            raise ValueError("multiHopTTL: it counts only where ebgpMultiHop is true")
        check_bounds("multiHopTTL", self.multi_hop_ttl, 1, 255)
        check_bounds("ttlSecurityHops", self.ttl_security_hops, 1, 254)
        check_bounds("allowOwnASN", self.allow_own_asn, 0, 255)
        check_bounds("tcpMSS", self.tcp_mss, 1, 65535)


class BGPPeer(Native, frozen=True, kw_only=True):
    """A router that learns our routes."""

    spec: BGPPeerSpec


class BGPAdvertisementSpec(Spec, frozen=True, kw_only=True):
    """Which addresses are announced by BGP, by which nodes, to whom, and with what attributes."""

    ip_address_pools: tuple[str, ...] = ()
    """Names of pools. With no name and no selector, every pool is selected."""
    ip_address_pool_selectors: tuple[LabelSelector, ...] = ()
    """Pools by their labels; added to those named."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Nodes that announce; none: every node."""
    service_selectors: tuple[LabelSelector, ...] = ()
    """Services that are announced, by their labels; none: every Service."""
    peers: tuple[str, ...] = ()
    """Names of the BGPPeers that are told; none: all of them."""
    aggregation_length: int = 32
    """IPv4 addresses are announced as part of prefixes of this length."""
    aggregation_length_v6: int = msgspec.field(default=128, name="aggregationLengthV6")
    """The same for IPv6 addresses."""
    local_pref: int | None = None
    """LOCAL_PREF towards peers of our own autonomous system (RFC 4271 section 5.1.5)."""
    med: int | None = None
    """MULTI_EXIT_DISC (RFC 4271 section 5.1.4)."""
    communities: tuple[str, ...] = ()
    """`u16:u16`, `large:u32:u32:u32`, or the name of a Community."""
    next_hop: str = ""
    """Instead of the node's own address."""
    as_path_prepend: int = 0
    """How many times our own number is put in front of the path."""

    def __post_init__(self) -> None:
        check_distinct("ipAddressPools", self.ip_address_pools)
        check_distinct("ipAddressPoolSelectors", self.ip_address_pool_selectors)
        check_distinct("nodeSelectors", self.node_selectors)
        check_distinct("serviceSelectors", self.service_selectors)
        check_distinct("peers", self.peers)
        check_distinct("communities", self.communities)
        check_bounds("aggregationLength", self.aggregation_length, 1, 32)
        check_bounds("aggregationLengthV6", self.aggregation_length_v6, 1, 128)
        check_bounds("localPref", self.local_pref, 0, U32)
        check_bounds("med", self.med, 0, U32)
        check_bounds("asPathPrepend", self.as_path_prepend, 0, 16)
        check_address("nextHop", self.next_hop)
        if self.service_selectors and (self.aggregation_length, self.aggregation_length_v6) != (32, 128):
            raise ValueError(
                "serviceSelectors: an aggregate holds other Services too; leave the aggregation lengths out"
            )


class BGPAdvertisement(Native, frozen=True, kw_only=True):
    """Announce the addresses of pools to routers, by BGP (RFC 4271)."""

    spec: BGPAdvertisementSpec = BGPAdvertisementSpec()


class CommunityAlias(Spec, frozen=True, kw_only=True):
    """A name for a community."""

    name: str
    """What BGPAdvertisements call it."""
    value: str
    """`u16:u16`, or `large:u32:u32:u32`."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: an alias needs a name")
        if not is_community(self.value):
            raise ValueError(f"value: {self.value!r} is not a community; write 65000:100 or large:65000:1:2")


class CommunitySpec(Spec, frozen=True, kw_only=True):
    """Names for communities."""

    communities: tuple[CommunityAlias, ...] = ()
    """The names; each stands once."""

    def __post_init__(self) -> None:
        check_distinct("communities", [alias.name for alias in self.communities])


class Community(Native, frozen=True, kw_only=True):
    """Names that BGPAdvertisements may use instead of numbers (RFC 1997, RFC 8092)."""

    spec: CommunitySpec = CommunitySpec()
