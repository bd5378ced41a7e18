"""Sites behind routers and NATs in namespaces of this machine, for tests, demonstrations and measurements."""

from netlb.testing.sites.lab import SitesLab
from netlb.testing.sites.layout import Nat, NodePlace, SitePlace, places
from netlb.testing.sites.requirements import requirements
from netlb.testing.sites.rules import ClusterService, node_rules, router_rules

__all__ = [
    "ClusterService",
    "Nat",
    "NodePlace",
    "SitePlace",
    "SitesLab",
    "node_rules",
    "places",
    "requirements",
    "router_rules",
]
