"""Whose word counts, by what nodes tell each other of their sites."""

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import pytest
import structlog

from netlb.net import Address
from netlb.raven.hello import Claim, Hello
from netlb.raven.watch import Watched, Watches
from netlb_gateway.hellos import Hellos
from tests.support.virtual_time import run

OWN, ONE, OTHER = (ip_address(f"10.255.0.{number}") for number in (1, 2, 3))
ADDRESSES = {"e1": ONE, "e2": OTHER}
WATCHES = Watches({}, {name: Watched(OWN, address, 300_000, tunnel=True) for name, address in ADDRESSES.items()})
BEFORE = Claim(active=("e1",), hears=2, reaches=1)
"""What both say while all is well."""
LEFT = Claim(active=("e2",), dead=("e1",), hears=1, reaches=1)
"""What e2 says when e1 is gone, and a third node of their site is there."""


class Ear:
    """Hears what the test says, and says nothing."""

    def __init__(self, address: Address, port: int, heard: Callable[[Address, Hello, int], None]) -> None:
        self.hear = heard

    async def open(self) -> None:
        pass

    def send(self, to: Address, hello: Hello, size: int = 0) -> None:
        pass

    def close(self) -> None:
        pass


def believed(said: Iterable[tuple[str, Claim]]) -> dict[str, Claim]:
    """Return whose claims count, for an endpoint of another site, after all of this was said."""
    ears: list[Ear] = []

    def ear(address: Address, port: int, heard: Callable[[Address, Hello, int], None]) -> Ear:
        ears.append(Ear(address, port, heard))
        return ears[-1]

    async def main() -> dict[str, Claim]:
        hellos = Hellos(structlog.get_logger(), "c1", 4477, lambda: None, sockets=ear)
        hellos.talk("cloud", WATCHES, None, 1420, tells=True)
        for node, claim in said:
            await asyncio.sleep(0.01)
            ears[0].hear(ADDRESSES[node], Hello.of(node, "edge", claim), 0)
        return dict(hellos.claims)

    return run(main())


def test_what_a_dead_one_claimed_does_not_count_once_somebody_says_that_it_is_dead() -> None:
    assert {"e2": LEFT} == believed([("e1", BEFORE), ("e2", BEFORE), ("e2", LEFT)])


def test_who_was_cut_off_itself_is_not_believed_that_all_others_are_dead() -> None:
    alone = Claim(active=("e1",), dead=("e2",))
    assert {"e1": alone, "e2": BEFORE} == believed([("e2", BEFORE), ("e1", alone)])


@pytest.mark.parametrize("hears", [0, 1])
def test_who_is_back_after_a_moment_is_not_believed_that_who_outlived_it_is_dead(hears: int) -> None:
    """Its tunnels were not missed in so short a time."""
    back = Claim(active=("e1",), dead=("e2",), hears=hears, reaches=1)
    assert {"e1": back, "e2": LEFT} == believed([("e1", BEFORE), ("e2", BEFORE), ("e2", LEFT), ("e1", back)])


def test_whom_one_has_outlived_that_hears_more_does_not_count() -> None:
    more = Claim(active=("e1",), dead=("e2",), hears=2, reaches=1)
    assert {"e1": more} == believed([("e1", BEFORE), ("e2", BEFORE), ("e2", LEFT), ("e1", more)])
