"""The two worlds that an announcer is tried in, and a pair of namespaces for BFD."""

from collections.abc import Iterator

import pytest

from netlb.testing.lab import requirements
from tests.support.bfd_pair import Pair
from tests.support.needs import needs
from tests.unit.l2.rigs import FakeRig, Rig, veth_rig


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "fake":
        yield FakeRig()
    else:
        needs(requirements())
        with veth_rig() as rig:
            yield rig


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    try:
        pair.open()
        yield pair
    finally:
        pair.close()
