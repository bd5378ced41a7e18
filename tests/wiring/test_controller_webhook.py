"""The controller's webhook: objects are reviewed beside what the cluster has."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from netlb.runtime.tls import Certificate
from netlb.runtime.webhook import Webhook
from tests.support.certificates import make_certificate
from tests.support.kubernetes import Kubernetes, kubernetes, pool
from tests.support.waiting import becomes
from tests.support.wired import wired
from tests.wiring.test_runtime_http import free_port


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    make_certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    with kubernetes(tmp_path) as cluster:
        yield cluster


def review(body: dict[str, Any], operation: str = "CREATE") -> dict[str, Any]:
    resource = {"group": "netlb.io", "version": "v1alpha1", "resource": "addresspools"}
    request = {"uid": "1", "operation": operation, "resource": resource, "name": body["metadata"]["name"]}
    gone = None if operation == "DELETE" else body
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, "object": gone}}


def test_what_would_be_wrong_is_refused_by_every_replica(cluster: Kubernetes, tmp_path: Path) -> None:
    webhook = Webhook("127.0.0.1", free_port(socket.AF_INET, "127.0.0.1"), Certificate(tmp_path))
    url = f"https://{webhook.host}:{webhook.port}/validate"

    async def scenario() -> None:
        async with (
            wired(cluster.controller()) as leader,
            httpx2.AsyncClient(verify=ssl.create_default_context(cafile=tmp_path / "tls.crt")) as client,
        ):
            await leader.ready()
            async with wired(cluster.controller(webhook=webhook)):

                async def ask(body: dict[str, Any], operation: str = "CREATE") -> dict[str, Any]:
                    answer = await client.post(url, json=review(body, operation))
                    response: dict[str, Any] = answer.json()["response"]
                    return response

                async def is_refused() -> bool:
                    try:
                        return not (await ask(pool("more", "192.0.2.2")))["allowed"]
                    except httpx2.ConnectError:
                        return False

                await becomes(is_refused)
                refusal = (await ask(pool("more", "192.0.2.2")))["status"]["message"]
                assert "addresspools.netlb.io/more" in refusal
                assert "the pool overlaps pool 'two'" in refusal
                assert (await ask(pool("more", "198.51.100.1")))["allowed"]
                assert (await ask(pool("two", "192.0.2.0/30"), "UPDATE"))["allowed"]
                assert (await ask(pool("two"), "DELETE"))["allowed"]
                leaving = pool("more", "192.0.2.2")
                leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                assert (await ask(leaving, "UPDATE"))["allowed"]

    asyncio.run(scenario())
