"""What is watched, and what is kept of it."""

from typing import Any

import msgspec
import pytest
import yaml

from netlb.api import keys
from netlb.api.core import Node, Secret, Service
from netlb.api.decode import decode
from netlb.api.dialects import Compatibility, System
from netlb.api.documents import Document
from netlb.errors import ConfigError
from netlb.source.kube_kinds import (
    ENDPOINT_SLICES,
    GATEWAY_NODES,
    NATIVE,
    REPORTS,
    SECRETS,
    SERVICES,
    Reader,
    Watched,
    narrowing,
    password,
    watched,
)
from tests.support.crds import FOLDER


def kept(kind: str, body: Any, group: str = "") -> Any:
    """What is kept of an object, as plain data."""
    one = next(one for one in watched() if (one.resources[0].kind, one.resources[0].group) == (kind, group))
    return msgspec.json.decode(narrowing(one.resources[0], one.records[0], one.origin, one.annotations)(body))


def test_the_native_kinds_are_those_of_the_definitions() -> None:
    defined = {}
    for path in FOLDER.glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        defined[spec["names"]["kind"]] = (
            f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        )
    assert defined == {
        resource.kind: resource.path() for resource in (*REPORTS.values(), *NATIVE.values(), GATEWAY_NODES)
    }


def test_everything_is_watched_once_and_the_newest_version_first() -> None:
    found = {str(one): one for one in watched(Compatibility(metallb_namespace="lb"))}
    assert len(found) == len(watched())
    assert ["v1beta2", "v1beta1"] == [one.version for one in found["bgppeers.metallb.io"].resources]
    assert ["v2", "v1"] == [one.version for one in found["servicegroups.purelb.io"].resources]
    assert ["v1alpha2", "v1alpha1"] == [one.version for one in found["eips.network.kubesphere.io"].resources]
    assert "communities.metallb.io" in found
    assert ("lb", "metadata.name=config") == (found["configmaps"].namespace, found["configmaps"].fields)
    required = {name for name, one in found.items() if not one.optional}
    assert {"services", "endpointslices.discovery.k8s.io", "nodes", "namespaces", "configmaps"} | {
        str(resource) for resource in NATIVE.values()
    } == required


def test_only_systems_that_are_understood_are_watched() -> None:
    everything = {str(one) for one in watched()}

    def of(*systems: System) -> set[str]:
        return {str(one) for one in watched(Compatibility(systems=frozenset(systems)))}

    native = of()
    assert {"ipaddresspools.metallb.io", "configmaps"} <= of(System.METALLB) - native
    assert {"eips.network.kubesphere.io"} <= of(System.OPENELB) - native
    assert {"servicegroups.purelb.io", "lbnodeagents.purelb.io"} == of(System.PURELB) - native
    assert {"gateways.raven.openyurt.io"} == of(System.RAVEN) - native
    assert everything == of(*System)


@pytest.mark.parametrize("system", System)
def test_annotations_of_other_systems_are_kept_where_these_are_understood(system: System) -> None:
    noted = dict.fromkeys(keys.SERVICE_ANNOTATIONS, "x")
    body = {"metadata": {"name": "web", "annotations": noted}, "spec": {}}
    services = next(one for one in watched(Compatibility(systems=frozenset({system}))) if str(one) == "services")
    content = narrowing(SERVICES, Service, services.origin, services.annotations)(body)
    prefixes = ("netlb.io/", *keys.PREFIXES.get(system, ()))
    expected = {name for name in noted if name.startswith(prefixes)}
    assert expected == set(msgspec.json.decode(content)["metadata"]["annotations"])
    assert {"netlb.io/addresses", "netlb.io/pool", "netlb.io/share-key", "netlb.io/group"} <= expected


def test_nobody_follows_what_no_plan_of_theirs_is_made_from() -> None:
    everything = {str(one) for one in watched()}
    speaker, controller = (
        {str(one) for one in watched(reader=reader)} for reader in (Reader.ANNOUNCEMENTS, Reader.ADDRESSES)
    )
    assert {str(ENDPOINT_SLICES)} == speaker - controller
    sites = {
        "gateways.netlb.io",
        "gateways.raven.openyurt.io",
        "gatewaynodestatuses.netlb.io",
        "blockaffinities.crd.projectcalico.org",
    }
    assert sites == everything - speaker
    assert {*sites, "nodes"} == {str(one) for one in watched(reader=Reader.SITES)}


def test_of_a_secret_the_password_is_kept() -> None:
    one = password("lb", "router")
    assert ("lb", "metadata.name=router") == (one.namespace, one.fields)
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "all of it again", "x": "y"}
    metadata = {"name": "router", "namespace": "lb", "annotations": noted}
    data = {"username": "bWU=", "password": "eA=="}
    body = {"metadata": metadata, "type": "kubernetes.io/basic-auth", "data": data}
    kept = msgspec.json.decode(narrowing(SECRETS, Secret, one.origin)(body))
    assert {"password": "eA=="} == kept["data"]
    assert {} == kept["metadata"]["annotations"]
    assert "kubernetes.io/basic-auth" == kept["type"]


def test_of_conditions_ours_is_kept() -> None:
    ours = {"type": keys.ALLOCATED, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    body = {"metadata": {"name": "web"}, "spec": {}, "status": {"conditions": [{"type": "theirs"}, ours]}}
    assert {"conditions": [ours]} == kept("Service", body)["status"]


def test_paths() -> None:
    assert "/api/v1/services" == SERVICES.path()
    assert "/api/v1/namespaces/ns/services/web/status" == SERVICES.path("ns", "web", "status")
    assert "/apis/netlb.io/v1alpha1/addresspools/p" == NATIVE["AddressPool"].path("", "p")


def test_of_kubernetes_kinds_only_what_is_read_is_kept() -> None:
    body = {
        "metadata": {
            "name": "web",
            "namespace": "ns",
            "uid": "u",
            "resourceVersion": "5",
            "labels": {"a": "b"},
            "annotations": {"netlb.io/pool": "p", "other.example/x": "y"},
            "managedFields": [{"manager": "m"}],
        },
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30000}], "sessionAffinity": "None"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}, "conditions": [{"type": "x"}]},
    }
    assert {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "ns", "labels": {"a": "b"}, "annotations": {"netlb.io/pool": "p"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    } == kept("Service", body)


def test_of_our_kinds_unknown_fields_of_a_spec_are_kept_to_be_found() -> None:
    spec = {"addresses": ["192.0.2.0/24"], "autoAsign": False}
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"}
    body = {"metadata": {"name": "p", "annotations": noted}, "spec": spec, "status": {"ipv4": {}}}
    assert {
        "apiVersion": "netlb.io/v1alpha1",
        "kind": "AddressPool",
        "metadata": {"name": "p", "annotations": {"x": "y"}},
        "spec": spec,
    } == kept("AddressPool", body, "netlb.io")


@pytest.mark.parametrize("one", watched(), ids=str)
def test_what_is_kept_decodes_as_the_whole_does(one: Watched) -> None:
    for resource, record in zip(one.resources, one.records, strict=True):
        whole = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "config", "namespace": "ns", "labels": {"l": "1"}, "creationTimestamp": "2026"},
            "spec": {"type": "ClusterIP", "unheard": {"of": ["it"]}},
            "data": {"config": "x"},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True, "terminating": False}}],
        }
        content = narrowing(resource, record, one.origin)(whole)
        assert outcome(whole) == outcome(msgspec.json.decode(content))
        assert content == narrowing(resource, record, one.origin)(dict(reversed(whole.items()))), "whatever the order"


def outcome(body: Any) -> Any:
    try:
        return decode(Document("x", body))
    except ConfigError as error:
        return error.finding


def test_every_annotation_that_netlb_knows_is_kept() -> None:
    named: set[str] = set()
    for value in (value for name, value in vars(keys).items() if name.isupper()):
        named |= {value} if isinstance(value, str) else set(value) if isinstance(value, tuple) else set()
    annotations = {name for name in named if "/" in name and name not in NO_ANNOTATIONS}
    body = {"metadata": {"name": "web", "annotations": dict.fromkeys(annotations, "x")}, "spec": {}}
    assert annotations == kept("Service", body)["metadata"]["annotations"].keys()


NO_ANNOTATIONS = {
    keys.LOAD_BALANCER_CLASS,
    keys.GATEWAY_LABEL,
    keys.READY,
    keys.NODE_POOL_LABEL,
    keys.DESIRED_NODE_POOL_LABEL,
    keys.ZONE_LABEL,
    keys.RACK_LABEL,
    keys.EXCLUDE_NODE_LABEL,
    keys.SERVICE_NAME_LABEL,
    keys.ALLOCATED,
    keys.ANNOUNCED,
    *keys.PURELB_CLASSES,
}


@pytest.mark.parametrize("body", [None, [], {}, {"metadata": None}, {"metadata": {"name": 5}}])
def test_what_has_no_name_is_a_finding(body: Any) -> None:
    with pytest.raises(ConfigError, match="an object without a name"):
        narrowing(SERVICES, Service, lambda _, name: f"services/{name}")(body)


def test_a_heartbeat_changes_nothing() -> None:
    narrow = narrowing(SERVICES, Node, lambda _, name: name)
    ready = {"type": "Ready", "status": "True"}
    first, second = (
        {"metadata": {"name": "n"}, "status": {"conditions": [{**ready, "lastHeartbeatTime": moment}]}}
        for moment in ("1", "2")
    )
    assert narrow(first) == narrow(second)
