"""Who holds which address, as the status of a Service says it, in Kubernetes and in the status tree alike."""

from collections.abc import Mapping
from typing import Any

from netlb.api import keys
from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.net import parse_address

__all__ = ["read_holding"]


def read_holding(body: Mapping[str, Any]) -> tuple[ObjectRef, Holding] | None:
    """Read what a Service holds; None if its status says nothing that can be understood.

    Entries with a host name only, as other load balancers write them, are passed over (MetalLB's rule).
    """
    try:
        metadata = body["metadata"]
        ref = ObjectRef("Service", str(metadata.get("namespace") or "default"), str(metadata["name"]))
        ingress = body["status"]["loadBalancer"].get("ingress") or []
        addresses = tuple(parse_address(entry["ip"]) for entry in ingress if entry.get("ip"))
        pool = keys.annotation(metadata.get("annotations") or {}, keys.ALLOCATED_FROM)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return ref, Holding(addresses, pool[1] if pool else "")
