"""How it stands with each address that this node owns: what the status tree says of it. Pure."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import NodePlan
from netlb.plan.bgp import BgpPlan
from netlb.plan.render import findings_data, service_name
from netlb.reasons import Silence
from netlb.reconcile import Status, StatusKind
from netlb.source.status import Announcement
from netlb_speaker.guard import Withheld

if TYPE_CHECKING:
    from netlb.bgp.peers import Session

__all__ = ["announcements", "bgp_data", "silence"]


def announcements(
    plan: NodePlan,
    *,
    held: Mapping[Address, Collection[str]],
    statuses: Mapping[Address, Status],
    withheld: Mapping[Address, Withheld],
    timings: ProbeTimings,
) -> dict[Address, Announcement]:
    """Return how it stands with each address of `plan.l2`.

    `held` gives the interfaces that answer for what was asked of the announcer, `statuses` what became of asking.
    """

    def announcement(address: Address) -> Announcement:
        if address in withheld:
            return _withheld(withheld[address], timings)
        interfaces = tuple(sorted(held.get(address, ())))
        status = statuses.get(address)
        if status is not None and status.kind is StatusKind.ERROR:
            return Announcement(interfaces, Silence.ANNOUNCE_FAILED, status.message)
        if interfaces:
            return Announcement(interfaces)
        if address in held:
            message = "none of the interfaces it may be announced on is up"
            return Announcement((), Silence.INTERFACE_MISSING, message)
        return Announcement((), Silence.PENDING, "it is about to be announced")

    return {address: announcement(address) for address in plan.l2}


def silence(withheld: Withheld) -> Silence:
    """Return the name of the reason why an address is withheld."""
    return Silence.PENDING if withheld.stranger is None else Silence.ADDRESS_CONFLICT


def _withheld(withheld: Withheld, timings: ProbeTimings) -> Announcement:
    stranger = withheld.stranger
    if stranger is not None:
        message = (
            f"{stranger.mac} on {stranger.interface} has this address; take it from that station, or out of the pool. "
            f"It is asked for again every {timings.rate_limit_interval:g} s"
        )
    elif withheld.problem:
        message = f"it could not be asked yet whether another station has this new address: {withheld.problem}"
    else:
        message = "it is being asked whether another station has this new address"
    return Announcement((), silence(withheld), message)


def bgp_data(plan: BgpPlan, sessions: Mapping[str, "Session"], problem: str, bfd: Mapping[str, str]) -> dict[str, Any]:
    """Return what routers are told, and how the sessions with them are, as plain data; nothing without peers.

    `bfd` has the states of the BFD sessions with those that are watched, by the names in their peers' keys.
    """
    if plan.state is None and not plan.silent:
        return {}
    states = {session.key.name: session.state for session in sessions.values() if session.key is not None}
    return {
        "problem": problem,
        "draining": plan.draining,
        "peers": [
            {
                "name": name,
                "router": router,
                "state": states[router].name if router in states else "UNKNOWN",
                **({"bfd": bfd[router]} if router in bfd else {}),
            }
            for router, name in plan.peers.items()
        ],
        "announcing": [
            {"address": str(address), "prefixes": sorted(map(str, prefixes))}
            for address, prefixes in sorted(plan.announced.items(), key=lambda item: (item[0].version, int(item[0])))
        ],
        "silent": [
            {
                "address": str(address),
                "service": service_name(ref),
                "reason": str(silent.reason),
                **({"detail": silent.detail} if silent.detail else {}),
            }
            for ref, addresses in plan.silent.items()
            for address, silent in addresses.items()
        ],
        "findings": findings_data(plan.findings),
    }
