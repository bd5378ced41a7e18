"""Tables of cases: one row states one fact about who gets which address, and is run as a user would run it.

A row of a table has

    fact       what is stated; unique over all tables
    source     whose rule it is: netlb, MetalLB, OpenELB or PureLB (a table may state it once for all of its rows)
    differs    what the other system does instead, where netlb does otherwise on purpose; docs/migration.md lists it
    objects    manifests, or names of manifests under `common` of the same table
    services   Services of type LoadBalancer, by namespace/name: {annotations, labels, class, and fields of spec};
               `ports` may be plain numbers
    held       addresses held at the beginning, by namespace/name (a text with commas)
    before     objects, services: the state of things before; planned first, then changed to that of the row
    then       by namespace/name: the addresses that are held (a text with commas), or the reason why there are none;
               or {holds: ..., refused: REASON} for a Service that keeps what it had although a request was refused
    findings   reasons of the findings, with the object that they are about: `UnknownField AddressPool a`

A Service that is not under `then` has no address and was not refused one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import ObjectRef, Severity
from netlb.net import parse_address
from netlb.plan import ClusterPlan, ClusterPlanner, plan_cluster

FOLDER = Path(__file__).parent
TABLES = sorted(FOLDER.glob("*.yaml"))
KEYS = {"fact", "source", "differs", "objects", "services", "held", "before", "then", "findings"}


def rows() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for path in TABLES:
        table = yaml.safe_load(path.read_text())
        for row in table["rows"]:
            assert row.keys() <= KEYS, f"{path.name}: {row}: {row.keys() - KEYS}"
            yield path.stem, table.get("common", {}), {"source": table.get("source", "netlb"), **row}


ROWS = list(rows())


def document(body: Mapping[str, Any]) -> Document:
    return Document("case.yaml", body)


def service(name: str, short: Mapping[str, Any]) -> Document:
    spec = {"type": "LoadBalancer", **short}
    namespace, _, plain = name.partition("/")
    metadata = {"namespace": namespace, "name": plain}
    for key in ("annotations", "labels"):
        metadata[key] = spec.pop(key, {})
    if "class" in spec:
        spec["loadBalancerClass"] = spec.pop("class")
    ports = [port if isinstance(port, dict) else {"port": port} for port in spec.pop("ports", [80])]
    return document({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**spec, "ports": ports}})


def documents(state: Mapping[str, Any], common: Mapping[str, Any]) -> list[Document]:
    objects = [common[one] if isinstance(one, str) else one for one in state.get("objects", [])]
    services = (state.get("services") or {}).items()
    return [*map(document, objects), *(service(name, short or {}) for name, short in services)]


def addresses(text: str) -> Holding:
    return Holding(tuple(parse_address(part.strip()) for part in str(text).split(",")))


def outcome(plan: ClusterPlan) -> dict[str, object]:
    """Say what came of a plan in the words of a table."""
    found: dict[str, object] = {
        f"{ref.namespace}/{ref.name}": str(refused.reason) for ref, refused in plan.addresses.refusals.items()
    }
    for ref, allocation in plan.addresses.allocations.items():
        held = ",".join(map(str, allocation.addresses))
        name = f"{ref.namespace}/{ref.name}"
        found[name] = {"holds": held, "refused": str(allocation.refused.reason)} if allocation.refused else held
    return found


def run(row: Mapping[str, Any], common: Mapping[str, Any]) -> tuple[ClusterPlan, Snapshot]:
    holdings = {
        ObjectRef("Service", *name.split("/")): addresses(text) for name, text in (row.get("held") or {}).items()
    }
    intake, planner = Intake(), ClusterPlanner(holdings)
    if "before" in row:
        intake.declare("case.yaml", documents(row["before"], common))
        planner.plan(intake.snapshot({}))
    intake.declare("case.yaml", documents(row, common))
    snapshot = intake.snapshot({})
    return planner.plan(snapshot), snapshot


@pytest.mark.parametrize(
    ("common", "row"), [row[1:] for row in ROWS], ids=[f"{row[0]}: {row[2]['fact']}" for row in ROWS]
)
def test_case(common: dict[str, Any], row: dict[str, Any]) -> None:
    plan, snapshot = run(row, common)
    then = {
        name: ",".join(part.strip() for part in what.split(",")) if isinstance(what, str) else what
        for name, what in (row.get("then") or {}).items()
    }
    assert then == outcome(plan)
    findings = sorted(f"{finding.reason} {finding.subject}" for finding in plan.findings)
    expected = row.get("findings")
    if expected is not None:
        assert sorted(expected) == findings
    else:
        assert [] == [str(finding) for finding in plan.findings if finding.severity is Severity.ERROR]
    # Planning at once keeps what planning in steps has come to.
    assert outcome(plan_cluster(replace(snapshot, holdings=plan.holdings))) == outcome(plan)


def test_every_fact_is_stated_once() -> None:
    facts = [row["fact"] for _, _, row in ROWS]
    assert sorted(set(facts)) == sorted(facts)
    assert {"netlb", "MetalLB", "OpenELB", "PureLB"} >= {row["source"] for _, _, row in ROWS}


def test_every_difference_on_purpose_is_in_the_guide_for_those_who_migrate() -> None:
    guide = " ".join((FOLDER.parents[1] / "docs" / "migration.md").read_text().split())
    assert [] == [row["differs"] for _, _, row in ROWS if "differs" in row and row["differs"] not in guide]
