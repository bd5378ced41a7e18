"""What a CustomResourceDefinition says and no record does: names, columns, texts' forms, rules between fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CHECKS", "FIELDS", "KINDS", "MAX_ITEMS", "RULES", "Column", "Names", "Rule"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; those with a priority are for `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """What a kind is called, and shown as; every kind ends in its age."""

    plural: str
    short: str
    """Not one of MetalLB's or OpenELB's, whose kinds have the same names: this one is ours where both are installed."""
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What an object must be, in CEL (`x-kubernetes-validations`); a field with a default is always there."""

    field: str
    """The field that the API server blames; empty: the object that the rule is about."""
    rule: str
    message: str


_SELECTED = (
    Column("IPAddressPools", ".spec.ipAddressPools"),
    Column("IPAddressPool Selectors", ".spec.ipAddressPoolSelectors"),
)
_NODES = (
    Column("Nodes", ".status.nodes", "integer", priority=10),
    Column("Node Selectors", ".spec.nodeSelectors", priority=10),
)

# Columns are MetalLB's where it has the kind.
KINDS: Final[Mapping[str, Names]] = {
    "AddressPool": Names(
        "addresspools",
        "lbpool",
        (
            Column("Addresses", ".spec.addresses"),
            Column("Auto Assign", ".spec.autoAssign", "boolean"),
            Column("Avoid Buggy IPs", ".spec.avoidBuggyIPs", "boolean"),
            Column("Disabled", ".spec.disabled", "boolean"),
            Column("Free4", ".status.ipv4.free"),
            Column("Free6", ".status.ipv6.free"),
        ),
    ),
    "BFDProfile": Names(
        "bfdprofiles",
        "bfdprof",
        (
            Column("Passive Mode", ".spec.passiveMode", "boolean"),
            Column("Transmit Interval", ".spec.transmitInterval", "integer"),
            Column("Receive Interval", ".spec.receiveInterval", "integer"),
            Column("Multiplier", ".spec.detectMultiplier", "integer"),
        ),
    ),
    "BGPAdvertisement": Names("bgpadvertisements", "bgpadv", (*_SELECTED, Column("Peers", ".spec.peers"), *_NODES)),
    "BGPConfiguration": Names(
        "bgpconfigurations",
        "bgpcfg",
        (
            Column("ASN", ".spec.asn", "integer"),
            Column("Router ID", ".spec.routerID"),
            Column("Listen Port", ".spec.listenPort", "integer"),
            *_NODES,
        ),
    ),
    "BGPPeer": Names(
        "bgppeers",
        "lbpeer",
        (
            Column("Address", ".spec.peerAddress"),
            Column("ASN", ".spec.peerASN", "integer"),
            Column("BFD Profile", ".spec.bfdProfile"),
            Column("Multi Hops", ".spec.ebgpMultiHop", "boolean"),
            Column("Disabled", ".spec.disabled", "boolean", priority=10),
            *_NODES,
        ),
    ),
    "Community": Names("communities", "bgpcomm", (Column("Communities", ".spec.communities", priority=10),)),
    "Gateway": Names(
        "gateways",
        "lbgw",
        (
            Column("Replicas", ".spec.replicas", "integer"),
            Column("Hub", ".spec.hub"),
            Column("Revertive", ".spec.revertive", "boolean", priority=10),
            Column("MTU", ".spec.mtu", "integer", priority=10),
        ),
    ),
    "L2Advertisement": Names(
        "l2advertisements", "l2adv", (*_SELECTED, Column("Interfaces", ".spec.interfaces"), *_NODES)
    ),
}

_EMPTY: Final = {"maxLength": 0}
_LONGEST: Final = {"maxLength": 45}  # 0000:0000:0000:0000:0000:0000:255.255.255.255
_ADDRESS: Final = ({"format": "ipv4"}, {"format": "ipv6"})
_ENDS: Final = {"pattern": r"^\s*[0-9A-Fa-f:.]+\s*-\s*[0-9A-Fa-f:.]+\s*$"}
_DURATION: Final = {"pattern": "^(|0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(h|ms|us|µs|ns|m|s))+)$"}
_ASN: Final = {"minimum": 1, "maximum": 0xFFFFFFFF}

# The API server knows these formats in every version, unlike CEL's functions for addresses.
CHECKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "check_address": {**_LONGEST, "anyOf": [_EMPTY, *_ADDRESS]},
    "_check_router_id": {**_LONGEST, "anyOf": [_EMPTY, {"format": "ipv4"}]},
    "_check_prefix": {"anyOf": [_EMPTY, {"format": "cidr"}]},
    "check_prefixes": {"items": {"format": "cidr"}},
    "check_stations": {"items": {**_LONGEST, "anyOf": [*_ADDRESS]}, "maxItems": 2},
    "check_ranges": {"items": {"anyOf": [*_ADDRESS, {"format": "cidr"}, _ENDS]}},
    "check_distinct": {"x-kubernetes-list-type": "set"},
}
"""What the functions with which records check their fields come to in a schema."""

FIELDS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "AddressPoolSpec": {"addresses": {"minItems": 1}},
    "BGPPeerSpec": {
        "myASN": _ASN,
        "peerASN": _ASN,
        "localASN": _ASN,
        "holdTime": _DURATION,
        "keepaliveTime": _DURATION,
        "connectTime": _DURATION,
        "password": {"format": "password"},
    },
    "CommunityAlias": {"name": {"minLength": 1}, "value": {"maxLength": 38}},
    "CommunitySpec": {"communities": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}},
    "GatewayEndpoint": {
        "nodeName": {"minLength": 1},
        "publicKey": {"pattern": "^(|[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)$"},
    },
    "GatewaySpec": {"endpoints": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["nodeName"]}},
    "LabelSelector": {
        "matchLabels": {"description": "Labels and the values that they must have."},
        "matchExpressions": {"description": "Conditions on labels; all of them must hold."},
    },
    "LabelSelectorRequirement": {
        "key": {"description": "The label."},
        "operator": {"description": "How it is compared; an absent label meets NotIn and DoesNotExist."},
        "values": {"description": "The values that In and NotIn are about."},
    },
    "NetBoxSource": {"url": {"pattern": "^https?://"}, "tokenFile": {"minLength": 1}},
}
"""What is added to a field's schema, by record and name: what its type and its checks do not say."""

MAX_ITEMS: Final = 256
"""Of lists whose elements have rules: the API server refuses rules whose worst case it cannot bound."""

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "AddressPoolSpec": (
        Rule(
            "autoAssignNamespaces",
            "!has(self.autoAssignNamespaces) || size(self.autoAssignNamespaces) == 0 || !self.autoAssign",
            "with autoAssign, Services of every namespace are served without asking; set autoAssign to false, or "
            "leave this out",
        ),
        Rule(
            "source",
            "!has(self.source) || (!self.avoidBuggyIPs && (!has(self.exclude) || size(self.exclude) == 0))",
            "it chooses the addresses; reserve there what is not to be given, and leave exclude and avoidBuggyIPs out",
        ),
    ),
    "BGPAdvertisementSpec": (
        Rule(
            "serviceSelectors",
            "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || "
            "(self.aggregationLength == 32 && self.aggregationLengthV6 == 128)",
            "an aggregate holds other Services too; leave the aggregation lengths out",
        ),
    ),
    "BGPPeerSpec": (
        Rule("peerASN", "has(self.peerASN) != has(self.dynamicASN)", "give either peerASN or dynamicASN"),
        Rule(
            "peerAddress",
            "[has(self.peerAddress) && self.peerAddress != '', has(self.peerPrefix) && self.peerPrefix != '', "
            "has(self.interface) && self.interface != ''].exists_one(given, given)",
            "give exactly one of peerAddress, peerPrefix and interface",
        ),
        Rule(
            "sourceAddress",
            "!has(self.sourceAddress) || self.sourceAddress == '' || !has(self.peerAddress) || "
            "self.peerAddress == '' || self.sourceAddress.contains(':') == self.peerAddress.contains(':')",
            "it must be of peerAddress's family; give an address of that family, or leave it out",
        ),
        Rule(
            "holdTime",
            "!has(self.holdTime) || self.holdTime == '' || duration(self.holdTime) == duration('0s') || "
            "(duration(self.holdTime) >= duration('3s') && duration(self.holdTime) <= duration('65535s'))",
            "BGP allows 0s or 3s to 65535s (RFC 4271 section 4.2); write a duration such as 90s",
        ),
        Rule(
            "keepaliveTime",
            "!has(self.keepaliveTime) || self.keepaliveTime == '' || !has(self.holdTime) || self.holdTime == '' || "
            "duration(self.keepaliveTime) <= duration(self.holdTime)",
            "it is longer than holdTime; write a third of holdTime, or leave it out",
        ),
        Rule(
            "connectTime",
            "!has(self.connectTime) || self.connectTime == '' || (duration(self.connectTime) >= duration('1s') && "
            "duration(self.connectTime) <= duration('65535s') && "
            "duration(self.connectTime).getMilliseconds() % 1000 == 0)",
            "write whole seconds from 1s to 65535s",
        ),
        Rule(
            "password",
            "!has(self.password) || self.password == '' || !has(self.passwordSecret)",
            "give either password or passwordSecret",
        ),
        Rule(
            "ebgpMultiHop",
            "!self.ebgpMultiHop || !has(self.myASN) || !has(self.peerASN) || self.myASN != self.peerASN",
            "both ends are in one autonomous system; it is for sessions between two, so leave it out",
        ),
        Rule(
            "multiHopTTL",
            "!has(self.multiHopTTL) || self.ebgpMultiHop",
            "it counts only where ebgpMultiHop is true; set that, or leave this out",
        ),
    ),
    "CommunityAlias": (
        Rule(
            "value",
            "self.value.matches('^large(:[0-9]{1,10}){3}$') "
            "? self.value.split(':').all(part, part == 'large' || int(part) <= 4294967295) "
            ": self.value.matches('^[0-9]{1,5}:[0-9]{1,5}$') && self.value.split(':').all(part, int(part) <= 65535)",
            "it is not a community; write 65000:100 or large:65000:1:2",
        ),
    ),
    "LabelSelectorRequirement": (
        Rule(
            "values",
            "self.operator == 'Exists' || self.operator == 'DoesNotExist' || has(self.values) && size(self.values) > 0",
            "operators In and NotIn need values; add one, or use Exists or DoesNotExist",
        ),
        Rule(
            "values",
            "self.operator == 'In' || self.operator == 'NotIn' || !has(self.values) || size(self.values) == 0",
            "operators Exists and DoesNotExist take no values; remove them, or use In or NotIn",
        ),
    ),
}
"""What records demand across fields, by record.

The API server refuses a rule whose worst case is too much work for it, so a rule never makes a text (`string(x) + 's'`
has no limit to its length) and searches only texts that have a limit.
"""
