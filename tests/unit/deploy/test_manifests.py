"""Every manifest that is handed out would be taken by an API server: by our schemas, by Kubernetes', by a dialect's."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.api.crds.table import KINDS as OURS
from netlb.api.decode import decode
from netlb.api.dialects import KINDS as THEIRS
from netlb.api.documents import Document
from netlb.api.v1alpha1 import API_VERSION
from netlb.testing.apiserver.schema import defaulted, problems, unknown_fields
from tests.support.crds import schema_of
from tests.support.deployed import DEPLOY, Manifest, schema_complaints

ROOT = DEPLOY.parent
NO_MANIFESTS = (
    "deploy/chart",  # templates, and links to what is looked at where it is
    "examples/migrate/expected",  # what comes of the examples
)
NOT_DECODED = {"monitoring.coreos.com/v1", "apiextensions.k8s.io/v1", "cert-manager.io/v1"}
PARTS = {"kustomize.config.k8s.io/v1beta1"}
"""What kubectl reads, and no API server."""


def handed_out() -> Iterator[tuple[str, str]]:
    """Every file of manifests, and every block of the documentation that holds some, with its text."""
    for path in sorted(
        [*DEPLOY.rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml"), *(ROOT / "tests/golden/import").glob("*.yaml")]
    ):
        name = str(path.relative_to(ROOT))
        if not name.startswith(NO_MANIFESTS) and path not in patches():
            yield name, path.read_text()
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL), start=1):
            yield f"{page.relative_to(ROOT)}#{number}", block


def patches() -> set[Path]:
    """The parts of objects, which the overlays make whole: those are looked at in test_kustomize.py."""
    found = set()
    for path in DEPLOY.rglob("kustomization.yaml"):
        overlay = yaml.safe_load(path.read_text())
        found |= {path.parent / name for name in overlay.get("patchesStrategicMerge", ())}
    return found


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a text, those of a List one by one."""
    for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
        if isinstance(document, dict) and {"apiVersion", "kind"} <= document.keys():
            yield from document["items"] if document["kind"] == "List" else [document]


def complaints(manifest: Manifest) -> list[str]:
    """Why an object would not be taken."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    if version in PARTS | NOT_DECODED:
        return []
    if version == API_VERSION:
        assert kind in OURS, kind
        return refused(kind, manifest)
    if (version, kind) in THEIRS and kind != "ConfigMap":
        decode(Document("x", dict(manifest)))
        return []
    return schema_complaints([manifest])


def refused(kind: str, manifest: Manifest) -> list[str]:
    schema = schema_of(kind)
    filled = defaulted(schema, {name: value for name, value in manifest.items() if name != "metadata"})
    return [*unknown_fields(schema, filled), *problems(schema, filled)]


FILES = dict(handed_out())

POOL = "{apiVersion: netlb.io/v1alpha1, kind: AddressPool, metadata: {name: p}, spec: {%s}}"
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {%s}}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (POOL % "addresses: [192.0.2.0/24], autoAsign: true", "unknown field autoAsign"),
        (POOL % "addresses: []", "$.spec.addresses"),
        (SERVICE % "typ: LoadBalancer", "$.spec.typ is no field"),
        (SERVICE % "ports: 80", "$.spec.ports"),
    ],
)
def test_a_mistake_is_found(text: str, complaint: str) -> None:
    (manifest,) = objects(text)
    (found,) = complaints(manifest)
    assert complaint in found


@pytest.mark.parametrize("name", FILES)
def test_it_would_be_taken(name: str) -> None:
    assert [] == [complaint for manifest in objects(FILES[name]) for complaint in complaints(manifest)]
