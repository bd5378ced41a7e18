"""Routes for some peers only, as export policies of GoBGP's API.

A route that is not for all carries one mark, and one more for each offer that it belongs to. Policies are asked in
order: each offer's lets the routes with its mark pass to its peer, and the last one keeps every route with the first
mark from everybody. So what nobody has offered goes nowhere, and a route and its audience change in one step.
"""

from collections.abc import Iterable
from typing import Any, Final

from netlb.bgp.dialect import Dialect
from netlb.bgp.messages import Message, message
from netlb.bgp.model import Key, Kind, Offer, Restriction
from netlb.bgp.owner import AUDIENCE_MARK, Owner

__all__ = [
    "EXPORT",
    "GLOBAL_TABLE",
    "encode_policy",
    "encode_sets",
    "export_key",
    "export_name",
    "set_types",
]

EXPORT: Final = 2
"""The direction of a policy assignment."""
GLOBAL_TABLE: Final = "global"
"""The assignment that counts for all peers but a route server's clients, of which netlb has none."""
_ACCEPT, _REJECT = 1, 2
_REST: Final = "rest"
"""What the restriction is called, beside the offers' ids."""


def export_name(owner: Owner, key: Key) -> str:
    """Return what the policy and the sets of an offer, or of the restriction, are called."""
    return f"{owner.export_prefix}{key.name or _REST}"


def export_key(owner: Owner, name: str) -> Key | None:
    """Return the key of what has a name of ours; None: it is somebody else's."""
    if not name.startswith(owner.export_prefix):
        return None
    number = name.removeprefix(owner.export_prefix)
    return Key(Kind.EXPORT, "" if number == _REST else number)


def set_types(dialect: Dialect) -> tuple[int, int]:
    """Return the types of sets of neighbours and of large communities."""
    return dialect.first + 1, dialect.first + 6


def encode_sets(dialect: Dialect, owner: Owner, record: Offer | Restriction) -> list[Message]:
    """Return the sets that a policy refers to."""
    neighbors, communities = set_types(dialect)
    name = export_name(owner, record.key)
    mark = owner.restricted if isinstance(record, Restriction) else owner.offered(record.id)
    sets = [message("DefinedSet")(defined_type=communities, name=name, list=[str(mark)])]
    if isinstance(record, Offer):
        sets.append(message("DefinedSet")(defined_type=neighbors, name=name, list=map(str, record.neighbors)))
    return sets


def encode_policy(dialect: Dialect, owner: Owner, record: Offer | Restriction) -> Message:
    """Return the policy: what it lets pass has no marks of netlb's any more, but that of the owner."""
    name = export_name(owner, record.key)
    same_name = message("MatchSet")(type=dialect.first, name=name)
    if isinstance(record, Restriction):
        condition = message("Conditions")(large_community_set=same_name)
        last = message("Statement")(name=name, conditions=condition, actions=message("Actions")(route_action=_REJECT))
        return message("Policy")(name=name, statements=[last])
    condition = message("Conditions")(neighbor_set=same_name, large_community_set=same_name)
    pattern = f"^{owner.asn}:{AUDIENCE_MARK}:[0-9]+$"
    bare = message("CommunityAction")(type=dialect.first + 1, communities=[pattern])
    passing = message("Actions")(route_action=_ACCEPT, large_community=bare)
    statements = [message("Statement")(name=name, conditions=condition, actions=passing)]
    if terms := _terms(dialect, record):
        # A statement has one action on large communities.
        actions = message("Actions")(**terms)
        statements.insert(0, message("Statement")(name=f"{name}:terms", conditions=condition, actions=actions))
    return message("Policy")(name=name, statements=statements)


def _terms(dialect: Dialect, offer: Offer) -> dict[str, Any]:
    def added(communities: Iterable[str]) -> Message:
        return message("CommunityAction")(type=dialect.first, communities=communities)

    terms: dict[str, Any] = {}
    if offer.local_pref is not None:
        terms["local_pref"] = message("LocalPrefAction")(value=offer.local_pref)
    if offer.med is not None:
        terms["med"] = message("MedAction")(type=dialect.first + 1, value=offer.med)
    if offer.communities:
        terms["community"] = added(f"{each >> 16}:{each & 0xFFFF}" for each in sorted(offer.communities))
    if offer.large_communities:
        terms["large_community"] = added(map(str, sorted(offer.large_communities)))
    return terms
