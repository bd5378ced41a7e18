"""What daemons say of themselves and others read: of `netlb.io/v1alpha1`, written by netlb alone."""

from typing import ClassVar

import msgspec

from netlb.api.meta import Record

__all__ = ["GatewayNodeReport", "GatewayNodeStatus", "SpeakerReport", "SpeakerStatus", "Tenancy"]


class GatewayNodeReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What other nodes have to know of one; there is more in it for people."""

    site: str = ""
    public_key: str = ""
    """The public key of its tunnels; empty: it has none."""
    backend: str = ""
    """What its tunnels are made of: kernel, userspace or ipsec; empty: it has none."""
    active: tuple[str, ...] = ()
    """Who is active at its site, by its reckoning."""
    hub: str = ""
    """The site that is the hub, by its reckoning."""


class GatewayNodeStatus(Record, frozen=True, kw_only=True):
    """How the node of that name is connected to other sites, as its netlb-gateway says."""

    NAMESPACED: ClassVar[bool] = False

    status: GatewayNodeReport = GatewayNodeReport()


class Tenancy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Addresses that a node took over in the same term."""

    term: int
    addresses: tuple[str, ...] = ()


class SpeakerReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What other speakers have to know of one; there is more in it for people."""

    holding: tuple[Tenancy, ...] = ()
    """What it announces that does not go back to a better node."""


class SpeakerStatus(Record, frozen=True, kw_only=True):
    """What the speaker of the node of that name says of itself."""

    NAMESPACED: ClassVar[bool] = False

    status: SpeakerReport = SpeakerReport()
