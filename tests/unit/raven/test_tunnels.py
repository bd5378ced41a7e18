"""A backend over a device in memory: what fails, what is repaired, and who roams, without waiting."""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_address
from typing import Any

import pytest

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven.adapter.links import Link
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.backend import DEVICE, Device, Part, Remote
from netlb.raven.keys import PrivateKey
from netlb.raven.wireguard import DeviceDump, Write
from netlb.reconcile import Reconciler
from netlb.testing.tunnels import FakeDevice, fake_backend
from tests.support.tunnels import keys_of, prefixes

KEYS = keys_of(1)
A, B, C = (keys_of(number).public for number in (11, 12, 13))
HOME, AWAY = ((ip_address(f"192.0.2.{host}"), 51820) for host in (1, 2))
OURS = Device(key=KEYS.public, port=51820, mtu=1420)


def backend(device: FakeDevice) -> WireGuard:
    made = fake_backend(device)
    made.use(KEYS)
    return made


def do(what: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(what)


def test_one_peer_that_is_refused_does_not_stop_the_others() -> None:
    device = FakeDevice()
    device.refused = {B}
    kept = backend(device)
    wanted: dict[str, Part] = {DEVICE: OURS, A: Remote(), B: Remote(), C: Remote(allowed=prefixes("10.0.0.0/8"))}
    failures = do(kept.apply(wanted))
    assert {B: "write to it: EINVAL (Invalid argument)"} == {key: str(error) for key, error in failures.items()}
    assert {DEVICE, A, C} == do(kept.observe()).keys()


def test_a_device_that_fails_fails_every_operation() -> None:
    device = FakeDevice()
    kept = backend(device)
    do(kept.apply({DEVICE: OURS}))
    device.broken = errno.EPERM
    failures = do(kept.apply({A: Remote(), B: Remote()}))
    assert {A: DataplaneError, B: DataplaneError} == {key: type(error) for key, error in failures.items()}
    for attempt in (kept.observe(), kept.apply({DEVICE: OURS}), kept.prune({DEVICE}), kept.states(), kept.key()):
        with pytest.raises(DataplaneError, match="EPERM"):
            do(attempt)


def test_peers_without_a_device_are_tried_again() -> None:
    with pytest.raises(TransientError, match="raven-wg0: it is gone"):
        do(backend(FakeDevice()).apply({A: Remote()}))


def test_what_is_as_wanted_is_not_written_by_another_process_either() -> None:
    device = FakeDevice()
    wanted: dict[str, Part] = {DEVICE: OURS, A: Remote(allowed=prefixes("10.0.0.0/8"), destination=HOME, keepalive=15)}
    do(backend(device).apply(wanted))
    device.hear(A, AWAY)
    device.written.clear()
    second = backend(device)
    assert {DEVICE: OURS, A: Remote(allowed=prefixes("10.0.0.0/8"), destination=AWAY, keepalive=15)} == do(
        second.observe()
    )
    assert {} == do(second.apply(wanted))
    assert wanted == do(second.observe())
    assert [] == device.written


def test_one_that_was_lost_while_it_roamed_is_sent_to_again_where_it_was_said_to_be() -> None:
    device = FakeDevice()
    kept = backend(device)
    wanted: dict[str, Part] = {DEVICE: OURS, A: Remote(destination=HOME), B: Remote()}
    do(kept.apply(wanted))
    device.hear(A, AWAY)
    device.hear(B, AWAY)
    device.now += 179
    assert wanted == do(kept.observe())
    device.now += 1
    assert {**wanted, A: Remote(destination=AWAY)} == do(kept.observe())
    assert {} == do(kept.apply({A: Remote(destination=HOME), B: Remote()}))
    assert [HOME, AWAY] == [do(kept.states())[key].endpoint for key in (A, B)]


def test_a_device_of_ours_of_another_kind_makes_way() -> None:
    device = FakeDevice()
    device.found = Link(index=7, kind="tun", mtu=1420, up=True, ours=True)
    kept = backend(device)
    assert {} == do(kept.observe())
    assert None is do(kept.key())
    assert {} == do(kept.apply({DEVICE: OURS}))
    assert {DEVICE: OURS} == do(kept.observe())


@pytest.mark.parametrize("kind", ["tun", "wireguard", "fake"])
def test_a_device_of_anybody_elses_stays(kind: str) -> None:
    device = FakeDevice()
    device.found = found = Link(index=7, kind=kind, mtu=1420, up=True, ours=False)
    device.dumped = DeviceDump(private=PrivateKey.of(b"\7" * 32))
    kept = backend(device)
    for attempt in (kept.observe(), kept.apply({DEVICE: OURS}), kept.prune({DEVICE}), kept.states()):
        with pytest.raises(NetlbError, match=r"raven-wg0: .* remove"):
            do(attempt)
    assert (found, []) == (device.found, device.written)


def test_a_device_of_ours_is_removed_without_any_key() -> None:
    device = FakeDevice()
    do(backend(device).apply({DEVICE: OURS}))
    assert {} == do(fake_backend(device).prune({DEVICE}))
    assert None is device.found


def test_the_engine_keeps_it_whatever_happens() -> None:
    device = FakeDevice()
    wanted: Mapping[str, Part] = {DEVICE: OURS, A: Remote(allowed=prefixes("10.0.0.0/8"), destination=HOME)}

    async def play() -> list[list[Write]]:
        kept = backend(device)
        reconciler = Reconciler("tunnels", kept, on_bug=lambda name, error: pytest.fail(f"{name}: {error}"))
        kept.watch(reconciler.lost)
        reconciler.want(wanted)
        task = asyncio.create_task(reconciler.run())
        writes = []
        happenings: list[Callable[[], None]] = [lambda: None, device.kill, reconciler.refresh]
        for happens in happenings:
            device.written = []
            happens()
            await reconciler.settled()
            assert wanted == await kept.observe()
            writes.append(device.written)
        reconciler.want({})
        await reconciler.settled()
        task.cancel()
        return writes

    first, again, nothing = do(play())
    assert first == again
    assert 2 == len(first)
    assert [] == nothing
    assert None is device.found
