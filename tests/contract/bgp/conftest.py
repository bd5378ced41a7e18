"""The worlds in which the contract of gobgpd is tried."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.bgp.dialect import V3, V4
from netlb.testing.lab import requirements
from tests.support.bgp import (
    FakeRig,
    Rig,
    real_rig,
    without_gobgpd,
)
from tests.support.needs import needs


@pytest.fixture(params=["v3", "v4", pytest.param("real", marks=pytest.mark.root)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param != "real":
        yield FakeRig(tmp_path, *((V3, 3) if request.param == "v3" else (V4, 4)))
    else:
        needs([*requirements(), *without_gobgpd()])
        with real_rig(tmp_path) as rig:
            yield rig
