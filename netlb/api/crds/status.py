"""What the daemons write into the API, and no record reads: the status of native objects, and kinds of their own."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from netlb.api.crds.table import Column, Names

__all__ = ["REPORTS", "ReportKind", "report_schema", "status_schema"]

_NOTHING: Final[Mapping[str, Any]] = {}

_CONDITION: dict[str, Any] = {
    "description": "One aspect of the object's state, in the form that all Kubernetes' kinds share.",
    "type": "object",
    "properties": {
        "type": {
            "description": "The aspect.",
            "type": "string",
            "maxLength": 316,
            "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        },
        "status": {"description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {
            "description": "The object's metadata.generation that this was found out about.",
            "type": "integer",
            "format": "int64",
            "minimum": 0,
        },
        "lastTransitionTime": {
            "description": "When the status last changed.",
            "type": "string",
            "format": "date-time",
        },
        "reason": {
            "description": "Why, as a name; docs/reasons.md has them all.",
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {"description": "Why, for people; may be empty.", "type": "string", "maxLength": 32768},
    },
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
}
"""`metav1.Condition`, with the limits that it has there."""


_SITE: dict[str, Any] = {
    "activeEndpoints": {
        "description": "The endpoints that hold the tunnels.",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "nodeName": {"description": "The node.", "type": "string"},
                "underNAT": {"description": "Whether it opens all of its tunnels itself.", "type": "boolean"},
                "publicIPs": {
                    "description": "Where others reach it.",
                    "type": "array",
                    "items": {"type": "string"},
                },
                "port": {"description": "The UDP port at which they do.", "type": "integer"},
                "publicKey": {"description": "Its public key.", "type": "string"},
            },
            "required": ["nodeName"],
        },
    },
    "standby": {
        "description": "The nodes that could take over, in the order in which they would.",
        "type": "array",
        "items": {"type": "string"},
    },
    "hub": {"description": "Whether it stands between sites that cannot reach each other.", "type": "boolean"},
}


_FOR_POOLS: Final = ("L2Advertisement", "BGPAdvertisement")
_FOR_NODES: Final = (*_FOR_POOLS, "BGPPeer", "BGPConfiguration")


def status_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a kind's `status`: conditions, and what can be counted; for a Gateway who is active."""
    properties = {
        "conditions": {
            "description": "What holds of the object; one entry a type.",
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }
    }
    if kind == "AddressPool":
        properties = {"ipv4": _counts("IPv4"), "ipv6": _counts("IPv6"), **properties}
    if kind in _FOR_NODES:
        properties = {"nodes": _number("How many nodes it is for."), **properties}
    if kind in _FOR_POOLS:
        properties = {"pools": _number("How many pools it is for."), **properties}
    if kind == "Gateway":
        properties = {**_SITE, **properties}
    return {"description": "What became of it; netlb writes this.", "type": "object", "properties": properties}


def _number(description: str) -> dict[str, Any]:
    return {"description": description, "type": "integer", "format": "int32", "minimum": 0}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "type": "string"}


_CONDITIONS: Final = status_schema("")["properties"]["conditions"]
_COLUMNS: Final = (
    Column("Node", ".status.node"),
    Column("Service", ".status.serviceName"),
    Column("Announced", ".status.conditions[?(@.type=='netlb.io/Announced')].status"),
    Column("Reason", ".status.conditions[?(@.type=='netlb.io/Announced')].reason", priority=1),
)


def _texts(description: str) -> dict[str, Any]:
    return {"description": description, "type": "array", "items": {"type": "string"}}


def _by_name(description: str) -> dict[str, Any]:
    return {"description": description, "type": "object", "additionalProperties": {"type": "string"}}


def _addresses(description: str, more: Mapping[str, Any], optional: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    always = {"ip": _text("The address."), **more}
    items = {"type": "object", "properties": {**always, **optional}, "required": list(always)}
    return {"description": description, "type": "array", "items": items}


_ROUTE: Final = {
    "prefix": _text("The prefix, of which the address is one."),
    "nextHop": _text("The node's address that routers are told."),
    "localPref": {"description": "Local preference, within the autonomous system.", "type": "integer"},
    "med": {"description": "Multi-exit discriminator.", "type": "integer"},
    "communities": _texts("Communities (RFC 1997)."),
    "largeCommunities": _texts("Large communities (RFC 8092)."),
    "asPathPrepend": {"description": "How often the own number is put in front.", "type": "integer"},
    "peers": _texts("Names of the BGPPeers that the route is for."),
}
_COMMON: Final = {
    "node": _text("The node."),
    "serviceNamespace": _text("The Service's namespace."),
    "serviceName": _text("The Service's name."),
    "conditions": _CONDITIONS,
}

_SESSION: Final = {
    "name": _text("The BGPPeer's name."),
    "router": _text("The router's address."),
    "asn": {
        "description": "Its autonomous system: a number, or internal or external.",
        "x-kubernetes-int-or-string": True,
    },
    "state": _text("The session's state (RFC 4271 section 8.2.2); UNKNOWN while there is none."),
    "since": _text("Since when."),
    "lastError": _text("Why it ended last, or why it cannot begin; empty if nothing is wrong."),
    "advertised": {"description": "Prefixes that the router is told.", "type": "integer"},
    "received": {"description": "Prefixes that it tells.", "type": "integer"},
    "bfd": _text("How BFD with it is; empty where it is not wanted."),
}


class ReportKind(NamedTuple):
    """A kind that netlb writes as a whole."""

    names: Names
    description: str
    """What an object is."""
    fields: Mapping[str, Any]
    """Of its status."""
    namespaced: bool = True


REPORTS: Final[Mapping[str, ReportKind]] = {
    "GatewayNodeStatus": ReportKind(
        Names(
            "gatewaynodestatuses",
            "lbgwn",
            (
                Column("Site", ".status.site"),
                Column("Role", ".status.role"),
                Column("Gateway", ".status.gateway"),
                Column("Peers", ".status.peers[*].state", priority=1),
                Column("Notes", ".status.notes", priority=1),
            ),
        ),
        "How the node of that name is connected to other sites, as its netlb-gateway says; others read its public key.",
        {
            "node": _COMMON["node"],
            "site": _text("Its site: the Gateway's name; empty if it is in none."),
            "role": _text("What it is to its site: gateway, standby, member, or none."),
            "gateway": _text("The endpoint that its traffic to other sites goes through."),
            "publicKey": _text("The public key of its tunnels; empty if it has none."),
            "backend": _text("What its tunnels are made of."),
            "active": _texts("Who is active at its site, by its reckoning."),
            "standby": _texts("Who could take over."),
            "idle": _by_name("By endpoint, why it is neither."),
            "hub": _text("The site that is the hub, by its reckoning."),
            "ways": {
                "description": "How other sites are reached.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "site": _text("The other site."),
                        "endpoint": _text("Its endpoint."),
                        "link": _text("direct, traversal, relay by a node, or why there is no way."),
                    },
                    "required": ["site"],
                },
            },
            "peers": {
                "description": "The other ends of its tunnels.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "site": _text("The site."),
                        "node": _text("The node."),
                        "state": _text("up, down, or warm: known beforehand, and not watched."),
                        "mtu": {
                            "description": "The largest packet that passes, where that is less than it should be.",
                            "type": "integer",
                        },
                    },
                    "required": ["node"],
                },
            },
            "notes": _texts("What an operator should know."),
            "findings": {
                "description": "What is wrong with what was declared.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "severity": _text("error or warning."),
                        "reason": _text("By name."),
                        "object": _text("What it is about."),
                        "file": _text("Where that was declared."),
                        "field": _text("Of the object."),
                        "problem": _text("What is wrong."),
                        "remedy": _text("What to do."),
                    },
                    "required": ["reason"],
                },
            },
        },
        namespaced=False,
    ),
    "ServiceBGPStatus": ReportKind(
        Names("servicebgpstatuses", "lbbgp", (*_COLUMNS, Column("Peers", ".status.peers", priority=1))),
        "How far a node has come with telling routers of the addresses of one Service.",
        {
            **_COMMON,
            "peers": _texts("Names of the BGPPeers that are meant, whatever their sessions do."),
            "addresses": _addresses(
                "The Service's addresses that this node tells routers of.",
                {
                    "routes": {
                        "description": "What they are told.",
                        "type": "array",
                        "items": {"type": "object", "properties": dict(_ROUTE), "required": ["prefix"]},
                    }
                },
            ),
        },
    ),
    "ServiceL2Status": ReportKind(
        Names("servicel2statuses", "lbl2", _COLUMNS),
        "How far a node has come with announcing the addresses of one Service that it owns, by ARP and NDP.",
        {
            **_COMMON,
            "addresses": _addresses(
                "The Service's addresses that this node owns.",
                {"interfaces": _texts("Names of the interfaces on which it is answered for now.")},
                {
                    "announce": _text(
                        "address: the interfaces have it, and the kernel answers; otherwise the speaker answers."
                    )
                },
            ),
        },
    ),
    "SpeakerStatus": ReportKind(
        Names(
            "speakerstatuses",
            "lbspk",
            (
                Column("BGP Problem", ".status.bgp.problem"),
                Column("Kept Since", ".status.keptSince"),
                Column("Interfaces", ".status.interfaces", priority=1),
                Column("Notes", ".status.notes", priority=1),
            ),
        ),
        "What the speaker of the node of that name says of itself.",
        {
            "node": _COMMON["node"],
            "interfaces": _by_name("By name, the MAC addresses of the interfaces on which it may answer."),
            "nodes": _by_name("Other nodes that it watches and that are not alive: dead, or unknown."),
            "keptSince": _text(
                "When that was heard which is in force, if it comes from the disk; absent if from the API server."
            ),
            "bgp": {
                "description": "How it stands with routers; absent where none is declared.",
                "type": "object",
                "properties": {
                    "problem": _text("Why routers hear nothing at present; empty if they do."),
                    "draining": {"description": "Whether the node takes no more traffic.", "type": "boolean"},
                    "peers": {
                        "description": "The sessions.",
                        "type": "array",
                        "items": {"type": "object", "properties": _SESSION, "required": ["name", "router"]},
                    },
                },
            },
            "holding": {
                "description": "What it announces that does not go back to a better node; absent if it is nothing.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "term": {
                            "description": "How often one of these addresses has been taken over; the highest counts.",
                            "type": "integer",
                        },
                        "addresses": _texts("The addresses."),
                    },
                    "required": ["term", "addresses"],
                },
            },
            "notes": _texts("What an operator should know."),
        },
        namespaced=False,
    ),
}
"""Kinds that netlb writes as a whole."""


def report_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a kind that netlb writes; LookupError if it is none."""
    report = REPORTS[kind]
    status = {"description": "What the node says.", "type": "object", "properties": dict(report.fields)}
    properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {"description": report.description, "type": "object", "properties": {**properties, "status": status}}


def _counts(family: str) -> dict[str, Any]:
    counts = {"total": "All that it may give", "used": "Those that Services hold", "free": "Those left to give"}
    return {
        "description": f"The pool's {family} addresses; absent if it has none.",
        "type": "object",
        "properties": {name: _count(meaning) for name, meaning in counts.items()},
        "required": list(counts),
    }


def _count(meaning: str) -> dict[str, Any]:
    """Return the schema of a number of addresses: text, since an IPv6 /64 has more than an int64 can count."""
    return {"description": f"{meaning}: a decimal number, exact.", "type": "string", "pattern": "^(0|[1-9][0-9]*)$"}
