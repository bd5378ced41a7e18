"""The worlds in which a backend is tried: in memory, and two namespaces with wireguard-go or with strongSwan."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.testing.lab import requirements
from netlb.testing.tunnels import FakeDevice
from tests.support import strongswan
from tests.support.needs import needs, needs_command
from tests.support.strongswan import Charon
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


@pytest.fixture
def ipsec(namespaces: Namespaces, tmp_path: Path) -> Iterator[tuple[World, list[Charon]]]:
    needs_command("charon-systemd", "charon-systemd")
    needs(strongswan.missing())
    with strongswan.strongswan(namespaces, tmp_path) as made:
        yield made


@pytest.fixture(
    params=[
        "memory",
        pytest.param("wireguard-go", marks=pytest.mark.root),
        pytest.param("strongswan", marks=pytest.mark.root),
    ]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every backend."""
    if request.param == "memory":
        with memory([FakeDevice(), FakeDevice()]) as world:
            yield world
    elif request.param == "wireguard-go":
        yield request.getfixturevalue("wireguard")
    else:
        yield request.getfixturevalue("ipsec")[0]


@pytest.fixture(params=["memory", pytest.param("wireguard-go", marks=pytest.mark.root)])
def device(request: pytest.FixtureRequest) -> Iterator[World]:
    """Backends whose device says all of it itself, and is ours to make."""
    if request.param == "memory":
        with memory([FakeDevice(), FakeDevice()]) as world:
            yield world
    else:
        yield request.getfixturevalue("wireguard")
