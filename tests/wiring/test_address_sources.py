"""The controller and the sources of pools: reserved before it is given, given back after."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.api.v1alpha1 import AddressPool
from netlb.errors import TransientError
from netlb.ipam.source import AddressSource, Lessee
from netlb.net import parse_address
from netlb.runtime.app import App
from netlb.testing.address_source import FakeAddressBook, FakeAddressSource
from netlb_controller.wiring import ControllerSettings, build
from tests.manifests import advertisement, pool, service
from tests.support.status import StatusReader
from tests.support.wired import common, wired, write

NETBOX = "{netbox: {url: 'https://netbox.example.com', tokenFile: /etc/netlb/token}}"
TAG = "netlb:edge:kept:default/{}:IPv4"


class World:
    """A controller, its directory, and the book that a source keeps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.book = FakeAddressBook()
        self.status = StatusReader(root / "cluster.status")
        self.sources: list[FakeAddressSource] = []

    def controller(self) -> App:
        settings = ControllerSettings(
            common=common(self.root), status_dir=self.root / "cluster.status", installation="edge"
        )
        return build(settings, self.make)

    def make(self, pool: AddressPool, installation: str) -> AddressSource:
        source = FakeAddressSource(self.book, Lessee(installation, pool.metadata.name), pool.spec.addresses)
        self.sources.append(source)
        return source

    def entries(self) -> dict[str, str]:
        return {str(address): tag for address, tag in self.book.entries.items()}

    def text(self, name: str) -> str:
        path = self.status.root / f"services/default.{name}.yaml"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    common(tmp_path)
    write(tmp_path, "pool.yaml", [pool("kept", "192.0.2.0/30", source=NETBOX), advertisement()])
    write(tmp_path, "web.yaml", [service("web")])
    world = World(tmp_path)
    yield world
    assert all(source.closed for source in world.sources)


def test_an_address_is_reserved_before_it_is_given_and_given_back_after(world: World) -> None:
    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: world.status.address("web"), "it has an address")
            assert TAG.format("web") == world.entries()[str(world.status.address("web"))]
            (world.root / "cluster" / "web.yaml").unlink()
            await daemon.until(lambda: not world.entries(), "it is given back")
            assert {} == world.status.held()

    asyncio.run(scenario())


def test_an_address_that_is_asked_for_is_reserved_if_nobody_has_it(world: World) -> None:
    world.book.entries[parse_address("192.0.2.2")] = "a printer"
    asking = [service("web", loadBalancerIP="192.0.2.3"), service("late", loadBalancerIP="192.0.2.2")]
    write(world.root, "web.yaml", asking)

    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: world.status.address("web"), "it has an address")
            await daemon.until(lambda: "reason: SourceExhausted" in world.text("late"), "the other one is refused")
            assert {"192.0.2.2": "a printer", "192.0.2.3": TAG.format("web")} == world.entries()
            del world.book.entries[parse_address("192.0.2.2")]
            await daemon.until(lambda: world.status.address("late"), "it has what became free")

    asyncio.run(scenario())


def test_a_source_that_is_down_frees_and_moves_nothing(world: World) -> None:
    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: world.status.address("web"), "it has an address")
        before = world.status.held()
        world.book.error = TransientError("NetBox does not answer")
        async with wired(world.controller()) as daemon:
            write(world.root, "more.yaml", [service("more")])
            await daemon.until(lambda: "reason: AwaitingSource" in world.text("more"), "who is new waits")
            await daemon.until(
                lambda: "NetBox does not answer" in str(world.status.findings("controller.yaml")), "it is said"
            )
            assert before == world.status.held()
            world.book.error = None
            await daemon.until(lambda: world.status.address("more"), "it is served")
            await daemon.until(lambda: not world.status.findings("controller.yaml"), "all is well")
            assert before["web"] == world.status.held()["web"]
            assert 2 == len(world.entries())

    asyncio.run(scenario())


def test_a_reservation_that_an_earlier_controller_left_is_given_back(world: World) -> None:
    world.book.entries[parse_address("192.0.2.2")] = TAG.format("gone")

    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: [TAG.format("web")] == list(world.entries().values()), "only this is left")

    asyncio.run(scenario())


def test_who_finds_a_source_exhausted_tries_the_next_pool(world: World) -> None:
    write(world.root, "second.yaml", [pool("next", "198.51.100.1")])
    for last in range(4):
        world.book.entries[parse_address(f"192.0.2.{last}")] = "somebody"

    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: world.status.address("web") == "198.51.100.1", "it has one of the next pool")

    asyncio.run(scenario())


def test_a_pool_that_goes_gives_back_what_it_had(world: World) -> None:
    async def scenario() -> None:
        async with wired(world.controller()) as daemon:
            await daemon.until(lambda: world.status.address("web"), "it has an address")
            write(world.root, "pool.yaml", [advertisement()])
            await daemon.until(lambda: not world.entries(), "it is given back")
            await daemon.until(lambda: not world.status.held(), "nobody has it")

    asyncio.run(scenario())
