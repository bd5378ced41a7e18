"""The NetBox client: what it asks for, what it may do, and how it settles what was cut short or done twice."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.errors import TransientError
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.source import AddressTakenError, Lessee, SourceRefusedError
from netlb.net import Family
from netlb.testing.http_double import Fault, Request, Response
from netlb.testing.netbox import ALL_GRANTED, NetBoxUser
from tests.unit.ipam.netbox_rig import EDGE, FOUR, NetBoxRig, claim

WEB, API, WEB6 = claim(), claim("api"), claim(family=Family.IPV6)
IP = ip_address
V2 = "nbt_4F9DAouzURLb.zjebxBPzICiPbWz0Wtx0fTL7bCKXKGTYhNzkgC2S"


@pytest.fixture
def rig(tmp_path: Path) -> NetBoxRig:
    return NetBoxRig(tmp_path)


def test_what_is_entered(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            assert IP("192.0.2.1") == await source.lease(WEB)
            assert IP("2001:db8::5") == await source.lease(WEB6, IP("2001:db8::5"))
        four, six = rig.netbox.entries.values()
        assert ("192.0.2.1/29", "netlb:edge:default:default/web:IPv4", "active") == (
            four.address,
            four.description,
            four.status,
        )
        assert ("2001:db8::5/120", "netlb:edge:default:default/web:IPv6", "active") == (
            six.address,
            six.description,
            six.status,
        )

    rig.run(scenario)


def test_the_token_is_read_for_every_request_and_sent_as_its_version_wants(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        rig.netbox.tokens[V2] = NetBoxUser(ALL_GRANTED)
        async with rig.source() as source:
            await source.lease(WEB)
            rig.file.write_text(V2)
            await source.lease(API)
        assert {f"Token {rig.token}", f"Bearer {V2}"} == {one.headers["authorization"] for one in rig.http.requests}

    rig.run(scenario)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two words", b"t\xc3\xb6ken", b"a\nb", b"x" * 5000])
def test_a_token_file_that_cannot_be_used_is_named_and_not_shown(rig: NetBoxRig, content: bytes | None) -> None:
    async def scenario() -> None:
        rig.file.unlink()
        if content is not None:
            rig.file.write_bytes(content)
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match=f"token file {rig.file}: ") as raised:
                await source.leases()
            assert not content or content.decode(errors="replace").strip() not in str(raised.value) or content == b" \n"
        assert [] == rig.http.requests

    rig.run(scenario)


@pytest.mark.parametrize("token", ["f" * 40, "nbt_abc.def", "nbt_abc"])
def test_a_token_that_netbox_does_not_know(rig: NetBoxRig, token: str) -> None:
    async def scenario() -> None:
        rig.file.write_text(token)
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match=rf"403: Invalid.*token in {rig.file}") as raised:
                await source.leases()
            assert token not in str(raised.value)
            assert token not in repr(vars(source))

    rig.run(scenario)


async def lease_and_release(source: NetBox) -> None:
    await source.lease(WEB)
    await source.release(WEB)


@pytest.mark.parametrize("missing", sorted(set(ALL_GRANTED) - {"view_vrf"}))
def test_every_permission_that_is_missing_is_told(rig: NetBoxRig, missing: str) -> None:
    async def scenario() -> None:
        grants = {name: text for name, text in ALL_GRANTED.items() if name != missing}
        rig.netbox.tokens[rig.token] = NetBoxUser(grants)
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match=r"external-pools|does not show"):
                await lease_and_release(source)
            rig.netbox.tokens[rig.token] = NetBoxUser(ALL_GRANTED)
            await lease_and_release(source)
        assert {} == rig.entries()

    rig.run(scenario)


def test_a_token_that_may_only_read_finds_and_does_not_reserve(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        rig.netbox.add_entry("192.0.2.3/29", EDGE.tag(API))
        rig.netbox.tokens[rig.token] = NetBoxUser(ALL_GRANTED, write_enabled=False)
        async with rig.source() as source:
            assert {API: IP("192.0.2.3")} == await source.leases()
            with pytest.raises(SourceRefusedError, match="may write"):
                await source.lease(WEB)

    rig.run(scenario)


def grants(**changes: str) -> NetBoxUser:
    return NetBoxUser({**ALL_GRANTED, **changes})


def test_the_documented_constraints_are_enough(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        own = dict.fromkeys(("add_ipaddress", "change_ipaddress", "delete_ipaddress"), "netlb:edge:")
        rig.netbox.tokens[rig.token] = grants(**own)
        rig.netbox.add_entry("192.0.2.1/29", "the printer")
        async with rig.source() as source:
            given = await source.lease(WEB)
            with pytest.raises(AddressTakenError, match="'the printer'"):
                await source.lease(API, IP("192.0.2.1"))
            assert {WEB: given} == await source.leases()
            await source.release(WEB)
        assert {"192.0.2.1": "the printer"} == rig.entries()

    rig.run(scenario)


@pytest.mark.parametrize("what", ["change", "delete"])
def test_an_entry_that_the_token_may_see_and_not_touch_is_no_entry_that_is_gone(rig: NetBoxRig, what: str) -> None:
    async def scenario() -> None:
        rig.netbox.tokens[rig.token] = grants(**{f"{what}_ipaddress": "netlb:edgy:"})
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match=f"may not be {what}d with this token"):
                await lease_and_release(source)
            assert {EDGE.tag(WEB)} == set(rig.entries().values())
            rig.netbox.tokens[rig.token] = grants()
            await source.release(WEB)
            assert {} == rig.entries()

    rig.run(scenario)


@pytest.mark.parametrize("wanted", [None, IP("192.0.2.4")])
def test_a_token_that_does_not_see_what_it_makes_leaves_nothing_behind(rig: NetBoxRig, wanted: None) -> None:
    async def scenario() -> None:
        rig.netbox.tokens[rig.token] = grants(view_ipaddress="somebody else's")
        async with rig.source() as source:
            with pytest.raises(SourceRefusedError, match="cannot be found by"):
                await source.lease(WEB, wanted)
        assert {} == rig.entries()

    rig.run(scenario)


# Where addresses come from


def test_a_prefix_that_is_not_there(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        rig.netbox.add_prefix("198.51.100.0/24", vrf=rig.netbox.add_vrf("blue"))
        async with rig.source(addresses=("198.51.100.0/24",)) as source:
            for wanted in (None, IP("198.51.100.1")):
                with pytest.raises(SourceRefusedError, match=r"no prefix 198\.51\.100\.0/24 in the global table"):
                    await source.lease(WEB, wanted)
        assert {} == rig.entries()

    rig.run(scenario)


def test_a_vrf_is_a_table_of_its_own(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        blue = rig.netbox.add_vrf("blue")
        rig.netbox.add_prefix(FOUR, vrf=blue)
        rig.netbox.add_entry("192.0.2.1/29", "somebody's in the global table")
        async with rig.source(vrf="blue") as source:
            assert IP("192.0.2.1") == await source.lease(WEB, IP("192.0.2.1"))
            assert IP("192.0.2.2") == await source.lease(API)
        async with rig.source() as source:
            assert IP("192.0.2.2") == await source.lease(claim("dns"))
        assert [None, blue, blue, None] == [entry.vrf for entry in rig.netbox.entries.values()]

    rig.run(scenario)


@pytest.mark.parametrize("copies", [0, 2])
def test_a_vrf_is_named_by_a_name_that_one_has(rig: NetBoxRig, copies: int) -> None:
    async def scenario() -> None:
        for _ in range(copies):
            rig.netbox.add_vrf("blue")
        async with rig.source(vrf="blue") as source:
            with pytest.raises(SourceRefusedError, match=f"{copies} VRFs have the name 'blue'"):
                await source.lease(WEB)

    rig.run(scenario)


def test_pages_are_followed_to_their_end_and_to_no_other_host(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        for number in range(1, 8):
            rig.netbox.add_entry(f"2001:db8::{number}/120", EDGE.tag(claim(f"web-{number}", Family.IPV6)))
            rig.netbox.add_entry(f"192.0.2.{number}/29", "NETLB:EDGE:DEFAULT:default/web:IPv4")
        async with rig.http.serving() as other, rig.source(page_size=3) as source:
            rig.netbox.elsewhere = other
            assert {f"web-{number}" for number in range(1, 8)} == {one.service.name for one in await source.leases()}
        assert {rig.url.removeprefix("http://")} == {request.headers["host"] for request in rig.http.requests}
        assert 5 == len(rig.http.requests)

    rig.run(scenario)


def test_an_entry_that_comes_or_goes_between_pages_hides_no_other(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        for number in (2, 3, 4, 5):
            rig.netbox.add_entry(f"192.0.2.{number}/29", EDGE.tag(claim(f"web-{number}")))
        first = next(iter(rig.netbox.entries))

        def meddle(request: Request) -> None:
            if request.values("id__gt") != ["0"]:
                rig.netbox.entries.pop(first, None)

        rig.netbox.before = meddle
        async with rig.source(page_size=2) as source:
            assert {f"web-{number}" for number in (2, 3, 4, 5)} == {one.service.name for one in await source.leases()}

    rig.run(scenario)


def test_filters_that_netbox_ignores_are_applied_all_the_same(rig: NetBoxRig) -> None:
    netbox, heeded = rig.http.answer, ("id__gt", "limit", "ordering")

    def answer(request: Request) -> Response:
        return netbox(replace(request, query=tuple(pair for pair in request.query if pair[0] in heeded)))

    async def scenario() -> None:
        rig.http.answer = answer
        blue = rig.netbox.add_vrf("blue")
        rig.netbox.add_vrf("green")
        rig.netbox.add_prefix("192.0.2.0/24")
        rig.netbox.add_prefix(FOUR, vrf=blue)
        before = dict(rig.netbox.entries)
        wide = rig.source(addresses=("192.0.2.0/24",))
        async with wide as ours, rig.source(vrf="blue") as in_blue, rig.source(Lessee("a", "b")) as others:
            await others.lease(WEB)
            given = await ours.lease(WEB), await ours.lease(API, IP("192.0.2.5")), await in_blue.lease(claim("dns"))
            assert tuple(map(IP, ("192.0.2.2", "192.0.2.5", "192.0.2.1"))) == given
            assert ["29", "24", "24", "29"] == [one.address.partition("/")[2] for one in rig.netbox.entries.values()]
            await ours.release(WEB)
            assert {API, claim("dns")} == set(await ours.leases())
            for one in (WEB, API, claim("dns")):
                await ours.release(one)
            await others.release(WEB)
        assert before == rig.netbox.entries

    rig.run(scenario)


# Somebody else is faster


def test_an_address_that_is_taken_is_not_even_tried(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        rig.netbox.add_entry("192.0.2.4/24")
        async with rig.source() as source:
            with pytest.raises(AddressTakenError, match="without a description"):
                await source.lease(WEB, IP("192.0.2.4"))
        assert [] == rig.asked("POST")

    rig.run(scenario)


@pytest.mark.parametrize("unique", [False, True])
def test_of_two_that_want_an_address_at_the_same_time_the_older_has_it(rig: NetBoxRig, unique: bool) -> None:
    rig.netbox.unique = unique

    def meddle(request: Request) -> None:
        if request.method == "POST":
            rig.netbox.add_entry("192.0.2.4/24", "the printer")

    async def scenario() -> None:
        rig.netbox.before = meddle
        async with rig.source() as source:
            with pytest.raises(AddressTakenError, match="the printer"):
                await source.lease(WEB, IP("192.0.2.4"))
            assert {"192.0.2.4": "the printer"} == rig.entries()
            assert {} == await source.leases()

    rig.run(scenario)


def test_an_address_that_was_given_twice_is_given_back_and_another_one_asked_for(rig: NetBoxRig) -> None:
    times = 2  # how often somebody is faster

    def meddle(request: Request) -> None:
        nonlocal times
        # Older than ours, and not seen by what gave ours: entered by hand, which NetBox does not put in line.
        fresh = [entry for entry in rig.netbox.entries.values() if entry.status == "reserved"]
        if times and fresh and request.values("address"):
            times -= 1
            older = fresh[0].id - 100
            rig.netbox.entries[older] = replace(fresh[0], id=older, description="by hand", status="active")

    async def scenario() -> None:
        rig.netbox.before = meddle
        async with rig.source() as source:
            assert IP("192.0.2.3") == await source.lease(WEB)
            assert {"192.0.2.1": "by hand", "192.0.2.2": "by hand", "192.0.2.3": EDGE.tag(WEB)} == rig.entries()
            await source.release(WEB)
            nonlocal times
            times = 9
            with pytest.raises(TransientError, match="somebody else"):
                await source.lease(WEB)
            assert ["by hand"] * 5 == list(rig.entries().values())

    rig.run(scenario)


def test_an_address_that_we_hold_stays_ours_when_somebody_enters_it_again(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            given = await source.lease(WEB)
            rig.netbox.entries[1] = replace(next(iter(rig.netbox.entries.values())), id=1, description="moved here")
            assert {WEB: given} == await source.leases()
            assert given == await source.lease(WEB)
        assert 2 == len(rig.netbox.entries)

    rig.run(scenario)


# Cut short


def test_of_two_addresses_for_one_claim_the_oldest_counts_and_the_other_is_given_back(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        for host in ("192.0.2.5", "192.0.2.3", "192.0.2.6"):
            rig.netbox.add_entry(f"{host}/29", EDGE.tag(WEB), status="reserved")
        async with rig.source() as source:
            assert {WEB: IP("192.0.2.5")} == await source.leases()
            assert {"192.0.2.5": EDGE.tag(WEB)} == rig.entries()
            rig.netbox.entries[1] = replace(
                next(iter(rig.netbox.entries.values())), id=1, address="192.0.2.1/29", status="reserved"
            )
            assert IP("192.0.2.5") == await source.lease(WEB)
            assert {"192.0.2.5": EDGE.tag(WEB)} == rig.entries()

    rig.run(scenario)


def test_a_post_that_lands_after_it_was_repeated(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            rig.http.fail_next(Fault.LATE, "POST")
            with pytest.raises(TransientError):
                await source.lease(WEB)
            given = await source.lease(WEB)
            rig.http.finish_late()
            assert 2 == len(rig.netbox.entries)
            assert given == await source.lease(WEB)
            assert {str(given): EDGE.tag(WEB)} == rig.entries()

    rig.run(scenario)


def test_a_claim_that_comes_back_does_not_get_what_is_about_to_be_deleted(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            given = await source.lease(WEB)
            rig.http.fail_next(Fault.LATE, "DELETE")
            with pytest.raises(TransientError):
                await source.release(WEB)
            assert given == await source.lease(WEB, given)
            rig.http.finish_late()
            assert {WEB: given} == await source.leases()
            assert {str(given): EDGE.tag(WEB)} == rig.entries()

    rig.run(scenario)


def test_what_cannot_be_given_back_is_told_to_its_claim_and_hides_no_other(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            given = await source.lease(API)
            held = [rig.netbox.add_entry(f"192.0.2.{number}/29", EDGE.tag(WEB)) for number in (5, 6)]
            rig.netbox.protected = {entry.id for entry in held}
            assert {API: given, WEB: IP("192.0.2.5")} == await source.leases()
            with pytest.raises(SourceRefusedError, match=r"192\.0\.2\.5/29 cannot be released: Unable to delete"):
                await source.release(WEB)
            with pytest.raises(SourceRefusedError, match="take off in NetBox"):
                await source.lease(WEB)
            rig.netbox.protected = set()
            await source.release(WEB)
        assert {str(given): EDGE.tag(API)} == rig.entries()

    rig.run(scenario)


@pytest.mark.parametrize(
    ("address", "description"),
    [
        ("192.0.2.3/29", f"{EDGE.tag(WEB)} "),
        ("192.0.2.3/29", f"{EDGE.tag(WEB)} (moved by Jo)"),
        ("192.0.2.3/29", EDGE.tag(WEB).upper()),
        ("192.0.2.3/29", EDGE.tag(WEB6)),
        ("192.0.2.3/29", "netlb:edge:default:"),
        ("::ffff:192.0.2.3/120", EDGE.tag(WEB6)),
    ],
)
def test_what_somebody_has_changed_is_no_longer_ours(rig: NetBoxRig, address: str, description: str) -> None:
    async def scenario() -> None:
        entry = rig.netbox.add_entry(address, description)
        async with rig.source() as source:
            assert {} == await source.leases()
            for one in (WEB, WEB6):
                await source.lease(one)
                await source.release(one)
        assert {entry.id: entry} == rig.netbox.entries

    rig.run(scenario)


def test_another_pool_may_be_served_by_the_same_prefix(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as one, rig.source(Lessee("edge", "internal")) as other:
            assert {IP("192.0.2.1"), IP("192.0.2.2")} == {await one.lease(WEB), await other.lease(WEB)}

    rig.run(scenario)


def test_requests_under_way_at_the_same_time_are_few(rig: NetBoxRig) -> None:
    async def scenario() -> None:
        async with rig.source() as source:
            arrived = asyncio.Semaphore(0)
            rig.netbox.before = lambda _: arrived.release()
            for _ in range(20):
                rig.http.fail_next(Fault.HANG_DONE)
            calls = [asyncio.create_task(source.lease(claim(f"web-{number}"))) for number in range(20)]
            for _ in range(4):
                await arrived.acquire()
            for _ in range(200):  # turns of the loop in which a fifth would arrive
                await asyncio.sleep(0)
            assert 4 == len(rig.http.requests)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    rig.run(scenario)
