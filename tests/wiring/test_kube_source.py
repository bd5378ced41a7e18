"""The Kubernetes source against the double: what it follows, and that it ends with the truth whatever goes wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import SettingError
from netlb.findings import ObjectRef
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import SERVICES, watched
from netlb.source.kube_source import KubeSource
from netlb.source.reflector import Pace
from netlb.testing.apiserver import ApiServer
from tests.support.waiting import becomes

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
QUICK = Pace(
    page_size=2,
    answer_timeout=1.0,
    idle_timeout=0.7,
    watch_timeout=20.0,
    first_backoff=0.01,
    longest_backoff=0.1,
    absence_grace=0.2,
)
Condition = Callable[[Snapshot], bool]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A server with netlb's definitions, a node and a pool; it sends a bookmark every 0.2 s."""
    with ApiServer(token="first", bookmark_interval=0.2) as server:
        server.put_files(CRDS)
        server.put(pool("p", "192.0.2.0/24"), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        yield server


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
        async with asyncio.timeout(30):
            while not condition(snapshot := await anext(self._snapshots)):
                self.count += 1
        self.count += 1
        return snapshot

    async def close(self) -> None:
        await self._snapshots.aclose()


@contextlib.asynccontextmanager
async def following(server: ApiServer, tmp_path: Path) -> AsyncIterator[Following]:
    path = tmp_path / "kubeconfig"
    server.write_kubeconfig(path, token_file=tmp_path / "token")
    client = KubeClient(path, field_manager="netlb-test")
    one = Following(KubeSource(client, Intake(), watched(), pace=QUICK, discovery_interval=0.05))
    try:
        yield one
    finally:
        await one.close()
        await client.close()


def has(*names: str) -> Condition:
    return lambda snapshot: {ref.name for ref in snapshot.services} == set(names)


# What it follows


def test_the_first_snapshot_has_everything(server: ApiServer, tmp_path: Path) -> None:
    advertisement = {
        "apiVersion": "netlb.io/v1alpha1",
        "kind": "L2Advertisement",
        "metadata": {"name": "all"},
        "spec": {},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "a-1", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "n1", "conditions": {"ready": True}}],
    }
    server.put(*(service(name) for name in "abcde"), advertisement, endpoints)

    async def main() -> Snapshot:
        async with following(server, tmp_path) as one:
            snapshot = await one.until(lambda _: True)
            assert {} == one.source.troubles()
            stored = server.get("services", "a", "default")
            entry = one.source.find(SERVICES, "default", "a")
            assert stored
            assert entry
            assert (stored["metadata"]["uid"], stored["metadata"]["resourceVersion"]) == entry[1:]
            return snapshot

    snapshot = asyncio.run(main())
    assert {ref(name) for name in "abcde"} == set(snapshot.services)
    assert (["p"], ["all"], ["n1"]) == (list(snapshot.pools), list(snapshot.l2_advertisements), list(snapshot.nodes))
    assert {"default", "kube-system"} <= snapshot.namespaces.keys()
    assert [ref("a")] == list(snapshot.endpoint_slices)
    assert () == snapshot.findings


def test_what_a_service_holds_is_in_its_status_if_a_load_balancer_signed_it(server: ApiServer, tmp_path: Path) -> None:
    server.put(
        service("ours", "192.0.2.1", pool_annotation="netlb.io/allocated-from"),
        service("metallbs", "192.0.2.2", pool_annotation="metallb.io/ip-allocated-from-pool"),
        service("strangers", "192.0.2.3"),
    )

    async def main() -> Snapshot:
        async with following(server, tmp_path) as one:
            await one.until(lambda snapshot: {ref("ours"), ref("metallbs")} == set(snapshot.holdings))
            server.delete("services", "metallbs", "default")
            return await one.until(lambda snapshot: {ref("ours")} == set(snapshot.holdings))

    (holding,) = asyncio.run(main()).holdings.values()
    assert ("p", ["192.0.2.1"]) == (holding.pool, [str(address) for address in holding.addresses])


def test_what_nobody_reads_makes_no_snapshot(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> int:
        async with following(server, tmp_path) as one:
            await one.until(lambda _: True)
            for number in range(5):
                heartbeat = [{"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-01-01T00:00:0{number}Z"}]
                noted = {"name": "n1", "annotations": {"cni": str(number)}}
                server.put({"apiVersion": "v1", "kind": "Node", "metadata": noted, "status": {"conditions": heartbeat}})
            server.put(service("end"))
            await one.until(has("end"))
            return one.count

    assert asyncio.run(main()) <= 3, "the first, the node's new condition, the end"


def test_a_burst_becomes_few_snapshots(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> int:
        async with following(server, tmp_path) as one:
            await one.until(lambda _: True)
            names = [f"s{number}" for number in range(300)]
            server.put(*(service(name) for name in names))
            await one.until(has(*names))
            return one.count

    assert asyncio.run(main()) < 30


def test_a_bad_object_is_a_finding_that_kubectl_can_find(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> Snapshot:
        async with following(server, tmp_path) as one:
            await one.until(lambda snapshot: "p" in snapshot.pools)
            server.put(pool("bad", "192.0.2.9-192.0.2.1"))
            return await one.until(lambda snapshot: bool(snapshot.findings))

    (finding,) = asyncio.run(main()).findings
    assert "addresspools.netlb.io/bad" == finding.origin
    assert "spec.addresses[0]" == finding.field


def test_only_metallbs_own_config_map_is_asked_for(server: ApiServer, tmp_path: Path) -> None:
    config = "address-pools: [{name: old, protocol: layer2, addresses: [198.51.100.0/24]}]"
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}})
    metadata = {"name": "config", "namespace": "metallb-system"}
    server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": config}})

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(lambda snapshot: "old" in snapshot.pools)

    asyncio.run(main())
    assert {"metadata.name=config"} == {one.query["fieldSelector"] for one in server.seen(resource="configmaps")}


def definition(plural: str, kind: str, *versions: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = [
        {"name": name, "served": True, "storage": name == versions[0], "schema": schema, "subresources": {"status": {}}}
        for name in versions
    ]
    names = {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.metallb.io"},
        "spec": {"group": "metallb.io", "names": names, "scope": "Namespaced", "versions": served},
    }


def metallb_pool(version: str = "v1beta1") -> dict[str, Any]:
    metadata = {"name": "theirs", "namespace": "metallb-system"}
    body = {"apiVersion": f"metallb.io/{version}", "kind": "IPAddressPool", "metadata": metadata}
    return {**body, "spec": {"addresses": ["198.51.100.0/24"]}}


def test_a_dialects_kinds_may_appear_later_and_go_again(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(lambda snapshot: "p" in snapshot.pools)
            assert {} == one.source.troubles(), "that a dialect is not installed is all right"
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}})
            server.put(definition("ipaddresspools", "IPAddressPool", "v1beta1"), metallb_pool())
            await one.until(lambda snapshot: "theirs" in snapshot.pools)
            server.delete("ipaddresspools.metallb.io", "theirs", "metallb-system")
            server.delete("customresourcedefinitions.apiextensions.k8s.io", "ipaddresspools.metallb.io")
            await one.until(lambda snapshot: "theirs" not in snapshot.pools)

    asyncio.run(main())


@pytest.mark.parametrize("versions", [("v1beta1",), ("v1beta1", "v1beta2")])
def test_an_object_that_is_served_in_two_versions_is_read_once(
    server: ApiServer, tmp_path: Path, versions: tuple[str, ...]
) -> None:
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}})
    server.put(definition("bgppeers", "BGPPeer", *versions))
    spec = {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"}
    metadata = {"name": "router", "namespace": "metallb-system"}
    server.put({"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": metadata, "spec": spec})

    async def main() -> Snapshot:
        async with following(server, tmp_path) as one:
            return await one.until(lambda _: True)

    assert "DuplicateObject" not in {str(finding.reason) for finding in asyncio.run(main()).findings}
    assert 1 == len(server.seen("watch", "bgppeers.metallb.io"))


def test_without_our_definitions_there_is_no_snapshot_and_it_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        with ApiServer(token="first", bookmark_interval=0.2) as server:
            async with following(server, tmp_path) as one:
                waiting = asyncio.create_task(one.until(lambda _: True))
                await becomes(lambda: "deploy/crds" in one.source.troubles().get("addresspools.netlb.io", ""))
                assert not waiting.done()
                server.put_files(CRDS)
                await waiting
                assert {} == one.source.troubles()

    asyncio.run(main())


def test_without_a_kubeconfig_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        client = KubeClient(tmp_path / "nothing", field_manager="netlb-test")
        with pytest.raises(SettingError, match="not found"):
            await Following(KubeSource(client, Intake(), watched())).until(lambda _: True)

    asyncio.run(main())


# What goes wrong

FAULTS: dict[str, Callable[[ApiServer, str], None]] = {
    "drop": lambda server, verb: server.faults.drop(verb=verb, resource="services", times=3),
    "stall": lambda server, verb: server.faults.stall(verb=verb, resource="services"),
    "slow": lambda server, verb: server.faults.slow(0.3, verb=verb, resource="services"),
    "too slow": lambda server, verb: server.faults.slow(5, verb=verb, resource="services"),
    "cut": lambda server, verb: server.faults.cut(verb=verb, resource="services", times=2),
    "garbage": lambda server, verb: server.faults.garbage(verb=verb, resource="services", times=2),
    "gone": lambda server, verb: server.faults.gone(verb=verb, resource="services", times=2),
    "too large": lambda server, verb: server.faults.too_large(verb=verb, resource="services", times=1),
    "throttled": lambda server, verb: server.faults.throttle(1, verb=verb, resource="services"),
    "500": lambda server, verb: server.faults.fail(500, "InternalError", verb=verb, resource="services", times=4),
    "403": lambda server, verb: server.faults.fail(403, "Forbidden", verb=verb, resource="services", times=4),
    "expired": lambda server, verb: server.faults.expired(resource="services", times=2),
}


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_becomes_of_a_request_the_truth_is_known_in_the_end(
    server: ApiServer, tmp_path: Path, fault: str, verb: str
) -> None:
    server.put(*(service(name) for name in ("a", "b", "c")))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            if verb == "list":
                FAULTS[fault](server, verb)
            await one.until(has("a", "b", "c"))
            if verb == "watch":
                FAULTS[fault](server, verb)
                server.end_watches()
            server.delete("services", "a", "default")
            server.put(service("d"), service("b", port=81))
            await one.until(lambda snapshot: has("b", "c", "d")(snapshot) and _port(snapshot, "b") == 81)

    asyncio.run(main())


def _port(snapshot: Snapshot, name: str) -> int:
    return snapshot.services[ref(name)].spec.ports[0].port


def go_away_and_forget(server: ApiServer, _: Path) -> None:
    server.go_away()
    server.compact()


def rotate(server: ApiServer, folder: Path) -> None:
    server.rotate_token("second", folder / "token")
    server.reset_connections()


EVENTS: dict[str, Callable[[ApiServer, Path], None]] = {
    "half-open connections": lambda server, _: server.freeze(),
    "reset connections": lambda server, _: server.reset_connections(),
    "watches that end": lambda server, _: server.end_watches(),
    "watches that expire": lambda server, _: server.expire_watches(),
    "away while the history is compacted": go_away_and_forget,
    "a rotated token": rotate,
}


@pytest.mark.parametrize("event", EVENTS)
def test_whatever_becomes_of_open_watches_the_truth_is_known_in_the_end(
    server: ApiServer, tmp_path: Path, event: str
) -> None:
    server.put(service("a"), service("b"))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a", "b"))
            await becomes(lambda: not one.source.troubles())
            EVENTS[event](server, tmp_path)
            server.delete("services", "a", "default")
            server.put(service("c"))
            if "away" in event:
                await becomes(lambda: "services" in one.source.troubles())
                server.come_back()
            await one.until(has("b", "c"))
            await becomes(lambda: not one.source.troubles())

    asyncio.run(main())


def test_a_kubeconfig_with_another_token_is_taken_up(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(lambda _: True)
            server.rotate_token("second")
            server.end_watches()
            server.put(service("a"))
            await becomes(lambda: "401" in one.source.troubles().get("services", ""))
            server.write_kubeconfig(tmp_path / "kubeconfig")
            await one.until(has("a"))
            await becomes(lambda: not one.source.troubles())

    asyncio.run(main())


def test_a_server_restored_from_a_backup_is_believed(server: ApiServer, tmp_path: Path) -> None:
    server.put(service("a"))
    backup = server.revision

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a"))
            server.delete("services", "a", "default")
            server.put(*(service(name) for name in ("b", "c", "d")))
            await one.until(has("b", "c", "d"))
            server.go_away()
            server.come_back(revision=backup)
            await one.until(has("a"))
            server.put(service("e"))
            await one.until(has("a", "e"))

    asyncio.run(main())


def test_while_the_server_is_away_everything_stays_as_it_was(server: ApiServer, tmp_path: Path) -> None:
    server.put(service("a"))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a"))
            server.go_away()
            waiting = asyncio.create_task(one.until(lambda snapshot: not has("a")(snapshot)))
            await becomes(lambda: len(one.source.troubles()) >= 12)
            await asyncio.sleep(0.3)  # some more attempts
            assert not waiting.done()
            assert "no connection" in one.source.troubles()["services"]
            server.come_back()
            server.put(service("b"))
            await waiting

    asyncio.run(main())
