"""`netlb explain gateway`: how a site reaches the others, or why not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from netlb.cli.main import main
from netlb.source.gateway_status import node_document
from tests.support.sites import documents, key_of

SITES = {
    "cloud": {"nodes": ["c1"], "endpoints": [{"nodeName": "c1", "publicIPs": ["198.51.100.1"]}]},
    "east": {
        "nodes": ["e1", "e2", "e3"],
        "endpoints": [{"nodeName": n, "underNAT": True} for n in ("e1", "e2", "ghost")],
    },
    "west": {"nodes": ["w1"], "endpoints": [{"nodeName": "w1", "underNAT": True}]},
}


def explain(name: str, folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", "gateway", name, *arguments, *(() if arguments else (str(folder),))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "cluster"
    made.mkdir()
    (made / "sites.yaml").write_text(yaml.safe_dump_all(dict(one.body) for one in documents(SITES)))
    return made


def test_who_is_active_and_how_each_other_site_is_reached(folder: Path) -> None:
    result = explain("east", folder)
    assert [
        "east: e1 active, e2 could take over",
        "ghost: neither: NotAMember",
        "e2: sends through e1",
        "e3: sends through e1",
        "between sites that cannot reach each other stands c1 of site cloud",
        "prefixes: 10.2.1.0/24, 10.2.2.0/23, fd00:2:1::/64, fd00:2:2::/64, fd00:2:3::/64",
        "cloud: direct",
        "west: relay by c1",
        "warning: Gateway east: spec.endpoints[2].nodeName: ghost is no node of the site, so it is not elected "
        "(UnknownReference); give the node the label raven.openyurt.io/gateway: east, or correct the name",
    ] == result.output.splitlines()
    assert 0 == result.exit_code


def test_what_nodes_have_published_counts(folder: Path) -> None:
    status = folder.with_name("cluster.status") / "gatewaynodestatuses"
    status.mkdir(parents=True)
    said: dict[str, dict[str, Any]] = {
        "c1": {"backend": "kernel"},
        "e1": {"backend": "userspace"},
        "e2": {"backend": "userspace", "site": "east", "active": ["e2"]},
        "w1": {"backend": "ipsec"},
    }
    for node, more in said.items():
        document = node_document(node, {"publicKey": key_of(node), **more})
        (status / f"{node}.yaml").write_text(yaml.safe_dump(document))
    result = explain("east", folder, "--source", f"dir:{folder}")
    lines = result.output.splitlines()
    assert "east: e2 active, e1 could take over" == lines[0]
    assert "west: not reached: OtherTunnelProtocol" in lines
    assert 1 == result.exit_code


def test_a_gateway_that_there_is_not(folder: Path) -> None:
    result = explain("north", folder)
    assert (1, "north: there is no such Gateway\n") == (result.exit_code, result.output)


def test_a_gateway_that_cannot_be_read(folder: Path) -> None:
    (folder / "north.yaml").write_text(
        "{apiVersion: netlb.io/v1alpha1, kind: Gateway, metadata: {name: north}, spec: {backend: libreswan}}"
    )
    result = explain("north", folder)
    assert (1, "north: there is no such Gateway (it is declared, and cannot be read)\n") == (
        result.exit_code,
        result.output,
    )
