"""Nodes, and which endpoints serve which node. Pure."""

from netlb.topology.candidates import candidates, eligible_nodes

__all__ = ["candidates", "eligible_nodes"]
