"""MetalLB's objects that are about BGP: BGPPeer, BGPAdvertisement, Community, BFDProfile (`metallb.io`)."""

from typing import ClassVar, Literal

import msgspec

from netlb.api import v1alpha1
from netlb.api.dialects.metallb_rules import MetalLBRecord, check_selectors, whole_seconds
from netlb.api.meta import LabelSelector, Record
from netlb.api.v1alpha1.base import U32, Spec, check_bounds, duration_seconds

__all__ = [
    "KINDS",
    "BFDProfile",
    "BGPAdvertisement",
    "BGPAdvertisementSpec",
    "BGPPeer",
    "BGPPeerSpec",
    "BGPPeerV1Beta1",
    "Community",
    "LegacyBGPAdvertisement",
]


class SecretReference(Spec, frozen=True, kw_only=True):
    """`v1.SecretReference`. Its namespace does not count: the Secret is where MetalLB's objects are."""

    name: str = ""
    namespace: str = ""


class BGPPeerSpec(Spec, frozen=True, kw_only=True):
    """Spec of a BGPPeer (v1beta2); a field that is empty or 0 is absent."""

    my_asn: int = msgspec.field(name="myASN")
    peer_asn: int = msgspec.field(default=0, name="peerASN")
    dynamic_asn: Literal["internal", "external"] | None = msgspec.field(default=None, name="dynamicASN")
    local_asn: int | None = msgspec.field(default=None, name="localASN")
    peer_address: str = ""
    interface: str = ""
    source_address: str = ""
    peer_port: int = 179
    hold_time: str = ""
    keepalive_time: str = ""
    connect_time: str = ""
    router_id: str = msgspec.field(default="", name="routerID")
    node_selectors: tuple[LabelSelector, ...] = ()
    password: str = ""
    password_secret: SecretReference = SecretReference()
    bfd_profile: str = ""
    enable_graceful_restart: bool = False
    ebgp_multi_hop: bool = msgspec.field(default=False, name="ebgpMultiHop")
    vrf: str = ""
    disable_mp: bool = msgspec.field(default=False, name="disableMP")
    dual_stack_address_family: bool = False

    def __post_init__(self) -> None:
        check_bounds("peerPort", self.peer_port, 1, 16384)
        check_selectors("nodeSelectors", self.node_selectors)
        self.native("")

    def native(self, namespace: str) -> v1alpha1.BGPPeerSpec:
        """Return the same in native terms; ValueError names the field that cannot be said. Secrets are there."""
        secret = self.password_secret.name
        hold = whole_seconds(self.hold_time)
        if not hold and (keepalive := duration_seconds(self.keepalive_time)) is not None:
            hold = f"{int(3 * keepalive)}s"
        return v1alpha1.BGPPeerSpec(
            my_asn=self.my_asn,
            peer_asn=self.peer_asn or None,
            dynamic_asn=self.dynamic_asn,
            local_asn=self.local_asn,
            peer_address=self.peer_address,
            interface=self.interface,
            source_address=self.source_address,
            peer_port=self.peer_port,
            hold_time=hold,
            keepalive_time=self.keepalive_time,
            connect_time=self.connect_time,
            router_id=self.router_id,
            node_selectors=self.node_selectors,
            password=self.password,
            password_secret=v1alpha1.SecretReference(name=secret, namespace=namespace) if secret else None,
            bfd_profile=self.bfd_profile,
            graceful_restart=v1alpha1.GracefulRestart() if self.enable_graceful_restart else None,
            ebgp_multi_hop=self.ebgp_multi_hop,
            vrf=self.vrf,
            address_families=("ipv4", "ipv6") if self.dual_stack_address_family else (),
        )


class BGPPeer(MetalLBRecord, frozen=True, kw_only=True):
    """A router that is told where addresses are (v1beta2)."""

    spec: BGPPeerSpec

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.BGPPeer(metadata=self.cluster_wide, spec=self.spec.native(self.metadata.namespace)),)

    def unhonoured(self) -> tuple[tuple[str, str, str], ...]:
        found = []
        if self.spec.vrf:
            found.append(("spec.vrf", "sessions are made in the default routing table", "remove it"))
        if self.spec.disable_mp:
            problem = "a session carries the other family's prefixes only where dualStackAddressFamily is true"
            found.append(("spec.disableMP", problem, "remove it"))
        return tuple(found)


class BGPPeerV1Beta1Spec(Spec, frozen=True, kw_only=True):
    """Spec of a BGPPeer (v1beta1); a field that is empty or 0 has its default."""

    my_asn: int = msgspec.field(name="myASN")
    peer_asn: int = msgspec.field(name="peerASN")
    peer_address: str
    source_address: str = ""
    peer_port: int = 0
    hold_time: str = ""
    keepalive_time: str = ""
    router_id: str = msgspec.field(default="", name="routerID")
    node_selectors: tuple[LabelSelector, ...] = ()
    password: str = ""
    bfd_profile: str = ""
    ebgp_multi_hop: bool = msgspec.field(default=False, name="ebgpMultiHop")

    def __post_init__(self) -> None:
        check_bounds("peerASN", self.peer_asn, 1, U32)
        self.current()

    def current(self) -> BGPPeerSpec:
        """Return the same as a spec of v1beta2."""
        return BGPPeerSpec(
            my_asn=self.my_asn,
            peer_asn=self.peer_asn,
            peer_address=self.peer_address,
            source_address=self.source_address,
            peer_port=self.peer_port or 179,
            # Where v1beta1 was current (MetalLB 0.12 and 0.13) a duration of 0 was an absent one.
            hold_time="90s" if duration_seconds(self.hold_time or "0") == 0 else self.hold_time,
            keepalive_time="" if duration_seconds(self.keepalive_time) == 0 else self.keepalive_time,
            router_id=self.router_id,
            node_selectors=self.node_selectors,
            password=self.password,
            bfd_profile=self.bfd_profile,
            ebgp_multi_hop=self.ebgp_multi_hop,
        )


class BGPPeerV1Beta1(MetalLBRecord, frozen=True, kw_only=True):
    """A router that is told where addresses are (v1beta1)."""

    KIND: ClassVar[str] = "BGPPeer"

    spec: BGPPeerV1Beta1Spec

    @property
    def current(self) -> BGPPeer:
        """The same as an object of v1beta2."""
        return BGPPeer(metadata=self.metadata, spec=self.spec.current())

    def native(self) -> tuple[Record, ...]:
        return self.current.native()

    def unhonoured(self) -> tuple[tuple[str, str, str], ...]:
        return self.current.unhonoured()


class LegacyBGPAdvertisement(Spec, frozen=True, kw_only=True):
    """One entry of `bgpAdvertisements` in the AddressPool of v1beta1."""

    aggregation_length: int = 32
    aggregation_length_v6: int = msgspec.field(default=128, name="aggregationLengthV6")
    local_pref: int = 0
    communities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.native(())

    def native(self, pools: tuple[str, ...]) -> v1alpha1.BGPAdvertisementSpec:
        """Return the same in native terms, for these pools."""
        return v1alpha1.BGPAdvertisementSpec(
            ip_address_pools=pools,
            aggregation_length=self.aggregation_length,
            aggregation_length_v6=self.aggregation_length_v6,
            local_pref=self.local_pref or None,
            communities=self.communities,
        )


class BGPAdvertisementSpec(Spec, frozen=True, kw_only=True):
    """Spec of a BGPAdvertisement; a localPref of 0 is none."""

    aggregation_length: int = 32
    aggregation_length_v6: int = msgspec.field(default=128, name="aggregationLengthV6")
    local_pref: int = 0
    communities: tuple[str, ...] = ()
    ip_address_pools: tuple[str, ...] = ()
    ip_address_pool_selectors: tuple[LabelSelector, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()
    peers: tuple[str, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()

    def __post_init__(self) -> None:
        check_selectors("ipAddressPoolSelectors", self.ip_address_pool_selectors)
        check_selectors("nodeSelectors", self.node_selectors)
        check_selectors("serviceSelectors", self.service_selectors)
        self.native()

    def native(self) -> v1alpha1.BGPAdvertisementSpec:
        """Return the same in native terms; ValueError names the field that cannot be said."""
        return v1alpha1.BGPAdvertisementSpec(
            aggregation_length=self.aggregation_length,
            aggregation_length_v6=self.aggregation_length_v6,
            local_pref=self.local_pref or None,
            communities=self.communities,
            ip_address_pools=self.ip_address_pools,
            ip_address_pool_selectors=self.ip_address_pool_selectors,
            node_selectors=self.node_selectors,
            peers=self.peers,
            service_selectors=self.service_selectors,
        )


class BGPAdvertisement(MetalLBRecord, frozen=True, kw_only=True):
    """Which addresses routers are told of, and how."""

    spec: BGPAdvertisementSpec = BGPAdvertisementSpec()

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.BGPAdvertisement(metadata=self.cluster_wide, spec=self.spec.native()),)


class Community(MetalLBRecord, frozen=True, kw_only=True):
    """Names for communities; the spec is the native one, field by field."""

    spec: v1alpha1.CommunitySpec = v1alpha1.CommunitySpec()

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.Community(metadata=self.cluster_wide, spec=self.spec),)


class BFDProfile(MetalLBRecord, frozen=True, kw_only=True):
    """Timers of BFD sessions; the spec is the native one, field by field."""

    spec: v1alpha1.BFDProfileSpec = v1alpha1.BFDProfileSpec()

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.BFDProfile(metadata=self.cluster_wide, spec=self.spec),)


KINDS: dict[tuple[str, str], type[Record]] = {
    ("metallb.io/v1beta2", "BGPPeer"): BGPPeer,
    ("metallb.io/v1beta1", "BGPPeer"): BGPPeerV1Beta1,
    ("metallb.io/v1beta1", "BGPAdvertisement"): BGPAdvertisement,
    ("metallb.io/v1beta1", "Community"): Community,
    ("metallb.io/v1beta1", "BFDProfile"): BFDProfile,
}
