"""What keeps a data plane does the same in memory and in the kernel: what is planned is there, once, and nothing else of
ours; what is somebody else's stays."""

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from netlb.errors import DataplaneError, TransientError
from netlb.net import Family
from netlb.raven.adapter import Change, ForeignStateError
from netlb.raven.dataplane import Route, RouteKind
from netlb.raven.model import Prefix
from netlb.raven.node import Local
from netlb.raven.objects import (
    AddressKey,
    Device,
    DeviceKey,
    ForwardingKey,
    Key,
    NeighbourKey,
    RouteKey,
    RuleKey,
    TableKey,
    Value,
)
from netlb.reasons import Foreign
from tests.support.kernel_plans import SOURCES, add_tunnel, bring, in_kernel, rig_fixture, wanted
from tests.support.kernel_rigs import NUMBERS, Kernel, Rig

rig = rig_fixture()


@pytest.mark.parametrize("node", ["c1", "e1", "e2", "e3"])
def test_what_is_planned_is_there(rig: Rig, node: str) -> None:
    add_tunnel(rig)

    async def play(kernel: Kernel) -> None:
        want = wanted(node)
        assert (set(want), {}) == await bring(kernel, want)
        assert want == await kernel.observe()

    in_kernel(rig, play)


def test_there_is_nothing_to_do_a_second_time_also_for_another_process(rig: Rig) -> None:
    add_tunnel(rig)
    for source in SOURCES:
        rig.add_address(source)

    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3", sources=SOURCES))
        assert {} == failures
        assert (set(), {}) == await bring(kernel, wanted("e3", sources=SOURCES))

    async def once_more(kernel: Kernel) -> None:
        assert (set(), {}) == await bring(kernel, wanted("e3", sources=SOURCES))

    in_kernel(rig, play)
    in_kernel(rig, once_more)


def test_another_gateway_is_one_neighbour_of_each_family(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        await bring(kernel, wanted("e3"))
        touched, failures = await bring(kernel, wanted("e3", dead=("e1",)))
        hops = {NeighbourKey("raven0", hop) for hop in (NUMBERS.next_hop4, NUMBERS.next_hop6)}
        assert (hops, {}) == (touched, failures)
        assert wanted("e3", dead=("e1",)) == await kernel.observe()

    in_kernel(rig, play)


def test_a_node_becomes_the_gateway_and_goes_back(rig: Rig) -> None:
    add_tunnel(rig)

    async def play(kernel: Kernel) -> None:
        for dead in ((), ("e1",), ()):
            _, failures = await bring(kernel, wanted("e2", dead=dead))
            assert {} == failures
            assert wanted("e2", dead=dead) == await kernel.observe()

    in_kernel(rig, play)


def test_everything_of_ours_goes_and_nothing_else(rig: Rig) -> None:
    add_tunnel(rig)
    rig.add_device("vxlan.calico", (4096, 4789))
    rig.add_route(ip_network("10.99.0.0/24"), NUMBERS.overlay_table)
    rig.add_route(ip_network("fd00:99::/64"), NUMBERS.tunnel_table)
    rig.add_rule(Family.IPV4, 99)
    rig.add_rule(Family.IPV6, 102)
    rig.add_table("raven-decoy")
    decoys = rig.others()
    assert 7 == len(decoys), decoys

    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e1"))
        assert {} == failures
        assert decoys == rig.others()
        assert {} == await kernel.prune(await kernel.observe())
        assert {} == await kernel.observe()
        assert {} == await kernel.prune(wanted("e1"))

    in_kernel(rig, play)
    assert decoys == rig.others()


# -- somebody else has the place


def refused(failures: Mapping[Key, Exception]) -> dict[Key, Foreign]:
    return {key: failure.reason for key, failure in failures.items() if isinstance(failure, ForeignStateError)}


@pytest.mark.parametrize("prefix", ["10.1.1.0/24", "fd00:1:1::/64"])
def test_somebody_elses_route_stays(rig: Rig, prefix: str) -> None:
    rig.add_route(ip_network(prefix), NUMBERS.overlay_table)

    async def play(kernel: Kernel) -> None:
        key = RouteKey(ip_network(prefix), NUMBERS.overlay_table, 0)
        for _ in range(2):
            _, failures = await bring(kernel, wanted("e3"))
            assert {key: Foreign.ROUTE} == refused(failures)
            assert [key] == list(failures)
            assert f"{key}: there is one with protocol 4" in str(failures[key])
        await kernel.prune(await kernel.observe())

    in_kernel(rig, play)
    assert {f"route {prefix} {NUMBERS.overlay_table}"} == rig.others()


@pytest.mark.parametrize("family", list(Family))
def test_somebody_elses_rule_stays(rig: Rig, family: Family) -> None:
    rig.add_rule(family, NUMBERS.overlay_priority)

    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3"))
        key = RuleKey(family, NUMBERS.overlay_priority, NUMBERS.overlay_table, "")
        assert {key: Foreign.RULE} == refused(failures)
        assert [key] == list(failures)
        await kernel.prune(await kernel.observe())

    in_kernel(rig, play)
    assert {f"rule {family} {NUMBERS.overlay_priority}"} == rig.others()


def test_who_has_the_place_of_a_rule_or_of_the_device_is_found_before_anything_is_made(rig: Rig) -> None:
    async def nobody(kernel: Kernel) -> None:
        assert None is await kernel.taken(wanted("e3"))
        await bring(kernel, wanted("e3"))
        assert None is await kernel.taken(wanted("e3")), "what is there is ours"
        await kernel.prune(await kernel.observe())

    in_kernel(rig, nobody)
    rig.add_rule(Family.IPV6, NUMBERS.overlay_priority)

    async def a_rule(kernel: Kernel) -> None:
        found = await kernel.taken(wanted("e3"))
        assert isinstance(found, ForeignStateError)
        assert (Foreign.RULE, {}) == (found.reason, await kernel.observe())
        assert None is await kernel.taken([key for key in wanted("e3") if not isinstance(key, RuleKey)])
        rig.add_device("raven0", None)
        found = await kernel.taken([DeviceKey("raven0")])
        assert isinstance(found, ForeignStateError)
        assert Foreign.DEVICE == found.reason

    in_kernel(rig, a_rule)


@pytest.mark.parametrize(
    ("name", "vxlan"),
    [("raven0", None), ("raven0", (300, 8472)), ("raven0", (200, 4472)), ("other", (200, 4472))],
    ids=["bridge", "another-vni", "not-made-by-us", "same-vni"],
)
def test_somebody_elses_device_stays_and_is_not_used(rig: Rig, name: str, vxlan: tuple[int, int] | None) -> None:
    rig.add_device(name, vxlan)

    async def play(kernel: Kernel) -> None:
        want = wanted("e3")
        _, failures = await bring(kernel, want)
        assert {DeviceKey("raven0"): Foreign.DEVICE} == refused(failures)
        on_it = {
            key
            for key, value in want.items()
            if isinstance(key, DeviceKey | AddressKey | ForwardingKey | NeighbourKey)
            or (isinstance(value, Route) and value.device == "raven0" and name == "other")
        }
        assert on_it <= set(failures)
        assert not {key for key in await kernel.observe() if isinstance(key, DeviceKey)}
        await kernel.prune(await kernel.observe())

    in_kernel(rig, play)
    assert {f"device {name}"} == rig.others()


def test_somebody_elses_table_stays_and_without_ours_there_is_no_overlay(rig: Rig) -> None:
    rig.add_table(NUMBERS.nft_table)

    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3"))
        assert {TableKey("raven"): Foreign.TABLE} == refused(failures)
        assert isinstance(failures[DeviceKey("raven0")], TransientError)
        await kernel.prune(await kernel.observe())

    in_kernel(rig, play)
    assert {"table raven"} == rig.others()


def test_the_overlay_waits_for_the_table_whichever_is_tried_first(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        want = wanted("e3")
        device, table = DeviceKey("raven0"), TableKey("raven")
        await kernel.observe()
        failures = await kernel.apply({device: want[device]})
        assert isinstance(failures[device], TransientError)
        assert {} == await kernel.observe()
        assert {} == await kernel.apply({table: want[table]})
        assert {} == await kernel.apply({device: want[device]})

    in_kernel(rig, play)


# -- what is not there


def test_what_needs_a_device_waits_for_it_and_nothing_leaves_meanwhile(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        want = wanted("e1")
        _, failures = await bring(kernel, want)
        waiting = {key for key, value in want.items() if isinstance(value, Route) and value.device == "raven-wg0"}
        assert waiting == set(failures)
        assert all(isinstance(failure, TransientError) and failure.retry_after for failure in failures.values())
        unreachable = {key for key, value in want.items() if getattr(value, "kind", None) is RouteKind.UNREACHABLE}
        assert unreachable <= set(await kernel.observe())
        add_tunnel(rig)
        assert (waiting, {}) == await bring(kernel, want)

    in_kernel(rig, play)


def test_what_says_unreachable_stays_when_the_tunnel_goes(rig: Rig) -> None:
    add_tunnel(rig)

    async def play(kernel: Kernel) -> None:
        want = wanted("e1")
        await bring(kernel, want)
        rig.remove_device(NUMBERS.tunnel_device)
        have = await kernel.observe()
        gone = {key for key, value in want.items() if isinstance(value, Route) and value.device == "raven-wg0"}
        assert gone == set(want) - set(have)

    in_kernel(rig, play)


def test_the_kernels_own_words_say_what_it_refuses(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        _, failures = await bring(kernel, wanted("e3", sources=SOURCES))
        sourced = {k for k, value in wanted("e3", sources=SOURCES).items() if isinstance(value, Route) and value.source}
        assert sourced
        assert sourced == set(failures)
        for key, failure in failures.items():
            assert isinstance(failure, DataplaneError)
            assert errno.EINVAL == failure.errno
            assert str(failure).startswith(f"{key}: ")
            assert "source" in str(failure).lower() or "prefsrc" in str(failure).lower()

    in_kernel(rig, play)


def test_a_device_that_cannot_be_is_refused_and_the_rest_is_made(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        want = dict(wanted("e3"))
        device = want[DeviceKey("raven0")]
        assert isinstance(device, Device)
        want[DeviceKey("raven0")] = replace(device, mtu=60)
        _, failures = await bring(kernel, want)
        assert isinstance(failures[DeviceKey("raven0")], DataplaneError)
        assert TableKey("raven") in await kernel.observe()

    in_kernel(rig, play)


def test_ten_thousand_routes(rig: Rig) -> None:
    add_tunnel(rig)
    four, six = int(ip_address("10.0.0.0")), int(ip_address("fd00::"))
    prefixes: list[Prefix] = [IPv4Network((four + (at << 8), 24)) for at in range(5000)]
    prefixes += [IPv6Network((six + (at << 64), 64)) for at in range(5000)]
    want: dict[Key, Value] = {
        RouteKey(prefix, 9028, 0): Route(prefix=prefix, table=9028, device=NUMBERS.tunnel_device, mtu=1420)
        for prefix in prefixes
    }

    async def play(kernel: Kernel) -> None:
        assert {} == await kernel.apply(want)
        assert want == await kernel.observe()
        narrower = {key: replace(value, mtu=1400) for key, value in want.items() if isinstance(value, Route)}
        assert {} == await kernel.apply(narrower)
        assert narrower == await kernel.observe()
        assert {} == await kernel.prune(want)
        assert {} == await kernel.observe()

    in_kernel(rig, play)


def test_what_the_node_knows_of_itself(rig: Rig) -> None:
    for source in SOURCES:
        rig.add_address(source)

    async def play(kernel: Kernel) -> None:
        await bring(kernel, wanted("e3"))
        watched = (ip_address("198.51.100.1"),)
        local = await kernel.local(ip_address("10.2.3.1"), watched)
        assert Local(underlay_mtu=1500, addresses=tuple(map(ip_address, SOURCES)), watched=watched) == local

    in_kernel(rig, play)


def test_what_we_do_ourselves_is_no_news(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        routes = {key: value for key, value in wanted("c1").items() if getattr(value, "kind", "") == "unreachable"}
        assert routes
        assert {} == await kernel.apply(routes)
        assert {} == await kernel.prune(routes)
        rig.add_address("10.2.3.1")
        async with asyncio.timeout(30):
            assert {Change.LOCAL} == await anext(kernel.changes())

    in_kernel(rig, play)


def test_a_new_address_of_the_node_is_told(rig: Rig) -> None:
    async def play(kernel: Kernel) -> None:
        changes = kernel.changes()
        rig.add_address("10.2.3.1")
        async with asyncio.timeout(30):
            while Change.LOCAL not in await anext(changes):
                pass

    in_kernel(rig, play)
