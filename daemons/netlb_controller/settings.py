"""What the controller is told."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from netlb.api.snapshot import EVERYTHING, Serving
from netlb.runtime.config import CommonSettings
from netlb.runtime.webhook import Webhook

__all__ = ["Classless", "ControllerSettings"]


class Classless(StrEnum):
    """What becomes of Services without a loadBalancerClass; those with OpenELB's mark are served in any case."""

    SERVE = "serve"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What the controller is told."""

    common: CommonSettings
    status_dir: Path | None
    """Of a directory of manifests: the status tree."""
    serving: Serving = EVERYTHING
    installation: str = "default"
    """What tells this cluster from others that use the same address sources."""
    elects: bool = True
    """Whether one of several controllers of a cluster is elected."""
    webhook: Webhook | None = None
    """Of a cluster: where objects are reviewed before they are applied; None: nowhere."""
