"""What is asked of the double only: other clients, and who may do what."""

import json
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from netlb.testing.apiserver import ApiServer
from tests.support.apiserver import (
    APPLY,
    Api,
    a_pool,
    double_only,
    service,
)
from tests.support.needs import needs_command
from tests.support.waiting import eventually


@double_only("kubectl speaks to it every day")
def test_kubectl_speaks_to_it(shared: Api, tmp_path: Path) -> None:
    kubectl = needs_command("kubectl", "kubernetes-client")
    assert shared.double
    path = shared.double.write_kubeconfig(tmp_path / "kubeconfig")
    command = [kubectl, "--kubeconfig", str(path), "--namespace", shared.namespace]

    def run(*arguments: str, body: Mapping[str, Any] | None = None) -> str:
        stdin = json.dumps(body) if body else None
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, check=False, env=environment
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    applying = ("apply", "--server-side", "--validate=false", "--filename", "-")
    assert "service/web serverside-applied" in run(*applying, body=service("web", labels={"a": "b"}))
    assert "addresspool.netlb.io/k serverside-applied" in run(*applying, body=a_pool("k"))
    assert "service/web" == run("get", "svc", "--selector", "a=b", "--output", "name").strip()
    assert "192.0.2.0/24" in run("get", "lbpool", "k", "--output", "yaml")
    found = json.loads(run("get", "svc", "web", "--output", "json"))
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    status = f"/api/v1/namespaces/{shared.namespace}/services/web/status"
    # Not --subresource, which kubectl knows since 1.24: Debian 12 has 1.20.
    run("replace", "--validate=false", "--raw", status, "--filename", "-", body=found)
    assert "192.0.2.1" == run("get", "svc", "web", "--output", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    assert "deleted" in run("delete", "svc/web", "lbpool/k")


# Who is asked


@double_only("its tokens are not ours to rotate")
def test_a_token_is_asked_for_and_can_be_changed(tmp_path: Path) -> None:
    with ApiServer(token="first") as server, httpx2.Client(base_url=server.url) as http:
        assert 401 == http.get("/api/v1/services").status_code
        ours = {"Authorization": "Bearer first"}
        assert 200 == http.get("/api/v1/services", headers=ours).status_code
        server.rotate_token("second", tmp_path / "token")
        assert "Unauthorized" == http.get("/api/v1/services", headers=ours).json()["reason"]
        assert "second" == (tmp_path / "token").read_text()


RULES = {
    "": [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "patch"]},
        {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["config"], "verbs": ["list"]},
    ],
    "default": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
}
"""What a token may do, as a ClusterRole and the Role of a namespace have it."""


@double_only("who may do what there is for its RBAC to say")
@pytest.mark.parametrize(
    ("code", "method", "path"),
    [
        (200, "GET", "/api/v1/services"),
        (200, "GET", "/apis"),
        (403, "GET", "/api/v1/services?watch=1"),
        (403, "GET", "/api/v1/nodes"),
        (403, "GET", "/api/v1/namespaces/default/services/web"),
        (200, "GET", "/api/v1/namespaces/default/secrets"),
        (403, "GET", "/api/v1/namespaces/kube-system/secrets"),
        (200, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dconfig"),
        (403, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dother"),
        (403, "GET", "/api/v1/configmaps"),
        (200, "PATCH", "/api/v1/namespaces/default/services/web/status"),
        (200, "PATCH", "/api/v1/namespaces/default/services/web"),
        (403, "PATCH", "/api/v1/namespaces/default/services/new"),
        (403, "DELETE", "/api/v1/namespaces/default/services/web"),
    ],
)
def test_who_has_rights_has_no_others(code: int, method: str, path: str) -> None:
    with ApiServer(rights={"weak": RULES}) as server:
        server.put(service("web"))
        headers = {"Authorization": "Bearer weak", "Content-Type": APPLY}
        url = f"{server.url}{path}" + ("?fieldManager=m" if method == "PATCH" else "")
        content = json.dumps({"spec": {"ports": [{"port": 80}]}}) if method == "PATCH" else None
        answer = httpx2.request(method, url, headers=headers, content=content)
        assert code == answer.status_code, answer.text
        assert (code == 403) == bool(server.forbidden)


# What goes wrong


@double_only("faults are switched on in it")
def test_what_is_held_is_carried_out_when_it_is_released() -> None:
    with ApiServer() as server, httpx2.Client(base_url=server.url) as http, ThreadPoolExecutor() as pool:
        server.put(service("web"))
        server.faults.hold(verb="delete", resource="services")
        held = pool.submit(http.delete, "/api/v1/namespaces/default/services/web")
        eventually(lambda: server.seen("delete"), "it has come in")
        assert server.get("services", "web", "default")
        server.release()
        assert 200 == held.result().status_code
        assert server.get("services", "web", "default") is None


@double_only("faults are switched on in it")
def test_what_is_held_is_carried_out_even_if_nobody_waits_any_more() -> None:
    with ApiServer() as server, httpx2.Client(base_url=server.url, timeout=0.05) as http:
        server.put(service("web"))
        server.faults.hold(verb="delete", resource="services")
        with pytest.raises(httpx2.TimeoutException):
            http.delete("/api/v1/namespaces/default/services/web")
        eventually(lambda: server.seen("delete"), "it has come in")
        server.release()
        eventually(lambda: server.get("services", "web", "default") is None, "it is gone")
