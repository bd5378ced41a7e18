"""Whatever is imported: the native manifests are read back, and give the plan that the foreign ones give."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netlb.api.decode import decode
from netlb.api.documents import Document, parse_documents
from netlb.api.intake import Intake
from netlb.api.manifest import manifest
from netlb.api.v1alpha1 import API_VERSION, KINDS
from netlb.api.v1alpha1.base import Native
from netlb.errors import ConfigError
from netlb.plan.render import to_yaml
from tests.manifests import node
from tests.property.test_crds import specs
from tests.support.migration import declare_converted, declare_texts, import_texts, outcome

NAMESPACES = ("a", "b", "c")
NAMES = ("default", "p1", "12e4567")
Objects = list[dict[str, Any]]

some_namespaces = st.lists(st.sampled_from(NAMESPACES), max_size=2, unique=True)
env = st.sampled_from(({"env": "x"}, {"env": "y"}))
labels = st.sampled_from(({}, {"zone": "08"}, {"zone": "yes"}))
numbers = st.integers(0, 2)


def thing(version: str, kind: str, name: str, namespace: str = "", **metadata: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place, **metadata}}


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def metallb_objects(draw: st.DrawFn) -> Objects:
    objects = []
    for number, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))):
        entries = [f"192.0.2.{number * 8}/31", f"2001:db8:{number}::-2001:db8:{number}::1"]
        selectors = st.lists(st.fixed_dictionaries({"matchLabels": env}), max_size=1)
        allocation = some(
            priority=numbers,
            namespaces=some_namespaces,
            namespaceSelectors=selectors,
            serviceSelectors=st.just([{"matchLabels": {"app": "s1"}}]),
        )
        spec = draw(some(autoAssign=st.booleans(), avoidBuggyIPs=st.booleans(), serviceAllocation=allocation))
        spec["addresses"] = draw(st.sampled_from((entries, entries[:1], entries[1:])))
        body = thing("metallb.io/v1beta1", "IPAddressPool", name, "metallb-system", labels=draw(labels))
        objects.append(body | {"spec": spec})
    spec = draw(
        some(
            ipAddressPools=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            ipAddressPoolSelectors=st.lists(labels.map(lambda chosen: {"matchLabels": chosen}), max_size=1),
            nodeSelectors=st.just([{"matchLabels": {"rack": "1e3"}}]),
            interfaces=st.just(["eth0"]),
        )
    )
    return [*objects, thing("metallb.io/v1beta1", "L2Advertisement", "l2", "metallb-system") | {"spec": spec}]


@st.composite
def openelb_objects(draw: st.DrawFn) -> Objects:
    objects = []
    for number, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))):
        spec = draw(some(disable=st.booleans(), priority=numbers, namespaces=some_namespaces, namespaceSelector=env))
        spec["address"] = draw(st.sampled_from((f"192.0.2.{number * 8}/31", f"2001:db8:{number}::/127")))
        spec |= draw(st.sampled_from(({"protocol": "layer2", "interface": "eth0"}, {"protocol": "bgp"}, {})))
        mark = draw(st.sampled_from(({}, {"eip.openelb.kubesphere.io/is-default-eip": "true"})))
        body = thing("network.kubesphere.io/v1alpha2", "Eip", name, labels=draw(labels), annotations=mark)
        objects.append(body | {"spec": spec})
    return objects


@st.composite
def purelb_objects(draw: st.DrawFn) -> Objects:
    objects = []
    for number, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))):
        pools = {
            "v4pool": {"pool": f"192.0.2.{number * 8 + 1}/30", "subnet": "192.0.2.0/24"},
            "v6pool": {"pool": f"2001:db8::{number}:1/126", "subnet": "2001:db8::/64"},
        }
        members = draw(some_namespaces)
        spec: dict[str, Any] = {"namespaces": members}
        if members:
            spec |= draw(some(enforceNamespaces=st.booleans(), namespaceDefault=st.booleans()))
        families = draw(st.sampled_from((["v4pool"], ["v6pool"], ["v4pool", "v6pool"])))
        spec[draw(st.sampled_from(("local", "remote")))] = {family: pools[family] for family in families}
        objects.append(thing("purelb.io/v2", "ServiceGroup", name, "purelb-system") | {"spec": spec})
    agent = draw(
        some(nodeSelector=st.just({"matchLabels": {"rack": "1e3"}}), local=st.just({"localInterface": "eth0"}))
    )
    return [*objects, thing("purelb.io/v2", "LBNodeAgent", "agent", "purelb-system") | {"spec": agent}]


SYSTEMS: dict[str, Callable[[], st.SearchStrategy[Objects]]] = {
    "metallb": metallb_objects,
    "openelb": openelb_objects,
    "purelb": purelb_objects,
}


@st.composite
def services(draw: st.DrawFn) -> Objects:
    objects = []
    for number in range(4):
        wishes = some(**{"netlb.io/pool": st.sampled_from(NAMES), "netlb.io/share-key": st.just("k")})
        name, namespace = f"s{number}", draw(st.sampled_from(NAMESPACES))
        body = thing("v1", "Service", name, namespace, labels={"app": name}, annotations=draw(wishes))
        spec = draw(
            some(
                ipFamilies=st.sampled_from((["IPv6"], ["IPv4", "IPv6"])),
                ipFamilyPolicy=st.just("PreferDualStack"),
            )
        )
        objects.append(body | {"spec": spec | {"type": "LoadBalancer", "ports": [{"port": 80 + number}]}})
        endpoints = thing("discovery.k8s.io/v1", "EndpointSlice", name, namespace)
        endpoints["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        objects.append(endpoints | {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]})
    return objects


CLUSTER = "\n---\n".join(
    (node("n1", '{rack: "1e3"}'), node("n2"), to_yaml(thing("v1", "Namespace", "b", labels={"env": "x"})))
)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@given(data=st.data())
def test_the_plan_is_the_same(system: str, data: st.DataObject) -> None:
    foreign, users = data.draw(SYSTEMS[system]()), data.draw(services())
    texts = {
        "foreign.yaml": to_yaml({"kind": "List", "items": foreign}),
        "services.yaml": to_yaml({"kind": "List", "items": users}),
        "cluster.yaml": CLUSTER,
    }
    assert () == import_texts(system, texts).errors
    assert outcome(declare_texts(Intake(), texts)) == outcome(declare_converted(system, texts))


@pytest.mark.parametrize("kind", [kind.kind() for kind in KINDS])
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_of_a_record_is_read_back(kind: str, data: st.DataObject) -> None:
    metadata = {"name": data.draw(st.sampled_from(NAMES)), "labels": data.draw(labels)}
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": data.draw(specs(kind))}
    try:
        record = decode(Document("x", body))
    except ConfigError:
        assume(False)
    assert isinstance(record, Native)
    [document] = parse_documents(to_yaml(manifest(record)), "x")
    assert record == decode(document)
