"""Which ServiceGroup serves which namespace: PureLB's rules, in terms of native pools.

1. A group without namespaces serves all of them; one with namespaces is where their Services are served from when
   they ask for nothing. Of several groups of one namespace the one with `namespaceDefault` is that.
2. Everyone else, and a namespace for which rule 1 finds no single group, is served from the group named `default`.
3. `enforceNamespaces` of any group of a namespace fences the namespace: its Services are served by its groups only,
   whatever they ask for, and these groups serve nobody outside their own lists. A fenced namespace for which rule 1
   finds no single group is served only what it asks for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netlb.api.dialects.purelb_groups import Group
from netlb.api.meta import LabelSelector, LabelSelectorRequirement
from netlb.api.v1alpha1 import ServiceAllocation
from netlb.findings import Finding

__all__ = ["DEFAULT_GROUP", "Terms", "settle"]

DEFAULT_GROUP = "default"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace carries it, with its own name."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is served from a group: fields of its AddressPool."""

    auto_assign: bool
    auto_assign_namespaces: tuple[str, ...] = ()
    service_allocation: ServiceAllocation | None = None


@dataclass(frozen=True, slots=True)
class _Namespace:
    """The groups that name a namespace."""

    groups: tuple[Group, ...]

    @property
    def fenced(self) -> bool:
        return any(group.enforce for group in self.groups)

    @property
    def default(self) -> str:
        """The group for Services that ask for nothing; empty where there is no single one."""
        marked = [group for group in self.groups if group.namespace_default]
        candidates = self.groups if len(self.groups) == 1 else marked
        return candidates[0].name if len(candidates) == 1 else ""


def settle(groups: Iterable[Group]) -> tuple[Mapping[str, Terms], list[Finding]]:
    """Return the terms of every group by its name, and a warning for each namespace that rule 1 leaves undecided."""
    ordered = sorted(groups, key=lambda group: group.name)
    names = sorted({name for group in ordered for name in group.namespaces})
    namespaces = {name: _Namespace(tuple(one for one in ordered if name in one.namespaces)) for name in names}
    terms = {group.name: _terms(group, namespaces) for group in ordered}
    return terms, [_undecided(name, one) for name, one in namespaces.items() if not one.default]


def _terms(group: Group, namespaces: Mapping[str, _Namespace]) -> Terms:
    mine = [name for name in group.namespaces if _unasked(group, namespaces[name])]
    if any(namespaces[name].fenced for name in group.namespaces):
        fence = ServiceAllocation(priority=1, namespaces=group.namespaces)
        everywhere = len(mine) == len(group.namespaces)
        return Terms(everywhere, () if everywhere else tuple(mine), fence)
    fenced = tuple(name for name, one in namespaces.items() if one.fenced)
    outside = LabelSelector(
        match_expressions=(LabelSelectorRequirement(key=NAMESPACE_NAME_LABEL, operator="NotIn", values=fenced),)
        if fenced
        else ()
    )
    if group.name == DEFAULT_GROUP:
        return Terms(True, (), ServiceAllocation(namespace_selectors=(outside,)) if fenced else None)
    # Before the default group, which would serve these namespaces too.
    allocation = ServiceAllocation(priority=1, namespace_selectors=(outside,) if fenced else ())
    return Terms(False, tuple(mine), allocation if mine or fenced else None)


def _unasked(group: Group, namespace: _Namespace) -> bool:
    """Say whether a namespace's Services that ask for nothing are served from the group."""
    if namespace.default:
        return namespace.default == group.name
    return group.name == DEFAULT_GROUP and not namespace.fenced


def _undecided(name: str, namespace: _Namespace) -> Finding:
    rivals = ", ".join(group.name for group in namespace.groups)
    instead = "get no address" if namespace.fenced else f"are served from the group {DEFAULT_GROUP!r}"
    return namespace.groups[0].foreign.warning(
        "spec.namespaceDefault",
        f"namespace {name!r} has several groups ({rivals}), of which not exactly one is its default, "
        f"so its Services that ask for nothing {instead}",
        "set namespaceDefault in one of them",
    )
