"""What routers are told, and what came of it: what the status tree says of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from netlb.bgp.model import Key, Kind
from netlb.net import Address
from netlb.plan.bgp import BgpPlan
from netlb.plan.render import bgp_data, routes_told
from netlb.reasons import Silence
from netlb.reconcile import Status, StatusKind
from netlb.source.status import Standing

if TYPE_CHECKING:
    from netlb.bgp.sessions import Watched

__all__ = ["Heard", "bgp_report", "sessions_of", "standings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a gobgpd and its sessions; of none, while there is none."""

    sessions: tuple["Watched", ...] = ()
    statuses: Mapping[Key, Status] = field(default_factory=dict)
    """How far each route and peer is."""
    bfd: Mapping[str, str] = field(default_factory=dict)
    """How BFD with each router is that it is wanted with, by the names in the peers' keys."""
    problem: str = ""
    """Why routers hear nothing at present."""
    withdrawn: bool = False
    """The node takes no more traffic, and routers had the time to prefer others."""


def sessions_of(plan: BgpPlan, heard: Heard) -> Iterator[tuple[str, Key, "Watched | None"]]:
    """Yield every router of the plan: its BGPPeer's name, its key, and its session, if it has any.

    A prefix has as many as there are routers in it that connected.
    """
    for router, name in plan.peers.items():
        key = Key(Kind.PEER, router)
        found = sorted((one for one in heard.sessions if one.session.key == key), key=lambda one: one.session.address)
        for watched in found or (None,):
            yield name, key, watched


def standings(plan: BgpPlan, heard: Heard) -> dict[Address, Standing]:
    """Return how it stands with each address of `plan.announced`."""
    up = {name for name, _, watched in sessions_of(plan, heard) if watched is not None and watched.up}
    down = {
        name: f"{name} ({key.name}: {_state(watched)}{_bfd(heard, key)})"
        for name, key, watched in sessions_of(plan, heard)
        if name not in up
    }

    def standing(address: Address) -> Standing:
        if heard.withdrawn:
            return Standing(Silence.DRAINED, "this node takes no more traffic, and its routes are withdrawn")
        if heard.problem:
            return Standing(Silence.ANNOUNCE_FAILED, heard.problem)
        statuses = [heard.statuses.get(told.route.key) for told in routes[address]]
        failed = [status.message for status in statuses if status is not None and status.kind is StatusKind.ERROR]
        if failed:
            return Standing(Silence.ANNOUNCE_FAILED, failed[0])
        if any(status is None or status.kind is not StatusKind.DONE for status in statuses):
            return Standing(Silence.PENDING, "it is about to be announced")
        meant = {peer for told in routes[address] for peer in told.peers}
        unheard = [words for name, words in down.items() if name in meant]
        if not meant & up:
            whom = ", ".join(unheard) or "any router: none is for this family (addressFamilies)"
            return Standing(Silence.SESSION_DOWN, f"no session is up with {whom}")
        notes = [f"no session is up with {', '.join(unheard)}"] if unheard else []
        notes += ["routers are asked to prefer other nodes, as this one takes no more traffic"] if plan.draining else []
        return Standing(message="; ".join(notes))

    routes = routes_told(plan)
    return {address: standing(address) for address in plan.announced}


def bgp_report(plan: BgpPlan, heard: Heard, standing: Mapping[Address, Standing]) -> dict[str, Any]:
    """Return what routers are told, how the sessions with them are, and how it stands with each address."""
    planned = bgp_data(plan)
    if not planned:
        return {}
    declared = {peer["name"]: peer for peer in planned["peers"]}
    by_text = {str(address): each for address, each in standing.items()}
    return {
        "problem": heard.problem,
        **planned,
        "peers": [
            {
                **declared[name],
                **_session(key, watched, heard),
                **({"bfd": heard.bfd[key.name]} if key.name in heard.bfd else {}),
            }
            for name, key, watched in sessions_of(plan, heard)
        ],
        "announcing": [{**entry, **by_text[entry["address"]].data()} for entry in planned["announcing"]],
    }


def _session(key: Key, watched: "Watched | None", heard: Heard) -> dict[str, Any]:
    status = heard.statuses.get(key)
    refused = status.message if status is not None and status.kind is StatusKind.ERROR else ""
    if watched is None:
        return {"state": _state(watched), "lastError": refused or heard.problem}
    return {
        "router": watched.session.address,
        "state": _state(watched),
        "since": datetime.fromtimestamp(watched.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastError": refused or watched.session.reason,
        "advertised": watched.session.advertised if watched.up else 0,
        "received": watched.session.accepted if watched.up else 0,
    }


def _state(watched: "Watched | None") -> str:
    if watched is None:
        return "UNKNOWN"
    return "ADMIN_DOWN" if watched.session.admin_down else watched.session.state.name


def _bfd(heard: Heard, key: Key) -> str:
    return f", BFD {heard.bfd[key.name]}" if key.name in heard.bfd else ""
