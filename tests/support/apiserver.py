"""An API server for contract tests: the double, or a real one when NETLB_TEST_KUBECONFIG names its kubeconfig."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import User

from netlb.testing.apiserver import ApiServer
from tests.support.waiting import eventually

__all__ = [
    "APPLY",
    "CRDS",
    "DEFINITIONS",
    "MERGE",
    "POOLS",
    "REAL",
    "Api",
    "a_pool",
    "applied",
    "config_map",
    "double_only",
    "lease",
    "prepared",
    "service",
    "version",
]

REAL = os.environ.get("NETLB_TEST_KUBECONFIG")
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
POOLS = "/apis/netlb.io/v1alpha1/addresspools"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def double_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test where a real API server is asked, and say why."""
    return pytest.mark.skipif(bool(REAL), reason=f"not asked of a real API server: {reason}")


class Api:
    """An API server, and a namespace of our own in it."""

    def __init__(self, kubeconfig: Path, double: ApiServer | None) -> None:
        config = KubeConfig.from_file(kubeconfig).get()
        assert config
        config = config._replace(user=config.user or User())
        self.http = client_adapter.Client(config, client_adapter.ConnectionParams(timeout=httpx2.Timeout(90)))
        self.double = double
        self.namespace = f"netlb-contract-{uuid.uuid4().hex[:8]}"
        self.services = f"/api/v1/namespaces/{self.namespace}/services"
        self.configmaps = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        content = None if body is None else json.dumps(body).encode()
        answer = self.http.request(method, path, params=query, content=content, headers={"Content-Type": kind})
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json else answer.text

    def ok(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str) -> Any:
        """Return the JSON of an answer that must be a success."""
        code, answer = self.ask(method, path, body, kind=kind, **query)
        assert code in (200, 201), answer
        return answer

    def no(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str) -> Any:
        """Return the Status of a refusal."""
        code, answer = self.ask(method, path, body, kind=kind, **query)
        assert code >= 400, answer
        assert code == answer["code"]
        assert ("Status", "v1", "Failure") == (answer["kind"], answer["apiVersion"], answer["status"])
        return answer

    def apply(self, path: str, body: Mapping[str, Any], manager: str, **query: str) -> tuple[int, Any]:
        return self.ask("PATCH", path, body, kind=APPLY, fieldManager=manager, **query)

    def await_served(self, definition: Mapping[str, Any]) -> None:
        """Wait until the objects of a definition can be written: some time after it is Established, all know that."""
        spec, name = definition["spec"], definition["metadata"]["name"]

        def is_established() -> bool:
            status = self.ok("GET", f"{DEFINITIONS}/{name}").get("status") or {}
            return ("Established", "True") in {(one["type"], one["status"]) for one in status.get("conditions", ())}

        eventually(is_established, f"{name} is established", within=60)
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        eventually(lambda: self.ask("GET", path)[0] == 200, f"{name} is served", within=60)

    def watch(self, path: str, version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until it ends, after 2 s unless told otherwise."""
        asked = {"timeoutSeconds": "2", **query, "watch": "true", "resourceVersion": version}
        with self.http.stream("GET", path, params=asked) as answer:
            assert 200 == answer.status_code, answer.read()
            for line in answer.iter_lines():
                yield json.loads(line)


def prepared(api: Api) -> Iterator[Api]:
    """Make the namespace and the definitions of `deploy/crds`; remove what was made here."""
    made: list[str] = []
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace}}
    api.ok("POST", "/api/v1/namespaces", namespace)
    try:
        for path in sorted(CRDS.glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            code, answer = api.ask("POST", DEFINITIONS, definition)
            assert code in (201, 409), answer
            made += [definition["metadata"]["name"]] if code == 201 else []
            api.await_served(definition)
        yield api
    finally:
        for name in made:
            api.ok("DELETE", f"{DEFINITIONS}/{name}")
        api.ok("DELETE", f"/api/v1/namespaces/{api.namespace}")
        api.http.close()


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, port: int = 80, **metadata: Any) -> dict[str, Any]:
    spec = {"type": "LoadBalancer", "loadBalancerClass": "netlb.io/contract", "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **metadata}, "spec": spec}


def a_pool(path: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": path.rpartition("/")[2]}
    spec = {"addresses": ["192.0.2.0/24"], **spec}
    return {"apiVersion": "netlb.io/v1alpha1", "kind": "AddressPool", "metadata": metadata, "spec": spec}


def version(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["resourceVersion"])


def applied(name: str, annotations: Mapping[str, str], **data: str) -> dict[str, Any]:
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def lease(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
