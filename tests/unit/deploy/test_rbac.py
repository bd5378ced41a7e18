"""The RBAC objects are what the generator makes of what the daemons do, and are as narrow as they are meant to be."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.deployed import BUILT, DEPLOY, RUN, kustomized, named, of_kind

built = pytest.mark.parametrize("folder", BUILT, ids=lambda folder: folder.name)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_rbac", DEPLOY.parent / "tools" / "generate_rbac.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_generator_writes() -> None:
    for path, text in generator().wanted().items():
        assert text == (DEPLOY / path).read_text(), "run tools/generate_rbac.py"


def test_a_file_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = generator()
    wanted = tool.wanted()
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    for path, text in wanted.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert [] == tool.differing(wanted)
    (tmp_path / "base" / "rbac.yaml").write_text("")
    (tmp_path / "overlays" / "bgp" / "rbac.yaml").unlink()
    assert ["base/rbac.yaml", "overlays/bgp/rbac.yaml"] == tool.differing(wanted)


@built
def test_no_rule_is_about_everything(folder: Path) -> None:
    for role in of_kind(kustomized(folder), "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in {*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule["verbs"]}, role["metadata"]


@built
def test_the_speaker_writes_no_service_and_nobody_reads_secrets_everywhere(folder: Path) -> None:
    objects = kustomized(folder)
    for role in of_kind(objects, "ClusterRole"):
        assert "secrets" not in {resource for rule in role["rules"] for resource in rule.get("resources", ())}
    for role in of_kind(objects, "Role", "ClusterRole"):
        if role["metadata"]["name"] == "netlb-gateway":
            assert "secrets" not in {resource for rule in role["rules"] for resource in rule["resources"]}
    if "speaker" not in RUN[folder.name]:
        return
    speaker = named(objects, "ClusterRole", "netlb-speaker")
    verbs = {
        verb
        for rule in speaker["rules"]
        for verb in rule["verbs"]
        if any(resource.partition("/")[0] == "services" for resource in rule["resources"])
    }
    assert {"list", "watch"} == verbs


def test_leases_of_nodes_are_written_where_they_are_asked_for() -> None:
    writers = {
        folder.name: [
            role["metadata"]["name"]
            for role in of_kind(kustomized(folder), "Role")
            if role["metadata"]["name"].startswith("netlb-speaker")
            and any("leases" in rule["resources"] for rule in role["rules"])
        ]
        for folder in BUILT
    }
    assert {"leases": ["netlb-speaker-leases"]} == {name: found for name, found in writers.items() if found}


def test_secrets_are_read_where_bgp_is_spoken() -> None:
    readers = {
        folder.name: [
            (role["metadata"]["name"], role["metadata"]["namespace"])
            for role in of_kind(kustomized(folder), "Role")
            if any("secrets" in rule["resources"] for rule in role["rules"])
        ]
        for folder in BUILT
    }
    ours, theirs = ("netlb-speaker", "netlb-system"), ("netlb-speaker", "metallb-system")
    assert {
        "base": [],
        "gateway": [],
        "raven": [],
        "l2": [],
        "leases": [],
        "bgp": [ours],
        "compat-metallb": [theirs, ours],
        "takeover-metallb": [theirs, ours],
        "webhook": [ours],
        "prometheus": [ours],
        "raven-prometheus": [ours],
    } == {name: sorted(found) for name, found in readers.items()}


def test_a_gateway_writes_what_it_says_of_itself_and_of_its_site_and_no_spec() -> None:
    """Raven's agents may write every Gateway, and do."""
    role = named(kustomized(DEPLOY / "gateway"), "ClusterRole", "netlb-gateway")
    written = {
        (group, resource): set(rule["verbs"]) - {"get", "list", "watch"}
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
    }
    assert {
        ("netlb.io", "gatewaynodestatuses"): {"create", "patch"},
        ("netlb.io", "gateways/status"): {"patch"},
        ("events.k8s.io", "events"): {"create"},
    } == written
