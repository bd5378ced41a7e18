"""The Kubernetes source against the double: what it follows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import SettingError
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import SERVICES, watched
from netlb.source.kube_source import KubeSource
from netlb.testing.apiserver import ApiServer
from tests.support.following import CRDS, Following, followed, following, has, peer, pool, port_of, ref, secret, service
from tests.support.waiting import becomes


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with followed() as server:
        yield server


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
    told: list[str] = []

    def note(snapshot: Snapshot) -> bool:
        told.append(f"{snapshot.nodes['n1'].status}, {[ref.name for ref in snapshot.services]}")
        return True

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(note)
            for number in range(5):
                heartbeat = [{"type": "Ready", "status": "True", "lastHeartbeatTime": f"2026-01-01T00:00:0{number}Z"}]
                noted = {"name": "n1", "annotations": {"cni": str(number)}}
                server.put({"apiVersion": "v1", "kind": "Node", "metadata": noted, "status": {"conditions": heartbeat}})
            server.put(service("end"))
            await one.until(lambda snapshot: note(snapshot) and has("end")(snapshot))

    asyncio.run(main())
    assert len(told) == len(set(told)), told


def test_a_burst_becomes_few_snapshots(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> int:
        async with following(server, tmp_path) as one:
            await one.until(lambda _: True)
            names = [f"s{number}" for number in range(300)]
            server.put(*(service(name) for name in names))
            await one.until(has(*names))
            return one.count

    assert asyncio.run(main()) < 150  # half of what there would be if each made one; a busy machine makes several


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
            snapshot = await one.until(lambda _: True)
            await becomes(lambda: bool(server.seen("watch", "bgppeers.metallb.io")))
            return snapshot

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


def test_passwords_are_read_by_name_where_netlbs_objects_are(server: ApiServer, tmp_path: Path) -> None:
    for namespace in ("lb", "metallb-system"):
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    server.put(secret("a", "first"), secret("b", "x", kind="Opaque"), secret("nobody-asks", "y"))
    server.put(peer("r1", "a"), peer("r2", "b"), peer("r3", "c", "metallb-system"), peer("r4", "d", "kube-system"))
    server.put(secret("c", "third", namespace="metallb-system"), secret("d", "z", namespace="kube-system"))

    async def main() -> None:
        async with following(server, tmp_path, "lb", "metallb-system") as one:
            snapshot = await one.until(lambda _: True)
            first = {("lb", "a"): "first", ("", "a"): "first", ("metallb-system", "c"): "third"}
            assert first == snapshot.passwords, "complete from the beginning"
            server.put(secret("a", "other"))
            await one.until(lambda snapshot: snapshot.passwords["lb", "a"] == "other")
            server.delete("bgppeers.netlb.io", "r1")
            await one.until(lambda snapshot: ("lb", "a") not in snapshot.passwords)
            server.put(peer("r1", "a"))
            await one.until(lambda snapshot: snapshot.passwords.get(("", "a")) == "other")
            server.delete("secrets", "a", "lb")
            await one.until(lambda snapshot: ("lb", "a") not in snapshot.passwords)

    asyncio.run(main())
    asked = {one.query["fieldSelector"] for one in server.seen(resource="secrets")}
    assert {"metadata.name=a", "metadata.name=b", "metadata.name=c"} == asked


def test_a_secret_that_may_not_be_read_holds_up_nothing(server: ApiServer, tmp_path: Path) -> None:
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lb"}})
    server.put(secret("a", "first"), peer("r1", "a"))
    server.faults.fail(403, "Forbidden", resource="secrets", times=10**6)

    async def main() -> None:
        async with following(server, tmp_path, "lb") as one:
            snapshot = await one.until(lambda _: True)
            assert {} == snapshot.passwords
            assert ["grant list on secrets" in why for why in one.source.troubles().values()] == [True]
            server.faults.clear()
            await one.until(lambda snapshot: snapshot.passwords.get(("lb", "a")) == "first")

    asyncio.run(main())


def test_it_tells_which_services_changed(server: ApiServer, tmp_path: Path) -> None:
    server.put(*(service(name) for name in "abc"))

    async def main() -> None:
        async with following(server, tmp_path) as one:
            await one.until(has("a", "b", "c"))
            assert one.source.touched is None, "all of them"
            server.put(service("b", port=81))
            await one.until(lambda snapshot: port_of(snapshot, "b") == 81)
            assert frozenset({ref("b")}) == one.source.touched
            server.put(pool("q", "198.51.100.0/24"))
            await one.until(lambda snapshot: "q" in snapshot.pools)
            assert frozenset() == one.source.touched
            server.delete("services", "a", "default")
            await one.until(has("b", "c"))
            assert frozenset({ref("a")}) == one.source.touched

    asyncio.run(main())


def test_what_others_serve_can_be_left_out(server: ApiServer, tmp_path: Path) -> None:
    server.put(
        service("ours", "192.0.2.1", pool_annotation="netlb.io/allocated-from"), service("theirs", "203.0.113.1")
    )

    async def main() -> None:
        async with following(server, tmp_path, leaves_others=True) as one:
            await one.until(has("ours"))
            server.put(service("ours", "192.0.2.1"))
            server.put(service("end"))
            await one.until(has("ours", "end"))
            server.put(service("ours", "203.0.113.2"))
            await one.until(has("end"))
            server.put(service("theirs") | {"status": {"loadBalancer": {}}})
            await one.until(has("theirs", "end"))

    asyncio.run(main())
