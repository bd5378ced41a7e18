"""Where nodes are: the node pool and the zone of each. Pure."""

from collections.abc import Mapping

from netlb.api.core import Node
from netlb.api.keys import DESIRED_NODE_POOL_LABEL, NODE_POOL_LABEL, ZONE_LABEL

__all__ = ["NodePools", "node_pool", "zone"]


def node_pool(node: Node) -> str:
    """Return the node pool that a node is in, by its label; empty if it is in none.

    OpenYurt's controllers copy the label's former name to the present one; where they do not run, it counts as well.
    """
    labels = node.metadata.labels
    return labels.get(NODE_POOL_LABEL) or labels.get(DESIRED_NODE_POOL_LABEL, "")


def zone(node: Node | None) -> str:
    """Return the zone that a node is in; empty if it does not say, or is not there."""
    return node.metadata.labels.get(ZONE_LABEL, "") if node else ""


class NodePools:
    """Which nodes are together in a node pool; worked out once for many Services."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        members: dict[str, set[str]] = {}
        for name, node in nodes.items():
            if pool := node_pool(node):
                members.setdefault(pool, set()).add(name)
        self._together = {name: frozenset(names) for names in members.values() for name in names}

    def together(self, node: str) -> frozenset[str]:
        """Return the nodes of a node's pool, itself among them; a node that is in none is alone."""
        return self._together.get(node) or frozenset({node})
