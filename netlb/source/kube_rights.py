"""What each daemon may do at the API server, and nothing else: the source of the RBAC objects. Pure.

It is derived from what is watched and what is written. Who runs with it is asked by the double of the API server, in
every test of a daemon.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netlb.api.dialects import DEFAULT, Compatibility, System
from netlb.source.kube_events import EVENTS
from netlb.source.kube_kinds import (
    ADDRESSING,
    CONFIG_MAPS,
    GATEWAY_NODES,
    GATEWAYS,
    LEASES,
    REPORTS,
    SECRETS,
    SERVICES,
    SPEAKER_STATUSES,
    Reader,
    Resource,
    Watched,
    watched,
)

__all__ = [
    "JOURNAL",
    "LEASE",
    "Right",
    "controller_rights",
    "gateway_rights",
    "lease_rights",
    "role_rules",
    "secret_namespaces",
    "speaker_rights",
]

LEASE = "netlb-controller"
"""The Lease by which one of several controllers is elected."""
JOURNAL = "netlb-journal"
"""The ConfigMap in which a controller says which addresses it is about to give."""

_FOLLOW = ("list", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Some verbs on one resource."""

    group: str
    """Empty: Kubernetes' core group."""
    resource: str
    """With its subresource, as in `services/status`."""
    verbs: tuple[str, ...]
    namespace: str = ""
    """Where: a Role of this namespace; empty: everywhere, a ClusterRole."""
    names: tuple[str, ...] = ()
    """Of these objects only; empty: of all."""


def controller_rights(namespace: str, compatibility: Compatibility = DEFAULT) -> tuple[Right, ...]:
    """Return what netlb-controller does, with its own objects in `namespace`."""
    return (
        *_following(watched(compatibility, Reader.ADDRESSES)),
        _right(SERVICES, "patch", subresource="status"),
        *(_right(native, "patch", subresource="status") for native in ADDRESSING.values()),
        *(_right(report, "list", "delete") for report in REPORTS.values()),  # those of nodes that are gone
        _right(EVENTS, "create"),
        _right(LEASES, "create", namespace=namespace),
        _right(LEASES, "get", "update", namespace=namespace, names=(LEASE,)),
        _right(CONFIG_MAPS, "create", namespace=namespace),
        _right(CONFIG_MAPS, "get", "update", namespace=namespace, names=(JOURNAL,)),
    )


def speaker_rights(
    namespace: str, compatibility: Compatibility = DEFAULT, *, leases: bool = False
) -> tuple[Right, ...]:
    """Return what netlb-speaker does; Secrets are read by name, here and where MetalLB's are.

    `leases`: by these the nodes know of each other (`--liveness lease`).
    """
    return (
        *_following(watched(compatibility, Reader.ANNOUNCEMENTS)),
        *(_right(SECRETS, *_FOLLOW, namespace=where) for where in secret_namespaces(namespace, compatibility)),
        # To apply what is not there yet takes both `patch` and `create`.
        *(_right(report, "list", "create", "patch", "delete") for report in REPORTS.values()),
        _right(SPEAKER_STATUSES, "watch"),  # of each other, where addresses do not go back to better nodes
        _right(EVENTS, "create"),
        *(lease_rights(namespace) if leases else ()),
    )


def lease_rights(namespace: str) -> tuple[Right, ...]:
    """Return what it takes to be known of by a Lease; in a large cluster a node writes into those of the dead, too."""
    return (_right(LEASES, "get", "list", "watch", "create", "update", namespace=namespace),)


def secret_namespaces(namespace: str, compatibility: Compatibility = DEFAULT) -> tuple[str, ...]:
    """Return where BGPPeers' Secrets may be: in netlb's own namespace, which comes first, and in MetalLB's."""
    theirs = (compatibility.metallb_namespace,) if System.METALLB in compatibility.systems else ()
    return tuple(dict.fromkeys((namespace, *theirs)))


def gateway_rights(compatibility: Compatibility = DEFAULT) -> tuple[Right, ...]:
    """Return what netlb-gateway does: it says of itself what others read, and of its Gateway who is active."""
    return (
        *_following(watched(compatibility, Reader.SITES)),
        _right(GATEWAY_NODES, "get", "create", "patch"),
        _right(GATEWAYS, "get"),
        _right(GATEWAYS, "patch", subresource="status"),
        _right(EVENTS, "create"),
    )


def role_rules(rights: Iterable[Right]) -> dict[str, list[dict[str, Any]]]:
    """Return the rules of a Role for each namespace, and of a ClusterRole under the empty name.

    Resources of one group for which the same is allowed are one rule.
    """
    merged: dict[str, dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]]] = {}
    for right in rights:
        rules = merged.setdefault(right.namespace, {})
        rules.setdefault((right.group, right.verbs, right.names), []).append(right.resource)
    return {
        namespace: [
            {
                "apiGroups": [group],
                "resources": sorted(set(resources)),
                **({"resourceNames": list(names)} if names else {}),
                "verbs": list(verbs),
            }
            for (group, verbs, names), resources in rules.items()
        ]
        for namespace, rules in merged.items()
    }


def _following(kinds: Iterable[Watched]) -> Iterable[Right]:
    """A kind of which one namespace is watched is allowed by name everywhere: that namespace need not exist."""
    for kind in kinds:
        name = kind.fields.removeprefix("metadata.name=")
        yield _right(kind.resources[0], *_FOLLOW, names=(name,) if name else ())  # versions do not matter


def _right(
    resource: Resource, *verbs: str, subresource: str = "", namespace: str = "", names: tuple[str, ...] = ()
) -> Right:
    name = "/".join(filter(None, (resource.plural, subresource)))
    return Right(group=resource.group, resource=name, verbs=verbs, namespace=namespace, names=names)
