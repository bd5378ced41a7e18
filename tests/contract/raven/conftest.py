"""The worlds in which a backend is tried: in memory, and two namespaces with wireguard-go."""

from collections.abc import Iterator

import pytest

from netlb.testing.lab import requirements
from netlb.testing.tunnels import FakeDevice
from tests.support.needs import needs, needs_command
from tests.support.tunnels import Namespaces, World, memory, userspace


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    needs(requirements())
    namespaces = Namespaces()
    try:
        namespaces.open()
        yield namespaces
    finally:
        namespaces.close()


@pytest.fixture
def wireguard(namespaces: Namespaces) -> Iterator[World]:
    needs_command("wireguard-go", "wireguard-go")
    with userspace(namespaces) as world:
        yield world


@pytest.fixture(params=["memory", pytest.param("wireguard-go", marks=pytest.mark.root)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        with memory([FakeDevice(), FakeDevice()]) as world:
            yield world
    else:
        yield request.getfixturevalue("wireguard")
