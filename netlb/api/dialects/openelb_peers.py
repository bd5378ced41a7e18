"""OpenELB's BGP objects as they are written: the grammar of BgpConf and BgpPeer (`network.kubesphere.io/v1alpha2`).

OpenELB hands most fields on to GoBGP as they are, so the names and the zero that means "not set" are GoBGP's.
"""

from typing import ClassVar, Literal

import msgspec

from netlb.api.meta import LabelSelector, Record
from netlb.api.v1alpha1.base import Spec

__all__ = [
    "AddPaths",
    "AddPathsConfig",
    "AfiSafi",
    "AfiSafiConfig",
    "BgpConf",
    "BgpConfSpec",
    "BgpPeer",
    "BgpPeerSpec",
    "EbgpMultihop",
    "Family",
    "GracefulRestart",
    "PeerConf",
    "Timers",
    "TimersConfig",
    "Transport",
]


class GracefulRestart(Spec, frozen=True, kw_only=True):
    """GoBGP's settings of RFC 4724; the last four are its state, and settings in name only."""

    enabled: bool = False
    restart_time: int = 0
    helper_only: bool = False
    deferral_time: int = 0
    notification_enabled: bool = False
    longlived_enabled: bool = False
    stale_routes_time: int = 0
    peer_restart_time: int = 0
    peer_restarting: bool = False
    local_restarting: bool = False
    mode: str = ""


class BgpConfSpec(Spec, frozen=True, kw_only=True):
    """`v1alpha2.BgpConfSpec`."""

    asn: int = msgspec.field(default=0, name="as")
    as_per_rack: dict[str, int] = {}
    """By the value of the node label `openelb.kubesphere.io/rack`; such nodes use their own address as router id."""
    router_id: str = ""
    listen_port: int = 0
    listen_addresses: tuple[str, ...] = ()
    families: tuple[int, ...] = ()
    """Numbers of address families, as GoBGP packs them."""
    use_multiple_paths: bool = False
    graceful_restart: GracefulRestart | None = None
    policy: str = ""
    """Name of a ConfigMap with a policy in gobgpd's TOML."""


class BgpConf(Record, frozen=True, kw_only=True):
    """How the nodes speak BGP; only the one named `default` counts."""

    NAMESPACED: ClassVar[bool] = False

    spec: BgpConfSpec


class PeerConf(Spec, frozen=True, kw_only=True):
    """Who the peer is, and who we are to it."""

    auth_password: str = ""
    description: str = ""
    local_as: int = 0
    neighbor_address: str = ""
    peer_as: int = 0
    peer_group: str = ""
    peer_type: int = 0
    remove_private_as: Literal["", "NONE", "ALL", "REPLACE"] = ""
    route_flap_damping: bool = False
    send_community: int = 0
    neighbor_interface: str = ""
    vrf: str = ""
    allow_own_as: int = 0
    replace_peer_as: bool = False
    admin_down: bool = False


class EbgpMultihop(Spec, frozen=True, kw_only=True):
    """Whether the peer may be several hops away."""

    enabled: bool = False
    multihop_ttl: int = 0


class TimersConfig(Spec, frozen=True, kw_only=True):
    """Whole seconds, written as text."""

    connect_retry: str = ""
    hold_time: str = ""
    keepalive_interval: str = ""
    minimum_advertisement_interval: str = ""

    def __post_init__(self) -> None:
        for name, text in (
            ("connectRetry", self.connect_retry),
            ("holdTime", self.hold_time),
            ("keepaliveInterval", self.keepalive_interval),
            ("minimumAdvertisementInterval", self.minimum_advertisement_interval),
        ):
            if text and not (text.isascii() and text.isdecimal()):
                raise ValueError(f"{name}: {text!r} is not a number of seconds")


class Timers(Spec, frozen=True, kw_only=True):
    """The timers of a session."""

    config: TimersConfig = TimersConfig()


class Transport(Spec, frozen=True, kw_only=True):
    """The TCP connection."""

    mtu_discovery: bool = False
    passive_mode: bool = False
    remote_address: str = ""
    remote_port: int = 0
    tcp_mss: int = 0


class Family(Spec, frozen=True, kw_only=True):
    """An address family by its names in GoBGP's API, as AFI_IP and SAFI_UNICAST."""

    afi: str = ""
    safi: str = ""


class AfiSafiConfig(Spec, frozen=True, kw_only=True):
    """Which family, and whether it is in the session."""

    family: Family = Family()
    enabled: bool = False


class AddPathsConfig(Spec, frozen=True, kw_only=True):
    """RFC 7911."""

    receive: bool = False
    send_max: int = 0


class AddPaths(Spec, frozen=True, kw_only=True):
    """Several paths for one prefix."""

    config: AddPathsConfig = AddPathsConfig()


class MpGracefulRestartConfig(Spec, frozen=True, kw_only=True):
    """Graceful restart of one family."""

    enabled: bool = False


class MpGracefulRestart(Spec, frozen=True, kw_only=True):
    """Graceful restart of one family."""

    config: MpGracefulRestartConfig = MpGracefulRestartConfig()


class AfiSafi(Spec, frozen=True, kw_only=True):
    """One family of a session; without `config`, that of the peer's own address."""

    mp_graceful_restart: MpGracefulRestart | None = None
    config: AfiSafiConfig | None = None
    add_paths: AddPaths = AddPaths()


class BgpPeerSpec(Spec, frozen=True, kw_only=True):
    """`v1alpha2.BgpPeerSpec`."""

    conf: PeerConf = PeerConf()
    ebgp_multihop: EbgpMultihop = EbgpMultihop()
    timers: Timers = Timers()
    transport: Transport = Transport()
    graceful_restart: GracefulRestart | None = None
    afi_safis: tuple[AfiSafi, ...] = ()
    """None: the family of the peer's address, with up to 10 paths for a prefix."""
    node_selector: LabelSelector | None = None
    """Nodes that have the session; absent: every node."""


class BgpPeer(Record, frozen=True, kw_only=True):
    """A router; its status is not read."""

    NAMESPACED: ClassVar[bool] = False

    spec: BgpPeerSpec
