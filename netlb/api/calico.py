"""Calico's kinds, narrowed to what netlb reads: which prefixes it has given to which node."""

from typing import ClassVar

import msgspec

from netlb.api.meta import Record

__all__ = ["BlockAffinity", "BlockAffinitySpec"]


class BlockAffinitySpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`crd.projectcalico.org/v1 BlockAffinitySpec`."""

    cidr: str = ""
    node: str = ""
    state: str = ""
    """`confirmed`, `pending` or `pendingDeletion`."""
    deleted: str | bool = ""
    """Calico writes a text; the newer `projectcalico.org/v3` a truth value."""


class BlockAffinity(Record, frozen=True, kw_only=True):
    """A prefix of pod addresses that a node has (`crd.projectcalico.org/v1`)."""

    NAMESPACED: ClassVar[bool] = False

    spec: BlockAffinitySpec

    @property
    def holds(self) -> bool:
        """Whether the node has the prefix: confirmed, and not about to go (as Raven reads it)."""
        return self.spec.state == "confirmed" and str(self.spec.deleted).lower() != "true"
