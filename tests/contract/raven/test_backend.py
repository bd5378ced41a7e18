"""What every backend does, in memory, with a real WireGuard and with a real strongSwan."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.errors import NetlbError
from netlb.raven.backend import DEVICE, Device, Part, Remote
from netlb.reconcile import Operations
from tests.support.tunnels import PORT, World, keys_of, prefixes
from tests.support.waiting import eventually

KEYS = [keys_of(number).public for number in range(10, 20)]


def test_it_is_operations_of_the_engine(world: World) -> None:
    operations: Operations[str, Part] = world.a.backend
    assert {} == world.a.do(operations.observe())


def test_what_is_applied_is_observed(world: World) -> None:
    a, b = world.ends
    assert {} == a.observed()
    wanted: dict[str, Part] = {
        DEVICE: a.device(mtu=1300),
        KEYS[0]: Remote(allowed=prefixes("10.0.0.0/8", "fd00::/8"), keepalive=15),
        KEYS[1]: Remote(allowed=prefixes("10.1.0.0/16"), destination=(ip_address("2001:db8::2"), 4500)),
        KEYS[2]: Remote(destination=(ip_address("192.0.2.2"), 1)),
        KEYS[3]: Remote(),
    }
    assert {} == a.apply(wanted)
    assert wanted == a.observed()
    assert {} == b.observed()


def test_each_part_changes_by_itself(world: World) -> None:
    a, b = world.ends
    wanted = a.wanted(b)
    a.apply(wanted)
    changes: list[dict[str, Part]] = [
        {DEVICE: Device(key=a.keys.public, port=4500, mtu=1280)},
        {b.keys.public: Remote(allowed=prefixes("10.77.2.0/25", "10.77.9.0/24"), keepalive=5)},
        {b.keys.public: Remote(destination=(ip_address("192.0.2.9"), 9))},
        {b.keys.public: b.as_peer()},
    ]
    for change in changes:
        wanted |= change
        assert {} == a.apply(change)
        assert wanted == a.observed()


def test_prefixes_move_between_peers_in_one_batch(world: World) -> None:
    a = world.a
    a.apply({DEVICE: a.device(), KEYS[0]: Remote(allowed=prefixes("10.1.0.0/16", "10.2.0.0/16")), KEYS[1]: Remote()})
    moved: dict[str, Part] = {
        KEYS[0]: Remote(allowed=prefixes("10.3.0.0/16")),
        KEYS[1]: Remote(allowed=prefixes("10.1.0.0/16")),
    }
    assert {} == a.apply(moved)
    assert {DEVICE: a.device(), **moved} == a.observed()


def test_what_is_pruned_is_gone_and_pruning_it_again_is_a_success(world: World) -> None:
    a, b = world.ends
    a.apply({**a.wanted(b), KEYS[0]: Remote(allowed=prefixes("10.1.0.0/16"))})
    for _ in range(2):
        assert {} == a.do(a.backend.prune({KEYS[0], KEYS[1]}))
        assert a.wanted(b) == a.observed()
    for _ in range(2):
        assert {} == a.do(a.backend.prune({DEVICE, b.keys.public}))
        assert {} == a.observed()
    assert 0 == a.losses
    a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


def test_a_new_process_finds_what_an_earlier_one_left(world: World) -> None:
    a, b = world.ends
    a.apply(a.wanted(b))
    a.restart()
    assert a.wanted(b).keys() == a.observed().keys()
    if not world.says_all:
        assert {} == a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


def test_the_key_of_a_device_that_runs_is_known_to_a_new_process(device: World) -> None:
    a, b = device.ends
    assert None is a.do(a.backend.key())
    a.apply(a.wanted(b))
    a.restart()
    assert a.keys.private == a.do(a.backend.key())
    a.do(a.backend.prune({DEVICE}))
    assert None is a.do(a.backend.key())


def test_a_device_that_was_killed_is_noticed_and_made_anew(device: World) -> None:
    a, b = device.ends
    a.apply(a.wanted(b))
    a.observed()
    device.kill(a)
    eventually(lambda: a.losses == 1, "the loss is noticed")
    assert {} == a.observed()
    assert {} == a.do(a.backend.states())
    with pytest.raises(NetlbError):
        a.apply({b.keys.public: b.as_peer()})
    assert {} == a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


def test_other_secrets_are_taken_up(world: World) -> None:
    a, b = world.ends
    wanted = a.wanted(b)
    a.apply(wanted)
    for shared in (b"another one", None) if world.says_all else (b"another one",):
        a.backend.use(keys_of(1, shared))
        assert {**wanted, b.keys.public: replace(b.as_peer(), shared=False)} == a.observed()
        a.apply({b.keys.public: b.as_peer()})
        assert wanted == a.observed()
    a.keys = keys_of(3)
    a.backend.use(a.keys)
    a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


def test_a_key_that_is_not_in_use_is_not_wanted(world: World) -> None:
    a = world.a
    with pytest.raises(NetlbError, match="another key"):
        a.apply({DEVICE: Device(key=KEYS[0], port=PORT, mtu=1380)})
    assert {} == a.observed()


def test_ten_thousand_prefixes_in_one_batch(world: World) -> None:
    a = world.a
    peers: dict[str, Part] = {
        key: Remote(
            allowed=prefixes(
                *(f"10.{number}.{third}.{fourth}/28" for third in range(125) for fourth in range(0, 128, 16))
            )
        )
        for number, key in enumerate(KEYS)
    }
    wanted: dict[str, Part] = {DEVICE: a.device(), **peers}
    assert {} == a.apply(wanted)
    assert wanted == a.observed()
