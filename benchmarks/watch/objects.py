"""A cluster of 10,000 Services with four endpoints each, on 100 nodes. Pure.

The first tenth of the Services is of externalTrafficPolicy Local and has its endpoints on the node whose speaker is
measured, which therefore announces them; of the others it owns what falls to it, a hundredth.
"""

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["LOCAL", "NODE", "NODES", "address", "cluster", "endpoints", "ours", "service"]

Body = dict[str, Any]

NODES: Final = 100
NODE: Final = "node-1"
LOCAL: Final = 10
"""One Service in so many is the measured node's alone."""
_NAMESPACES: Final = 50
_ENDPOINTS: Final = 4
_ALLOCATED: Final = {
    "type": "netlb.io/AddressAllocated",
    "status": "True",
    "reason": "IPAllocated",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
_FIELDS: Final = {
    "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:team": {}}},
    "f:spec": {"f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:targetPort": {}}}},
}


def address(number: int) -> str:
    """Return the address that a Service has, or is to have."""
    return f"198.18.{number >> 8 & 255}.{number & 255}"


def ours(number: int) -> bool:
    """Say whether a Service is the measured node's alone."""
    return number % LOCAL == 0


def service(number: int, *, held: bool = True, mark: str = "") -> Body:
    """Return a Service as an API server shows it; `mark` is a text that passes on the wire with this version of it."""
    cluster_ip = f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    annotations = {
        "example.org/description": "A Service of a cluster with many of them, as there are such.",
        "netlb.io/allocated-from": "bench",
    }
    ingress = {"loadBalancer": {"ingress": [{"ip": address(number), "ipMode": "VIP"}]}}
    said = {**ingress, "conditions": [_ALLOCATED]} if held else {"loadBalancer": {}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"web-{number}",
            "namespace": f"team-{number % _NAMESPACES}",
            "labels": {"app": f"web-{number}", "team": f"team-{number % _NAMESPACES}"},
            "annotations": {**annotations, "example.org/mark": mark},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "selector": {"app": f"web-{number}"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30000},
                {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP", "nodePort": 30001},
            ],
            "externalTrafficPolicy": "Local" if ours(number) else "Cluster",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "allocateLoadBalancerNodePorts": True,
        },
        "status": said,
    }


def endpoints(number: int, *, ready: bool = True, mark: str = "") -> Body:
    """Return the EndpointSlice of a Service: four endpoints."""
    namespace = f"team-{number % _NAMESPACES}"
    labels = {
        "kubernetes.io/service-name": f"web-{number}",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "app": f"web-{number}",
    }
    owner = {"apiVersion": "v1", "kind": "Service", "name": f"web-{number}", "uid": "0" * 36, "controller": True}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": f"web-{number}-x7k2p",
            "namespace": namespace,
            "labels": labels,
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z", "mark": mark},
            "ownerReferences": [owner],
        },
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.{244 + (pod >> 16)}.{pod >> 8 & 255}.{pod & 255}"],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "nodeName": NODE if ours(number) else f"node-{(number + turn) % NODES + 1}",
                "targetRef": {"kind": "Pod", "name": f"web-{number}-{turn}", "namespace": namespace, "uid": "1" * 36},
                "zone": f"zone-{turn}",
            }
            for turn in range(_ENDPOINTS)
            for pod in [number * _ENDPOINTS + turn]
        ],
    }


def cluster(services: int) -> Iterator[Body]:
    """Yield every object: what they are in comes first."""
    for number in range(_NAMESPACES):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "netlb-system"}}
    for number in range(1, NODES + 1):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{number}", "labels": {"kubernetes.io/hostname": f"node-{number}"}},
            "status": {
                "addresses": [{"type": "InternalIP", "address": f"10.1.0.{number}"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is"}],
            },
        }
    group = "netlb.io/v1alpha1"
    spec = {"addresses": ["198.18.0.0/16"]}
    yield {"apiVersion": group, "kind": "AddressPool", "metadata": {"name": "bench"}, "spec": spec}
    yield {"apiVersion": group, "kind": "L2Advertisement", "metadata": {"name": "bench"}, "spec": {}}
    for number in range(services):
        yield service(number) | {"metadata": _with_managers(service(number)["metadata"])}
        yield endpoints(number)


def _with_managers(metadata: Body) -> Body:
    manager = {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1"}
    return {**metadata, "managedFields": [{**manager, "fieldsType": "FieldsV1", "fieldsV1": _FIELDS}]}
