"""MetalLB's ConfigMap of v0.11 and v0.12: the whole grammar, read strictly."""

import pytest

from netlb.api.decode import decode
from netlb.api.dialects import DEFAULT, Foreign, Translation
from netlb.api.dialects.metallb_config import translate
from netlb.api.documents import parse_documents
from netlb.api.meta import LabelSelector, LabelSelectorRequirement
from netlb.api.v1alpha1 import (
    AddressPoolSpec,
    BFDProfileSpec,
    BGPAdvertisementSpec,
    BGPPeerSpec,
    CommunityAlias,
    CommunitySpec,
    L2AdvertisementSpec,
)
from netlb.errors import ConfigError
from tests.manifests import metallb

EVERYTHING = """
peers:
- my-asn: 64500
  peer-asn: 64501
  peer-address: 192.0.2.1
  source-address: 192.0.2.2
  peer-port: 1179
  hold-time: 1m30.9s
  keepalive-time: 10s
  router-id: 192.0.2.3
  node-selectors:
  - match-labels: {rack: a}
    match-expressions:
    - {key: kubernetes.io/hostname, operator: In, values: [n1, n2]}
  password: 12345
  bfd-profile: fast
  ebgp-multihop: true
- {my-asn: 64500, peer-asn: 64500, peer-address: 192.0.2.9, peer-port: 0, node-selectors: [{}, {}]}
bfd-profiles:
- name: fast
  receive-interval: 380
  transmit-interval: 270
  detect-multiplier: 4
  echo-interval: 62
  echo-mode: true
  passive-mode: true
  minimum-ttl: 250
bgp-communities:
  no-export: 65535:65281
  7: 64500:7
address-pools:
- name: default
  protocol: layer2
  addresses: [198.51.100.0/26, 198.51.100.64 - 198.51.100.70, fd00::/112]
  auto-assign: false
- name: Routed_Pool
  protocol: bgp
  avoid-buggy-ips: true
  addresses: [203.0.113.0/24, fd01::/120]
  bgp-advertisements:
  - {aggregation-length: 32, localpref: 100, communities: [no-export, 65000:10, 7]}
  - {aggregation-length: 24, aggregation-length-v6: 120}
- {name: 1.50, protocol: bgp, addresses: [203.0.114.5-203.0.114.5]}
"""

POOL = "address-pools:\n- {name: a, protocol: layer2, addresses: [192.0.2.0/24]%s}\n"
BGP = "address-pools:\n- {name: a, protocol: bgp, addresses: [%s], bgp-advertisements: [%s]}\n"
PEER = "peers:\n- {my-asn: 64500, peer-asn: 64501, peer-address: 192.0.2.1%s}\n"
BFD = "bfd-profiles:\n- {name: fast%s}\n"


def read(config: str) -> Translation:
    (document,) = parse_documents(metallb(config), "x.yaml")
    record = decode(document)
    assert record is not None
    translation = translate({record.ref: Foreign(document.origin, record)}, DEFAULT)
    for finding in translation.refused.values():
        raise ConfigError(finding)
    return translation


def specs(translation: Translation) -> dict[str, object]:
    return {str(one.record.ref): getattr(one.record, "spec") for one in translation.records}  # noqa: B009


def test_everything_is_understood() -> None:
    translation = read(EVERYTHING)
    assert {
        "BGPPeer peer1": BGPPeerSpec(
            my_asn=64500,
            peer_asn=64501,
            peer_address="192.0.2.1",
            source_address="192.0.2.2",
            peer_port=1179,
            hold_time="90s",
            keepalive_time="10s",
            router_id="192.0.2.3",
            node_selectors=(
                LabelSelector(
                    match_labels={"rack": "a"},
                    match_expressions=(
                        LabelSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=("n1", "n2")),
                    ),
                ),
            ),
            password="12345",
            bfd_profile="fast",
            ebgp_multi_hop=True,
        ),
        "BGPPeer peer2": BGPPeerSpec(
            my_asn=64500,
            peer_asn=64500,
            peer_address="192.0.2.9",
            hold_time="90s",
            node_selectors=(LabelSelector(),),
        ),
        "Community communities": CommunitySpec(
            communities=(
                CommunityAlias(name="7", value="64500:7"),
                CommunityAlias(name="no-export", value="65535:65281"),
            )
        ),
        "BFDProfile fast": BFDProfileSpec(
            receive_interval=380,
            transmit_interval=270,
            detect_multiplier=4,
            echo_interval=62,
            echo_mode=True,
            passive_mode=True,
            minimum_ttl=250,
        ),
        "AddressPool default": AddressPoolSpec(
            addresses=("198.51.100.0/26", "198.51.100.64 - 198.51.100.70", "fd00::/112"),
            auto_assign=False,
            sharing="cluster",
            protocol="layer2",
        ),
        "AddressPool Routed_Pool": AddressPoolSpec(
            addresses=("203.0.113.0/24", "fd01::/120"), avoid_buggy_ips=True, sharing="cluster", protocol="bgp"
        ),
        "AddressPool 1.50": AddressPoolSpec(addresses=("203.0.114.5-203.0.114.5",), sharing="cluster", protocol="bgp"),
        "L2Advertisement l2advertisement1": L2AdvertisementSpec(ip_address_pools=("default",)),
        "BGPAdvertisement bgpadvertisement1": BGPAdvertisementSpec(
            ip_address_pools=("Routed_Pool",), local_pref=100, communities=("no-export", "65000:10", "7")
        ),
        "BGPAdvertisement bgpadvertisement2": BGPAdvertisementSpec(
            ip_address_pools=("Routed_Pool",), aggregation_length=24, aggregation_length_v6=120
        ),
        "BGPAdvertisement bgpadvertisement3": BGPAdvertisementSpec(ip_address_pools=("1.50",)),
    } == specs(translation)
    assert {"ConfigMap metallb-system/config"} == {str(one.source) for one in translation.records}
    assert () == translation.findings


def test_the_pools_of_a_config_map_are_as_old_as_it_is() -> None:
    (document,) = parse_documents(metallb(POOL % ""), "x.yaml")
    document.body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    record = decode(document)
    assert record is not None
    translation = translate({record.ref: Foreign(document.origin, record)}, DEFAULT)
    assert "2026-01-01T00:00:00Z" == translation.records[0].record.metadata.creation_timestamp


def test_keys_without_a_value_are_as_good_as_absent() -> None:
    assert 2 == len(read("peers:\n" + POOL % ", avoid-buggy-ips: , bgp-advertisements: ").records)


def test_empty_text_is_an_empty_configuration() -> None:
    assert Translation() == read("")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("12345", "12345"),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("yes", "yes"),
        ("0x1F", "0x1F"),
        ("'1'", "1"),
    ],
)
def test_a_number_where_text_is_expected_is_text_as_it_is_written(written: str, text: str) -> None:
    spec = specs(read(PEER % f", password: {written}"))["BGPPeer peer1"]
    assert isinstance(spec, BGPPeerSpec)
    assert text == spec.password


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (POOL % ", autoassign: true", "data.config.address-pools[0].autoassign: there is no such field"),
        (POOL % ", auto-assign: 1", "data.config.address-pools[0].auto-assign: expected bool, got int"),
        (POOL % ", auto-assign: 'true'", "data.config.address-pools[0].auto-assign: expected bool, got str"),
        (POOL % ", bgp-advertisements: [{}]", "only a pool with protocol bgp has them"),
        (POOL.replace("layer2", "arp") % "", "protocol: Invalid enum value 'arp'"),
        (POOL.replace("name: a, ", "") % "", "name: the field is required and missing"),
        (POOL.replace("a,", "'',") % "", "a pool needs a name"),
        (POOL.replace("192.0.2.0/24", "") % "", "at least one prefix or range"),
        (POOL.replace("192.0.2.0/24", "192.0.2.1") % "", "write 192.0.2.1/32 or 192.0.2.1-192.0.2.1"),
        (POOL.replace("192.0.2.0/24", "'fd00::1'") % "", "write fd00::1/128 or fd00::1-fd00::1"),
        (POOL.replace("192.0.2.0/24", "' 192.0.2.0/24'") % "", "' 192.0.2.0' is not an IPv4 or IPv6 address"),
        (POOL.replace("192.0.2.0/24", "192.0.2.9-192.0.2.1") % "", "turned round"),
        (POOL.replace("192.0.2.0/24", "224.0.0.0/24") % "", "holds no address that a single station can have"),
        (POOL.replace("192.0.2.0/24", "'::-::1'") % "", "holds no address that a single station can have"),
        (POOL % "" + "- {name: a, protocol: bgp, addresses: [198.51.100.0/24]}", "two pools are named 'a'"),
        (
            POOL % "" + "- {name: b, protocol: bgp, addresses: [192.0.2.255-192.0.3.1]}",
            "192.0.2.0/24 of pool 'a' overlaps 192.0.2.255-192.0.3.1 of pool 'b'",
        ),
        (BGP % ("192.0.2.0/24", "{aggregation-length: 33}"), "aggregation-length: 33 is not from 1 to 32"),
        (BGP % ("192.0.2.0/24", "{aggregation-length-v6: 129}"), "aggregation-length-v6: 129 is not from 1 to 128"),
        (
            BGP % ("192.0.2.0/24", "{}, {aggregation-length: 23}"),
            "data.config.address-pools[0].bgp-advertisements[1].aggregation-length: 23 is less than 24, the length of "
            "the widest prefix in 192.0.2.0/24",
        ),
        (BGP % ("192.0.2.1-192.0.2.4", "{aggregation-length: 30}"), "30 is less than 31"),
        (BGP % ("'fd00::/64'", "{aggregation-length-v6: 63}"), "aggregation-length-v6: 63 is less than 64"),
        (BGP % ("192.0.2.0/24", "{communities: [1:65536]}"), "uses community '1:65536'"),
        (BGP % ("192.0.2.0/24", "{communities: ['large:1:2:3']}"), "uses community 'large:1:2:3'"),
        (BGP % ("192.0.2.0/24", "{communities: [1:2, 1:2]}"), "communities[1]: the same as communities[0]"),
        (
            BGP % ("192.0.2.0/24", "{localpref: 1}, {localpref: 1}"),
            "advertisements[1]: the same as bgp-advertisements[0]",
        ),
        (BGP % ("192.0.2.0/24", "{localpref: 4294967296}"), "from 0 to 4294967295"),
        ("bgp-communities: {a: b}", "write two numbers, as in 65000:100"),
        (PEER.replace("64500", "0") % "", "data.config.peers[0].my-asn: 0 is not from 1 to 4294967295"),
        (PEER.replace("64501", "0") % "", "data.config.peers[0].peer-asn: 0 is not from 1 to 4294967295"),
        (PEER.replace("192.0.2.1", "router") % "", "peer-address: 'router' is not an IPv4 or IPv6 address"),
        (PEER.replace("192.0.2.1", "''") % "", "peer-address: a peer needs an address"),
        (PEER % ", source-address: 'fd00::1'", "source-address: it is IPv6, and peer-address is IPv4"),
        (PEER % ", router-id: x", "router-id: 'x' is not an IPv4 or IPv6 address"),
        (PEER % ", hold-time: 2s", "hold-time: BGP allows 0 or 3 to 65535 seconds"),
        (PEER % ", hold-time: soon", "'soon' is not a duration"),
        (PEER % ", keepalive-time: 91s", "keepalive-time: it is longer than hold-time"),
        (PEER % ", peer-port: 65536", "peer-port: 65536 is not from 1 to 65535"),
        (PEER.replace("64501", "64500") % ", ebgp-multihop: true", "ebgp-multihop: both ends are in one"),
        (PEER % ", bfd-profile: fast", "peers[0].bfd-profile: there is no 'fast' under bfd-profiles"),
        (PEER % "" + PEER[7:] % ", hold-time: 90s", "peers[1]: the same as peers[0]"),
        (
            PEER % ", node-selectors: [{match-label: {}}]",
            "node-selectors[0].match-label: there is no such field",
        ),
        (
            PEER % ", node-selectors: [{match-expressions: [{key: a, operator: In}]}]",
            "node-selectors[0].match-expressions[0].values: operator In on label 'a' needs values",
        ),
        (BFD % "" + BFD[14:] % "", "bfd-profiles[1]: the same as bfd-profiles[0]"),
        (BFD.replace("fast", "''") % "", "a profile needs a name"),
        (BFD % ", detect-multiplier: 1", "detect-multiplier: 1 is not from 2 to 255"),
        (BFD % ", echo-interval: 9", "bfd-profiles[0].echo-interval: 9 is not from 10 to 60000"),
        ("a: [", "data.config: line"),
        ("- a", "data.config: expected object, got array"),
        ("7", "data.config: expected object, got int"),
    ],
)
def test_anything_wrong_refuses_the_whole(config: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(config)
    assert message in str(caught.value)


def test_no_message_tells_a_password() -> None:
    with pytest.raises(ConfigError) as caught:
        read(PEER % ", password: s3cr3t, hold-time: 1s")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("addresses", "advertisement"),
    [
        ("'fd00::/64'", "{}"),
        ("'fd00::/64'", "{aggregation-length: 24}"),
        ("192.0.2.1-192.0.2.4", "{aggregation-length: 31}"),
        ("192.0.2.0/24", "{}, {aggregation-length: 32}"),
    ],
)
def test_aggregates_are_compared_as_from_v0_12_on(addresses: str, advertisement: str) -> None:
    assert "AddressPool a" in specs(read(BGP % (addresses, advertisement)))


@pytest.mark.parametrize(
    ("text", "native"),
    [("0", "0s"), ("0s", "0s"), ("3s", "3s"), ("1.5h", "5400s"), ("999ms", "0s"), ("2999ms", "")],
)
def test_hold_times_are_gos_durations_cut_to_seconds(text: str, native: str) -> None:
    config = PEER % f", hold-time: {text}, keepalive-time: 0s"
    if native:
        spec = specs(read(config))["BGPPeer peer1"]
        assert isinstance(spec, BGPPeerSpec)
        assert native == spec.hold_time
    else:
        with pytest.raises(ConfigError, match="BGP allows 0 or 3"):
            read(config)
