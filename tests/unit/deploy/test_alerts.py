"""Alerts and the dashboard ask for metrics and labels that the daemons show, and for values that these have."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from netlb.findings import Severity
from netlb.reasons import Silence
from tests.manifests import advertisement, node, pool
from tests.support.deployed import DEPLOY, documented_metrics, shown_metrics
from tests.support.kubernetes import kubernetes
from tests.support.kubernetes import service as cluster_service
from tests.support.promql import QueryError, result_labels
from tests.support.speaking import Net, declare, speaker
from tests.support.wired import common, wired, write

FOLDER = DEPLOY / "overlays" / "prometheus"
RULES = [
    rule
    for folder in ("prometheus", "raven-prometheus")
    for group in yaml.safe_load((FOLDER.parent / folder / "rules.yaml").read_text())["spec"]["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"] if panel["type"] != "row"]
PROCESS = dict.fromkeys(("process_resident_memory_bytes", "process_cpu_seconds_total"), frozenset[str]())
VALUES: Mapping[str, frozenset[str]] = {
    "component": frozenset({"netlb-controller", "netlb-speaker", "netlb-gateway"}),
    "severity": frozenset(Severity),
    "reason": frozenset(Silence),
    "protocol": frozenset({"layer2", "bgp"}),
}


METRICS = documented_metrics() | PROCESS


def test_the_documentation_has_the_labels_that_the_daemons_show(tmp_path: Path) -> None:
    common(tmp_path)
    write(tmp_path, "nodes.yaml", [node("node-1"), node("node-2")])
    write(tmp_path, "pool.yaml", [pool("all", "192.0.2.1-192.0.2.6"), advertisement(spec="{ipAddressPools: [all]}")])
    declare(tmp_path, "web")
    found: dict[str, frozenset[str]] = {}

    async def scenario() -> None:
        app = speaker(tmp_path, Net())
        async with wired(app) as daemon:
            await daemon.ready()
            found.update(shown_metrics(app.registry))
        with kubernetes(tmp_path) as cluster:
            cluster.server.put(*map(cluster_service, ("web", "web-2", "web-3")))  # of two addresses
            app = cluster.controller()
            async with wired(app) as daemon:
                await daemon.until(lambda: cluster.allocated("web-3")[0] == "False", "a Service is refused")
                found.update(shown_metrics(app.registry))

    asyncio.run(scenario())
    ours = {name: labels for name, labels in found.items() if name.startswith("netlb_")}
    assert {"netlb_speaker_announced", "netlb_allocator_refusals", "netlb_findings", "netlb_leader"} <= ours.keys()
    assert {name: METRICS.get(name) for name in ours} == ours
    assert PROCESS.keys() <= found.keys()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_can_fire_and_its_text_has_its_labels(rule: Mapping[str, str]) -> None:
    labels = result_labels(rule["expr"], METRICS, VALUES)
    texts = " ".join(rule["annotations"].values())  # type: ignore[attr-defined]
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels
    assert {"summary", "description"} == rule["annotations"].keys()  # type: ignore[attr-defined]
    assert rule["labels"]["severity"] in ("critical", "warning")  # type: ignore[index]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_can_show_something_and_its_legend_has_its_labels(panel: Mapping[str, list[Mapping[str, str]]]) -> None:
    for target in panel["targets"]:
        labels = result_labels(target["expr"].replace("$__rate_interval", "5m"), METRICS, VALUES)
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert 23 == max(x for x, _ in cells)
    assert len(PANELS) == len({panel["title"] for panel in PANELS}) == len({panel["id"] for panel in PANELS})


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("netlb_nothing > 0", "netlb_nothing: no such metric"),
        ('netlb_findings{pool="a"}', "netlb_findings: no label pool"),
        ('netlb_findings{severity="loud"}', "netlb_findings: severity is never loud"),
        ("sum by (pool) (netlb_findings)", "no label pool"),
        ("sum by (node) (rate(netlb_layer2_frames_total[5m]))", "no label node"),
        ("netlb_allocator_addresses / netlb_findings", "on one side only"),
        ("netlb_findings * on (pool) netlb_findings", "the left side: no label pool"),
        ("sum(", "unclosed left parenthesis"),
    ],
)
def test_a_query_for_what_is_not_there_is_found(query: str, problem: str) -> None:
    with pytest.raises(QueryError, match=re.escape(problem)):
        result_labels(query, METRICS, VALUES)
