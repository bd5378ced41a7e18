"""MetalLB's ConfigMap of v0.11: the whole grammar, read strictly."""

import pytest

from netlb.api.decode import decode
from netlb.api.dialects import DEFAULT, Foreign, Translation
from netlb.api.dialects.metallb_config import translate
from netlb.api.documents import parse_documents
from netlb.api.meta import Record
from netlb.api.v1alpha1 import AddressPool
from netlb.errors import ConfigError
from netlb.reasons import ManifestProblem
from tests.manifests import metallb

EVERYTHING = """
peers:
- my-asn: 64500
  peer-asn: 64501
  peer-address: 192.0.2.1
  source-address: 192.0.2.2
  peer-port: 1179
  hold-time: 1m30s
  router-id: 192.0.2.3
  node-selectors:
  - match-labels: {rack: a}
    match-expressions:
    - {key: kubernetes.io/hostname, operator: In, values: [n1, n2]}
  password: secret
bgp-communities:
  no-export: 65535:65281
address-pools:
- name: default
  protocol: layer2
  addresses: [198.51.100.0/26, 198.51.100.64-198.51.100.70, fd00::/112]
  auto-assign: false
- name: Routed_Pool
  protocol: bgp
  avoid-buggy-ips: true
  addresses: [203.0.113.0/24]
  bgp-advertisements:
  - {aggregation-length: 32, localpref: 100, communities: [no-export, 65000:10]}
  - {aggregation-length: 24}
"""

POOL = "address-pools:\n- {name: a, protocol: layer2, addresses: [192.0.2.0/24]%s}\n"
BGP = "address-pools:\n- {name: a, protocol: bgp, addresses: [%s], bgp-advertisements: [%s]}\n"
PEER = "peers:\n- {my-asn: 64500, peer-asn: 64501, peer-address: 192.0.2.1%s}\n"


def read(config: str) -> Translation:
    (document,) = parse_documents(metallb(config), "x.yaml")
    record = decode(document)
    assert record is not None
    translation = translate({record.ref: Foreign(document.origin, record)}, DEFAULT)
    for finding in translation.refused.values():
        raise ConfigError(finding)
    return translation


def records(translation: Translation) -> list[Record]:
    return [translated.record for translated in translation.records]


def test_everything_is_understood() -> None:
    translation = read(EVERYTHING)
    pools = {record.metadata.name: record.spec for record in records(translation) if isinstance(record, AddressPool)}
    assert (False, False, "layer2") == (
        pools["default"].auto_assign,
        pools["default"].avoid_buggy_ips,
        pools["default"].protocol,
    )
    assert (True, True, "bgp") == (
        pools["Routed_Pool"].auto_assign,
        pools["Routed_Pool"].avoid_buggy_ips,
        pools["Routed_Pool"].protocol,
    )
    assert ["AddressPool default", "L2Advertisement default", "AddressPool Routed_Pool"] == [
        str(record.ref) for record in records(translation)
    ]
    assert [ManifestProblem.NOT_HONOURED] == [finding.reason for finding in translation.findings]


def test_keys_without_a_value_are_as_good_as_absent() -> None:
    assert 2 == len(read("peers:\n" + POOL % ", avoid-buggy-ips: , bgp-advertisements: ").records)


def test_empty_text_is_an_empty_configuration() -> None:
    assert Translation() == read("")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (POOL % ", autoassign: true", "data.config.address-pools[0].autoassign: there is no such field"),
        (POOL % ", bgp-advertisements: [{}]", "only a pool with protocol bgp has them"),
        (POOL.replace("layer2", "arp") % "", "protocol: Invalid enum value 'arp'"),
        (POOL.replace("name: a, ", "") % "", "name: the field is required and missing"),
        (POOL.replace("a,", "'',") % "", "a pool needs a name"),
        (POOL.replace("192.0.2.0/24", "") % "", "at least one prefix or range"),
        (POOL.replace("192.0.2.0/24", "192.0.2.1") % "", "write 192.0.2.1/32 or 192.0.2.1-192.0.2.1"),
        (POOL.replace("192.0.2.0/24", "192.0.2.9-192.0.2.1") % "", "turned round"),
        (POOL.replace("192.0.2.0/24", "224.0.0.0/24") % "", "holds no address that a single station can have"),
        (POOL % "" + "- {name: a, protocol: bgp, addresses: [198.51.100.0/24]}", "two pools are named 'a'"),
        (
            POOL % "" + "- {name: b, protocol: bgp, addresses: [192.0.2.255-192.0.3.1]}",
            "192.0.2.0/24 of pool 'a' overlaps 192.0.2.255-192.0.3.1 of pool 'b'",
        ),
        (BGP % ("192.0.2.0/24", "{aggregation-length: 33}"), "a prefix length is from 0 to 32"),
        (BGP % ("192.0.2.0/24", "{aggregation-length: 23}"), "shorter than a prefix of the pool (/24)"),
        (
            BGP % ("192.0.2.1-192.0.2.4", "{aggregation-length: 31}"),
            "shorter than a prefix of the pool (/32)",
        ),
        (BGP % ("'fd00::/64'", "{}"), "shorter than a prefix of the pool (/64)"),
        (BGP % ("192.0.2.0/24", "{communities: [1:65536]}"), "uses community '1:65536'"),
        (BGP % ("192.0.2.0/24", "{localpref: 4294967296}"), "from 0 to 4294967295"),
        ("bgp-communities: {a: b}", "write two numbers, as in 65000:100"),
        (PEER.replace("64500", "0") % "", "my-asn: an autonomous system number is from 1"),
        (PEER.replace("192.0.2.1", "router") % "", "peer-address: 'router' is not an IPv4 or IPv6 address"),
        (PEER % ", hold-time: 2s", "BGP allows 0 or at least 3 seconds"),
        (PEER % ", hold-time: soon", "'soon' is not a duration"),
        (PEER % ", peer-port: 65536", "a port is from 0 to 65535"),
        (PEER % "" + PEER[7:] % "", "two peers are identical"),
        (
            PEER % ", node-selectors: [{match-label: {}}]",
            "node-selectors[0].match-label: there is no such field",
        ),
        ("a: [", "data.config: line"),
        ("- a", "data.config: expected object, got array"),
    ],
)
def test_anything_wrong_refuses_the_whole(config: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(config)
    assert message in str(caught.value)


def test_a_bgp_pool_without_advertisements_may_be_ipv6() -> None:
    assert 1 == len(read(BGP.replace(", bgp-advertisements: [%s]", "") % "'fd00::/64'").records)


@pytest.mark.parametrize(
    ("text", "valid"), [("0", True), ("0s", True), ("3s", True), ("1.5h", True), ("2999ms", False)]
)
def test_hold_times_are_gos_durations_cut_to_seconds(text: str, valid: bool) -> None:
    config = PEER % f", hold-time: '{text}'"
    if valid:
        read(config)
    else:
        with pytest.raises(ConfigError):
            read(config)
