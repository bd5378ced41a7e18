"""What `kubectl kustomize` makes of each overlay fits together."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.runtime.webhook import PATH
from netlb.source.kube_kinds import Reader, watched
from tests.support.deployed import (
    BUILT,
    DEPLOY,
    OVERLAYS,
    RUN,
    Manifest,
    containers,
    kustomized,
    named,
    of_kind,
    pods,
    schema_complaints,
    settings,
)

CLUSTER_WIDE = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
}

built = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert not selector.keys() - {"matchLabels"}
    return dict(selector.get("matchLabels", {})).items() <= labels.items()


def test_every_overlay_is_built() -> None:
    assert sorted(OVERLAYS) == sorted(path.name for path in (DEPLOY / "overlays").iterdir())


@built
def test_kubernetes_knows_every_field(folder: Path) -> None:
    assert [] == schema_complaints(kustomized(folder))


@built
def test_every_object_is_there_once_and_in_a_namespace_that_is(folder: Path) -> None:
    objects = kustomized(folder)
    names = [(found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    theirs: set[str] = {"metallb-system"} if folder.name in ("compat-metallb", "takeover-metallb") else set()
    for kind, namespace, name in names:
        expected = {""} if kind in CLUSTER_WIDE else {"netlb-system"} | theirs
        assert namespace in expected, (kind, name)
    brings = [] if folder.name == "gateway" else ["netlb-system"]
    assert brings == [found["metadata"]["name"] for found in of_kind(objects, "Namespace")]


def test_an_overlay_brings_the_definitions_and_the_base_does_not() -> None:
    expected = {yaml.safe_load(path.read_text())["metadata"]["name"] for path in (DEPLOY / "crds").glob("*.yaml")}
    for name in OVERLAYS:
        found = of_kind(kustomized(DEPLOY / "overlays" / name), "CustomResourceDefinition")
        assert expected == {definition["metadata"]["name"] for definition in found}
    for name in ("base", "gateway"):
        assert [] == of_kind(kustomized(DEPLOY / name), "CustomResourceDefinition")


def test_the_gateway_may_be_put_beside_every_overlay(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("chart"))
    for name in set(OVERLAYS) - {"raven", "raven-prometheus"}:
        (tmp_path / name).mkdir()
        text = f"bases: [../deploy/overlays/{name}, ../deploy/gateway]\n"
        (tmp_path / name / "kustomization.yaml").write_text(text)
        assert {"netlb-controller", "netlb-speaker", "netlb-gateway"} == pods(kustomized(tmp_path / name)).keys()


@built
def test_selectors_select_what_they_are_for(folder: Path) -> None:
    objects = kustomized(folder)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects).items()}

    def chosen(selector: Mapping[str, Any]) -> list[str]:
        return sorted(name for name, these in labels.items() if selects(selector, these))

    for found in of_kind(objects, "Deployment", "DaemonSet"):
        assert [found["metadata"]["name"]] == chosen(found["spec"]["selector"])
    for found in of_kind(objects, "PodDisruptionBudget"):
        assert ["netlb-controller"] == chosen(found["spec"]["selector"])
    for found in of_kind(objects, "NetworkPolicy"):
        everything = found["metadata"]["name"] == "netlb-default-deny"
        assert (sorted(labels) if everything else ["netlb-controller"]) == chosen(found["spec"]["podSelector"])


@built
def test_services_lead_to_ports_of_their_pods(folder: Path) -> None:
    objects = kustomized(folder)
    for service in of_kind(objects, "Service"):
        (pod,) = (
            pod
            for pod in pods(objects).values()
            if selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
        )
        ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
        asked = {port["targetPort"]: port["port"] for port in service["spec"]["ports"]}
        assert asked.items() <= {port["name"]: port["containerPort"] for port in ports}.items()


@built
def test_accounts_and_roles_are_there(folder: Path) -> None:
    objects = kustomized(folder)
    accounts = {account["metadata"]["name"] for account in of_kind(objects, "ServiceAccount")}
    assert accounts == {pod["spec"]["serviceAccountName"] for pod in pods(objects).values()}
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False, "who needs the token asks for it"
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        role = named_in(
            objects, binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["metadata"].get("namespace")
        )
        assert role["rules"]
        for subject in binding["subjects"]:
            assert ("ServiceAccount", "netlb-system") == (subject["kind"], subject["namespace"])
            assert subject["name"] in accounts


def named_in(objects: tuple[Manifest, ...], kind: str, name: str, namespace: str | None) -> Manifest:
    namespace = None if kind == "ClusterRole" else namespace
    (found,) = (
        found
        for found in of_kind(objects, kind)
        if (found["metadata"]["name"], found["metadata"].get("namespace")) == (name, namespace)
    )
    return found


def test_the_api_server_is_led_to_the_webhook() -> None:
    objects = kustomized(DEPLOY / "overlays" / "webhook")
    (configuration,) = of_kind(objects, "ValidatingWebhookConfiguration")
    (webhook,) = configuration["webhooks"]
    asked = webhook["clientConfig"]["service"]
    service = named(objects, "Service", asked["name"])
    (told,) = (values for daemon, _, values in settings(objects) if daemon == "controller")
    host, _, port = told["webhook"].rpartition(":")
    assert [int(port)] == [each["port"] for each in service["spec"]["ports"]] == [asked["port"]]
    assert ("0.0.0.0", PATH, "Ignore") == (host, asked["path"], webhook["failurePolicy"])
    policy = named(objects, "NetworkPolicy", "netlb-controller-webhook")
    assert [{"protocol": "TCP", "port": int(port)}] == policy["spec"]["ingress"][0]["ports"]
    (mount,) = (
        one["name"]
        for one in containers(objects)["netlb-controller/controller"]["volumeMounts"]
        if one["mountPath"] == told["webhook_tls"]
    )
    (secret,) = (
        one["secret"]["secretName"]
        for one in pods(objects)["netlb-controller"]["spec"]["volumes"]
        if one["name"] == mount
    )
    _, certificate = yaml.safe_load_all((DEPLOY / "overlays" / "webhook" / "certificate.yaml").read_text())
    assert secret == certificate["spec"]["secretName"]
    assert f"{asked['name']}.{asked['namespace']}.svc" in certificate["spec"]["dnsNames"]
    where = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
    assert where == "{namespace}/{name}".format(**certificate["metadata"])


def test_the_webhook_is_asked_about_what_operators_declare_and_nothing_else() -> None:
    (configuration,) = of_kind(kustomized(DEPLOY / "overlays" / "webhook"), "ValidatingWebhookConfiguration")
    expected: dict[str, set[str]] = {}
    for kind in watched(reader=Reader.DECLARATIONS):
        if (resource := kind.resources[0]).group:  # of ConfigMaps one among all would be asked about
            expected.setdefault(resource.group, set()).add(resource.plural)
    rules = configuration["webhooks"][0]["rules"]
    assert expected == {group: set(rule["resources"]) for rule in rules for group in rule["apiGroups"]}
    assert [["CREATE", "UPDATE"]] * len(rules) == [rule["operations"] for rule in rules]


@pytest.mark.parametrize("overlay", ["prometheus", "raven-prometheus"])
def test_prometheus_is_led_to_all_daemons(overlay: str) -> None:
    objects = kustomized(DEPLOY / "overlays" / overlay)
    (monitor,) = of_kind(objects, "ServiceMonitor")
    assert ["netlb-system"] == monitor["spec"]["namespaceSelector"]["matchNames"]
    chosen = [
        one for one in of_kind(objects, "Service") if selects(monitor["spec"]["selector"], one["metadata"]["labels"])
    ]
    assert sorted(f"netlb-{daemon}-metrics" for daemon in RUN[overlay]) == sorted(
        one["metadata"]["name"] for one in chosen
    )
    (allowed,) = (
        role["metadata"]["name"]
        for role in of_kind(objects, "ClusterRole")
        if any("tokenreviews" in rule.get("resources", ()) for rule in role["rules"])
    )
    bound = [
        subject["name"]
        for binding in of_kind(objects, "ClusterRoleBinding")
        if binding["roleRef"]["name"] == allowed
        for subject in binding["subjects"]
    ]
    assert sorted(f"netlb-{daemon}" for daemon in RUN[overlay]) == sorted(bound), "the proxies ask who is calling"
    (endpoint,) = monitor["spec"]["endpoints"]
    for service in chosen:
        assert [endpoint["port"]] == [port["name"] for port in service["spec"]["ports"]]
    policy = named(objects, "NetworkPolicy", "netlb-controller-metrics")
    proxy = containers(objects)["netlb-controller/metrics"]
    assert [proxy["ports"][0]["containerPort"]] == [port["port"] for port in policy["spec"]["ingress"][0]["ports"]]
