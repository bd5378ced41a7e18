"""How much an API server sends to a node's speaker: at its start, in an idle minute, in a rolling update."""

import asyncio
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table

import netlb
from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.results import Results
from netlb.api.intake import Intake
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import Reader, watched
from netlb.source.kube_source import KubeSource
from netlb.testing.apiserver import ApiServer

NODES, SERVICES, PODS = 100, 1000, 3
_IMAGES = 50
"""That a kubelet lists in its Node at most (`--node-status-max-images`): the larger part of it."""
_HEARTBEAT_MINUTES = 5
"""Between two reports of a kubelet about a Node that does not change (`nodeStatusReportFrequency`)."""
_WRITES_A_POD = 2
"""Of an EndpointSlice in a rolling update: the new pod is ready, the old one goes."""
_CRDS = Path(netlb.__file__).parents[1] / "deploy" / "crds"
_PATIENCE = 300.0

METHOD: Final = f"""\
The source of a speaker follows the double of the API server: {NODES} Nodes with {_IMAGES} images each, and {SERVICES} \
Services of {PODS} pods. Counted are the bytes of answers, as sent, without headers and TLS: \
netlb_source_received_bytes_total.
idle: what a minute brings, one bookmark a watch and a fifth of the kubelets' reports about their Nodes.
rolling update: {_WRITES_A_POD} writes of its EndpointSlice for each pod of every Service, in turns."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes by kind, and in how many events."""

    received: Mapping[str, float]
    events: int

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.received.values())


def node(number: int) -> dict[str, Any]:
    """A Node as a kubelet reports it."""
    name = f"node-{number}.example.com"
    image = f"registry.example.com/team/application-{{}}@sha256:{'0123456789abcdef' * 4}"
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": f"KubeletHasNo{kind}",
            "message": f"kubelet has no {kind} and is posting ready status",
        }
        for kind in kinds
    ]
    status = {
        "addresses": [{"type": "InternalIP", "address": f"10.0.{number // 250}.{number % 250 + 1}"}],
        "capacity": {"cpu": "32", "memory": "131072Ki", "pods": "110"},
        "conditions": conditions,
        "images": [{"names": [image.format(one)], "sizeBytes": 123456789} for one in range(_IMAGES)],
        "nodeInfo": {"kernelVersion": "6.1.0", "kubeletVersion": "v1.36.0", "osImage": "Debian GNU/Linux 12"},
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def service(number: int) -> dict[str, Any]:
    """A Service that holds an address."""
    metadata = {"name": f"app-{number}", "annotations": {"netlb.io/allocated-from": "one"}}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]
    spec = {"type": "LoadBalancer", "selector": {"app": f"app-{number}"}, "ports": ports}
    ingress = [{"ip": f"10.9.{number // 250}.{number % 250 + 1}", "ipMode": "VIP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def endpoints(number: int, generation: int = 0) -> dict[str, Any]:
    """The EndpointSlice of a Service; another one in each generation."""
    listed = [
        {
            "addresses": [f"10.{100 + (generation + pod) % 100}.{number // 250}.{number % 250 + 1}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{(number + pod) % NODES}.example.com",
            "targetRef": {"kind": "Pod", "name": f"app-{number}-{generation}-{pod}", "namespace": "default"},
        }
        for pod in range(PODS)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"app-{number}-x", "labels": {"kubernetes.io/service-name": f"app-{number}"}},
        "addressType": "IPv4",
        "endpoints": listed,
        "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
    }


class Meter:
    """What a client has received since it was last asked."""

    def __init__(self, client: KubeClient, server: ApiServer) -> None:
        self._client = client
        self._server = server
        self._before: Mapping[tuple[str, ...], float] = {}

    async def read(self, events: int = 0) -> Traffic:
        """Return it by kind, once nothing comes any more."""
        self._server.bookmark()
        last = -1.0
        async with asyncio.timeout(_PATIENCE):
            while (now := sum(self._client.received().values())) != last:
                last = now
                await asyncio.sleep(0.5)
        received = self._client.received()
        by_kind: dict[str, float] = {}
        for (kind, verb), count in received.items():
            by_kind[kind] = by_kind.get(kind, 0.0) + count - self._before.get((kind, verb), 0.0)
        self._before = received
        return Traffic(by_kind, events)


async def measure(server: ApiServer, kubeconfig: Path) -> dict[str, Traffic]:
    """Follow the server, and have all of it happen."""
    client = KubeClient(kubeconfig, field_manager="netlb-bench")
    source = KubeSource(client, Intake(), watched(reader=Reader.ANNOUNCEMENTS, lean=True))
    synced = asyncio.Event()

    async def follow() -> None:
        async for _ in source.snapshots():
            synced.set()

    following = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(_PATIENCE):
            await synced.wait()
        meter = Meter(client, server)
        found = {"first sync": await meter.read()}
        await asyncio.to_thread(server.put, *map(beating, range(0, NODES, _HEARTBEAT_MINUTES)))
        found["idle, a minute"] = await meter.read(NODES // _HEARTBEAT_MINUTES)
        for generation in range(1, 1 + PODS * _WRITES_A_POD):
            await asyncio.to_thread(server.put, *(endpoints(number, generation) for number in range(SERVICES)))
        found["rolling update"] = await meter.read(SERVICES * PODS * _WRITES_A_POD)
        return found
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()


def beating(number: int) -> dict[str, Any]:
    """A Node some minutes later."""
    body = copy.deepcopy(node(number))
    for condition in body["status"]["conditions"]:
        condition["lastHeartbeatTime"] = "2026-01-01T00:05:00Z"
    return body


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.put_files(_CRDS)
        for bodies in (map(node, range(NODES)), map(service, range(SERVICES)), map(endpoints, range(SERVICES))):
            server.put(*bodies)
        yield server


@pytest.fixture(scope="module")
def traffic(server: ApiServer, reports: list[RenderableType]) -> dict[str, Traffic]:
    """Measure, write the results file and leave the report for the end."""
    before = machine_facts()
    with TemporaryDirectory() as folder:
        found = asyncio.run(measure(server, server.write_kubeconfig(Path(folder) / "kubeconfig")))
    results = Results(
        name="traffic",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers={name: {"bytes": one.received, "events": one.events} for name, one in found.items()},
        targets=(),
    )
    path = results.write()
    reports += [results.report([table(found)]), f"Every number: {path}"]
    return found


def table(found: Mapping[str, Traffic]) -> Table:
    """Return a row for each thing that happens."""
    shown = Table(title="what a node is sent", title_justify="left", box=SIMPLE)
    for heading in ("", "bytes", "events", "bytes an event", "most of it"):
        shown.add_column(heading, justify="left" if heading in ("", "most of it") else "right")
    for name, one in found.items():
        kind, count = max(one.received.items(), key=lambda each: each[1])
        each = f"{one.total / one.events:,.0f}" if one.events else "-"
        events = f"{one.events:,}" if one.events else "-"
        shown.add_row(name, f"{one.total:,.0f}", events, each, f"{kind} {count / one.total:.0%}")
    return shown


def test_a_nodes_traffic(benchmark: BenchmarkFixture, traffic: dict[str, Traffic]) -> None:
    # What counts has been measured once; pytest-benchmark wants to call something.
    assert traffic["idle, a minute"].total < benchmark(lambda: traffic["rolling update"].total)
