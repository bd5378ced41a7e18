"""Sites of a mesh in few words: what tables, golden plans and property tests are written in."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.net import parse_address
from netlb.plan.raven import Seen
from netlb.raven.election import Health
from netlb.raven.mtu import WIREGUARD
from netlb.raven.node import Local

__all__ = ["documents", "key_of", "local", "seen", "snapshot"]


def key_of(node: str) -> str:
    """The public key that a node has in tests."""
    return b64encode(sha256(node.encode()).digest()).decode()


def documents(
    sites: Mapping[str, Mapping[str, Any]],
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
    objects: Iterable[Mapping[str, Any]] = (),
) -> list[Document]:
    """Return the manifests of sites.

    A site is the spec of its Gateway, with `nodes`, the names of its nodes, and `created`, its age. The first node of site
    number s, in the order written, has the InternalIP 192.168.s.1 and the podCIDRs 10.s.1.0/24 and fd00:s:1::/64, and so on.
    A node of `nodes` changes that: addresses (InternalIPs), external (ExternalIPs), podCIDRs, labels, ready (a status).
    `{raven: v1beta1}` or `{raven: v1alpha1}` makes the Gateway one of Raven's, `{label: false}` leaves the nodes unlabelled.
    """
    said = dict(nodes or {})
    found = [_document(body) for body in objects]
    for number, (name, site) in enumerate(sites.items(), start=1):
        spec = dict(site)
        raven, labelled = spec.pop("raven", ""), spec.pop("label", True)
        metadata = {"name": name, "annotations": spec.pop("annotations", {})}
        if created := spec.pop("created", ""):
            metadata["creationTimestamp"] = str(created)
        members = spec.pop("nodes", [])
        version = f"raven.openyurt.io/{raven}" if raven else "netlb.io/v1alpha1"
        found.append(_document({"apiVersion": version, "kind": "Gateway", "metadata": metadata, "spec": spec}))
        for place, node in enumerate(members, start=1):
            labels = {"raven.openyurt.io/gateway": name} if labelled else {}
            found.append(_node(node, f"{number}", place, labels, said.pop(node, {})))
    found += [_node(node, "99", place, {}, more) for place, (node, more) in enumerate(said.items(), start=1)]
    return found


def _node(name: str, site: str, place: int, labels: Mapping[str, str], said: Mapping[str, Any]) -> Document:
    assert said.keys() <= {"addresses", "external", "podCIDRs", "podCIDR", "labels", "ready"}, said
    addresses = {
        "InternalIP": said.get("addresses", [f"192.168.{site}.{place}"]),
        "ExternalIP": said.get("external", []),
    }
    conditions = [{"type": "Ready", "status": said["ready"]}] if "ready" in said else []
    spec = {"podCIDRs": said.get("podCIDRs", [f"10.{site}.{place}.0/24", f"fd00:{site}:{place}::/64"])}
    if "podCIDR" in said:
        spec = {"podCIDR": said["podCIDR"]}
    return _document(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {**labels, **said.get("labels", {})}},
            "spec": spec,
            "status": {
                "addresses": [{"type": kind, "address": text} for kind, texts in addresses.items() for text in texts],
                "conditions": conditions,
            },
        }
    )


def _document(body: Mapping[str, Any]) -> Document:
    return Document("sites.yaml", dict(body))


def snapshot(declared: list[Document]) -> Snapshot:
    """Return what is in force with these manifests."""
    intake = Intake()
    intake.declare("sites.yaml", declared)
    return intake.snapshot({})


def seen(of: Snapshot, said: Mapping[str, Any] | None = None) -> Seen:
    """Return what nodes have found out: alive, dead, held, incumbents, fallen, hub, and keys by node (null: none published).

    `backends` are by node. Unless told otherwise every node has published its key, and nothing else is known.
    """
    said = dict(said or {})
    keys = {node: key_of(node) for node in of.nodes} | said.get("keys", {})
    assert said.keys() <= {"alive", "dead", "held", "incumbents", "fallen", "hub", "keys", "backends"}, said
    return Seen(
        health=Health(*(frozenset(said.get(name, ())) for name in ("alive", "dead", "held"))),
        incumbents=said.get("incumbents", {}),
        hub=said.get("hub", ""),
        fallen=said.get("fallen", ()),
        keys={node: key for node, key in keys.items() if key},
        backends=said.get("backends", {}),
    )


def local(said: Mapping[str, Any] | None) -> Local:
    """Return what a node knows of itself: underlay_mtu, overhead, and addresses and watched as texts."""
    said = said or {}
    assert said.keys() <= {"addresses", "overhead", "underlay_mtu", "watched"}, said
    return Local(
        overhead=said.get("overhead", WIREGUARD),
        underlay_mtu=said.get("underlay_mtu", 1500),
        addresses=tuple(map(parse_address, said.get("addresses", ()))),
        watched=tuple(map(parse_address, said.get("watched", ()))),
    )
