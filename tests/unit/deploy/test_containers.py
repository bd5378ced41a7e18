"""Every container may do what it must and no more, and asks its daemon for nothing that it does not know."""

import re
import shutil
from pathlib import Path

import pytest

from netlb.runtime.config import CommonSettings
from netlb.runtime.log import LogFormat
from tests.support.deployed import BUILT, DAEMONS, DEPLOY, OVERLAYS, containers, kustomized, pods, settings

COMMON = ("source", "namespace", "http", "compat", "log_level", "log_format", "metallb_namespace", "purelb_namespace")
WITH_BGP = set(OVERLAYS) - {"l2", "leases"}

built = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


@built
def test_daemons_know_their_options_and_take_their_values(folder: Path) -> None:
    objects = kustomized(folder)
    expected = dict.fromkeys(DAEMONS, ("kube", LogFormat.JSON))
    common = {
        daemon: CommonSettings.parse(**{name: values[name] for name in COMMON})
        for daemon, _, values in settings(objects)
    }
    assert expected == {daemon: (str(one.source), one.log_format) for daemon, one in common.items()}


@built
def test_probes_and_proxies_ask_where_the_daemon_listens(folder: Path) -> None:
    objects = kustomized(folder)
    for daemon, container, values in settings(objects):
        where = values["http"]
        host, _, port = where.rpartition(":")
        for probe, page in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            asked = container[probe].get("httpGet")
            if daemon == "speaker":
                assert {"host": host, "port": int(port), "path": page} == asked
            else:
                assert ["netlb-probe", where, page] == container[probe]["exec"]["command"]
        proxy = containers(objects).get(f"netlb-{daemon}/metrics")
        assert (proxy is not None) == (folder.name == "prometheus")
        if proxy:
            assert f"--upstream=http://{where}/" in proxy["args"]
            assert f"--secure-listen-address=:{proxy['ports'][0]['containerPort']}" in proxy["args"]


@built
def test_the_speaker_has_its_nodes_network_and_name(folder: Path) -> None:
    objects = kustomized(folder)
    assert {"netlb-speaker": True, "netlb-controller": None} == {
        name: pod["spec"].get("hostNetwork") for name, pod in pods(objects).items()
    }
    expected = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    assert expected in containers(objects)["netlb-speaker/speaker"]["env"]


@built
def test_no_container_may_do_more_than_it_must(folder: Path) -> None:
    objects = kustomized(folder)
    for name, container in containers(objects).items():
        security = container["securityContext"]
        assert (False, True) == (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]), name
        assert ["ALL"] == security["capabilities"]["drop"]
        bgp = ["NET_BIND_SERVICE"] if folder.name in WITH_BGP else []
        added = ["NET_RAW", *bgp] if name == "netlb-speaker/speaker" else []
        assert added == security["capabilities"].get("add", []), name
        assert {"cpu", "memory"} == container["resources"]["requests"].keys()
        assert ["memory"] == list(container["resources"]["limits"]), "a limit of CPU would delay answers"
    for pod in pods(objects).values():
        assert {"type": "RuntimeDefault"} == pod["spec"]["securityContext"]["seccompProfile"]
    assert pods(objects)["netlb-controller"]["spec"]["securityContext"]["runAsNonRoot"] is True


@built
def test_volumes_are_mounted_where_the_daemons_write(folder: Path) -> None:
    objects = kustomized(folder)
    for daemon, container, values in settings(objects):
        volumes = {volume["name"] for volume in pods(objects)[f"netlb-{daemon}"]["spec"]["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert volumes == set(mounts.values())
        # The default of --gobgp-dir is below /run/netlb; the documentation has pools' tokens in /etc/netlb.
        webhook = {values["webhook_tls"]} if values.get("webhook_tls") else set()
        written = {"/run/netlb", values["state_dir"]} if daemon == "speaker" else {"/etc/netlb"} | webhook
        assert written == mounts.keys()


@built
def test_gobgp_is_started_where_it_may_listen(folder: Path) -> None:
    expected = "managed" if folder.name in WITH_BGP else "off"
    assert [expected] == [values["gobgp"] for daemon, _, values in settings(kustomized(folder)) if daemon == "speaker"]


@built
def test_kubectl_logs_shows_the_daemons_without_being_told(folder: Path) -> None:
    for name, pod in pods(kustomized(folder)).items():
        chosen = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
        assert name.removeprefix("netlb-") == chosen


def test_kustomize_sets_the_images_as_documented(tmp_path: Path) -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    (documented,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    shutil.copytree(DEPLOY, tmp_path / "netlb" / "deploy", ignore=shutil.ignore_patterns("chart"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(documented)
    found = {name: container["image"] for name, container in containers(kustomized(tmp_path / "mine")).items()}
    assert {
        "netlb-controller/controller": "registry.example.com/netlb-controller:0.1.0",
        "netlb-speaker/speaker": "registry.example.com/netlb-speaker:0.1.0",
    } == found


def test_the_documentation_names_what_there_is() -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    assert list(OVERLAYS) == re.findall(r"^\| `([\w-]+)` \|", page.partition("## Rights")[0], re.MULTILINE)
    objects = kustomized(DEPLOY / "overlays" / "prometheus")
    ports = [
        container["ports"][0]["containerPort"] for name, container in containers(objects).items() if "metrics" in name
    ]
    ports += [int(values["http"].rpartition(":")[2]) for _, _, values in settings(objects)]
    assert sorted(ports) == sorted(map(int, re.findall(r"\b74\d\d\b", page)))
    volumes = {name: pod["spec"]["volumes"] for name, pod in pods(objects).items()}
    (sources,) = (volume["secret"]["secretName"] for volume in volumes["netlb-controller"])
    (kept,) = (volume["hostPath"]["path"] for volume in volumes["netlb-speaker"] if "hostPath" in volume)
    assert f"create secret generic {sources} " in page
    assert f"`{kept}`" in page


@built
def test_an_image_that_nobody_publishes_cannot_be_pulled_by_mistake(folder: Path) -> None:
    for name, container in containers(kustomized(folder)).items():
        if not name.endswith("/metrics"):
            assert container["image"].startswith("registry.invalid/"), "RFC 2606: it resolves nowhere"
