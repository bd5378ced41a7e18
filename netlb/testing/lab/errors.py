"""What can go wrong with a lab: the machine cannot carry one, or the kernel refused a step."""

from collections.abc import Sequence

from netlb.errors import NetlbError

__all__ = ["LabError", "LabUnavailable"]


class LabError(NetlbError):
    """A step of making or changing the lab failed; the message holds the tool's own words."""


class LabUnavailable(NetlbError):  # noqa: N818 - a state of the machine; nothing went wrong
    """This machine cannot carry a lab; `missing` names each lack together with its remedy."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("no lab on this machine: " + "; ".join(missing))
        self.missing = tuple(missing)
