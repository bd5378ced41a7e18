"""What a speaker keeps of Services and EndpointSlices says the same as what everybody else reads of them."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.api import keys
from netlb.api.core import EndpointSlice, Service
from netlb.api.decode import decode
from netlb.api.documents import Document
from netlb.source.kube_kinds import ENDPOINT_SLICES, SERVICES, Resource, narrowing
from netlb.source.kube_lean import DOORS, Lean, body_of, said_of
from netlb.source.kube_status import see

TEXTS = st.sampled_from(["", "web", "a.b", "Web!", "n1", "True"])
NAMES = st.sampled_from(["web", "a.b", "Web!"])
LABELS = st.dictionaries(st.sampled_from(["app", keys.SERVICE_NAME_LABEL]), st.sampled_from(["web", "x"]), max_size=2)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            *keys.ALLOCATED_FROM[:2],
            keys.GROUP,
            keys.OPENELB_MARK,
            "kubectl.kubernetes.io/last-applied-configuration",
            "x",
        ]
    ),
    TEXTS,
    max_size=3,
)


def odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is usual; now and then what an API server should not send."""
    return st.one_of(usual, usual, usual, usual, st.sampled_from([None, 7, "text", [], {}]))


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


METADATA = st.fixed_dictionaries(
    {"name": NAMES, "namespace": st.just("default")},
    optional={
        "uid": st.just("u"),
        "resourceVersion": st.just("7"),
        "labels": odd(LABELS),
        "annotations": odd(ANNOTATIONS),
        "managedFields": st.just([{}]),
    },
)
INGRESS = st.lists(odd(some(ip=odd(st.sampled_from(["192.0.2.1", "2001:db8::1"])), hostname=TEXTS)), max_size=2)
CONDITIONS = st.lists(
    some(type=st.sampled_from([keys.ALLOCATED, "Other"]), status=TEXTS, lastTransitionTime=TEXTS), max_size=2
)
SERVICE = st.fixed_dictionaries(
    {"metadata": METADATA},
    optional={
        "spec": odd(
            some(
                type=odd(st.sampled_from(["ClusterIP", "LoadBalancer", "Nothing"])),
                externalTrafficPolicy=odd(st.sampled_from(["Cluster", "Local"])),
                loadBalancerClass=odd(TEXTS),
            )
        ),
        "status": odd(some(loadBalancer=odd(some(ingress=odd(INGRESS))), conditions=odd(CONDITIONS))),
    },
)
SLICE = st.fixed_dictionaries(
    {"metadata": METADATA.filter(lambda metadata: isinstance(metadata.get("annotations", {}), dict))},
    optional={
        "addressType": st.just("IPv4"),
        "endpoints": odd(
            st.lists(
                some(
                    conditions=odd(some(ready=odd(st.booleans()), serving=st.booleans(), terminating=st.booleans())),
                    nodeName=odd(st.sampled_from(["n1", "n2"])),
                    addresses=st.just(["10.0.0.1"]),
                ),
                max_size=3,
            )
        ),
    },
)


def lean_of(kind: type[Service] | type[EndpointSlice], body: dict[str, Any]) -> Lean | None:
    """Return what a speaker's door makes of an object; None where it leaves that to others."""
    door = DOORS[kind](keys.SERVICE_ANNOTATIONS)
    try:
        decoded = msgspec.json.decode(msgspec.json.encode(body), type=door.form)
    except msgspec.ValidationError:
        return None
    return door.lean(decoded)


def read(resource: Resource, kind: type[Service] | type[EndpointSlice], body: dict[str, Any]) -> Any:
    """Return the object as others read it: its record, and its narrow form."""
    narrow = msgspec.json.decode(narrowing(resource, kind, lambda *_: "x", keys.SERVICE_ANNOTATIONS)(body))
    return decode(Document("x", narrow)), narrow


@settings(max_examples=400)
@given(SERVICE)
def test_services(body: dict[str, Any]) -> None:
    if (lean := lean_of(Service, body)) is None:
        return
    record, narrow = read(SERVICES, Service, body)
    kept = lean.record
    assert isinstance(kept, Service)
    assert (record.ref, record.metadata.labels) == (kept.ref, kept.metadata.labels)
    assert record.metadata.annotations.get(keys.GROUP) == kept.metadata.annotations.get(keys.GROUP)
    for name in ("type", "external_traffic_policy", "load_balancer_class"):
        assert getattr(record.spec, name) == getattr(kept.spec, name)
    theirs, ours = see(narrow, b""), see(said_of(lean), b"")
    assert (theirs.marked, theirs.ours, theirs.ingress) == (ours.marked, ours.ours, ours.ingress)
    assert theirs.holding == ours.holding
    from_disk = msgspec.json.decode(msgspec.json.encode(body_of(lean)))
    again = decode(Document("x", from_disk))
    assert isinstance(again, Service)
    assert (kept.spec, kept.metadata.labels) == (again.spec, again.metadata.labels)
    assert ours.holding == see(from_disk, b"").holding


@settings(max_examples=400)
@given(SLICE)
def test_endpoint_slices(body: dict[str, Any]) -> None:
    if (lean := lean_of(EndpointSlice, body)) is None:
        return
    record, _ = read(ENDPOINT_SLICES, EndpointSlice, body)
    kept = lean.record
    assert isinstance(kept, EndpointSlice)
    known = tuple((endpoint.conditions, endpoint.node_name) for endpoint in record.endpoints or ())
    assert (record.ref, known) == (kept.ref, tuple((one.conditions, one.node_name) for one in kept.endpoints or ()))
    label = keys.SERVICE_NAME_LABEL
    assert record.metadata.labels.get(label) == kept.metadata.labels.get(label)
    assert kept == decode(Document("x", msgspec.json.decode(msgspec.json.encode(body_of(lean)))))


def test_what_is_usual_is_kept_lean() -> None:
    usual = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"type": "LoadBalancer"}}
    assert lean_of(Service, usual) is not None
    assert lean_of(EndpointSlice, {"metadata": usual["metadata"], "endpoints": None}) is not None
