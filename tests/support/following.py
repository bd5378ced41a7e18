"""A Kubernetes source at work against the double, and objects for it."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import watched
from netlb.source.kube_source import KubeSource
from netlb.source.reflector import Pace
from netlb.testing.apiserver import ApiServer

__all__ = [
    "CRDS",
    "Condition",
    "Following",
    "followed",
    "following",
    "has",
    "peer",
    "pool",
    "port_of",
    "ref",
    "secret",
    "service",
]

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
QUICK = Pace(
    page_size=2,
    answer_timeout=3.0,  # a server that is held up for a moment has not failed
    idle_timeout=3.0,
    watch_timeout=20.0,
    first_backoff=0.01,
    longest_backoff=0.1,
    absence_grace=0.2,
)
Condition = Callable[[Snapshot], bool]


def pool(name: str, *addresses: str) -> dict[str, Any]:
    metadata, spec = {"name": name}, {"addresses": list(addresses)}
    return {"apiVersion": "netlb.io/v1alpha1", "kind": "AddressPool", "metadata": metadata, "spec": spec}


def service(name: str, ip: str = "", *, port: int = 80, pool_annotation: str = "") -> dict[str, Any]:
    annotations = {pool_annotation: "p"} if pool_annotation else {}
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    status = {"status": {"loadBalancer": {"ingress": [{"ip": ip}] if ip else []}}}
    spec = {"type": "LoadBalancer", "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, **status}


def ref(name: str) -> ObjectRef:
    return ObjectRef("Service", "default", name)


class Following:
    """A source at work, and the last snapshot it gave."""

    def __init__(self, source: KubeSource) -> None:
        self.source = source
        self._snapshots = source.snapshots()
        self.count = 0

    async def until(self, condition: Condition) -> Snapshot:
        """Wait for a snapshot of which this is true."""
        async with asyncio.timeout(60):
            while not condition(snapshot := await anext(self._snapshots)):
                self.count += 1
        self.count += 1
        return snapshot

    async def close(self) -> None:
        await self._snapshots.aclose()


@contextlib.asynccontextmanager
async def following(server: ApiServer, tmp_path: Path, *secrets_in: str, **more: Any) -> AsyncIterator[Following]:
    path = tmp_path / "kubeconfig"
    server.write_kubeconfig(path, token_file=tmp_path / "token")
    client = KubeClient(path, field_manager="netlb-test")
    source = KubeSource(
        client,
        Intake(),
        watched(),
        secrets_in=lambda: secrets_in,
        pace=QUICK,
        discovery_interval=0.05,
        patience=0.2,
        keep_interval=0.05,
        **more,
    )
    one = Following(source)
    try:
        yield one
    finally:
        await one.close()
        await client.close()


def has(*names: str) -> Condition:
    return lambda snapshot: {ref.name for ref in snapshot.services} == set(names)


def peer(name: str, secret: str, namespace: str = "") -> dict[str, Any]:
    reference = {"name": secret, **({"namespace": namespace} if namespace else {})}
    spec = {"peerASN": 64513, "peerAddress": "192.0.2.250", "passwordSecret": reference}
    return {"apiVersion": "netlb.io/v1alpha1", "kind": "BGPPeer", "metadata": {"name": name}, "spec": spec}


def secret(
    name: str, password: str, *, namespace: str = "lb", kind: str = "kubernetes.io/basic-auth"
) -> dict[str, Any]:
    data = {"password": b64encode(password.encode()).decode()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def port_of(snapshot: Snapshot, name: str) -> int:
    """Return the first port of a Service of the namespace default."""
    return snapshot.services[ref(name)].spec.ports[0].port


@contextlib.contextmanager
def followed() -> Iterator[ApiServer]:
    """Run a server with netlb's definitions, a node and a pool; it sends a bookmark every 0.2 s."""
    with ApiServer(token="first", bookmark_interval=0.2) as server:
        server.put_files(CRDS)
        server.put(pool("p", "192.0.2.0/24"), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        yield server
