"""The export policies of the gobgpd in memory: sets, policies, their order, and what becomes of a path."""

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from netlb.bgp.dialect import Dialect
from netlb.bgp.exports import EXPORT, GLOBAL_TABLE, set_types
from netlb.bgp.messages import Message, message

__all__ = ["CALLS", "STREAMS", "UNARY", "Policies", "RefusedError"]

UNARY: Final = ("AddDefinedSet", "DeleteDefinedSet", "AddPolicy", "DeletePolicy", "SetPolicyAssignment")
STREAMS: Final = ("ListDefinedSet", "ListPolicy", "ListPolicyAssignment")
CALLS: Final = frozenset({*UNARY, *STREAMS})
"""What is answered here, each call by a method of its name that takes the request."""

_ACCEPT, _REJECT = 1, 2
_ADD, _REMOVE = 0, 1  # above the dialect's first


class RefusedError(Exception):
    """What the server answers instead, and by which of gRPC's codes: GoBGP knows hardly any but UNKNOWN."""

    def __init__(self, words: str, code: str = "UNKNOWN") -> None:
        super().__init__(words)
        self.code = code


class Policies:
    """What there is of policies in one process; it outlives the BGP speaker."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._neighbors, self._communities = set_types(dialect)
        self._sets: dict[tuple[int, str], list[str]] = {}
        self._policies: dict[str, Message] = {}
        self._assigned: list[str] = []

    def AddDefinedSet(self, request: Message) -> None:  # noqa: N802 - the call's name
        wanted = request.defined_set
        if wanted.defined_type == self._neighbors:
            for text in wanted.list:
                try:
                    ip_network(text)
                except ValueError:
                    raise RefusedError(f"invalid address or prefix: {text}") from None
        elif wanted.defined_type != self._communities:
            raise RefusedError(f"invalid defined-set type: {wanted.defined_type}")
        listed = list(wanted.list)
        if wanted.defined_type == self._communities:
            listed = [f"^{text}$" if re.fullmatch(r"\d+:\d+:\d+", text) else text for text in listed]
        self._sets.setdefault((wanted.defined_type, wanted.name), []).extend(listed)

    def DeleteDefinedSet(self, request: Message) -> None:  # noqa: N802
        key = kind, name = request.defined_set.defined_type, request.defined_set.name
        if key not in self._sets:
            raise RefusedError(f"not found defined-set: {name}")
        if any(key in self._used(statement) for statement in self._statements()):
            raise RefusedError(f"can't delete. defined-set {name} is in use")
        del self._sets[kind, name]

    def ListDefinedSet(self, request: Message) -> Iterable[Message]:  # noqa: N802
        if request.defined_type < self._dialect.first:
            raise RefusedError("unspecified defined type", "INVALID_ARGUMENT")
        for (kind, name), listed in self._sets.items():
            if kind == request.defined_type:
                found = message("DefinedSet")(defined_type=kind, name=name, list=listed)
                yield message("ListDefinedSetResponse")(defined_set=found)

    def AddPolicy(self, request: Message) -> None:  # noqa: N802
        policy = request.policy
        known = {statement.name for statement in self._statements()}
        for statement in policy.statements:
            for kind, name in self._used(statement):
                if (kind, name) not in self._sets:
                    words = "neighbor" if kind == self._neighbors else "large-community"
                    raise RefusedError(f"not found {words} set {name}")
            if statement.name in known:
                raise RefusedError(f"statement {statement.name} already defined")
        self._policies.setdefault(policy.name, message("Policy")(name=policy.name)).statements.extend(policy.statements)

    def DeletePolicy(self, request: Message) -> None:  # noqa: N802
        name = request.policy.name
        if name not in self._policies:
            raise RefusedError(f"not found policy: {name}")
        if name in self._assigned:
            raise RefusedError(f"can't delete. policy {name} is in use")
        del self._policies[name]

    def ListPolicy(self, _: Message) -> Iterable[Message]:  # noqa: N802
        return [message("ListPolicyResponse")(policy=policy) for policy in self._policies.values()]

    def ListPolicyAssignment(self, _: Message) -> Iterable[Message]:  # noqa: N802
        policies = [self._policies[name] for name in self._assigned]
        found = message("PolicyAssignment")(
            name=GLOBAL_TABLE, direction=EXPORT, policies=policies, default_action=_ACCEPT
        )
        return [message("ListPolicyAssignmentResponse")(assignment=found)]

    def SetPolicyAssignment(self, request: Message) -> None:  # noqa: N802
        names = [policy.name for policy in request.assignment.policies]
        for name in names:
            if name not in self._policies:
                raise RefusedError(f"not found policy {name}")
            if names.count(name) > 1:
                raise RefusedError(f"duplicated policy {name}")
        self._assigned = names

    def exported(self, neighbor: str, attributes: dict[str, Message]) -> dict[str, Message] | None:
        """Return the attributes with which a path goes to a peer; None: it does not."""
        for name in self._assigned:
            for statement in self._policies[name].statements:
                if self._matches(statement.conditions, neighbor, attributes):
                    attributes = self._changed(statement.actions, attributes)
                    if statement.actions.route_action:
                        return None if statement.actions.route_action == _REJECT else attributes
        return attributes

    def _statements(self) -> list[Message]:
        return [statement for policy in self._policies.values() for statement in policy.statements]

    def _used(self, statement: Message) -> list[tuple[int, str]]:
        found = statement.conditions
        used = [(self._neighbors, found.neighbor_set.name), (self._communities, found.large_community_set.name)]
        return [(kind, name) for kind, name in used if name]

    def _matches(self, conditions: Message, neighbor: str, attributes: dict[str, Message]) -> bool:
        if conditions.HasField("neighbor_set"):
            listed = self._sets[self._neighbors, conditions.neighbor_set.name]
            if listed and not any(ip_address(neighbor) in ip_network(text) for text in listed):
                return False
        if conditions.HasField("large_community_set"):
            listed = self._sets[self._communities, conditions.large_community_set.name]
            if not any(re.search(pattern, text) for pattern in listed for text in _texts(attributes)):
                return False
        return True

    def _changed(self, actions: Message, attributes: dict[str, Message]) -> dict[str, Message]:
        changed = dict(attributes)
        first = self._dialect.first
        if actions.HasField("local_pref"):
            changed["local_pref"] = message("LocalPrefAttribute")(local_pref=actions.local_pref.value)
        if actions.HasField("med"):
            changed["multi_exit_disc"] = message("MultiExitDiscAttribute")(med=actions.med.value)
        if actions.HasField("community"):
            before = changed["communities"].communities if "communities" in changed else ()
            added = [int(high) << 16 | int(low) for high, low in (t.split(":") for t in actions.community.communities)]
            changed["communities"] = message("CommunitiesAttribute")(communities=[*before, *added])
        if actions.HasField("large_community"):
            texts = _texts(changed)
            action = actions.large_community
            if action.type == first + _ADD:
                texts = [*texts, *action.communities]
            elif action.type == first + _REMOVE:
                texts = [text for text in texts if not any(re.search(pattern, text) for pattern in action.communities)]
            changed["large_communities"] = _large(texts)
        return changed


def _texts(attributes: dict[str, Message]) -> list[str]:
    listed = attributes["large_communities"].communities if "large_communities" in attributes else ()
    return [f"{each.global_admin}:{each.local_data1}:{each.local_data2}" for each in listed]


def _large(texts: Iterable[str]) -> Message:
    communities = []
    for text in texts:
        asn, one, two = map(int, text.split(":"))
        communities.append(message("LargeCommunity")(global_admin=asn, local_data1=one, local_data2=two))
    return message("LargeCommunitiesAttribute")(communities=communities)
