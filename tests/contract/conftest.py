"""The worlds that an announcer is tried in, and a pair of namespaces for BFD."""

from collections.abc import Iterator

import pytest

from netlb.l2.announces import FastPath
from netlb.testing.lab import requirements
from tests.support.bfd_pair import Pair
from tests.support.bpf import fastpath_requirements
from tests.support.needs import needs
from tests.unit.l2.rigs import FakeRig, Rig, veth_rig


@pytest.fixture(params=["fake", *(pytest.param(name, marks=pytest.mark.root) for name in ("real", "fastpath"))])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "fake":
        yield FakeRig()
        return
    needs(requirements())
    if request.param == "fastpath":
        needs(fastpath_requirements())
    with veth_rig(FastPath.REQUIRE if request.param == "fastpath" else FastPath.OFF) as rig:
        yield rig


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    try:
        pair.open()
        yield pair
    finally:
        pair.close()
