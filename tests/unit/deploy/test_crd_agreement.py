"""What a record accepts its schema accepts, and the other way round for all that a schema can say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from netlb.api.crds import table
from netlb.api.crds.schema import record_schema
from netlb.api.crds.source import read
from netlb.api.v1alpha1 import KINDS
from tests.support.crds import decoder_refusal, refusals, schema_of
from tests.support.structural import rules

ROOT = Path(__file__).parents[3]
PEER: dict[str, Any] = {"peerASN": 64512, "peerAddress": "192.0.2.1"}


def peer(**changes: Any) -> dict[str, Any]:
    """A peer's spec; a field that is None is left out."""
    return {name: value for name, value in {**PEER, **changes}.items() if value is not None}


def alias(value: str) -> dict[str, Any]:
    return {"communities": [{"name": "a", "value": value}]}


def selected(**expression: Any) -> dict[str, Any]:
    return {"nodeSelectors": [{"matchExpressions": [{"key": "zone", **expression}]}]}


def gateway(**endpoint: Any) -> dict[str, Any]:
    return {"endpoints": [{"nodeName": "n", **endpoint}]}


NETBOX = {"netbox": {"url": "https://netbox.example.com", "tokenFile": "/etc/netlb/token"}}

EXAMPLES: list[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "AddressPool",
        "set autoAssign to false",
        [{"addresses": ["::2"], "autoAssign": False, "autoAssignNamespaces": ["a"]}],
        [{"addresses": ["::2"], "autoAssignNamespaces": ["a"]}],
    ),
    (
        "AddressPool",
        "reserve there what is not to be given",
        [{"addresses": ["192.0.2.0/24"], "source": NETBOX}, {"addresses": ["::2"], "exclude": ["::3"]}],
        [
            {"addresses": ["192.0.2.0/24"], "source": NETBOX, "exclude": ["192.0.2.1"]},
            {"addresses": ["192.0.2.0/24"], "source": NETBOX, "avoidBuggyIPs": True},
        ],
    ),
    (
        "BGPAdvertisement",
        "leave the aggregation lengths out",
        [{"serviceSelectors": [{}]}, {"serviceSelectors": [], "aggregationLength": 24}, {"aggregationLengthV6": 64}],
        [{"serviceSelectors": [{}], "aggregationLength": 24}, {"serviceSelectors": [{}], "aggregationLengthV6": 64}],
    ),
    (
        "BGPPeer",
        "give either peerASN or dynamicASN",
        [peer(), peer(peerASN=None, dynamicASN="external")],
        [peer(peerASN=None), peer(dynamicASN="internal")],
    ),
    (
        "BGPPeer",
        "give exactly one of peerAddress",
        [peer(), peer(peerAddress="", interface="eth0"), peer(peerAddress=None, peerPrefix="2001:db8::/64")],
        [peer(peerAddress=None), peer(peerAddress=""), peer(interface="eth0"), peer(peerPrefix="192.0.2.0/24")],
    ),
    (
        "BGPPeer",
        "it must be of peerAddress's family",
        [
            peer(sourceAddress="192.0.2.2"),
            peer(sourceAddress=""),
            peer(sourceAddress="2001:db8::1", peerAddress="2001:db8::2"),
            peer(sourceAddress="192.0.2.2", peerAddress=None, interface="eth0"),
        ],
        [peer(sourceAddress="2001:db8::1"), peer(sourceAddress="192.0.2.2", peerAddress="2001:db8::2")],
    ),
    (
        "BGPPeer",
        "BGP allows 0s or 3s to 65535s",
        [peer(holdTime=text) for text in ("", "0", "0s", "3s", "3000ms", "1m30s", "65535s", ".5h")],
        [peer(holdTime=text) for text in ("1s", "2999ms", "65536s", "19h")],
    ),
    (
        "BGPPeer",
        "it is longer than holdTime",
        [
            peer(keepaliveTime="30s"),
            peer(keepaliveTime="30s", holdTime=""),
            peer(keepaliveTime="30s", holdTime="0.5m"),
            peer(keepaliveTime="0", holdTime="0s"),
        ],
        [peer(keepaliveTime="31s", holdTime="30s"), peer(keepaliveTime="1us", holdTime="0")],
    ),
    (
        "BGPPeer",
        "write whole seconds from 1s to 65535s",
        [peer(connectTime=text) for text in ("", "1s", "65535s", "2000000µs", "1m")],
        [peer(connectTime=text) for text in ("0", "999ms", "1500ms", "65536s")],
    ),
    (
        "BGPPeer",
        "give either password or passwordSecret",
        [peer(password="x"), peer(password="", passwordSecret={"name": "x"}), peer(passwordSecret={"name": "x"})],
        [peer(password="x", passwordSecret={"name": "x"})],
    ),
    (
        "BGPPeer",
        "both ends are in one autonomous system",
        [peer(ebgpMultiHop=True), peer(ebgpMultiHop=True, myASN=64513), peer(myASN=64512)],
        [peer(ebgpMultiHop=True, myASN=64512)],
    ),
    (
        "BGPPeer",
        "it counts only where ebgpMultiHop is true",
        [peer(multiHopTTL=2, ebgpMultiHop=True)],
        [peer(multiHopTTL=2), peer(multiHopTTL=2, ebgpMultiHop=False)],
    ),
    (
        "Community",
        "it is not a community",
        [alias(text) for text in ("0:0", "65535:65535", "00001:1", "large:4294967295:0:4294967295")],
        [
            alias(text)
            for text in ("", "1", "65536:1", "1:65536", "1:2:3", "large:1:2", "large:1:2:4294967296", "no-export")
        ],
    ),
    (
        "L2Advertisement",
        "operators In and NotIn need values",
        [selected(operator="In", values=["a"]), selected(operator="Exists")],
        [selected(operator="In"), selected(operator="NotIn", values=[])],
    ),
    (
        "L2Advertisement",
        "operators Exists and DoesNotExist take no values",
        [selected(operator="NotIn", values=["a"]), selected(operator="DoesNotExist", values=[])],
        [selected(operator="Exists", values=["a"]), selected(operator="DoesNotExist", values=["a"])],
    ),
]


@pytest.mark.parametrize(("kind", "message", "good", "bad"), EXAMPLES, ids=[message for _, message, _, _ in EXAMPLES])
def test_a_rule_refuses_what_the_record_refuses(
    kind: str, message: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    for spec in good:
        assert ([], "") == (refusals(kind, spec), decoder_refusal(kind, spec)), spec
    for spec in bad:
        assert decoder_refusal(kind, spec), spec
        (refusal,) = refusals(kind, spec)
        assert message in refusal, spec


def test_every_rule_has_examples() -> None:
    messages = {rule["message"] for kind in table.KINDS for _, _, _, rule in rules(schema_of(kind))}
    assert len(messages) == len(EXAMPLES)
    for message in messages:
        assert 1 == len([fragment for _, fragment, _, _ in EXAMPLES if fragment in message]), message


@pytest.mark.parametrize(
    ("kind", "spec", "refusal"),
    [
        ("AddressPool", {}, "$.spec: 'addresses' is a required property"),
        ("AddressPool", {"addresses": []}, "$.spec.addresses: [] should be non-empty"),
        ("AddressPool", {"addresses": ["192.0.2.256"]}, "$.spec.addresses[0]: '192.0.2.256' is not valid under any"),
        ("AddressPool", {"addresses": ["192.0.2.0/33"]}, "$.spec.addresses[0]: '192.0.2.0/33' is not valid under any"),
        ("AddressPool", {"addresses": ["fe80::1%eth0"]}, "$.spec.addresses[0]: 'fe80::1%eth0' is not valid under any"),
        ("AddressPool", {"addresses": [1]}, "$.spec.addresses[0]: 1 is not of type 'string'"),
        ("AddressPool", {"addresses": ["::2"], "exclude": ["x"]}, "$.spec.exclude[0]: 'x' is not valid under any"),
        ("AddressPool", {"addresses": ["::2"], "sharing": "node"}, "$.spec.sharing: 'node' is not one of"),
        ("AddressPool", {"addresses": ["::2"], "nodePools": ["a", "a"]}, "$.spec.nodePools: [1] stands twice"),
        (
            "AddressPool",
            {"addresses": ["::2"], "source": {"netbox": {"url": "ftp://a", "tokenFile": "t"}}},
            "$.spec.source.netbox.url: 'ftp://a' does not match",
        ),
        (
            "AddressPool",
            {"addresses": ["::2"], "source": {"netbox": {"url": "https://a", "tokenFile": ""}}},
            "$.spec.source.netbox.tokenFile: '' should be non-empty",
        ),
        ("BGPConfiguration", {"routerID": "::1"}, "$.spec.routerID: '::1' is not valid under any"),
        ("BGPConfiguration", {"listenAddresses": ["x"]}, "$.spec.listenAddresses[0]: 'x' is not valid under any"),
        ("BGPConfiguration", {"asnPerRack": {"a": 0}}, "$.spec.asnPerRack.a: 0 is less than the minimum of 1"),
        ("BGPPeer", peer(peerAddress=None, peerPrefix="::1"), "$.spec.peerPrefix: '::1' is not valid under any"),
        ("BGPPeer", peer(keepaliveTime="-1s"), "$.spec.keepaliveTime: '-1s' does not match"),
        ("BGPPeer", peer(passwordSecret={}), "$.spec.passwordSecret: 'name' is a required property"),
        (
            "Community",
            {"communities": [{"name": "a", "value": "1:1"}, {"name": "a", "value": "1:2"}]},
            "$.spec.communities: [1] stands twice",
        ),
        ("Community", {"communities": [{"name": "", "value": "1:1"}]}, "communities[0].name: '' should be non-empty"),
        ("Gateway", gateway(nodeName=""), "$.spec.endpoints[0].nodeName: '' should be non-empty"),
        ("Gateway", gateway(natType="cone"), "$.spec.endpoints[0].natType: 'cone' is not one of"),
        ("Gateway", gateway(publicIPs=[""]), "$.spec.endpoints[0].publicIPs[0]: '' is not valid under any"),
        ("Gateway", gateway(publicIPs=["192.0.2.1", "::2", "::3"]), "$.spec.endpoints[0].publicIPs:"),
        ("Gateway", gateway(publicKey="short"), "$.spec.endpoints[0].publicKey: 'short' does not match"),
        ("Gateway", {"endpoints": [{"nodeName": "n"}, {"nodeName": "n"}]}, "$.spec.endpoints: [1] stands twice"),
        ("Gateway", {"extraSourceCIDRs": ["192.0.2.1"]}, "$.spec.extraSourceCIDRs[0]: '192.0.2.1' is not a 'cidr'"),
        ("Gateway", {"backend": "wireguard"}, "$.spec.backend: 'wireguard' is not one of"),
        ("L2Advertisement", {"nodeSelectors": [{}, {}]}, "$.spec.nodeSelectors: [1] stands twice"),
    ],
)
def test_a_schema_refuses_what_the_record_refuses(kind: str, spec: dict[str, Any], refusal: str) -> None:
    assert decoder_refusal(kind, spec)
    (problem,) = refusals(kind, spec)
    assert refusal in problem


def records(kind: inspect.Type) -> set[type[msgspec.Struct]]:
    """Every record within a type."""
    match kind:
        case inspect.StructType():
            return {kind.cls}.union(*(records(field.type) for field in kind.fields))
        case inspect.UnionType():
            return set().union(*map(records, kind.types))
        case inspect.VarTupleType():
            return records(kind.item_type)
    return set()


def takes(record: type[msgspec.Struct], fields: dict[str, Any]) -> bool:
    try:
        msgspec.convert(fields, record)
    except msgspec.ValidationError:
        return False
    return True


TEXTS = read(path.read_text() for path in (ROOT / "netlb" / "api").rglob("*.py"))
RECORDS = sorted(set().union(*(records(inspect.type_info(kind)) for kind in KINDS)), key=lambda record: record.__name__)
BASES = {"BGPPeerSpec": peer(ebgpMultiHop=True), "GatewayEndpoint": {"nodeName": "n"}}
"""What a record needs beside the number that is tried."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_number_has_the_bounds_that_its_record_checks(record: type[msgspec.Struct]) -> None:
    """They are read from the source of the checks; a check that is written in another way belongs in the table."""
    base = BASES.get(record.__name__, {})
    for name, node in record_schema(record, TEXTS)["properties"].items():
        if node["type"] != "integer":
            continue
        lowest, highest = node.get("minimum", -(10**12)), node.get("maximum", 10**12)
        assert [True, True] == [takes(record, base | {name: number}) for number in (lowest, highest)], name
        wrong = [bound + step for bound, step in ((lowest, -1), (highest, 1)) if abs(bound) < 10**12]
        assert [] == [number for number in wrong if takes(record, base | {name: number})], name


def test_every_line_of_the_table_is_about_a_field() -> None:
    fields = {record.__name__: record_schema(record, TEXTS)["properties"].keys() for record in RECORDS}
    assert [] == [
        (name, lines.keys() - fields[name]) for name, lines in table.FIELDS.items() if lines.keys() - fields[name]
    ]
    assert table.RULES.keys() <= fields.keys()
    used = {check.function for name in fields for check in TEXTS[name].checks}
    assert {"check_bounds", *table.CHECKS} == used, "CHECKS has a line for each, with {} where a schema cannot say it"
