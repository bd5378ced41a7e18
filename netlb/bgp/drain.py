"""States that follow from another one: those of leaving without loss (RFC 8326 section 4.2), and peers kept down."""

from collections.abc import Collection
from dataclasses import replace

from netlb.bgp.model import GRACEFUL_SHUTDOWN, BgpState

__all__ = ["disabled", "kept_down", "shutting_down", "withdrawn"]


def shutting_down(state: BgpState) -> BgpState:
    """Return the state in which routers are asked to prefer every other path: all is still announced."""
    routes = (replace(route, communities=route.communities | {GRACEFUL_SHUTDOWN}) for route in state.routes)
    return replace(state, routes=tuple(routes))


def withdrawn(state: BgpState) -> BgpState:
    """Return the state in which nothing is announced, and the sessions are still up."""
    return replace(state, routes=())


def disabled(state: BgpState) -> BgpState:
    """Return the state in which nothing is announced and nobody is spoken to.

    Dynamic neighbours cannot be kept down, and are left out.
    """
    peers = tuple(replace(peer, admin_down=True) for peer in state.peers if peer.prefix is None)
    return replace(state, routes=(), peers=peers)


def kept_down(state: BgpState, names: Collection[str]) -> BgpState:
    """Return the state in which the peers with these names in their keys are not spoken to; all else is as it was."""
    if not names:
        return state
    peers = (replace(peer, admin_down=True) if peer.key.name in names else peer for peer in state.peers)
    return replace(state, peers=tuple(peers))
