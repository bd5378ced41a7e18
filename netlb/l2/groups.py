"""Which solicited-node groups an interface must be a member of, for the IPv6 addresses held on it.

Addresses with the same low 24 bits share one group, so it is left only with the last of them. IPv4 has no groups.
"""

from netlb.l2.ndp import solicited_node

__all__ = ["SolicitedNodeGroups"]


class SolicitedNodeGroups:
    """The groups of one interface, each with the addresses that need it."""

    def __init__(self) -> None:
        self._members: dict[bytes, set[bytes]] = {}

    @property
    def joined(self) -> frozenset[bytes]:
        """The groups that are needed now."""
        return frozenset(self._members)

    def add(self, address: bytes) -> bytes | None:
        """Count an address in; return the group to join if it is the first one there."""
        if len(address) != 16:
            return None
        group = solicited_node(address)
        members = self._members.setdefault(group, set())
        first = not members
        members.add(address)
        return group if first else None

    def discard(self, address: bytes) -> bytes | None:
        """Count an address out; return the group to leave if it was the last one there."""
        group = solicited_node(address)
        members = self._members.get(group, set())
        if address not in members:
            return None
        members.remove(address)
        if members:
            return None
        del self._members[group]
        return group
