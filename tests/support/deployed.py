"""What deploy/ comes to: the objects of an overlay and of the chart, and what is wrong with them as Kubernetes sees it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import msgspec
import yaml
from lightkube.core.resource_registry import resource_registry
from msgspec import inspect
from prometheus_client import CollectorRegistry

from netlb_controller.__main__ import main as netlb_controller
from netlb_gateway.__main__ import main as netlb_gateway
from netlb_speaker.__main__ import main as netlb_speaker
from tests.support.needs import needs, needs_command

__all__ = [
    "BUILT",
    "DAEMONS",
    "DEPLOY",
    "OVERLAYS",
    "RUN",
    "Manifest",
    "chart",
    "containers",
    "documented_metrics",
    "helm",
    "kustomized",
    "named",
    "of_kind",
    "pods",
    "schema_complaints",
    "settings",
    "shown_metrics",
]

Manifest = Mapping[str, Any]

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = (
    "l2",
    "leases",
    "bgp",
    "compat-metallb",
    "takeover-metallb",
    "webhook",
    "prometheus",
    "raven",
    "raven-prometheus",
)
BUILT = (DEPLOY / "base", DEPLOY / "gateway", *(DEPLOY / "overlays" / name for name in OVERLAYS))
"""Every kustomization of objects that run."""
DAEMONS: Mapping[str, click.Command] = {
    "controller": netlb_controller,
    "speaker": netlb_speaker,
    "gateway": netlb_gateway,
}
RUN: Mapping[str, tuple[str, ...]] = {
    folder.name: {"gateway": ("gateway",), "raven": ("gateway",), "raven-prometheus": tuple(DAEMONS)}.get(
        folder.name, ("controller", "speaker")
    )
    for folder in BUILT
}
"""By kustomization, the daemons that it runs."""
_OTHERS = {"monitoring.coreos.com/v1", "apiextensions.k8s.io/v1", "cert-manager.io/v1"}
"""Of these groups there are no models here; deploy/crds has tests of its own."""
_HELM = """
import json, sys
from helm_python.chart import Chart, lint
chart = Chart.load(sys.argv[1])
if sys.argv[2] == "lint":
    answer = lint(sys.argv[1], json.load(sys.stdin))
else:
    try:
        answer = {"rendered": chart.render(json.load(sys.stdin), name="netlb", namespace="netlb-system")}
    except Exception as error:
        answer = {"refused": str(error)}
print(json.dumps(answer))
"""


@cache
def kustomized(folder: Path) -> tuple[Manifest, ...]:
    """Return the objects of a kustomization; not to be changed. Skips where there is no kubectl."""
    kubectl = needs_command("kubectl", "kubernetes-client")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return _objects(done.stdout)


def chart(values: Mapping[str, Any]) -> tuple[Manifest, ...]:
    """Return the objects of the chart with these values. AssertionError says what Helm refuses."""
    answer = helm("render", values)
    assert "refused" not in answer, answer["refused"]
    files = answer["rendered"].items()
    return tuple(found for name, text in files if not name.endswith(".txt") for found in _objects(text))


def helm(verb: str, values: Mapping[str, Any]) -> Any:
    """Let Helm `render` or `lint` the chart; in a process of its own, since it brings Go's runtime along."""
    needs([] if find_spec("helm_python") else ["helm_python: the module is not found; install helm-python-sdk"])
    command = [sys.executable, "-c", _HELM, str(DEPLOY / "chart"), verb]
    return json.loads(
        subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True).stdout
    )


def of_kind(objects: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Return the objects of these kinds."""
    return [found for found in objects if found["kind"] in kinds]


def named(objects: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """Return one object."""
    (found,) = (found for found in of_kind(objects, kind) if found["metadata"]["name"] == name)
    return found


def pods(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the templates of all workloads' pods, by the name of the workload."""
    return {
        workload["metadata"]["name"]: workload["spec"]["template"]
        for workload in of_kind(objects, "Deployment", "DaemonSet")
    }


def containers(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the containers of all workloads, as `netlb-controller/controller`."""
    return {
        f"{name}/{container['name']}": container
        for name, pod in pods(objects).items()
        for container in pod["spec"]["containers"]
    }


def settings(objects: Iterable[Manifest]) -> Iterator[tuple[str, Manifest, dict[str, Any]]]:
    """Yield each daemon, its container, and its settings as its own command reads them; it must know all of them."""
    for name, container in containers(objects).items():
        daemon = name.rpartition("/")[2]
        if command := DAEMONS.get(daemon):
            given = {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
            known = {str(option.envvar) for option in command.params if option.envvar} | {"NODE_NAME"}
            assert [] == sorted(given.keys() - known), name
            with patch.dict(os.environ, given, clear=True):
                context = command.make_context(daemon, list(container["args"]))
            yield daemon, container, context.params


def schema_complaints(objects: Iterable[Manifest]) -> list[str]:
    """Return fields that Kubernetes does not know, and values of a wrong type."""
    found = []
    for manifest in objects:
        if manifest["apiVersion"] in _OTHERS:
            continue
        where = f"{manifest['kind']}/{manifest['metadata']['name']}"
        model = resource_registry.load(manifest["apiVersion"], manifest["kind"])
        found += [f"{where}: {path}" for path in _unknown(manifest, inspect.type_info(model), "$")]
        try:
            msgspec.convert(manifest, model)
        except msgspec.ValidationError as error:
            found.append(f"{where}: {error}")
    return found


def documented_metrics() -> dict[str, frozenset[str]]:
    """Return the labels of each metric by docs/daemons.md, of which another test says that it names them all."""
    page = (DEPLOY.parent / "docs" / "daemons.md").read_text()
    _, _, table = page.partition("| metric | labels | of |\n")
    found: dict[str, frozenset[str]] = {}
    for row in table.partition("\n\n")[0].splitlines()[1:]:
        names, labels, _ = (cell.strip() for cell in row.strip("|").split("|"))
        words = frozenset(filter(None, re.split(r"[, ]+", re.sub(r"\(.*?\)", "", labels))))
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), words)
    return found


def shown_metrics(registry: CollectorRegistry) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each metric that has a sample, and its labels."""
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels)


def _unknown(value: Any, kind: inspect.Type, path: str) -> Iterator[str]:
    match kind, value:
        case inspect.UnionType(), _:
            for one in kind.types:
                if isinstance(one, inspect.StructType | inspect.ListType | inspect.DictType):
                    yield from _unknown(value, one, path)
        case inspect.StructType(), dict():
            fields = {field.encode_name: field.type for field in kind.fields}
            for name, inner in value.items():
                if name in fields:
                    yield from _unknown(inner, fields[name], f"{path}.{name}")
                else:
                    yield f"{path}.{name} is no field"
        case inspect.ListType(), list():
            for index, inner in enumerate(value):
                yield from _unknown(inner, kind.item_type, f"{path}[{index}]")
        case inspect.DictType(), dict():
            for name, inner in value.items():
                yield from _unknown(inner, kind.value_type, f"{path}.{name}")


def _objects(text: str) -> tuple[Manifest, ...]:
    return tuple(found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found)
