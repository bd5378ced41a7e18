"""Every container may do what it must and no more, and asks its daemon for nothing that it does not know."""

import re
import shutil
from pathlib import Path

import pytest

from netlb.runtime.config import CommonSettings
from netlb.runtime.log import LogFormat
from tests.support.deployed import BUILT, DEPLOY, OVERLAYS, RUN, containers, kustomized, pods, settings

COMMON = ("source", "namespace", "http", "compat", "log_level", "log_format", "metallb_namespace", "purelb_namespace")
WITH_BGP = set(OVERLAYS) - {"l2", "leases", "raven"}
ON_NODES = ("speaker", "gateway")

built = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


@built
def test_daemons_know_their_options_and_take_their_values(folder: Path) -> None:
    objects = kustomized(folder)
    expected = dict.fromkeys(RUN[folder.name], ("kube", LogFormat.JSON))
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
            if daemon in ON_NODES:
                assert {"host": host, "port": int(port), "path": page} == asked
            else:
                assert ["netlb-probe", where, page] == container[probe]["exec"]["command"]
        proxy = containers(objects).get(f"netlb-{daemon}/metrics")
        assert (proxy is not None) == folder.name.endswith("prometheus")
        if proxy:
            assert f"--upstream=http://{where}/" in proxy["args"]
            assert f"--secure-listen-address=:{proxy['ports'][0]['containerPort']}" in proxy["args"]


@built
def test_what_runs_on_every_node_has_its_network_and_name(folder: Path) -> None:
    objects = kustomized(folder)
    assert {f"netlb-{daemon}": True if daemon in ON_NODES else None for daemon in RUN[folder.name]} == {
        name: pod["spec"].get("hostNetwork") for name, pod in pods(objects).items()
    }
    expected = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    for daemon in set(ON_NODES) & set(RUN[folder.name]):
        assert expected in containers(objects)[f"netlb-{daemon}/{daemon}"]["env"]


@built
def test_no_container_may_do_more_than_it_must(folder: Path) -> None:
    objects = kustomized(folder)
    for name, container in containers(objects).items():
        security = container["securityContext"]
        assert (False, True) == (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]), name
        assert ["ALL"] == security["capabilities"]["drop"]
        bgp = ["NET_BIND_SERVICE"] if folder.name in WITH_BGP else []
        added = {"netlb-speaker/speaker": ["NET_RAW", *bgp], "netlb-gateway/gateway": ["NET_ADMIN"]}
        assert added.get(name, []) == security["capabilities"].get("add", []), name
        assert {"cpu", "memory"} == container["resources"]["requests"].keys()
        assert ["memory"] == list(container["resources"]["limits"]), "a limit of CPU would delay answers"
    for pod in pods(objects).values():
        assert {"type": "RuntimeDefault"} == pod["spec"]["securityContext"]["seccompProfile"]
    if "controller" in RUN[folder.name]:
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
        written = {
            "controller": {"/etc/netlb"} | webhook,
            "speaker": {"/run/netlb", values.get("state_dir")},
            "gateway": {"/var/lib/netlb", "/dev/net/tun", "/run/wireguard"},
        }
        assert written[daemon] == mounts.keys()


def test_a_gateway_keeps_its_key_on_the_node_in_a_directory_of_its_own() -> None:
    """It makes that with mode 0700, which it has to be for the kubelet makes the one above with 0755."""
    objects = kustomized(DEPLOY / "gateway")
    ((_, _, told),) = settings(objects)
    for path in (Path(told["key_file"]).parent, Path(told["state_dir"])):
        assert Path("/var/lib/netlb") == path.parent
    (volume,) = (one for one in pods(objects)["netlb-gateway"]["spec"]["volumes"] if one["name"] == "state")
    assert {"path": "/var/lib/netlb-gateway", "type": "DirectoryOrCreate"} == volume["hostPath"]


@built
def test_gobgp_is_started_where_it_may_listen(folder: Path) -> None:
    expected = ["managed" if folder.name in WITH_BGP else "off"] if "speaker" in RUN[folder.name] else []
    assert expected == [values["gobgp"] for daemon, _, values in settings(kustomized(folder)) if daemon == "speaker"]


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
    beside = "- ../netlb/deploy/gateway"
    assert f"`{beside.removeprefix('- ')}` among the `bases`" in page
    documented = documented.replace("bases:\n", f"bases:\n{beside}\n")
    (tmp_path / "mine" / "kustomization.yaml").write_text(documented)
    found = {name: container["image"] for name, container in containers(kustomized(tmp_path / "mine")).items()}
    assert {
        "netlb-controller/controller": "registry.example.com/netlb-controller:0.1.0",
        "netlb-speaker/speaker": "registry.example.com/netlb-speaker:0.1.0",
        "netlb-gateway/gateway": "registry.example.com/netlb-gateway:0.1.0",
    } == found


def test_the_documentation_names_what_there_is() -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    assert list(OVERLAYS) == re.findall(r"^\| `([\w-]+)` \|", page.partition("## Rights")[0], re.MULTILINE)
    objects = kustomized(DEPLOY / "overlays" / "raven-prometheus")
    ports = [
        container["ports"][0]["containerPort"] for name, container in containers(objects).items() if "metrics" in name
    ]
    ports += [int(values["http"].rpartition(":")[2]) for _, _, values in settings(objects)]
    assert sorted(ports) == sorted(map(int, re.findall(r"\b74\d\d\b", page)))
    volumes = {name: pod["spec"]["volumes"] for name, pod in pods(objects).items()}
    (sources,) = (volume["secret"]["secretName"] for volume in volumes["netlb-controller"])
    assert f"create secret generic {sources} " in page
    for daemon in ON_NODES:
        for kept in (one["hostPath"]["path"] for one in volumes[f"netlb-{daemon}"] if "hostPath" in one):
            assert f"`{kept}`" in page


@built
def test_an_image_that_nobody_publishes_cannot_be_pulled_by_mistake(folder: Path) -> None:
    for name, container in containers(kustomized(folder)).items():
        if not name.endswith("/metrics"):
            assert container["image"].startswith("registry.invalid/"), "RFC 2606: it resolves nowhere"
