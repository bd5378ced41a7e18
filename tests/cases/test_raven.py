"""Tables of sites: one row states one fact about who is active, who reaches whom, or what a node has for that.

A row of a table has

    fact       what is stated; unique over all tables
    sites      the sites by name, nodes, objects: as `tests.support.sites` takes them; a text is one under `common`
    seen       what nodes have found out: alive, dead, held, incumbents, fallen, hub, keys
    local      what one node knows of itself, by node
    numbers    names and numbers other than the defaults
    differs    what Raven does instead
    then       any of
                 active, standby     by site: its endpoints, in order
                 idle                by site: endpoints and why they are idle
                 members             by site: its nodes, and the endpoint that each goes through
                 subnets             by site: its prefixes (a text with commas)
                 ways                by pair, as `a - b`: direct, traversal, `relay by NODE`, or why there is none
                 hubs                the nodes that may stand between others, in order
                 peers               by endpoint: its peers, as `ALLOWED, ... [at ADDRESS:PORT] [every SECONDS]`
                 roles               by node
                 has, lacks          by node: pieces of what it has as text, of one line each
                 guards              by node: the lines of what it has before it knows who is alive
                 mtu                 by node: of its tunnels and its overlay
                 gateway             by name: parts of what the native Gateway has
    findings   reasons of the findings, with the object that they are about: `UnknownReference Gateway a`; none: no finding

Rows of the hold-down have `hold`, and `steps`, each [time, nodes that are alive, nodes that are then held].
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.api.manifest import manifest
from netlb.api.snapshot import Snapshot
from netlb.plan.raven import RavenPlan, plan_raven
from netlb.raven.dataplane import DataPlane, Numbers
from netlb.raven.election import HoldDown
from netlb.raven.mesh import Peer
from netlb.raven.text import render
from tests.support.sites import documents, local, seen, snapshot

TABLES = sorted((Path(__file__).parent / "raven").glob("*.yaml"))
KEYS = {"fact", "sites", "nodes", "objects", "seen", "local", "numbers", "differs", "then", "findings"}
STEP_KEYS = {"fact", "hold", "steps"}


def rows() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for path in TABLES:
        table = yaml.safe_load(path.read_text())
        for row in table["rows"]:
            keys = STEP_KEYS if "steps" in row else KEYS
            assert row.keys() <= keys, f"{path.name}: {row['fact']}: {row.keys() - keys}"
            yield path.stem, table.get("common", {}), row


ROWS = list(rows())
STATES = [row for row in ROWS if "steps" not in row[2]]
STEPS = [row for row in ROWS if "steps" in row[2]]


def plane(plan: RavenPlan, row: Mapping[str, Any], node: str) -> DataPlane:
    return plan.node(node, local(row.get("local", {}).get(node)), Numbers(**row.get("numbers", {})))


def words(peer: Peer) -> str:
    parts = [", ".join(map(str, peer.allowed)) or "nothing"]
    parts += [f"at {peer.destination[0]}:{peer.destination[1]}"] if peer.destination else []
    parts += [f"every {peer.keepalive}"] if peer.keepalive else []
    return " ".join(parts)


def outcome(what: str, name: str, plan: RavenPlan, declared: Snapshot, row: Mapping[str, Any]) -> Any:
    """Say what came of a plan in the words of a table."""
    mesh = plan.mesh
    match what:
        case "active" | "standby":
            return list(getattr(mesh.elections[name], what))
        case "idle":
            return {node: str(reason) for node, reason in mesh.elections[name].idle.items()}
        case "members":
            return {node: mesh.gateway_of(node) or "" for node in mesh.sites[name].nodes}
        case "subnets":
            return ", ".join(map(str, mesh.subnets.of(mesh.sites[name])))
        case "ways":
            one, _, other = name.partition(" - ")
            assert mesh.between(one, other) == mesh.between(other, one) or len(mesh.between(one, other)) > 1
            return ", ".join(map(str, mesh.between(one, other)))
        case "peers":
            return {peer.node: words(peer) for peer in mesh.peers(name)}
        case "roles":
            return str(plane(plan, row, name).role)
        case "guards":
            numbers = Numbers(**row.get("numbers", {}))
            return render(plan.guard(name, local(None), numbers), numbers.protocol).splitlines()[1:]
        case "mtu":
            made = plane(plan, row, name)
            return [made.tunnel.mtu if made.tunnel else None, made.overlay.mtu if made.overlay else None]
        case "gateway":
            spec = manifest(declared.gateways[name]).get("spec", {})
            return {field: spec.get(field) for field in row["then"]["gateway"][name]}
    raise AssertionError(what)


@pytest.mark.parametrize(
    ("common", "row"), [row[1:] for row in STATES], ids=[f"{row[0]}: {row[2]['fact']}" for row in STATES]
)
def test_state(common: dict[str, Any], row: dict[str, Any]) -> None:
    sites = {name: common[site] if isinstance(site, str) else site for name, site in row["sites"].items()}
    declared = snapshot(documents(sites, row.get("nodes"), row.get("objects", ())))
    plan = plan_raven(declared, seen(declared, row.get("seen")))
    for what, expected in row["then"].items():
        if what == "hubs":
            assert expected == [hub.node for hub in plan.mesh.hubs]
        elif what in ("has", "lacks"):
            for node, pieces in expected.items():
                numbers = Numbers(**row.get("numbers", {}))
                lines = [line.strip() for line in render(plane(plan, row, node), numbers.protocol).splitlines()]
                found = [piece for piece in pieces if any(piece in line for line in lines)]
                assert (pieces if what == "has" else []) == found, "\n".join(lines)
        else:
            assert expected == {name: outcome(what, name, plan, declared, row) for name in expected}
    findings = sorted(f"{one.reason} {one.subject}" for one in (*declared.findings, *plan.findings))
    assert sorted(row.get("findings", [])) == findings


@pytest.mark.parametrize("row", [row[2] for row in STEPS], ids=[f"{row[0]}: {row[2]['fact']}" for row in STEPS])
def test_steps(row: dict[str, Any]) -> None:
    hold_down = HoldDown(row["hold"])
    told = []
    for now, alive, _ in row["steps"]:
        hold_down.observe(set(alive), now)
        told.append([now, alive, sorted(hold_down.held(now))])
    assert row["steps"] == told


def test_every_fact_is_stated_once() -> None:
    facts = [row["fact"] for _, _, row in ROWS]
    assert sorted(set(facts)) == sorted(facts)


def test_every_difference_on_purpose_is_in_the_guide_for_those_who_migrate() -> None:
    guide = " ".join((Path(__file__).parents[2] / "docs" / "migration.md").read_text().split())
    assert [] == [row["differs"] for _, _, row in ROWS if row.get("differs", "") not in guide]
