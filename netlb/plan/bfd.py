"""BFD towards routers: which peers of a node are watched, how, and why one is not."""

from collections.abc import Mapping
from dataclasses import dataclass

from netlb.api.v1alpha1 import BFDProfile, BFDProfileSpec, BGPPeer
from netlb.bfd.settings import SINGLE_HOP_TTL, Settings
from netlb.bgp.model import Peer
from netlb.net import Address
from netlb.reasons import ManifestProblem

__all__ = ["Unwatched", "Watch", "bfd_settings", "watch"]

_TWO_HOPS = 254
"""The lowest TTL of a packet from two hops away: the default of MetalLB and FRR."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The BFD session with a router."""

    address: Address
    settings: Settings
    source: Address | None = None
    """Our end, as the router knows it; None: the kernel's choice."""
    multihop: bool = False
    """Over several hops (RFC 5883); otherwise the router is on the same link (RFC 5881)."""


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Why a peer is not watched although it names a profile."""

    problem: str
    remedy: str
    reason: ManifestProblem = ManifestProblem.NOT_HONOURED


def watch(
    declared: BGPPeer, peer: Peer, profiles: Mapping[str, BFDProfile], nodes: Mapping[Address, str]
) -> Watch | Unwatched | None:
    """Return the session that a peer asks for; None if it asks for none, or is kept down anyway.

    `nodes` has the nodes by their own addresses: the speakers watch each other at these.
    """
    name = declared.spec.bfd_profile
    if not name or peer.admin_down:
        return None
    if name not in profiles:
        problem = f"there is no BFDProfile {name!r}, so BFD is off with this peer"
        return Unwatched(problem, "declare it, or correct the name", ManifestProblem.UNKNOWN_REFERENCE)
    if peer.address is None:
        what = "whoever connects has" if peer.prefix is not None else "the router at the other end has"
        problem = f"it is not known which address {what}, so BFD is off with this peer"
        return Unwatched(problem, "give the router's address (peerAddress), or leave the profile out")
    hops = peer.ttl_security_hops or 1
    multihop = peer.multihop_ttl is not None or hops > 1
    if peer.address in nodes and not multihop:
        problem = f"it is node {nodes[peer.address]}, which the speakers may watch already: BFD is off with this peer"
        return Unwatched(problem, "leave the profile out, or give an address of the router's own")
    furthest = SINGLE_HOP_TTL + 1 - hops if hops > 1 else _TWO_HOPS
    settings = bfd_settings(profiles[name].spec, minimum_ttl=furthest if multihop else None)
    return Watch(peer.address, settings, peer.source, multihop)


def bfd_settings(profile: BFDProfileSpec, *, minimum_ttl: int | None = None) -> Settings:
    """Return a profile's settings, milliseconds turned into microseconds.

    `minimum_ttl`: that over several hops, where the profile gives none; None: the peer is on the same link.
    """
    return Settings(
        transmit_interval=profile.transmit_interval * 1000,
        receive_interval=profile.receive_interval * 1000,
        detect_multiplier=profile.detect_multiplier,
        passive=profile.passive_mode,
        minimum_ttl=SINGLE_HOP_TTL if minimum_ttl is None else profile.minimum_ttl or minimum_ttl,
    )
