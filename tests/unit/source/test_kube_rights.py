"""What the daemons may do, as RBAC has it, and that the documentation says the same."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from netlb.api.dialects import Compatibility, System
from netlb.source.kube_rights import (
    Right,
    controller_rights,
    gateway_rights,
    lease_rights,
    role_rules,
    speaker_rights,
)

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"
RIGHTS: dict[str, Callable[[str], tuple[Right, ...]]] = {
    "netlb-controller": controller_rights,
    "netlb-gateway": lambda _: gateway_rights(),
    "netlb-speaker": speaker_rights,
}


def test_services_are_written_by_the_controller_only_and_nothing_but_their_status() -> None:
    writing = {"create", "update", "patch", "delete"}
    touched = {
        name: {right.resource for right in rights("lb") if writing & set(right.verbs)}
        for name, rights in RIGHTS.items()
    }
    assert {"services/status", "addresspools/status"} <= touched["netlb-controller"]
    assert not {"services", "addresspools"} & touched["netlb-controller"]
    assert {"servicebgpstatuses", "servicel2statuses", "speakerstatuses", "events"} == touched["netlb-speaker"]


def test_secrets_are_read_in_two_namespaces_and_leases_written_in_one() -> None:
    secrets = {right.namespace for right in speaker_rights("lb") if right.resource == "secrets"}
    assert {"lb", "metallb-system"} == secrets
    without = Compatibility(systems=frozenset(System) - {System.METALLB})
    assert {"lb"} == {right.namespace for right in speaker_rights("lb", without) if right.resource == "secrets"}
    assert not [right for right in speaker_rights("lb", without) if right.group == "metallb.io"]
    assert not [right for right in controller_rights("lb") if right.resource == "secrets"]
    assert {"lb"} == {right.namespace for right in controller_rights("lb") if right.resource == "leases"}


def test_what_is_alike_is_one_rule() -> None:
    pods, jobs = (
        Right(group=group, resource=name, verbs=("list",)) for group, name in (("", "pods"), ("batch", "jobs"))
    )
    nodes = Right(group="", resource="nodes", verbs=("list",))
    named = Right(group="", resource="nodes", verbs=("list",), namespace="ns", names=("a",))
    assert {
        "": [
            {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]},
        ],
        "ns": [{"apiGroups": [""], "resources": ["nodes"], "resourceNames": ["a"], "verbs": ["list"]}],
    } == role_rules([pods, jobs, nodes, named])


@pytest.mark.parametrize("daemon", RIGHTS)
def test_the_documentation_has_the_very_rules(daemon: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    documents = [one for block in blocks for one in yaml.safe_load_all(block)]
    written = {
        one["metadata"].get("namespace", ""): one["rules"] for one in documents if one["metadata"]["name"] == daemon
    }
    assert role_rules(RIGHTS[daemon]("netlb-system")) == written


def test_the_page_about_leases_has_the_right_that_they_take() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.with_name("leases.md").read_text(), re.DOTALL)
    (role,) = (one for one in map(yaml.safe_load, blocks) if one["kind"] == "Role")
    assert role_rules(lease_rights("netlb-system")) == {role["metadata"]["namespace"]: role["rules"]}
    assert {*speaker_rights("lb"), *lease_rights("lb")} == {*speaker_rights("lb", leases=True)}
