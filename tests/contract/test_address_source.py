"""What every address source promises, tried on the fake and on the NetBox client with a NetBox in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, Protocol

import pytest

from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.adapter.settings import NetBoxSettings, TokenFile
from netlb.ipam.source import (
    AddressNotServedError,
    AddressSource,
    AddressTakenError,
    Claim,
    Lessee,
    NoAddressLeftError,
)
from netlb.net import Family
from netlb.testing.address_source import FakeAddressBook, FakeAddressSource
from netlb.testing.http_double import Fault
from netlb.testing.netbox import NetBoxDouble

FOUR, SIX = "192.0.2.0/31", "2001:db8::/127"
MORE = "198.51.100.0/31"
EDGE = Lessee("edge", "default")
IP = ip_address


def claim(name: str = "web", family: Family = Family.IPV4, namespace: str = "default") -> Claim:
    return Claim(ObjectRef("Service", namespace, name), family)


WEB, API, DNS, WEB6 = claim(), claim("api"), claim("dns"), claim(family=Family.IPV6)


class Rig(Protocol):
    """One system that keeps addresses, used by several lessees and by others."""

    def serving(self) -> Any:
        """Serve as long as the context lasts."""

    def source(self, lessee: Lessee = EDGE, *prefixes: str) -> AddressSource: ...

    def entries(self) -> dict[str, str]:
        """Return every address that is entered, and the text of its entry."""

    def enter(self, address: str, text: str) -> None: ...

    def lose_answer(self) -> None:
        """Let the next change be made, and its answer be lost."""

    def out_of_reach(self) -> None:
        """Let the next request fail."""


class FakeRig:
    def __init__(self) -> None:
        self.book = FakeAddressBook()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        yield

    def source(self, lessee: Lessee = EDGE, *prefixes: str) -> AddressSource:
        return FakeAddressSource(self.book, lessee, prefixes or (FOUR, SIX))

    def entries(self) -> dict[str, str]:
        return {str(address): text for address, text in self.book.entries.items()}

    def enter(self, address: str, text: str) -> None:
        self.book.entries[IP(address)] = text

    def lose_answer(self) -> None:
        self.book.lose_answers += 1

    def out_of_reach(self) -> None:
        self.book.error = TransientError("out of reach")


class NetBoxRig:
    def __init__(self, tmp_path: Path, *, unique: bool) -> None:
        self.netbox = NetBoxDouble(unique=unique)
        self.token = tmp_path / "token"
        self.token.write_text(next(iter(self.netbox.tokens)))
        self.url = ""
        self.made: list[AddressSource] = []
        for prefix in (FOUR, SIX, MORE):
            self.netbox.add_prefix(prefix)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with self.netbox.http.serving() as self.url:
            yield
            for source in self.made:
                await source.close()

    def source(self, lessee: Lessee = EDGE, *prefixes: str) -> AddressSource:
        settings = NetBoxSettings(
            url=self.url, token=TokenFile(self.token), addresses=prefixes or (FOUR, SIX), timeout=30.0, page_size=2
        )
        self.made.append(NetBox(settings, lessee))
        return self.made[-1]

    def entries(self) -> dict[str, str]:
        rows = self.netbox.entries.values()
        assert len({row.host for row in rows}) == len(rows), rows
        return {row.host: row.description for row in rows}

    def enter(self, address: str, text: str) -> None:
        self.netbox.add_entry(str(ip_interface(address)), text)

    def lose_answer(self) -> None:
        # The settling that follows a change is a request of its own; the change is what the contract is about.
        for method in ("POST", "DELETE"):
            self.netbox.http.fail_next(Fault.RESET_DONE, method)

    def out_of_reach(self) -> None:
        self.netbox.http.fail_next(Fault.RESET)


@pytest.fixture(params=["fake", "netbox", "netbox that lets no address be entered twice"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return FakeRig() if request.param == "fake" else NetBoxRig(tmp_path, unique=request.param != "netbox")


def run(rig: Rig, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def served() -> None:
        async with rig.serving():
            await scenario()

    asyncio.run(served())


@pytest.mark.parametrize(("wanted_by", "prefix"), [(WEB, FOUR), (WEB6, SIX)])
def test_an_address_is_reserved_once_and_found_again(rig: Rig, wanted_by: Claim, prefix: str) -> None:
    async def scenario() -> None:
        source = rig.source()
        assert {} == await source.leases()
        address = await source.lease(wanted_by)
        assert str(address) in {prefix.partition("/")[0], str(IP(prefix.partition("/")[0]) + 1)}
        assert address == await source.lease(wanted_by)
        assert {wanted_by: address} == await source.leases()
        assert {str(address): EDGE.tag(wanted_by)} == rig.entries()

    run(rig, scenario)


def test_a_wanted_address_is_the_one_that_is_reserved(rig: Rig) -> None:
    async def scenario() -> None:
        source = rig.source()
        assert IP("192.0.2.1") == await source.lease(WEB, IP("192.0.2.1"))
        assert IP("2001:db8::1") == await source.lease(WEB6, IP("2001:db8::1"))
        assert {WEB: IP("192.0.2.1"), WEB6: IP("2001:db8::1")} == await source.leases()

    run(rig, scenario)


def test_who_has_an_address_keeps_it_even_when_asking_for_another(rig: Rig) -> None:
    async def scenario() -> None:
        source = rig.source()
        await source.lease(WEB, IP("192.0.2.0"))
        assert IP("192.0.2.0") == await source.lease(WEB, IP("192.0.2.1"))
        assert ["192.0.2.0"] == list(rig.entries())
        await source.release(WEB)
        assert IP("192.0.2.1") == await source.lease(WEB, IP("192.0.2.1"))

    run(rig, scenario)


@pytest.mark.parametrize("text", ["", "the printer", "netlb:other:default:default/web:IPv4", EDGE.tag(API)])
def test_an_address_that_somebody_has_is_not_given(rig: Rig, text: str) -> None:
    async def scenario() -> None:
        rig.enter("192.0.2.1", text)
        source = rig.source()
        with pytest.raises(AddressTakenError, match=r"192\.0\.2\.1"):
            await source.lease(WEB, IP("192.0.2.1"))
        assert {"192.0.2.1": text} == rig.entries()
        assert IP("192.0.2.0") == await source.lease(WEB)
        with pytest.raises(NoAddressLeftError):
            await source.lease(DNS)

    run(rig, scenario)


def test_release_gives_back_what_the_claim_has_and_nothing_else(rig: Rig) -> None:
    async def scenario() -> None:
        rig.enter("198.51.100.7", "the printer")
        source = rig.source()
        await source.lease(WEB)
        await source.lease(WEB6)
        await source.release(WEB)
        await source.release(WEB)
        await source.release(DNS)
        assert {"198.51.100.7", str((await source.leases())[WEB6])} == set(rig.entries())
        assert {WEB6} == set(await source.leases())

    run(rig, scenario)


def test_prefixes_are_used_up_in_their_order_and_a_released_address_is_given_again(rig: Rig) -> None:
    async def scenario() -> None:
        source = rig.source(EDGE, FOUR, MORE)
        names = ["a", "b", "c", "d"]
        given = [await source.lease(claim(name)) for name in names]
        assert ["192.0.2", "192.0.2", "198.51.100", "198.51.100"] == [str(one).rpartition(".")[0] for one in given]
        with pytest.raises(NoAddressLeftError):
            await source.lease(WEB)
        await source.release(claim("b"))
        assert given[1] == await source.lease(WEB)
        assert 4 == len(await source.leases())

    run(rig, scenario)


@pytest.mark.parametrize(
    ("wanted_by", "wanted"), [(WEB, "203.0.113.1"), (WEB, "2001:db8::1"), (WEB6, "192.0.2.1"), (WEB6, None)]
)
def test_what_no_prefix_serves_is_refused(rig: Rig, wanted_by: Claim, wanted: str | None) -> None:
    async def scenario() -> None:
        source = rig.source(EDGE, FOUR)
        with pytest.raises(AddressNotServedError):
            await source.lease(wanted_by, IP(wanted) if wanted else None)
        assert {} == rig.entries()

    run(rig, scenario)


@pytest.mark.parametrize(
    "other", [Lessee("edge", "default.b"), Lessee("edge-2", "default"), Lessee("default", "edge"), Lessee("e", "dge")]
)
def test_lessees_do_not_see_or_touch_each_others_addresses(rig: Rig, other: Lessee) -> None:
    async def scenario() -> None:
        ours, theirs = rig.source(), rig.source(other)
        mine, yours = await ours.lease(WEB), await theirs.lease(WEB)
        assert mine != yours
        assert {WEB: mine} == await ours.leases()
        assert {WEB: yours} == await theirs.leases()
        await ours.release(WEB)
        assert {WEB: yours} == await theirs.leases()
        with pytest.raises(AddressTakenError):
            await ours.lease(WEB, yours)

    run(rig, scenario)


def test_a_restart_forgets_nothing(rig: Rig) -> None:
    async def scenario() -> None:
        before = rig.source()
        address, other = await before.lease(WEB), await before.lease(API)
        await before.close()
        after = rig.source()
        assert {WEB: address, API: other} == await after.leases()
        assert address == await after.lease(WEB)
        await after.release(API)
        assert {WEB: address} == await after.leases()

    run(rig, scenario)


@pytest.mark.parametrize("wanted", [None, IP("192.0.2.1")])
def test_a_lease_whose_answer_was_lost_is_found_by_the_next_call(rig: Rig, wanted: Any) -> None:
    async def scenario() -> None:
        source = rig.source()
        rig.lose_answer()
        with pytest.raises(TransientError):
            await source.lease(WEB, wanted)
        assert [EDGE.tag(WEB)] == list(rig.entries().values())
        found = (await rig.source().leases())[WEB]
        assert found == await source.lease(WEB, wanted)
        assert [str(found)] == list(rig.entries())

    run(rig, scenario)


def test_a_release_whose_answer_was_lost_can_be_repeated(rig: Rig) -> None:
    async def scenario() -> None:
        source = rig.source()
        await source.lease(WEB)
        rig.lose_answer()
        with pytest.raises(TransientError):
            await source.release(WEB)
        await source.release(WEB)
        assert {} == rig.entries()
        assert {} == await source.leases()

    run(rig, scenario)


@pytest.mark.parametrize("call", ["leases", "lease", "release"])
def test_out_of_reach_is_an_error_that_passes_and_changes_nothing(rig: Rig, call: str) -> None:
    async def scenario() -> None:
        source = rig.source()
        await source.lease(WEB)
        before = rig.entries()
        rig.out_of_reach()
        with pytest.raises(TransientError):
            await (source.leases() if call == "leases" else getattr(source, call)(WEB))
        assert before == rig.entries()

    run(rig, scenario)


def test_calls_at_the_same_time(rig: Rig) -> None:
    async def scenario() -> None:
        source = rig.source(EDGE, "192.0.2.0/31", MORE)
        same = await asyncio.gather(*(source.lease(WEB) for _ in range(5)))
        assert 1 == len(set(same))
        others = await asyncio.gather(*(source.lease(claim(name)) for name in ("a", "b", "c")))
        assert 4 == len({*same, *others}) == len(rig.entries())
        await asyncio.gather(*(source.release(one) for one in await source.leases()), source.leases())
        assert {} == rig.entries()

    run(rig, scenario)


@pytest.mark.parametrize("service", [ObjectRef("Node", "", "n1"), ObjectRef("Service", "de:fault", "web")])
def test_only_a_service_can_have_an_address(rig: Rig, service: ObjectRef) -> None:
    async def scenario() -> None:
        for call in (rig.source().lease, rig.source().release):
            with pytest.raises(ValueError, match="is not a Service"):
                await call(Claim(service, Family.IPV4))
        assert {} == rig.entries()

    run(rig, scenario)
