"""Nodes, and which endpoints serve which node. Pure."""

from netlb.topology.candidates import candidates, eligible_nodes
from netlb.topology.places import NodePools, node_pool, zone
from netlb.topology.reach import Reach, reach, within_reach
from netlb.topology.serving import distributed, serving_endpoints

__all__ = [
    "NodePools",
    "Reach",
    "candidates",
    "distributed",
    "eligible_nodes",
    "node_pool",
    "reach",
    "serving_endpoints",
    "within_reach",
    "zone",
]
