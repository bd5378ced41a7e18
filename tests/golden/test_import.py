"""`netlb import` of whole installations: what it prints, and that it means the same."""

from pathlib import Path

import pytest

from netlb.api.intake import Intake
from netlb.findings import Severity
from netlb.plan import plan_cluster
from tests.support.migration import INSTALLATIONS, Installation, declare_converted, declare_texts, import_texts, outcome

each_installation = pytest.mark.parametrize("installation", INSTALLATIONS, ids=lambda each: each.name)


@each_installation
def test_what_is_printed(installation: Installation, request: pytest.FixtureRequest) -> None:
    golden = Path(__file__).parent / "import" / f"{installation.name}.yaml"
    translation = import_texts(installation.system, installation.texts())
    if request.config.getoption("--update-golden"):
        golden.write_text(translation.text)
        return
    assert () == translation.errors
    assert golden.read_text() == translation.text


@each_installation
def test_what_is_printed_is_in_order_and_means_the_same(installation: Installation) -> None:
    texts = installation.texts()
    native = declare_converted(installation.system, texts)
    findings = plan_cluster(native.snapshot({})).findings
    assert [] == [finding for finding in findings if finding.severity is Severity.ERROR]
    assert outcome(declare_texts(Intake(), texts)) == outcome(native)
