"""Refusals in words: what a person reads who has to change something."""

from collections.abc import Iterable

from netlb.findings import ObjectRef
from netlb.ipam.request import Request
from netlb.ipam.result import Refused
from netlb.reasons import Refusal

__all__ = ["refused"]

_MOST_NAMES = 3


def refused(
    reason: Refusal, request: Request, pools: Iterable[str] = (), *, what: str = "", holder: ObjectRef | None = None
) -> Refused:
    """Say why a request was refused by these pools; `what` is the address or family in question."""
    names = list(pools)
    named = ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} others" if len(names) > _MOST_NAMES else ""
    )
    theirs = f"{holder.namespace}/{holder.name}" if holder else "another Service"
    return Refused(reason, _message(reason, request, named, what or " and ".join(request.families), theirs))


def _message(reason: Refusal, request: Request, pools: str, what: str, theirs: str) -> str:
    match reason:
        case Refusal.NO_POOL:
            return "no pool is declared"
        case Refusal.UNKNOWN_POOL:
            return f"there is no pool {request.pool!r}"
        case Refusal.NOT_REQUESTED:
            return f"the Service asks for pool {request.pool!r}"
        case Refusal.NOT_AUTO_ASSIGNED:
            return f"pool {pools} serves explicit requests only (autoAssign: false)"
        case Refusal.POOL_DISABLED:
            return f"pool {pools} gives no address any more (disabled: true)"
        case Refusal.NAMESPACE_NOT_ADMITTED:
            return f"pool {pools} does not serve namespace {request.service.namespace!r} (serviceAllocation)"
        case Refusal.SERVICE_NOT_SELECTED:
            return f"pool {pools} does not select the Service by its labels (serviceAllocation.serviceSelectors)"
        case Refusal.NO_NODE:
            return f"no node is in a node pool of pool {pools} (nodePools)"
        case Refusal.FAMILY_MISSING:
            return f"pool {pools} has no addresses of {what}"
        case Refusal.POOL_EXHAUSTED:
            return f"no {what} address is free in pool {pools}"
        case Refusal.ADDRESS_NOT_IN_POOL:
            return f"{what} is not in pool {pools}" if pools else f"{what} is in no pool"
        case Refusal.ADDRESS_EXCLUDED:
            return f"pool {pools} excludes {what}"
        case Refusal.BUGGY_ADDRESS:
            return f"pool {pools} avoids addresses that end in .0 or .255, such as {what}"
        case Refusal.ADDRESS_IN_USE:
            return f"{what} of pool {pools} is held by another Service, {theirs}"
        case Refusal.SHARING_KEY_DIFFERS:
            return f"{what} of pool {pools} is shared by {theirs} under another key"
        case Refusal.SHARING_KEY_ELSEWHERE:
            return f"{what} is not the address that the sharing key has in pool {pools}, with {theirs}"
        case Refusal.SHARING_ACROSS_NAMESPACES:
            return f"{what} is held by {theirs}, and pool {pools} shares within a namespace only (sharing: namespace)"
        case Refusal.SHARING_BACKEND_DIFFERS:
            return f"{what} is held by {theirs}, whose externalTrafficPolicy or (with Local) selector differs"
        case Refusal.SHARED_PORT_TAKEN:
            return f"{what} is held by {theirs}, which has one of the Service's ports"
        case Refusal.AWAITING_SOURCE:
            return f"pool {pools} has asked its source for an address of {what}"
        case Refusal.SOURCE_EXHAUSTED:
            return f"the source of pool {pools} has no address of {what} left"
        case Refusal.INCOMPLETE_VIEW:
            return "kept while some manifests cannot be read"
        case _:
            return "the request cannot be read"
