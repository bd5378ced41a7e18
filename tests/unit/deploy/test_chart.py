"""The chart gives what kustomize gives, refuses what it does not know, and passes Helm's own checks."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support.deployed import (
    DEPLOY,
    Manifest,
    chart,
    containers,
    helm,
    kustomized,
    of_kind,
    pods,
    schema_complaints,
    settings,
)

REGISTRY: Mapping[str, Any] = {"image": {"registry": "registry.invalid"}}
OVERLAYS: Mapping[str, Mapping[str, Any]] = {
    "l2": {},
    "leases": {"speaker": {"liveness": "lease"}},
    "bgp": {"bgp": True},
    "compat-metallb": {"bgp": True, "metallbSecrets": True},
    "takeover-metallb": {
        "bgp": True,
        "metallbSecrets": True,
        "speaker": {"env": [{"name": "NETLB_CONFLICT_DETECTION", "value": "yield"}]},
    },
    "webhook": {"bgp": True, "webhook": {"enabled": True}},
    "prometheus": {"bgp": True, "prometheus": {"enabled": True}},
    "raven-prometheus": {"bgp": True, "prometheus": {"enabled": True}, "gateway": {"enabled": True}},
}
ONLY_KUSTOMIZE = ("Namespace", "CustomResourceDefinition")
"""Helm makes the one when asked to, and takes the others from crds/."""


def by_name(objects: tuple[Manifest, ...]) -> dict[tuple[str, str, str], Manifest]:
    return {
        (found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"]): plain(found)
        for found in objects
        if found["kind"] not in ONLY_KUSTOMIZE
    }


def plain(manifest: Manifest) -> Manifest:
    """An object without what the two write differently: the order of what has names, and Kubernetes' defaults."""
    copy = yaml.safe_load(yaml.safe_dump(manifest))
    if copy["kind"] in ("Deployment", "DaemonSet"):
        pod = copy["spec"]["template"]["spec"]
        pod["containers"].sort(key=lambda container: container["name"])
        pod["volumes"].sort(key=lambda volume: volume["name"])
        assert pod.pop("imagePullSecrets", []) == []
        for container in pod["containers"]:
            assert container.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
            container.get("env", []).sort(key=lambda entry: entry["name"])
            container.get("volumeMounts", []).sort(key=lambda mount: mount["name"])
    return dict(copy)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_and_kustomize_give_the_same(overlay: str) -> None:
    expected = by_name(kustomized(DEPLOY / "overlays" / overlay))
    actual = by_name(chart({**REGISTRY, **OVERLAYS[overlay]}))
    assert expected.keys() == actual.keys()
    for name, manifest in expected.items():
        assert manifest == actual[name]


def test_the_chart_gives_the_gateway_that_kustomize_gives() -> None:
    expected = by_name(kustomized(DEPLOY / "overlays" / "raven"))
    actual = by_name(chart({**REGISTRY, "gateway": {"enabled": True}}))
    without = by_name(chart(REGISTRY))
    assert expected == {name: manifest for name, manifest in actual.items() if name not in without}


def test_sites_may_be_all_there_is() -> None:
    values = {**REGISTRY, "loadBalancer": False, "gateway": {"enabled": True}}
    assert by_name(kustomized(DEPLOY / "overlays" / "raven")) == by_name(chart(values))
    watched = chart({**values, "prometheus": {"enabled": True}})
    assert [] == schema_complaints(watched)
    names = {found["metadata"]["name"] for found in watched}
    assert {"netlb", "netlb-gateway-metrics", "netlb-metrics-proxy-gateway", "netlb-metrics-proxy"} <= names
    assert not [found for found in watched if re.search("netlb-(controller|speaker)", str(found.get("subjects", "")))]
    assert not {name for name in names if name.startswith(("netlb-controller", "netlb-speaker"))}
    assert {"netlb-gateway"} == {found["metadata"]["name"] for found in of_kind(watched, "PrometheusRule")}


def test_the_gateways_settings_have_their_effect() -> None:
    values: dict[str, Any] = {
        **REGISTRY,
        "gateway": {
            "enabled": True,
            "backend": "ipsec",
            "sharedKeySecret": "secret-of-all",
            "vici": "/run/netlb-vici/charon.vici",
            "realtime": True,
            "env": [{"name": "NETLB_NUMBER", "value": "vni=201"}],
            "nodeSelector": {"c": "d"},
            "tolerations": [],
            "resources": {"requests": {"cpu": "2"}},
        },
    }
    objects = chart(values)
    assert [] == schema_complaints(objects)
    (told,) = (values for daemon, _, values in settings(objects) if daemon == "gateway")
    assert ("ipsec", ("vni=201",), "/run/netlb-vici/charon.vici", "/etc/netlb-shared/key") == (
        told["backend"],
        told["numbers"],
        told["vici"],
        told["shared_key_file"],
    )
    pod = pods(objects)["netlb-gateway"]["spec"]
    container = containers(objects)["netlb-gateway/gateway"]
    assert ["NET_ADMIN", "SYS_NICE"] == container["securityContext"]["capabilities"]["add"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes.keys() == mounts.keys()
    assert {"secretName": "secret-of-all", "defaultMode": 0o400} == volumes["shared-key"]["secret"]
    assert ("/etc/netlb-shared", "/run/netlb-vici") == (mounts["shared-key"], mounts["vici"])
    assert {"path": "/run/netlb-vici", "type": "Directory"} == volumes["vici"]["hostPath"]
    assert ({"kubernetes.io/os": "linux", "c": "d"}, []) == (pod["nodeSelector"], pod["tolerations"])
    assert {"requests": {"cpu": "2"}} == {"requests": {"cpu": container["resources"]["requests"]["cpu"]}}


def test_the_chart_brings_the_definitions() -> None:
    assert (DEPLOY / "crds").resolve() == (DEPLOY / "chart" / "crds").resolve()
    assert "Kustomization" in (DEPLOY / "chart" / ".helmignore").read_text(), "Helm would take it for a definition"


def test_every_setting_has_its_effect() -> None:
    values: dict[str, Any] = {
        "image": {"registry": "r.example.com/team", "tag": "2", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "robot"}],
        "logLevel": "debug",
        "networkPolicies": False,
        "controller": {
            "replicas": 3,
            "env": [{"name": "NETLB_CLASSLESS", "value": "ignore"}],
            "nodeSelector": {"a": "b"},
            "tolerations": [],
            "resources": {"requests": {"cpu": "1"}},
        },
        "speaker": {
            "env": [{"name": "NETLB_INTERFACE", "value": "eth0"}],
            "l2Fastpath": "auto",
            "realtime": True,
            "kernelAddresses": True,
            "bfdKeySecret": "bfd",
            "nodeSelector": {"c": "d"},
            "tolerations": [{"key": "e", "operator": "Exists"}],
            "resources": {"requests": {"cpu": "2"}},
        },
        "prometheus": {"enabled": True, "proxyImage": "r.example.com/proxy:3"},
    }
    objects = chart(values)
    assert [] == schema_complaints(objects)
    found = containers(objects)
    images = {name: container["image"] for name, container in found.items()}
    assert {
        "netlb-controller/controller": "r.example.com/team/netlb-controller:2",
        "netlb-speaker/speaker": "r.example.com/team/netlb-speaker:2",
        "netlb-controller/metrics": "r.example.com/proxy:3",
        "netlb-speaker/metrics": "r.example.com/proxy:3",
    } == images
    assert ["netlb-controller-metrics"] == [one["metadata"]["name"] for one in of_kind(objects, "NetworkPolicy")]
    assert [3] == [one["spec"]["replicas"] for one in of_kind(objects, "Deployment")]
    for daemon, selector, tolerations in (
        ("controller", {"a": "b"}, []),
        ("speaker", {"c": "d"}, [{"key": "e", "operator": "Exists"}]),
    ):
        container, pod = found[f"netlb-{daemon}/{daemon}"], pods(objects)[f"netlb-{daemon}"]["spec"]
        assert "Always" == container["imagePullPolicy"]
        assert ({"kubernetes.io/os": "linux", **selector}, tolerations, [{"name": "robot"}]) == (
            pod["nodeSelector"],
            pod["tolerations"],
            pod["imagePullSecrets"],
        )
    told = {daemon: values for daemon, _, values in settings(objects)}
    assert ("ignore", "debug") == (told["controller"]["classless"], told["controller"]["log_level"])
    assert (("eth0",), "/etc/netlb-bfd/key") == (told["speaker"]["interfaces"], told["speaker"]["bfd_key_file"])
    assert "auto" == told["speaker"]["l2_fastpath"]
    (volume,) = (one for one in pods(objects)["netlb-speaker"]["spec"]["volumes"] if one["name"] == "bfd-key")
    assert {"secretName": "bfd", "defaultMode": 0o400} == volume["secret"], "a key that others may read is refused"
    assert ["NET_RAW", "SYS_NICE", "BPF", "NET_ADMIN"] == found["netlb-speaker/speaker"]["securityContext"][
        "capabilities"
    ]["add"]


def test_the_webhook_has_a_certificate_that_the_api_server_believes() -> None:
    by_hand = chart({**REGISTRY, "webhook": {"enabled": True, "caBundle": "Q0E="}})
    (configuration,) = of_kind(by_hand, "ValidatingWebhookConfiguration")
    assert ["Q0E="] == [one["clientConfig"]["caBundle"] for one in configuration["webhooks"]]
    assert [] == of_kind(by_hand, "Issuer", "Certificate")
    managed = chart({**REGISTRY, "webhook": {"enabled": True, "certManager": True}})
    expected = yaml.safe_load_all((DEPLOY / "overlays" / "webhook" / "certificate.yaml").read_text())
    assert list(expected) == of_kind(managed, "Issuer", "Certificate")
    assert [] == of_kind(chart(REGISTRY), "ValidatingWebhookConfiguration")


def test_nothing_is_installed_without_a_registry() -> None:
    assert "image.registry: nobody publishes images" in helm("render", {})["refused"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"bpg": True}, "additional properties 'bpg' not allowed"),
        ({"image": {"registry": 1}}, "at '/image/registry': got number, want string"),
        ({"controller": {"replicas": 0}}, "at '/controller/replicas': minimum: got 0, want 1"),
        ({"speaker": {"env": [{"name": "PATH", "value": "/"}]}}, "at '/speaker/env/0/name'"),
        ({"logLevel": "loud"}, "at '/logLevel'"),
        ({"gateway": {"backend": "libreswan"}}, "at '/gateway/backend'"),
        ({"gateway": {"vici": "/var/run/charon.vici"}}, "at '/gateway/vici'"),  # all of /var/run would be mounted
    ],
)
def test_a_value_that_it_does_not_know_is_refused(values: Mapping[str, Any], problem: str) -> None:
    assert problem in helm("render", {**REGISTRY, **values})["refused"]


def test_helm_finds_nothing_wrong() -> None:
    assert [] == helm("lint", REGISTRY)["errors"]


def test_the_versions_are_those_of_the_project() -> None:
    version = re.findall(r'__version__ = "(.*)"', (DEPLOY.parent / "netlb" / "__init__.py").read_text())
    about = yaml.safe_load((DEPLOY / "chart" / "Chart.yaml").read_text())
    assert version * 2 == [about["version"], about["appVersion"]]
    for container in containers(kustomized(DEPLOY / "overlays" / "l2")).values():
        assert version == [container["image"].rpartition(":")[2]]
