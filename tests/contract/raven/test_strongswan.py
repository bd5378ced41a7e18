"""IPsec with real packets, through a strongSwan in each of two namespaces."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netlb.errors import DataplaneError, NetlbError, SettingError, TransientError
from netlb.raven.adapter.choice import choose
from netlb.raven.adapter.links import NetLink
from netlb.raven.adapter.strongswan import LIBIPSEC_DEVICE, Strongswan, Vici
from netlb.raven.backend import DEVICE, Choice, Remote
from netlb.reconcile import Reconciler
from tests.support.strongswan import Charon
from tests.support.tunnels import End, Flow, Namespaces, World, keys_of, prefixes, take_over
from tests.support.waiting import eventually

pytestmark = pytest.mark.root
Made = tuple[World, list[Charon]]
SORTED_OUT = 2
"""Seconds after which strongSwan itself ends none of two IKE_SAs any more, of which it wants one."""


@pytest.fixture
def joined(ipsec: Made) -> World:
    world, _ = ipsec
    world.join()
    world.routes()
    for end, other in ((world.a, world.b), (world.b, world.a)):
        end.reaches(other.inner4)
    return world


def ask(end: End, command: str, message: dict[str, Any] | None = None) -> dict[str, Any]:
    assert isinstance(end.backend, Strongswan)
    return end.do(end.backend._vici.ask(command, message))


def listed(end: End, command: str, event: str) -> list[str]:
    assert isinstance(end.backend, Strongswan)
    return [name for message in end.do(end.backend._vici.listed(command, event)) for name in message]


def youngest(end: End) -> int:
    """Return how many seconds ago the last of its SAs was made."""
    assert isinstance(end.backend, Strongswan)
    return min((sa.age for sa in end.do(end.backend._sas())), default=0)


def test_packets_of_both_families_pass_both_ways(joined: World) -> None:
    for end, other in ((joined.a, joined.b), (joined.b, joined.a)):
        end.reaches(other.inner4)
        end.reaches(other.inner6)


def test_what_is_seen_of_a_peer(joined: World) -> None:
    a, b = joined.ends
    state = a.do(a.backend.states())[b.keys.public]
    assert (b.address, 51820) == state.endpoint
    assert state.handshake is not None
    assert state.received > 0
    assert state.sent > 0


def test_it_is_said_how_long_ago_a_packet_came_in_by_an_sa(joined: World) -> None:
    a, b = joined.ends
    assert isinstance(a.backend, Strongswan)
    a.reaches(b.inner4)
    said = [sa for message in a.do(a.backend._vici.listed("list-sas", "list-sa")) for sa in message.values()]
    assert any("use-in" in child for sa in said for child in sa["child-sas"].values())


def test_a_restart_of_the_agent_keeps_the_sas(joined: World) -> None:
    a, b = joined.ends
    before = a.do(a.backend.states())[b.keys.public]
    a.restart()
    assert {} == a.apply(a.wanted(b))
    a.reaches(b.inner4)
    after = a.do(a.backend.states())[b.keys.public]
    assert after.received > before.received
    assert a.wanted(b) == a.observed()


def test_one_end_that_is_not_dialled_waits_for_the_other(ipsec: Made) -> None:
    (a, b), _ = ipsec[0].ends, ipsec[1]
    a.apply({DEVICE: a.device(), b.keys.public: b.as_peer(dialled=False)})
    b.apply(b.wanted(a))
    ipsec[0].routes()
    assert eventually(lambda: a.pings(b.inner4), "a packet passes")


def test_more_prefixes_come_without_a_gap_and_go(joined: World) -> None:
    a, b = joined.ends
    b.ip("address add 10.99.0.1/32 dev lo")
    a.ip(f"route add 10.99.0.0/24 dev {LIBIPSEC_DEVICE} src {a.inner4}")
    assert not a.pings("10.99.0.1", within=1)
    more = replace(b.as_peer(), allowed=b.own | prefixes("10.99.0.0/24"))

    def none_is_lost() -> bool:  # unless a charon that is held up takes no packet from the kernel
        flow = Flow(a, b.inner4)
        a.apply({b.keys.public: more})
        assert eventually(lambda: a.pings("10.99.0.1", within=1), "the new prefix is reached")
        flow.proceed(300)
        lost = flow.lost()
        a.apply({b.keys.public: b.as_peer()})
        assert eventually(lambda: not a.pings("10.99.0.1", within=1), "it is reached no more")
        a.reaches(b.inner4)
        return lost == 0

    assert any(none_is_lost() for _ in range(3))


def test_a_peer_that_lost_its_prefixes_has_no_sa_even_if_it_is_dead(ipsec: Made) -> None:
    world, charons = ipsec
    a, b = world.ends
    world.join()
    eventually(lambda: a.do(a.backend.states())[b.keys.public].handshake is not None, "they have an SA")
    charons[1].kill()
    a.apply({b.keys.public: Remote()})
    assert eventually(lambda: [] == listed(a, "list-sas", "list-sa"), "it is gone", within=15)
    assert {DEVICE: a.device(), b.keys.public: Remote()} == a.observed()


def test_both_ends_that_begin_at_once_come_to_rest(ipsec: Made) -> None:
    world, _ = ipsec
    a, b = world.ends
    for end, other in ((a, b), (b, a)):
        assert {} == end.apply({DEVICE: end.device()})
        end.route(other)
    begun = [end.begun(end.backend.apply(end.wanted(other))) for end, other in ((a, b), (b, a))]
    assert [{}, {}] == [what.result(timeout=30) for what in begun]
    eventually(lambda: a.pings(b.inner4) and b.pings(a.inner6), "packets pass")
    # Until then the later one of two IKE_SAs may end the first one without a word.
    eventually(lambda: min(map(youngest, world.ends)) > SORTED_OUT, "strongSwan has none to end any more")
    flow = Flow(a, b.inner4)
    flow.proceed(1000)
    assert 0 == flow.lost()


def test_what_others_have_configured_stays(joined: World) -> None:
    a, b = joined.ends
    foreign = {"foreign": {"version": "2", "remote_addrs": ["192.0.2.9"], "children": {"net": {}}}}
    ask(a, "load-conn", foreign)
    ask(a, "load-conn", {"netlb-other-device": foreign["foreign"]})
    ask(a, "load-shared", {"id": "foreign", "type": "IKE", "data": b"theirs", "owners": ["them"]})
    a.restart()
    a.apply({**a.wanted(b), keys_of(9).public: Remote(allowed=prefixes("10.9.0.0/16"))})
    assert {DEVICE, b.keys.public, keys_of(9).public} == a.observed().keys()
    a.do(a.backend.prune(a.observed().keys()))
    assert {} == a.observed()
    assert ["foreign", "netlb-other-device"] == sorted(listed(a, "list-conns", "list-conn"))
    assert [b"foreign"] == ask(a, "get-shared")["keys"]
    assert eventually(lambda: [] == listed(a, "list-sas", "list-sa"), "our SA is gone")
    assert LIBIPSEC_DEVICE in a.run("ip", "link").stdout


def test_a_strongswan_that_was_killed_is_filled_again(ipsec: Made) -> None:
    world, charons = ipsec
    a, b = world.ends
    bugs: list[Exception] = []

    async def keep() -> asyncio.Task[None]:
        reconciler = Reconciler("tunnels", a.backend, on_bug=lambda _, error: bugs.append(error))
        a.backend.watch(reconciler.lost)
        reconciler.want(a.wanted(b))
        task = asyncio.create_task(reconciler.run())
        await reconciler.settled()
        return task

    task = a.do(keep())
    b.apply(b.wanted(a))
    charons[0].kill()
    with pytest.raises(TransientError, match=r"strongSwan does not answer at .*; start it"):
        a.observed()
    charons[0].start()
    assert eventually(lambda: a.wanted(b) == a.observed() or None, "it is as it was")
    world.routes()
    assert eventually(lambda: a.pings(b.inner4), "a packet passes")
    a.call(task.cancel)
    assert [] == bugs


def test_without_a_shared_secret_there_is_none(ipsec: Made) -> None:
    with pytest.raises(NetlbError, match="IPsec needs a secret that all endpoints share"):
        ipsec[0].a.backend.use(keys_of(1, None))


def test_it_is_chosen_by_what_strongswan_has(ipsec: Made) -> None:
    world, charons = ipsec
    backend = world.a.do(choose(Choice.IPSEC, "raven-wg0", setting="--backend", vici=charons[0].vici))
    assert LIBIPSEC_DEVICE == backend.device
    charons[0].kill()
    with pytest.raises(SettingError, match=r"--backend: strongSwan does not answer at .*; or choose another"):
        world.a.do(choose(Choice.IPSEC, "raven-wg0", setting="--backend", vici=charons[0].vici))


def test_a_kernel_without_xfrm_interfaces_is_a_clear_error(ipsec: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    world, charons = ipsec

    async def refuse(_: NetLink, kind: str, **__: object) -> None:
        raise DataplaneError(f"make it ({kind})", errno.EOPNOTSUPP)

    monkeypatch.setattr(NetLink, "add_link", refuse)
    backend = Strongswan("raven-wg0", Vici(charons[0].vici), libipsec=False)
    backend.use(world.a.keys)
    with pytest.raises(NetlbError, match="raven-wg0: this kernel has no xfrm interfaces; load xfrm_interface, or give"):
        world.a.do(backend.apply(world.a.wanted(world.b)))


def test_another_endpoint_takes_over_under_a_flow(ipsec: Made, namespaces: Namespaces, tmp_path: Path) -> None:
    world, _ = ipsec
    name = namespaces.open_third()
    (tmp_path / name).mkdir()
    charon = Charon(tmp_path / name, name)
    charon.start()
    backend = Strongswan(LIBIPSEC_DEVICE, Vici(charon.vici), libipsec=True)
    third = End(2, name, lambda _: backend, keys=keys_of(3))
    try:
        take_over(world.a, world.b, third)
    finally:
        third.do(third.backend.close())
        third.end()
        charon.kill()
