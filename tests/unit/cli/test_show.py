"""`netlb show`: what the speakers' files say, for people and for programs."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from netlb.cli.main import main

SERVICE = """\
metadata: {{namespace: default, name: {name}, annotations: {{netlb.io/allocated-from: {pool}}}}}
status:
  loadBalancer: {{ingress: [{addresses}]}}
  conditions: [{{type: netlb.io/AddressAllocated, status: '{status}', reason: PoolExhausted, message: none is free}}]
"""
ROUTE = {
    "prefix": "203.0.113.10/32",
    "nextHop": "10.0.0.11",
    "localPref": 200,
    "communities": ["65000:7"],
    "peers": ["tor-a", "tor-b"],
}
AGGREGATE = {"prefix": "203.0.113.0/24", "nextHop": "10.0.0.11", "peers": ["tor-a"]}
PEERS: list[dict[str, object]] = [
    {"name": "tor-a", "router": "10.0.0.1", "asn": 65000, "state": "ESTABLISHED", "since": "2026-01-01T00:00:00Z", "lastError": "", "advertised": 2, "received": 1, "bfd": "up"},
    {"name": "tor-b", "router": "10.0.0.2", "asn": "external", "state": "UNKNOWN", "lastError": "gobgpd hangs"},
]  # fmt: skip
ONE = {
    "node": "n1",
    "announcing": [{"address": "192.0.2.1", "services": ["default/lan"], "interfaces": ["eth0"]}],
    "bgp": {
        "peers": PEERS,
        "announcing": [
            {"address": "203.0.113.10", "services": ["default/web"], "routes": [AGGREGATE, ROUTE]},
            {"address": "203.0.113.99", "services": ["default/web"], "routes": [AGGREGATE]},
            {"address": "203.0.113.11", "services": ["default/more"], "routes": [AGGREGATE], "error": "SessionDown: x"},
        ],
    },
    "later": "a newer speaker may say more",
}
TWO = {
    "node": "n2",
    "announcing": [{"address": "192.0.2.1", "services": ["default/lan"], "interfaces": [], "error": "AddressConflict: y"}],
    "bgp": {"announcing": [{"address": "203.0.113.10", "services": ["default/web"], "routes": [{**ROUTE, "nextHop": "10.0.0.12"}]}]},
}  # fmt: skip


def put(root: Path, *reports: object) -> None:
    (root / "nodes").mkdir(parents=True, exist_ok=True)
    for number, report in enumerate(reports, start=1):
        (root / "nodes" / f"n{number}.yaml").write_text(yaml.safe_dump(report))


def hold(root: Path, name: str, *addresses: str, pool: str = "routed", status: str = "True") -> None:
    (root / "services").mkdir(parents=True, exist_ok=True)
    listed = ", ".join(f"{{ip: '{address}'}}" for address in addresses)
    text = SERVICE.format(name=name, pool=pool, addresses=listed, status=status)
    (root / "services" / f"default.{name}.yaml").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, ONE, TWO)
    hold(tmp_path, "lan", "192.0.2.1", pool="lan")
    hold(tmp_path, "web", "203.0.113.10")
    hold(tmp_path, "more", "203.0.113.11")
    hold(tmp_path, "waits", pool="''", status="False")
    hold(tmp_path, "idle", "203.0.113.12")
    return tmp_path


def show(what: str, root: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["show", what, "--status-dir", str(root), *more])


def lines(result: Result) -> list[list[str]]:
    """The cells of each line: columns are at least two spaces apart, cells have single ones at most."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in result.output.splitlines()]


def test_peers_are_shown_with_state_and_last_error(root: Path) -> None:
    result = show("peers", root)
    assert 0 == result.exit_code
    assert [
        ["NODE", "PEER", "ROUTER", "ASN", "STATE", "BFD", "SINCE", "ADVERTISED", "RECEIVED", "LAST ERROR"],
        ["n1", "tor-a", "10.0.0.1", "65000", "ESTABLISHED", "up", "2026-01-01T00:00:00Z", "2", "1"],
        ["n1", "tor-b", "10.0.0.2", "external", "UNKNOWN", "0", "0", "gobgpd hangs"],
    ] == lines(result)


def test_routes_are_shown_once_a_node_with_whom_they_are_for(root: Path) -> None:
    assert [
        ["NODE", "PREFIX", "NEXT HOP", "PEERS", "ATTRIBUTES", "SERVICES", "PROBLEM"],
        ["n1", "203.0.113.0/24", "10.0.0.11", "tor-a", "default/web, default/more", "SessionDown: x"],
        ["n1", "203.0.113.10/32", "10.0.0.11", "tor-a, tor-b", "localPref 200 communities 65000:7", "default/web"],
        ["n2", "203.0.113.10/32", "10.0.0.12", "tor-a, tor-b", "localPref 200 communities 65000:7", "default/web"],
    ] == lines(show("routes", root))


def test_addresses_are_shown_with_who_announces_them_and_what_is_the_matter(root: Path) -> None:
    assert [
        ["ADDRESS", "SERVICE", "POOL", "ANNOUNCED BY", "PROBLEM"],
        ["203.0.113.12", "default/idle", "routed", "announced by nobody: see netlb explain service default/idle"],
        ["192.0.2.1", "default/lan", "lan", "n1 on eth0", "n2: AddressConflict: y"],
        ["203.0.113.11", "default/more", "routed", "n1: SessionDown: x"],
        ["default/waits", "PoolExhausted: none is free"],
        ["203.0.113.10", "default/web", "routed", "n1, n2 to tor-a, tor-b"],
    ] == lines(show("addresses", root))


@pytest.mark.parametrize("what", ["peers", "routes", "addresses"])
def test_programs_get_the_same_as_json_and_as_yaml(root: Path, what: str) -> None:
    as_json, as_yaml = (show(what, root, "--output", format_).output for format_ in ("json", "yaml"))
    assert json.loads(as_json) == yaml.safe_load(as_yaml)
    assert json.loads(as_json)
    assert [] == json.loads(show(what, root.parent, "-o", "json").output)


def test_the_tree_beside_the_manifests_is_found(tmp_path: Path) -> None:
    put(tmp_path / "cluster.status", ONE)
    result = CliRunner().invoke(main, ["show", "peers", "--source", f"dir:{tmp_path / 'cluster'}"])
    assert "tor-a" in result.output


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("peers", "no router is declared for any node (speakers that report: n1)"),
        ("routes", "no router is told of any address (speakers that report: n1)"),
        ("addresses", "no Service holds an address, or asks for one (speakers that report: n1)"),
    ],
)
def test_where_there_is_nothing_it_says_what_there_is_not(tmp_path: Path, what: str, words: str) -> None:
    put(tmp_path, {"node": "n1"})
    result = show(what, tmp_path)
    assert (0, f"{words}\n") == (result.exit_code, result.output)


def test_a_tree_without_speakers_says_how_to_have_one(tmp_path: Path) -> None:
    result = show("peers", tmp_path)
    assert (0, f"no speaker reports in {tmp_path}: start netlb-speaker with that --source or --status-dir\n") == (
        result.exit_code,
        result.output,
    )


def test_a_tree_that_is_not_there_is_a_setting_that_cannot_work(tmp_path: Path) -> None:
    result = show("peers", tmp_path / "nowhere")
    assert 64 == result.exit_code
    assert (
        f"--status-dir: {tmp_path / 'nowhere'} is no directory; name the --status-dir of the daemons" in result.output
    )
    assert 64 == show("peers", tmp_path, "-o", "xml").exit_code
    assert 64 == CliRunner().invoke(main, ["show", "peers"]).exit_code


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("nodes/n1.yaml", b"node: [", "nodes/n1.yaml: line 2, column 1: "),
        ("nodes/n1.yaml", b"[]", "nodes/n1.yaml: no report of a speaker: Expected `object`, got `array`"),
        ("nodes/n1.yaml", b"", "nodes/n1.yaml: no report of a speaker: Expected `object`, got `null`"),
        ("nodes/n1.yaml", b"\xff", "nodes/n1.yaml: the file is not UTF-8 text"),
        ("services/x.yaml", b"a: b", "services/x.yaml: it does not say which addresses its Service holds"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_is_shown(root: Path, path: str, data: bytes, words: str) -> None:
    (root / path).write_bytes(data)
    result = show("routes", root)
    assert 1 == result.exit_code
    assert f"error: {root}/{words}" in result.stderr
    assert "10.0.0.12" in result.stdout


def test_what_a_file_says_does_not_move_the_cursor(tmp_path: Path) -> None:
    peer = {**PEERS[0], "lastError": "\x1b[2J[red]gone\n"}
    put(tmp_path, {"node": "n1", "bgp": {"peers": [peer]}})
    output = show("peers", tmp_path).output
    assert "\x1b" not in output
    assert "\N{REPLACEMENT CHARACTER}[2J[red]gone\N{REPLACEMENT CHARACTER}" in output
