"""`netlb import raven` of a whole installation: what it prints, and that it means the same."""

from pathlib import Path

import pytest

from netlb.api.intake import Intake
from netlb.plan.explain_site import review_sites
from netlb.plan.raven import plan_raven, render_mesh
from tests.support.migration import MIGRATE, declare_converted, declare_texts, import_texts
from tests.support.sites import seen

GOLDEN = Path(__file__).parent / "import" / "raven.yaml"


def texts() -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted((MIGRATE / "raven").glob("*.yaml"))}


def test_what_is_printed(request: pytest.FixtureRequest) -> None:
    translation = import_texts("raven", texts())
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(translation.text)
        return
    assert () == translation.errors
    assert GOLDEN.read_text() == translation.text


def test_what_is_printed_is_in_order_and_means_the_same() -> None:
    foreign = declare_texts(Intake(), texts()).snapshot({})
    native = declare_converted("raven", texts()).snapshot({})
    assert () == (*native.findings, *review_sites(native))
    keys = {"hz-1": None}  # so that what Raven's agent wrote counts
    meshes = [render_mesh(plan_raven(each, seen(each, {"keys": keys}))) for each in (foreign, native)]
    assert meshes[0] == meshes[1]
    assert "gw-beijing - gw-hangzhou:\n  - relay by cloud-1" in meshes[0]
