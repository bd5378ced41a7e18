"""Scenarios as text: manifests and holdings above, the plans of the cluster and of its nodes below."""

import re
from pathlib import Path

import pytest
import yaml

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.plan import plan_cluster, plan_node, render_cluster, render_node
from netlb.plan.bgp import plan_bgp
from tests.manifests import held

SCENARIOS = sorted(Path(__file__).parent.glob("*.scenario"))
_HEADING = re.compile(r"^=== (.+) ===$", re.MULTILINE)


def read(text: str) -> dict[str, str]:
    """Split a scenario into its parts by their headings."""
    pieces = _HEADING.split(text)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def run(parts: dict[str, str]) -> dict[str, str]:
    """Return what the expected parts should say."""
    intake = Intake()
    intake.declare("manifests.yaml", parse_documents(parts["manifests"], "manifests.yaml"))
    before = held(yaml.safe_load(parts.get("holdings", "{}")) or {})
    snapshot = intake.snapshot(before)
    cluster = plan_cluster(snapshot)
    after = intake.snapshot(cluster.holdings)
    plans = {"cluster": "\n" + render_cluster(cluster)}
    return plans | {
        f"node {name}": "\n" + render_node(plan_node(after, name), plan_bgp(after, name))
        for name in sorted(snapshot.nodes)
    }


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    parts = read(text)
    got = run(parts)
    assert not [name for name, body in got.items() if "correct-horse" in body], "a password is in a plan"
    if request.config.getoption("--update-golden"):
        given = {name: parts[name] for name in ("manifests", "holdings") if name in parts}
        preface = _HEADING.split(text)[0]
        path.write_text(preface + "".join(f"=== {name} ==={body.rstrip()}\n\n" for name, body in (given | got).items()))
        return
    expected = {name: body.strip() for name, body in parts.items() if name not in {"manifests", "holdings"}}
    assert expected == {name: body.strip() for name, body in got.items()}


def test_there_are_scenarios() -> None:
    assert SCENARIOS
