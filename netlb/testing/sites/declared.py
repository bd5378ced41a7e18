"""What is declared in a lab of sites: Nodes, Gateways, and a Service for every pod."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import yaml

from netlb.net import Address
from netlb.testing.sites.lab import SitesLab
from netlb.testing.sites.layout import NodePlace
from netlb.testing.sites.rules import ClusterService

__all__ = ["cluster_service", "gateways", "manifests", "node_port", "nodes", "service_addresses"]

_LABEL = "raven.openyurt.io/gateway"


def nodes(lab: SitesLab) -> Iterator[dict[str, Any]]:
    """Yield the Nodes of a lab, each in its site."""
    for node in lab.places.values():
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node.name,
                "labels": {_LABEL: node.site, "apps.openyurt.io/nodepool": node.site},
            },
            "spec": {"podCIDRs": [str(node.pods4), str(node.pods6)]},
            "status": {"addresses": [{"type": "InternalIP", "address": str(node.ipv4.ip)}]},
        }


def gateways(lab: SitesLab, *, direct: tuple[str, ...] = (), **fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the Gateways of a lab: the first two nodes of each site are its endpoints, the first site is the oldest.

    Sites in `direct` say that they are reachable, though their addresses are private; `fields` are of specs, by site.
    """
    for site in lab.sites.values():
        reachable = site.public or site.name in direct
        endpoints = [
            {"nodeName": node.name} | ({"publicIPs": [str(node.ipv4.ip)]} if reachable else {"underNAT": True})
            for node in site.nodes[:2]
        ]
        yield {
            "apiVersion": "netlb.io/v1alpha1",
            "kind": "Gateway",
            "metadata": {"name": site.name, "creationTimestamp": f"2026-01-{site.number:02}T00:00:00Z"},
            "spec": {"endpoints": endpoints, "keepalive": 1, **fields.get(site.name, {})},
        }


def manifests(lab: SitesLab, **gateway: Any) -> str:
    """Return all of it as one text."""
    return yaml.safe_dump_all([*nodes(lab), *gateways(lab, **gateway)])


def service_addresses(node: NodePlace) -> tuple[Address, Address]:
    """Return the cluster addresses of the Service that leads to a node's pod."""
    number = int(str(node.pods4).split(".")[2])
    return ip_address(f"10.96.0.{number}"), ip_address(f"fd00:96::{number}")


def cluster_service(lab: SitesLab, name: str) -> ClusterService:
    """Return a Service that leads from everywhere to the pod of a node, at port 80 and at a port of all nodes."""
    pod, place = lab.pods[name], lab.places[name]
    return ClusterService(
        name=f"default/{name}",
        addresses=service_addresses(place),
        node_port=node_port(place),
        backends=dict.fromkeys(lab.nodes, tuple((address, pod.port) for address in pod.addresses)),
    )


def node_port(node: NodePlace) -> int:
    """Return the port of all nodes that leads to a node's pod."""
    return 30000 + int(str(node.pods4).split(".")[2])
