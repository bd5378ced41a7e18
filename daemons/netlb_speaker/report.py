"""How it stands with each address that this node owns: what the status tree says of it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import AnnouncedAddress, NodePlan
from netlb.reasons import Silence
from netlb.reconcile import Status, StatusKind
from netlb.source.status import Announcement
from netlb_speaker.guard import Withheld

__all__ = ["announcements", "silence"]


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
            return replace(_withheld(withheld[address], timings), announce=plan.l2[address].announce)
        planned, interfaces = plan.l2[address], tuple(sorted(held.get(address, ())))
        by = planned.announce
        status = statuses.get(address)
        if status is not None and status.kind is StatusKind.ERROR:
            return Announcement(Silence.ANNOUNCE_FAILED, status.message, interfaces, by)
        if interfaces:
            return Announcement(interfaces=interfaces, announce=by)
        if address in held:
            return Announcement(Silence.INTERFACE_MISSING, _why_nowhere(planned), announce=by)
        return Announcement(Silence.PENDING, "it is about to be announced", announce=by)

    return {address: announcement(address) for address in plan.l2}


def silence(withheld: Withheld) -> Silence:
    """Return the name of the reason why an address is withheld."""
    return Silence.PENDING if withheld.stranger is None else Silence.ADDRESS_CONFLICT


def _why_nowhere(planned: AnnouncedAddress) -> str:
    if planned.announce == "address" and planned.interfaces is None:
        return (
            "no interface that is up has a subnet that this address is in; name one in `interfaces` of the "
            "L2Advertisement, or let it say `announce: reply`"
        )
    return "none of the interfaces it may be announced on is up"


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
    return Announcement(silence(withheld), message)
