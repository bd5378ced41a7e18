"""What gateways say in the status tree, and in the API. Pure.

gatewaynodestatuses/NODE.yaml   how a node is connected to other sites, with its public key, which others read
gateways/NAME.yaml              who is active at a site, as the first of those says
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from netlb.api.v1alpha1 import API_VERSION
from netlb.plan.render import to_yaml

__all__ = ["FOLDER", "gateway_path", "is_nodes_gateways", "node_document", "node_path", "site_document", "text"]

FOLDER = "gatewaynodestatuses"
_WRITER = "# Written by netlb-gateway.\n"


def node_path(node: str) -> str:
    """Return the file in which a node says how it is connected."""
    return f"{FOLDER}/{quote(node, safe=' ')}.yaml"


def gateway_path(name: str) -> str:
    """Return the file of a Gateway's status."""
    return f"gateways/{quote(name, safe=' ')}.yaml"


def is_nodes_gateways(path: str, node: str, site: str) -> bool:
    """Say whether a file of the tree is this node's to write: its own, and that of the site that it speaks for."""
    return path == node_path(node) or (bool(site) and path == gateway_path(site))


def node_document(node: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a GatewayNodeStatus."""
    return {"apiVersion": API_VERSION, "kind": "GatewayNodeStatus", "metadata": {"name": node}, "status": dict(status)}


def site_document(name: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Gateway, of which there is nothing but its status."""
    return {"apiVersion": API_VERSION, "kind": "Gateway", "metadata": {"name": name}, "status": dict(status)}


def text(document: Mapping[str, Any]) -> str:
    """Return a document as its file has it."""
    return _WRITER + to_yaml(document)
