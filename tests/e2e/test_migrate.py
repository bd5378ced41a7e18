"""Whole installations of other systems run as they stand: each Service has the address that it had there."""

import json
import shutil
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.testing.lab import Lab, ServiceRule
from tests.support.cluster import Cluster, endpoint_addresses
from tests.support.migration import INSTALLATIONS, Installation, declare_texts
from tests.support.site import Site
from tests.support.waiting import eventually

each_installation = pytest.mark.parametrize("installation", INSTALLATIONS, ids=lambda each: each.name)

KEPT: Mapping[str, dict[str, tuple[str, ...]]] = {
    "metallb-v0.11": {"default/web": ("192.168.122.97",), "default/web-v6": ("fd00:122::91",)},
    "metallb": {
        "default/web": ("192.168.122.94",),
        "default/dual": ("192.168.122.95", "fd00:122::a3"),
        "team-a/web": ("192.168.122.99",),  # of the pool that comes second
    },
    "openelb": {"default/web": ("192.168.122.95",), "team-a/web": ("192.168.122.97",)},
    "purelb": {
        "default/web-v6": ("fd00:122::93",),
        "default/stream": ("192.168.122.95",),
        "default/stream-control": ("192.168.122.95",),
    },
}
"""Addresses that Services may hold and that none of them would be given now."""


def install(site: Site, installation: Installation) -> None:
    for path in installation.folder.glob("*.yaml"):
        shutil.copy(path, site.manifests)


def await_addresses(site: Site, expected: Mapping[str, tuple[str, ...]]) -> None:
    """Wait until as many Services as expected have addresses; these are the ones expected."""
    named = {service.removeprefix("default/").replace("/", "."): each for service, each in expected.items() if each}
    eventually(lambda: len(site.status.held()) >= len(named), "every Service has its address")
    assert named == site.status.held()


def read_snapshot(installation: Installation) -> Snapshot:
    return declare_texts(Intake(), installation.texts()).snapshot({})


def rules(lab: Lab, installation: Installation, addresses: Mapping[str, tuple[str, ...]]) -> Iterator[ServiceRule]:
    """Yield what kube-proxy would do: every port of every Service that has an address, to its endpoints."""
    documents = [each.body for name, text in installation.texts().items() for each in parse_documents(text, name)]
    for ref, service in read_snapshot(installation).services.items():
        endpoints = endpoint_addresses(documents, ref.name, ref.namespace)
        for port in service.spec.ports:
            yield ServiceRule(
                name=str(ref),
                addresses=tuple(map(ip_address, addresses[f"{ref.namespace}/{ref.name}"])),
                port=port.port,
                backends=tuple(each for each in lab.backends if str(each.address) in endpoints),
                external_traffic_policy=service.spec.external_traffic_policy,
            )


@pytest.mark.root
@each_installation
def test_every_service_has_the_address_that_its_own_system_gives_and_is_reached(
    cluster: Cluster, installation: Installation
) -> None:
    expected = installation.addresses()
    install(cluster, installation)
    cluster.start()
    await_addresses(cluster, expected)
    snapshot = read_snapshot(installation)
    cluster.lab.serve(rules(cluster.lab, installation, expected))
    cluster.client.flush_neighbors()
    for service, addresses in expected.items():
        namespace, _, name = service.partition("/")
        ports = snapshot.services[ObjectRef("Service", namespace, name)].spec.ports
        for address in addresses:
            owner = cluster.await_owner(address)
            assert installation.nodes().get(service, owner.name) == owner.name
            for port in ports:
                reply = cluster.client.http_get(address, port.port, timeout=60)
                assert 200 == reply.status
                assert json.loads(reply.body)["pod"] in cluster.lab.pods
            assert owner.mac == cluster.client.neighbor(address)


def export(path: Path, installation: Installation, kept: Mapping[str, tuple[str, ...]]) -> None:
    """Write the Services with statuses, as `kubectl get -o yaml` prints them."""
    pools = read_snapshot(installation).pools
    documents = list(yaml.safe_load_all((installation.folder / "services.yaml").read_text()))
    services: list[dict[str, Any]] = documents[0]["items"] if documents[0]["kind"] == "List" else documents
    for service in services:
        metadata = service["metadata"]
        addresses = kept.get(f"{metadata.get('namespace', 'default')}/{metadata['name']}", ())
        service["status"] = {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}
        if installation.system == "metallb" and addresses:
            address = ip_address(addresses[0])
            [pool] = [name for name, pool in pools.items() if any(address in span for span in pool.spec.spans)]
            metadata.setdefault("annotations", {})["metallb.io/ip-allocated-from-pool"] = pool
    path.write_text(yaml.safe_dump_all(documents))


@each_installation
def test_services_keep_the_addresses_that_their_status_says(site: Site, installation: Installation) -> None:
    fresh, kept = installation.addresses(), KEPT[installation.name]
    assert [] == [service for service, addresses in kept.items() if fresh[service] == addresses]
    install(site, installation)
    export(site.manifests / "services.yaml", installation, fresh | kept)
    site.await_ready(site.controller())
    await_addresses(site, fresh | kept)
