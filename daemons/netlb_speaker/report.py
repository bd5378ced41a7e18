"""How it stands with each address that this node owns: what the status tree says of it. Pure."""

from collections.abc import Collection, Mapping

from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import NodePlan
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
            return _withheld(withheld[address], timings)
        interfaces = tuple(sorted(held.get(address, ())))
        status = statuses.get(address)
        if status is not None and status.kind is StatusKind.ERROR:
            return Announcement(Silence.ANNOUNCE_FAILED, status.message, interfaces)
        if interfaces:
            return Announcement(interfaces=interfaces)
        if address in held:
            message = "none of the interfaces it may be announced on is up"
            return Announcement(Silence.INTERFACE_MISSING, message)
        return Announcement(Silence.PENDING, "it is about to be announced")

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
    return Announcement(silence(withheld), message)
