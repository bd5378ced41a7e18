"""Plans as data and as text: what `--print-plan` shows, what golden tests compare, what the status tree is made of."""

from collections.abc import Iterable
from typing import Any

import yaml

from netlb.api.documents import Dumper
from netlb.findings import Finding, ObjectRef
from netlb.plan.cluster import ClusterPlan
from netlb.plan.node import NodePlan

__all__ = ["findings_data", "render_cluster", "render_node", "service_name", "silent_data", "to_yaml"]


def render_cluster(plan: ClusterPlan) -> str:
    """Return the plan of the cluster as YAML."""
    result = plan.addresses
    data = {
        "allocations": [
            {
                "service": service_name(ref),
                "addresses": [str(address) for address in allocation.addresses],
                "pool": allocation.pool,
                **({"refused": str(allocation.refused.reason)} if allocation.refused else {}),
            }
            for ref, allocation in sorted(result.allocations.items())
        ],
        "refusals": [
            {
                "service": service_name(ref),
                "reason": str(refused.reason),
                "message": refused.message,
            }
            for ref, refused in sorted(result.refusals.items())
        ],
        "findings": findings_data(plan.findings),
    }
    return to_yaml(data)


def render_node(plan: NodePlan) -> str:
    """Return the plan of a node as YAML."""
    data = {
        "node": plan.node,
        "announce": [
            {
                "address": str(address),
                "services": [service_name(ref) for ref in announced.services],
                "interfaces": "all" if announced.interfaces is None else sorted(announced.interfaces),
            }
            for address, announced in sorted(plan.l2.items(), key=lambda item: (item[0].version, int(item[0])))
        ],
        "silent": silent_data(plan),
        "findings": findings_data(plan.findings),
    }
    return to_yaml(data)


def silent_data(plan: NodePlan) -> list[dict[str, str]]:
    """Return what a node does not announce, and why, as plain data."""
    return [
        {
            "address": str(address),
            "service": service_name(ref),
            "reason": str(verdict.reason),
            **({"owner": verdict.owner} if verdict.owner else {}),
        }
        for ref, addresses in plan.silent.items()
        for address, verdict in addresses.items()
    ]


def findings_data(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings as plain data."""
    return [
        {
            "severity": str(finding.severity),
            "reason": str(finding.reason),
            "object": str(finding.subject or ""),
            "file": finding.origin,
            "field": finding.field,
            "problem": finding.problem,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]


def service_name(ref: ObjectRef) -> str:
    """Write a Service's name as kubectl does."""
    return f"{ref.namespace}/{ref.name}"


def to_yaml(data: Any) -> str:
    """Write plain data as YAML, keys in the order given."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
