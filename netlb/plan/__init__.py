"""Snapshot to desired state. Pure, printable, comparable."""

from netlb.plan.cluster import ClusterPlan, ClusterPlanner, plan_cluster
from netlb.plan.explain import explain_service
from netlb.plan.node import AnnouncedAddress, NodePlan, NodePlanner, SilentAddress, plan_node
from netlb.plan.render import render_cluster, render_node
from netlb.plan.selected import Selected
from netlb.plan.validate import validate

__all__ = [
    "AnnouncedAddress",
    "ClusterPlan",
    "ClusterPlanner",
    "NodePlan",
    "NodePlanner",
    "Selected",
    "SilentAddress",
    "explain_service",
    "plan_cluster",
    "plan_node",
    "render_cluster",
    "render_node",
    "validate",
]
