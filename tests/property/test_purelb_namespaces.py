"""Whatever the groups say about namespaces, a Service is served from the group that PureLB would take, or from none."""

from hypothesis import given
from hypothesis import strategies as st

from netlb.api.decode import decode
from netlb.api.dialects import DEFAULT, Foreign
from netlb.api.dialects.purelb import translate
from netlb.api.documents import Document
from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec

NAMESPACES = ("a", "b", "c", "unnamed")
Groups = dict[str, tuple[frozenset[str], bool, bool]]
"""By name: namespaces, enforceNamespaces, namespaceDefault."""

groups_of_any_kind = st.dictionaries(
    st.sampled_from(("default", "g1", "g2", "g3")),
    st.tuples(st.frozensets(st.sampled_from(NAMESPACES[:3])), st.booleans(), st.booleans()).map(
        lambda terms: terms if terms[0] else (terms[0], False, False)
    ),
    min_size=1,
)


def as_purelb_has_it(groups: Groups, namespace: str, asked: str | None) -> str | None:
    """Return the group that serves a Service, by PureLB's own steps."""
    eligible = {one: sorted(name for name, (members, _, _) in groups.items() if one in members) for one in NAMESPACES}
    fenced = {one for one, names in eligible.items() if any(groups[name][1] for name in names)}
    closed = {name for one in fenced for name in eligible[one]}
    mine = eligible[namespace]
    marked = [name for name in mine if groups[name][2]]
    if asked is not None:
        chosen = asked
    elif len(mine) == 1:
        (chosen,) = mine
    elif len(marked) == 1:
        (chosen,) = marked
    elif namespace in fenced:
        return None
    else:
        chosen = "default"
    if chosen not in groups or (namespace in fenced and chosen not in mine):
        return None
    members = groups[chosen][0]
    return None if chosen in closed and members and namespace not in members else chosen


def pools_of(groups: Groups) -> dict[str, AddressPoolSpec]:
    objects = {}
    for number, (name, (members, enforce, is_default)) in enumerate(groups.items(), start=1):
        spec = {
            "local": {"v4pool": {"pool": f"192.0.2.{number}/32", "subnet": "192.0.2.0/24"}},
            "namespaces": sorted(members),
            "enforceNamespaces": enforce,
            "namespaceDefault": is_default,
        }
        metadata = {"name": name, "namespace": DEFAULT.purelb_namespace}
        body = {"apiVersion": "purelb.io/v2", "kind": "ServiceGroup", "metadata": metadata, "spec": spec}
        record = decode(Document("x", body))
        assert record is not None
        objects[record.ref] = Foreign("x", record)
    translation = translate(objects, DEFAULT)
    assert {} == translation.refused
    return {
        one.record.metadata.name: one.record.spec for one in translation.records if isinstance(one.record, AddressPool)
    }


def admits(pool: AddressPoolSpec, namespace: str) -> bool:
    allocation = pool.service_allocation
    if allocation is None or not (allocation.namespaces or allocation.namespace_selectors):
        return True
    labels = {"kubernetes.io/metadata.name": namespace}
    return namespace in allocation.namespaces or any(
        selector.matches(labels) for selector in allocation.namespace_selectors
    )


def first_without_asking(pools: dict[str, AddressPoolSpec], namespace: str) -> str | None:
    candidates = [
        (pool.service_allocation is None or not pool.service_allocation.priority, name)
        for name, pool in pools.items()
        if admits(pool, namespace) and (pool.auto_assign or namespace in pool.auto_assign_namespaces)
    ]
    return min(candidates)[1] if candidates else None


@given(groups_of_any_kind)
def test_services_are_served_from_the_group_that_purelb_takes(groups: Groups) -> None:
    pools = pools_of(groups)
    for namespace in NAMESPACES:
        assert as_purelb_has_it(groups, namespace, None) == first_without_asking(pools, namespace)
        for asked in groups:
            mine = asked if admits(pools[asked], namespace) else None
            assert as_purelb_has_it(groups, namespace, asked) == mine
