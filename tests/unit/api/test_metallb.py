"""MetalLB's objects: each in native terms, with MetalLB's own rules, and refused alone if it is wrong."""

import pytest

from netlb.api.decode import decode
from netlb.api.dialects import DEFAULT, Compatibility, Translation
from netlb.api.dialects.metallb import KINDS, translate
from netlb.api.dialects.metallb_rules import MetalLBRecord
from netlb.api.documents import parse_documents
from netlb.api.meta import LabelSelector, LabelSelectorRequirement, ObjectMeta, Record
from netlb.api.v1alpha1 import (
    AddressPool,
    AddressPoolSpec,
    BFDProfile,
    BFDProfileSpec,
    BGPAdvertisement,
    BGPAdvertisementSpec,
    BGPPeer,
    BGPPeerSpec,
    Community,
    CommunityAlias,
    CommunitySpec,
    GracefulRestart,
    L2Advertisement,
    L2AdvertisementSpec,
    SecretReference,
    ServiceAllocation,
)
from netlb.errors import ConfigError
from netlb.findings import Severity
from netlb.reasons import ManifestProblem
from tests.manifests import metallb_object
from tests.support.translation import foreign, records

PEER = "myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1"
RACK_A = LabelSelector(match_labels={"rack": "a"})
RACK_B_OR_C = LabelSelector(match_expressions=(LabelSelectorRequirement(key="rack", operator="In", values=("b", "c")),))


def read(*manifests: str, compatibility: Compatibility = DEFAULT) -> Translation:
    return translate(foreign(*manifests), compatibility)


def refusals(translation: Translation) -> list[str]:
    return [str(finding) for finding in translation.refused.values()]


def named(name: str) -> ObjectMeta:
    return ObjectMeta(name=name)


@pytest.mark.parametrize(
    ("manifest", "native"),
    [
        (
            metallb_object("IPAddressPool", "p", "addresses: [192.0.2.0/24, 198.51.100.1 - 198.51.100.1, 'fd00::/64']"),
            [
                AddressPool(
                    metadata=named("p"),
                    spec=AddressPoolSpec(
                        addresses=("192.0.2.0/24", "198.51.100.1 - 198.51.100.1", "fd00::/64"), sharing="cluster"
                    ),
                )
            ],
        ),
        (
            metallb_object(
                "IPAddressPool",
                "p",
                "addresses: [192.0.2.0/24], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 50, "
                "namespaces: [a, b], namespaceSelectors: [{matchLabels: {rack: a}}], serviceSelectors: "
                "[{matchExpressions: [{key: rack, operator: In, values: [b, c]}]}]}",
            ),
            [
                AddressPool(
                    metadata=named("p"),
                    spec=AddressPoolSpec(
                        addresses=("192.0.2.0/24",),
                        auto_assign=False,
                        avoid_buggy_ips=True,
                        sharing="cluster",
                        service_allocation=ServiceAllocation(
                            priority=50,
                            namespaces=("a", "b"),
                            namespace_selectors=(RACK_A,),
                            service_selectors=(RACK_B_OR_C,),
                        ),
                    ),
                )
            ],
        ),
        (
            metallb_object("AddressPool", "old", "protocol: layer2, addresses: [192.0.2.0/24], autoAssign: false"),
            [
                AddressPool(
                    metadata=named("old"),
                    spec=AddressPoolSpec(
                        addresses=("192.0.2.0/24",), auto_assign=False, sharing="cluster", protocol="layer2"
                    ),
                ),
                L2Advertisement(metadata=named("addresspool-old"), spec=L2AdvertisementSpec(ip_address_pools=("old",))),
            ],
        ),
        (
            metallb_object("AddressPool", "old", "protocol: bgp, addresses: [192.0.2.0/24]"),
            [
                AddressPool(
                    metadata=named("old"),
                    spec=AddressPoolSpec(addresses=("192.0.2.0/24",), sharing="cluster", protocol="bgp"),
                ),
                BGPAdvertisement(
                    metadata=named("addresspool-old-1"), spec=BGPAdvertisementSpec(ip_address_pools=("old",))
                ),
            ],
        ),
        (
            metallb_object(
                "AddressPool",
                "old",
                "protocol: bgp, addresses: [192.0.2.0/24], bgpAdvertisements: [{aggregationLength: 24, "
                "aggregationLengthV6: 64, localPref: 7, communities: ['1:2']}, {}]",
            ),
            [
                AddressPool(
                    metadata=named("old"),
                    spec=AddressPoolSpec(addresses=("192.0.2.0/24",), sharing="cluster", protocol="bgp"),
                ),
                BGPAdvertisement(
                    metadata=named("addresspool-old-1"),
                    spec=BGPAdvertisementSpec(
                        ip_address_pools=("old",),
                        aggregation_length=24,
                        aggregation_length_v6=64,
                        local_pref=7,
                        communities=("1:2",),
                    ),
                ),
                BGPAdvertisement(
                    metadata=named("addresspool-old-2"), spec=BGPAdvertisementSpec(ip_address_pools=("old",))
                ),
            ],
        ),
        (metallb_object("L2Advertisement", "l"), [L2Advertisement(metadata=named("l"))]),
        (
            metallb_object(
                "L2Advertisement",
                "l",
                "ipAddressPools: [p], ipAddressPoolSelectors: [{matchLabels: {rack: a}}], nodeSelectors: "
                "[{matchExpressions: [{key: rack, operator: In, values: [b, c]}]}], interfaces: [eth0, eth1, eth0], "
                "serviceSelectors: [{}]",
            ),
            [
                L2Advertisement(
                    metadata=named("l"),
                    spec=L2AdvertisementSpec(
                        ip_address_pools=("p",),
                        ip_address_pool_selectors=(RACK_A,),
                        node_selectors=(RACK_B_OR_C,),
                        interfaces=("eth0", "eth1"),
                        service_selectors=(LabelSelector(),),
                    ),
                )
            ],
        ),
        (metallb_object("BGPAdvertisement", "b"), [BGPAdvertisement(metadata=named("b"))]),
        (
            metallb_object(
                "BGPAdvertisement",
                "b",
                "aggregationLength: 24, aggregationLengthV6: 64, localPref: 100, communities: [no-export, '1:2', "
                "'large:1:2:3'], ipAddressPools: [p], ipAddressPoolSelectors: [{matchLabels: {rack: a}}], "
                "nodeSelectors: [{matchLabels: {rack: a}}], peers: [tor]",
            ),
            [
                BGPAdvertisement(
                    metadata=named("b"),
                    spec=BGPAdvertisementSpec(
                        aggregation_length=24,
                        aggregation_length_v6=64,
                        local_pref=100,
                        communities=("no-export", "1:2", "large:1:2:3"),
                        ip_address_pools=("p",),
                        ip_address_pool_selectors=(RACK_A,),
                        node_selectors=(RACK_A,),
                        peers=("tor",),
                    ),
                )
            ],
        ),
        (
            metallb_object("Community", "c", "communities: [{name: no-export, value: '65535:65281'}]"),
            [
                Community(
                    metadata=named("c"),
                    spec=CommunitySpec(communities=(CommunityAlias(name="no-export", value="65535:65281"),)),
                )
            ],
        ),
        (
            metallb_object("BFDProfile", "f", "receiveInterval: 10, detectMultiplier: 2, minimumTtl: 1"),
            [
                BFDProfile(
                    metadata=named("f"),
                    spec=BFDProfileSpec(receive_interval=10, detect_multiplier=2, minimum_ttl=1),
                )
            ],
        ),
    ],
)
def test_an_object_says_the_same_in_native_terms(manifest: str, native: list[Record]) -> None:
    translation = read(manifest)
    assert native == records(translation)
    assert {} == translation.refused


@pytest.mark.parametrize(
    ("version", "spec", "native"),
    [
        (
            "v1beta2",
            PEER,
            BGPPeerSpec(my_asn=64500, peer_asn=64501, peer_address="192.0.2.1"),
        ),
        (
            "v1beta2",
            "myASN: 64500, dynamicASN: external, localASN: 64511, interface: eth1, peerPort: 16384, holdTime: 1m, "
            "keepaliveTime: 20s, connectTime: 5s, routerID: 192.0.2.7, nodeSelectors: [{matchLabels: {rack: a}}], "
            "passwordSecret: {name: tor, namespace: elsewhere}, bfdProfile: fast, enableGracefulRestart: true, "
            "ebgpMultiHop: true, vrf: red, disableMP: true, dualStackAddressFamily: true",
            BGPPeerSpec(
                my_asn=64500,
                dynamic_asn="external",
                local_asn=64511,
                interface="eth1",
                peer_port=16384,
                hold_time="60s",
                keepalive_time="20s",
                connect_time="5s",
                router_id="192.0.2.7",
                node_selectors=(RACK_A,),
                password_secret=SecretReference(name="tor", namespace="metallb-system"),
                bfd_profile="fast",
                graceful_restart=GracefulRestart(),
                ebgp_multi_hop=True,
                vrf="red",
                address_families=("ipv4", "ipv6"),
            ),
        ),
        (
            "v1beta2",
            PEER + ", keepaliveTime: 1s, sourceAddress: 192.0.2.2, password: s",
            BGPPeerSpec(
                my_asn=64500,
                peer_asn=64501,
                peer_address="192.0.2.1",
                source_address="192.0.2.2",
                hold_time="3s",
                keepalive_time="1s",
                password="s",
            ),
        ),
        (
            "v1beta1",
            PEER + ", peerPort: 0, keepaliveTime: 0s",
            BGPPeerSpec(my_asn=64500, peer_asn=64501, peer_address="192.0.2.1", hold_time="90s"),
        ),
        (
            "v1beta1",
            "myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, sourceAddress: 192.0.2.2, peerPort: 1179, holdTime: "
            "180s, keepaliveTime: 60s, routerID: 192.0.2.7, nodeSelectors: [{matchExpressions: [{key: rack, operator: "
            "In, values: [b, c]}]}], password: s, bfdProfile: fast, ebgpMultiHop: true",
            BGPPeerSpec(
                my_asn=64500,
                peer_asn=64501,
                peer_address="192.0.2.1",
                source_address="192.0.2.2",
                peer_port=1179,
                hold_time="180s",
                keepalive_time="60s",
                router_id="192.0.2.7",
                node_selectors=(RACK_B_OR_C,),
                password="s",
                bfd_profile="fast",
                ebgp_multi_hop=True,
            ),
        ),
    ],
)
def test_a_peer_says_the_same_in_native_terms(version: str, spec: str, native: BGPPeerSpec) -> None:
    assert [BGPPeer(metadata=named("tor"), spec=native)] == records(
        read(metallb_object("BGPPeer", "tor", spec, version=version))
    )


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("IPAddressPool", "", "spec.addresses: the field is required and missing"),
        ("IPAddressPool", "addresses: []", "spec.addresses: a pool needs at least one prefix or range"),
        (
            "IPAddressPool",
            "addresses: [192.0.2.0/24, 198.51.100.1]",
            "spec.addresses[1]: '198.51.100.1' is neither a prefix nor a range (InvalidRange); write 198.51.100.1/32 or "
            "198.51.100.1-198.51.100.1",
        ),
        ("IPAddressPool", "addresses: [' 192.0.2.0/24']", "' 192.0.2.0' is not an IPv4 or IPv6 address"),
        ("IPAddressPool", "addresses: [192.0.2.9-192.0.2.1]", "turned round"),
        ("IPAddressPool", "addresses: ['192.0.2.1-fd00::1']", "begins in IPv4 and ends in IPv6"),
        (
            "IPAddressPool",
            "addresses: [192.0.2.0/24, 192.0.2.9/32]",
            "spec.addresses: 192.0.2.0/24 and 192.0.2.9 overlap",
        ),
        ("IPAddressPool", "addresses: [192.0.2.0/24], autoAsign: true", "did you mean 'autoAssign'?"),
        (
            "IPAddressPool",
            "addresses: [192.0.2.0/24], serviceAllocation: {namespaces: [a, a]}",
            "spec.serviceAllocation.namespaces[1]: the same as namespaces[0]",
        ),
        (
            "IPAddressPool",
            "addresses: [192.0.2.0/24], serviceAllocation: {namespaceSelectors: [{matchExpressions: [{key: a, operator: "
            "In, values: [x, y]}]}, {matchExpressions: [{key: a, operator: In, values: [y, x]}]}]}",
            "spec.serviceAllocation.namespaceSelectors[1]: the same as serviceAllocation.namespaceSelectors[0]",
        ),
        (
            "IPAddressPool",
            "addresses: [192.0.2.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: "
            "In, values: [x, x]}]}]}",
            "spec.serviceAllocation.serviceSelectors[0].matchExpressions: a value of a In stands there twice",
        ),
        ("AddressPool", "addresses: [192.0.2.0/24]", "spec.protocol: the field is required and missing"),
        ("AddressPool", "protocol: arp, addresses: [192.0.2.0/24]", "spec.protocol: Invalid enum value 'arp'"),
        ("AddressPool", "protocol: layer2, addresses: [192.0.2.1]", "spec.addresses[0]: '192.0.2.1' is neither"),
        (
            "AddressPool",
            "protocol: layer2, addresses: [192.0.2.0/24], bgpAdvertisements: [{}]",
            "spec.bgpAdvertisements: only a pool with protocol bgp has them",
        ),
        (
            "AddressPool",
            "protocol: bgp, addresses: [192.0.2.0/24], bgpAdvertisements: [{}, {aggregationLength: 20}]",
            "spec.bgpAdvertisements[1].aggregationLength: 20 is less than 24",
        ),
        (
            "AddressPool",
            "protocol: bgp, addresses: [192.0.2.0/24], bgpAdvertisements: [{communities: [a, a]}]",
            "spec.bgpAdvertisements[0].communities[1]: the same as communities[0]",
        ),
        ("L2Advertisement", "ipAddressPools: [a, a]", "spec.ipAddressPools[1]: the same as ipAddressPools[0]"),
        ("L2Advertisement", "nodeSelectors: [{}, {}]", "spec.nodeSelectors[1]: the same as nodeSelectors[0]"),
        ("L2Advertisement", "ipAddressPoolSelectors: [{}, {}]", "spec.ipAddressPoolSelectors[1]: the same"),
        ("L2Advertisement", "serviceSelectors: [{}, {}]", "spec.serviceSelectors[1]: the same"),
        (
            "L2Advertisement",
            "nodeSelectors: [{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: Exists}]}]",
            "spec.nodeSelectors[0].matchExpressions: a condition stands there twice",
        ),
        (
            "L2Advertisement",
            "preferredNodeSelectors: [{weight: 101, preference: {}}]",
            "spec.preferredNodeSelectors[0].weight: 101 is not from 1 to 100",
        ),
        ("BGPAdvertisement", "aggregationLength: 0", "spec.aggregationLength: 0 is not from 1 to 32"),
        ("BGPAdvertisement", "aggregationLengthV6: 129", "spec.aggregationLengthV6: 129 is not from 1 to 128"),
        ("BGPAdvertisement", "localPref: 4294967296", "spec.localPref: 4294967296 is not from 0 to 4294967295"),
        ("BGPAdvertisement", "communities: [a, a]", "spec.communities[1]: the same as communities[0]"),
        ("BGPAdvertisement", "peers: [a, a]", "spec.peers[1]: the same as peers[0]"),
        ("BGPAdvertisement", "ipAddressPools: [a, a]", "spec.ipAddressPools[1]: the same as ipAddressPools[0]"),
        ("BGPAdvertisement", "nodeSelectors: [{}, {}]", "spec.nodeSelectors[1]: the same as nodeSelectors[0]"),
        (
            "BGPAdvertisement",
            "serviceSelectors: [{}], aggregationLength: 24",
            "spec.serviceSelectors: an aggregate holds other Services too",
        ),
        ("BGPPeer", PEER.replace("64500", "0"), "spec.myASN: 0 is not from 1 to 4294967295"),
        ("BGPPeer", PEER.replace("64501", "0"), "spec.peerASN: give either peerASN or dynamicASN"),
        ("BGPPeer", PEER + ", dynamicASN: internal", "spec.peerASN: give either peerASN or dynamicASN"),
        ("BGPPeer", PEER + ", localASN: 0", "spec.localASN: 0 is not from 1 to 4294967295"),
        ("BGPPeer", PEER + ", interface: eth0", "spec.peerAddress: give one of peerAddress"),
        ("BGPPeer", PEER.replace("192.0.2.1", "''"), "spec.peerAddress: give one of peerAddress"),
        ("BGPPeer", PEER + ", peerPort: 16385", "spec.peerPort: 16385 is not from 1 to 16384"),
        ("BGPPeer", PEER + ", peerPort: 0", "spec.peerPort: 0 is not from 1 to 16384"),
        ("BGPPeer", PEER + ", sourceAddress: x", "spec.sourceAddress: 'x' is not an IPv4 or IPv6 address"),
        ("BGPPeer", PEER + ", routerID: x", "spec.routerID: 'x' is not an IPv4 or IPv6 address"),
        ("BGPPeer", PEER + ", holdTime: 2900ms", "spec.holdTime: BGP allows 0 or 3 to 65535 seconds"),
        ("BGPPeer", PEER + ", keepaliveTime: 500ms", "spec.holdTime: BGP allows 0 or 3 to 65535 seconds"),
        ("BGPPeer", PEER + ", holdTime: 9s, keepaliveTime: 10s", "spec.keepaliveTime: it is longer than holdTime"),
        ("BGPPeer", PEER + ", keepaliveTime: soon", "spec.keepaliveTime: 'soon' is not a duration"),
        ("BGPPeer", PEER + ", connectTime: 500ms", "spec.connectTime: whole seconds from 1 to 65535"),
        ("BGPPeer", PEER + ", nodeSelectors: [{}, {}]", "spec.nodeSelectors[1]: the same as nodeSelectors[0]"),
        (
            "BGPPeer",
            PEER + ", password: s3cr3t, passwordSecret: {name: tor}",
            "spec.password: give either password or passwordSecret",
        ),
        (
            "BGPPeer",
            PEER.replace("64501", "64500") + ", ebgpMultiHop: true",
            "spec.ebgpMultiHop: both ends are in one autonomous system",
        ),
        (
            "Community",
            "communities: [{name: a, value: '1:65536'}]",
            "spec.communities[0].value: '1:65536' is not a comm",
        ),
        (
            "Community",
            "communities: [{name: a, value: '1:2'}, {name: a, value: '1:3'}]",
            "spec.communities[1]: the same",
        ),
        ("BFDProfile", "receiveInterval: 9", "spec.receiveInterval: 9 is not from 10 to 60000"),
        ("BFDProfile", "minimumTtl: 255", "spec.minimumTtl: 255 is not from 1 to 254"),
        ("BFDProfile", "minimumTTL: 254", "did you mean 'minimumTtl'?"),
    ],
)
def test_what_is_wrong_in_an_object_is_said(kind: str, spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(metallb_object(kind, "x", spec))
    assert message in str(caught.value)
    assert f"x.yaml#1: {kind} metallb-system/x" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (PEER.replace("64501", "0"), "spec.peerASN: 0 is not from 1 to 4294967295"),
        (PEER + ", keepaliveTime: 91s", "spec.keepaliveTime: it is longer than holdTime"),
        (PEER + ", peerPort: 16385", "spec.peerPort: 16385 is not from 1 to 16384"),
        (PEER + ", connectTime: 1s", "spec.connectTime: there is no such field"),
    ],
)
def test_what_is_wrong_in_an_old_peer_is_said(spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(metallb_object("BGPPeer", "x", spec, version="v1beta1"))
    assert message in str(caught.value)


def test_status_and_metallbs_own_reports_are_nobodys_business() -> None:
    assert 1 == len(read(metallb_object("IPAddressPool", "p", "addresses: [192.0.2.0/24]") + "status: {x: 1}").records)
    for kind in ("ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"):
        (document,) = parse_documents(metallb_object(kind, "x"), "x.yaml")
        assert decode(document) is None


def test_labels_and_age_go_along() -> None:
    manifest = metallb_object("IPAddressPool", "p", "addresses: [192.0.2.0/24]").replace(
        "name: p", "name: p, labels: {rack: a}, creationTimestamp: '2026-01-01T00:00:00Z', uid: x"
    )
    (record,) = records(read(manifest))
    assert ObjectMeta(name="p", labels={"rack": "a"}, creation_timestamp="2026-01-01T00:00:00Z") == record.metadata


def test_objects_elsewhere_are_not_read_and_said_so() -> None:
    here, there = (metallb_object("L2Advertisement", "l", namespace=name) for name in ("lb", "metallb-system"))
    translation = read(here, there, compatibility=Compatibility(metallb_namespace="lb"))
    assert ["L2Advertisement lb/l"] == [str(translated.source) for translated in translation.records]
    assert [
        "warning: x.yaml#2: L2Advertisement metallb-system/l: metadata.namespace: MetalLB's objects are read from "
        "namespace 'lb' only (NotHonoured); move it to namespace 'lb', or remove it"
    ] == [str(finding) for finding in translation.findings]


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("BGPPeer", PEER, []),
        ("BGPPeer", PEER + ", vrf: red, disableMP: true", ["spec.vrf", "spec.disableMP"]),
        ("BGPPeer", "myASN: 1, dynamicASN: internal, interface: eth0", []),
        ("BGPAdvertisement", "", []),
        (
            "L2Advertisement",
            "preferredNodeSelectors: [{weight: 1, preference: {matchLabels: {rack: a}}}]",
            ["spec.preferredNodeSelectors"],
        ),
        ("IPAddressPool", "addresses: [192.0.2.0/24]", []),
    ],
)
def test_what_has_no_effect_is_said(kind: str, spec: str, fields: list[str]) -> None:
    findings = read(metallb_object(kind, "x", spec)).findings
    assert fields == [finding.field for finding in findings]
    assert {(ManifestProblem.NOT_HONOURED, Severity.WARNING)} >= {(each.reason, each.severity) for each in findings}


POOLS = (
    metallb_object("IPAddressPool", "four", "addresses: [192.0.2.0/24, 198.51.100.0-198.51.100.4]"),
    metallb_object("IPAddressPool", "six", "addresses: ['fd00::/64']"),
)


def advertise(name: str, spec: str) -> str:
    return metallb_object("BGPAdvertisement", name, spec)


@pytest.mark.parametrize(
    ("manifests", "messages"),
    [
        (
            (*POOLS, metallb_object("AddressPool", "four", "protocol: bgp, addresses: [203.0.113.0/24]")),
            ["AddressPool metallb-system/four: metadata.name: IPAddressPool metallb-system/four has the same name"],
        ),
        (
            (
                metallb_object("Community", "a", "communities: [{name: x, value: '1:1'}]"),
                metallb_object("Community", "b", "communities: [{name: y, value: '1:1'}, {name: x, value: '1:1'}]"),
            ),
            [
                "Community metallb-system/b: spec.communities[1].name: Community metallb-system/a gives 'x' a value, too "
                "(ConflictingObjects); remove one of the two"
            ],
        ),
        (
            (
                metallb_object("BGPPeer", "a", PEER, version="v1beta1"),
                metallb_object("BGPPeer", "b", PEER + ", holdTime: 90s"),
            ),
            ["BGPPeer metallb-system/b: spec: it is the same peer as BGPPeer metallb-system/a"],
        ),
        (
            (*POOLS, advertise("a", "aggregationLength: 23")),
            [
                "BGPAdvertisement metallb-system/a: spec.aggregationLength: 23 is less than 24, the length of the widest "
                "prefix in 192.0.2.0/24 of pool 'four': more would be announced than the pool holds"
            ],
        ),
        (
            (*POOLS, advertise("a", "aggregationLength: 24")),
            ["24 is less than 30, the length of the widest prefix in 198."],
        ),
        ((*POOLS, advertise("a", "aggregationLength: 24, ipAddressPools: [six, nine]")), []),
        (
            (*POOLS, advertise("a", "aggregationLengthV6: 63, ipAddressPools: [six]")),
            ["spec.aggregationLengthV6: 63 is less than 64"],
        ),
        ((advertise("a", "communities: [later]"),), []),
        (
            (advertise("a", "communities: [later, '1:65536']"),),
            ["BGPAdvertisement metallb-system/a: spec.communities[1]: '1:65536' is neither a community nor the name"],
        ),
        (
            (
                metallb_object("Community", "a", "communities: [{name: 'a:b', value: '1:1'}]"),
                advertise("a", "communities: ['a:b']"),
            ),
            [],
        ),
        (
            (
                *POOLS,
                metallb_object("BFDProfile", "echo", "echoMode: true"),
                metallb_object("BGPPeer", "tor", PEER + ", bfdProfile: echo"),
                metallb_object("BGPPeer", "other", PEER),
                advertise("a", "ipAddressPools: [six]"),
                advertise("b", "ipAddressPools: [six], peers: [other]"),
                advertise("c", "ipAddressPools: [four]"),
            ),
            ["BGPAdvertisement metallb-system/a: spec.peers: BFD's echo mode, which peer 'tor' is watched by"],
        ),
    ],
)
def test_objects_that_contradict_each_other_are_refused_alone(manifests: tuple[str, ...], messages: list[str]) -> None:
    translation = read(*manifests)
    assert len(messages) == len(translation.refused)
    for message, said in zip(messages, refusals(translation), strict=True):
        assert message in said
    assert len(manifests) - len(messages) == len(translation.records)


@pytest.mark.parametrize(
    ("one", "other", "contradiction"),
    [
        ("localPref: 1", "localPref: 2", True),
        ("localPref: 1", "localPref: 1", False),
        ("localPref: 1", "", True),
        ("localPref: 0", "", False),
        ("localPref: 1, ipAddressPools: [four]", "ipAddressPools: [six]", False),
        ("localPref: 1, ipAddressPools: [four]", "ipAddressPoolSelectors: [{}]", True),
        ("localPref: 1, peers: [a]", "peers: [b]", False),
        ("localPref: 1, peers: [a]", "peers: [b, a]", True),
        ("localPref: 1, peers: [a]", "", True),
        ("localPref: 1, nodeSelectors: [{matchLabels: {a: b}}]", "", True),
        ("localPref: 1, nodeSelectors: [{matchLabels: {a: b}}]", "nodeSelectors: [{matchLabels: {a: b}}]", True),
        ("localPref: 1, nodeSelectors: [{matchLabels: {a: b}}]", "nodeSelectors: [{matchLabels: {a: c}}]", False),
        ("localPref: 1, serviceSelectors: [{}]", "", False),
        ("localPref: 1, ipAddressPools: [four]", "aggregationLength: 31, ipAddressPools: [four]", False),
        ("localPref: 1, ipAddressPools: [six]", "aggregationLength: 31, ipAddressPools: [six]", True),
        ("localPref: 1, ipAddressPools: [six]", "aggregationLengthV6: 64, ipAddressPools: [six]", False),
        ("localPref: 1, ipAddressPools: [both]", "aggregationLength: 31, ipAddressPools: [both]", True),
        ("localPref: 1, ipAddressPools: [both]", "aggregationLengthV6: 99, ipAddressPools: [both]", True),
        (
            "localPref: 1, ipAddressPools: [both]",
            "aggregationLength: 31, aggregationLengthV6: 99, ipAddressPools: [both]",
            False,
        ),
    ],
)
def test_one_prefix_has_one_preference(one: str, other: str, contradiction: bool) -> None:
    pools = [
        metallb_object("IPAddressPool", name, f"addresses: [{addresses}]")
        for name, addresses in (
            ("four", "192.0.2.0/31"),
            ("six", "'fd00::/64'"),
            ("both", "203.0.113.0/31, 'fd01::/99'"),
        )
    ]
    translation = read(*pools, advertise("a", one), advertise("b", other))
    assert (["b"] if contradiction else []) == [ref.name for ref in translation.refused]
    for said in refusals(translation):
        assert "spec.localPref: localPref is" in said


def test_of_two_objects_the_older_one_stays() -> None:
    old = advertise("z", "localPref: 1").replace("name: z", "name: z, creationTimestamp: '2020-01-01T00:00:00Z'")
    new = advertise("a", "localPref: 2").replace("name: a", "name: a, creationTimestamp: '2021-01-01T00:00:00Z'")
    assert ["a"] == [ref.name for ref in read(*POOLS, new, old).refused]


def test_every_kind_says_what_it_is_in_native_terms() -> None:
    """msgspec makes records whether methods are abstract or not, so that nobody else would notice."""
    kinds = [kind for kind in KINDS.values() if issubclass(kind, MetalLBRecord)]
    assert kinds
    assert [] == [kind for kind in kinds if getattr(kind.native, "__isabstractmethod__", False)]
