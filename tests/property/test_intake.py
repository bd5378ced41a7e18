"""No object that somebody applies raises anything out of intake or planning, whatever is in it."""

import contextlib
from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.api import dialects
from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.meta import Record
from netlb.api.snapshot import Snapshot
from netlb.errors import ConfigError
from netlb.plan import plan_cluster, plan_node
from netlb.source.status import cluster_status, read_holdings
from tests.manifests import advertisement, declare, metallb, node, pool, service, slice_of

KINDS = [
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Node"),
    ("v1", "Namespace"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("netlb.io/v1alpha1", "AddressPool"),
    ("netlb.io/v1alpha1", "L2Advertisement"),
    ("netlb.io/v1alpha1", "Nothing"),
    *dialects.KINDS,
]
WORDS = st.sampled_from(
    ["192.0.2.1", "192.0.2.0/24", "fd00::/64", "::", "LoadBalancer", "Local", "In", "a-b", "layer2", "224.0.0.0/4", ""]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | WORDS
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
FIELDS = ("addresses", "spec", "type", "ports", "ipFamilies", "endpoints", "data", "config", "status", "clusterIP")
objects = st.builds(
    lambda kind, metadata, fields: {"apiVersion": kind[0], "kind": kind[1], "metadata": metadata, **fields},
    st.sampled_from(KINDS),
    st.fixed_dictionaries({"name": st.sampled_from(["a", "config", "A"]) | anything, "namespace": anything}) | anything,
    st.dictionaries(st.sampled_from(FIELDS), st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3) | anything),
)


def plan_everything(snapshot: Snapshot) -> None:
    plan = plan_cluster(snapshot)
    assert plan.holdings.keys() == {ref for ref, held in read_holdings(cluster_status(plan)).items() if held.addresses}
    plan_node(snapshot, "n1")


@settings(max_examples=300)
@given(st.lists(objects, max_size=4))
def test_objects_of_any_shape_become_findings_at_worst(declared: list[dict[str, Any]]) -> None:
    intake = Intake()
    declare(intake, "good.yaml", pool("one", "192.0.2.0/29"), advertisement(), service("web"), node("n1"))
    try:
        documents = parse_documents(yaml.safe_dump_all(declared), "any.yaml")
    except ConfigError:
        return
    intake.declare("any.yaml", documents)
    snapshot = intake.snapshot({})
    assert "one" in snapshot.pools or "a" in snapshot.pools
    plan_everything(snapshot)
    plan_everything(intake.snapshot(plan_cluster(snapshot).holdings))


@given(st.text())
def test_text_is_yaml_or_a_finding(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_documents(text, "any.yaml")


@given(st.text(max_size=60))
def test_a_metallb_configuration_of_any_text_is_a_finding_at_worst(text: str) -> None:
    intake = Intake()
    intake.declare("m.yaml", parse_documents(metallb("x: y"), "m.yaml"))
    document = parse_documents(metallb("x: y"), "m.yaml")[0]
    document.body["data"]["config"] = text
    intake.declare("m.yaml", [document])
    plan_everything(intake.snapshot({}))


SELECTORS = st.sampled_from(
    [{}, {"matchLabels": {"a": "b"}}, {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
)
NAMES = st.sampled_from(["a", "b", "1:2", "1:65536"])
VALUES = {
    int: st.sampled_from([-1, 0, 1, 3, 24, 31, 64, 128, 300, 64500, 2**32]),
    str: NAMES | st.sampled_from(["", "192.0.2.1", "fd00::1", "1s", "90s", "internal", "bgp", "layer2"]),
    bool: st.booleans(),
}
ENTRIES = st.sampled_from(["192.0.2.64/31", "192.0.2.64-192.0.2.70", "fd00::/64", "::-::1", "192.0.2.1", "a"])


def value_of(name: str, kind: Any) -> st.SearchStrategy[Any]:
    """Values that a field of MetalLB's objects may hold, right and wrong ones."""
    if name == "addresses":
        return st.lists(ENTRIES, max_size=3)
    if "electors" in name:
        return st.lists(SELECTORS, max_size=2)
    if name == "communities":
        return st.lists(NAMES | st.builds(lambda one: {"name": one, "value": "1:2"}, NAMES), max_size=2)
    return VALUES.get(kind, st.lists(NAMES, max_size=2) | VALUES[str])


REQUIRED: dict[str, dict[str, Any]] = {
    "IPAddressPool": {"addresses": ["192.0.2.64/31", "fd00::/64"]},
    "AddressPool": {"addresses": ["192.0.2.64-192.0.2.70"], "protocol": "layer2"},
    "BGPPeer": {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"},
}


def spec_of(kind: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    (spec,) = (field.type for field in msgspec.structs.fields(kind) if field.name == "spec")
    fields = [(field.encode_name, value_of(field.encode_name, field.type)) for field in msgspec.structs.fields(spec)]
    changes = st.sampled_from(fields).flatmap(lambda field: st.tuples(st.just(field[0]), field[1]))
    return st.lists(changes, max_size=2).map(lambda changed: REQUIRED.get(kind.kind(), {}) | dict(changed))


METALLB = sorted(key for key in dialects.KINDS if key[0].startswith("metallb.io/"))
metallb_objects = st.sampled_from(METALLB).flatmap(
    lambda key: st.builds(
        lambda name, spec: {
            "apiVersion": key[0],
            "kind": key[1],
            "metadata": {"name": name, "namespace": "metallb-system"},
            "spec": spec,
        },
        st.sampled_from("abc"),
        spec_of(dialects.KINDS[key]),
    )
)


@settings(max_examples=300)
@given(st.lists(st.lists(metallb_objects, max_size=6), min_size=1, max_size=3))
def test_objects_of_metallb_become_findings_at_worst(versions: list[list[dict[str, Any]]]) -> None:
    """One version of the file after another: last good versions meet new objects."""
    intake = Intake()
    declare(intake, "good.yaml", pool("one", "192.0.2.0/29"), advertisement(), service("web"), node("n1"))
    for declared in versions:
        intake.declare("any.yaml", parse_documents(yaml.safe_dump_all(declared), "any.yaml"))
        snapshot = intake.snapshot({})
        assert "one" in snapshot.pools
        plan_everything(snapshot)


GOOD = (pool("one", "192.0.2.0/29"), advertisement(), service("web"), service("api"), slice_of("web", "n1"), node("n1"))


def damage(manifest: str) -> str:
    return manifest.replace("192.0.2.0/29", "192.0.2.9-192.0.2.1").replace("port: 80", "port: x")


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.sampled_from(["break", "mend", "drop file", "tear"]))))
def test_no_sequence_of_mistakes_releases_an_address(mistakes: list[tuple[int, str]]) -> None:
    """Each manifest is a file; files break and are mended, and are read by processes that restart."""
    intake = Intake()
    for number, manifest in enumerate(GOOD):
        declare(intake, f"{number}.yaml", manifest)
    before = plan_cluster(intake.snapshot({})).holdings
    held = before
    for number, what in mistakes:
        origin = f"{number}.yaml"
        match what:
            case "break":
                declare(intake, origin, damage(GOOD[number]))
            case "mend":
                declare(intake, origin, GOOD[number])
            case "tear":
                try:
                    parse_documents("a: [", origin)
                except ConfigError as error:
                    intake.unreadable(origin, error.finding)
            case "drop file":  # a restart: what is broken now was never seen whole
                fresh = Intake()
                for other, manifest in enumerate(GOOD):
                    declare(fresh, f"{other}.yaml", damage(manifest) if other == number else manifest)
                intake = fresh
        held = plan_cluster(intake.snapshot(held)).holdings
        assert {ref: holding.addresses for ref, holding in before.items()} == {
            ref: held[ref].addresses for ref in before
        }
