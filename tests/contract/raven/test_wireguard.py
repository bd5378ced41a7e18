"""WireGuard with real packets, through wireguard-go in two namespaces."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven.adapter import wireguard_go
from netlb.raven.adapter.keys import own_key
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.backend import DEVICE, Part, Remote
from netlb.raven.wireguard import Write
from netlb.reconcile import Reconciler
from netlb.testing.lab.namespaces import inside
from tests.support.tunnels import PORT, End, Flow, Namespaces, World, keys_of, prefixes, process_of, take_over
from tests.support.waiting import eventually

pytestmark = pytest.mark.root
OTHERS = [keys_of(number).public for number in (10, 11)]


@pytest.fixture
def joined(wireguard: World) -> World:
    wireguard.join()
    wireguard.routes()
    for end, other in ((wireguard.a, wireguard.b), (wireguard.b, wireguard.a)):
        end.reaches(other.inner4)
    return wireguard


AGENT = """
import asyncio, sys
from netlb.raven.adapter.choice import choose
from netlb.raven.backend import DEVICE, Choice
from tests.support.tunnels import PORT, keys_of
from netlb.raven.backend import Device, Remote
from ipaddress import ip_address, ip_network

async def main(device):
    backend = await choose(Choice.AUTO, device, setting="--backend")
    keys = keys_of(1)
    backend.use(keys)
    peer = Remote(
        allowed=frozenset((ip_network("10.77.2.0/24"), ip_network("fd77:2::/64"))),
        destination=(ip_address("192.0.2.2"), PORT),
    )
    wanted = {DEVICE: Device(key=keys.public, port=PORT, mtu=1380), keys_of(2).public: peer}
    assert not await backend.apply(wanted)
    print("applied", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(sys.argv[1]))
"""


class Keeper:
    """A reconciler that keeps an endpoint, and what its backend writes."""

    def __init__(self, end: End, wanted: Mapping[str, Part]) -> None:
        self.end = end
        self.bugs: list[Exception] = []
        self.written: list[Write] = []
        assert isinstance(end.backend, WireGuard)
        socket = end.backend._socket
        write = socket.write

        async def note(what: Write) -> None:
            self.written.append(what)
            await write(what)

        socket.write = note  # type: ignore[method-assign, assignment]

        async def begin() -> None:
            self.reconciler = Reconciler("tunnels", end.backend, on_bug=lambda _, error: self.bugs.append(error))
            end.backend.watch(self.reconciler.lost)
            self.reconciler.want(wanted)
            self._task = asyncio.create_task(self.reconciler.run())

        end.do(begin())

    def settle(self) -> None:
        self.end.do(self.reconciler.settled())
        assert [] == self.bugs

    def stop(self) -> None:
        async def stop() -> None:
            self._task.cancel()
            await asyncio.wait([self._task])

        self.end.do(stop())


def test_packets_of_both_families_pass_both_ways(joined: World) -> None:
    for end, other in ((joined.a, joined.b), (joined.b, joined.a)):
        end.reaches(other.inner4)
        end.reaches(other.inner6)


def test_what_is_seen_of_a_peer(joined: World) -> None:
    a, b = joined.ends
    a.reaches(b.inner4)
    state = a.do(a.backend.states())[b.keys.public]
    assert (b.address, PORT) == state.endpoint
    assert state.handshake is not None
    assert 0 <= state.handshake < 60
    assert state.received > 0
    assert state.sent > 0
    joined.a.apply({OTHERS[0]: Remote()})
    never = a.do(a.backend.states())[OTHERS[0]]
    assert (None, None, 0, 0) == (never.endpoint, never.handshake, never.received, never.sent)


def test_tunnels_over_ipv6(wireguard: World) -> None:
    a, b = wireguard.ends
    for end, other in ((a, b), (b, a)):
        remote = replace(other.as_peer(), destination=(ip_address(f"2001:db8::{other.number}"), PORT))
        end.apply({DEVICE: end.device(), other.keys.public: remote})
        end.route(other)
        assert {DEVICE: end.device(), other.keys.public: remote} == end.observed()
    a.reaches(b.inner4)
    assert (ip_address("2001:db8::2"), PORT) == a.do(a.backend.states())[b.keys.public].endpoint


def test_another_shared_secret_lets_nothing_through(joined: World) -> None:
    a, b = joined.ends
    b.backend.use(keys_of(2, b"not the same"))
    b.apply({a.keys.public: a.as_peer()})
    joined.kill(a)
    assert {} == a.observed()
    a.apply(a.wanted(b))
    a.route(b)
    assert not a.pings(b.inner4)


def test_a_secret_that_changes_at_one_end_and_then_at_the_other_loses_no_packet(joined: World) -> None:
    a, b = joined.ends
    flow = Flow(a, b.inner4)
    for end, other in ((a, b), (b, a)):
        end.backend.use(keys_of(end.number, b"the next one"))
        end.apply({other.keys.public: other.as_peer()})
        assert {DEVICE: end.device(), other.keys.public: other.as_peer()} == end.observed()
        flow.proceed(20)
    assert 0 == flow.lost()
    joined.kill(a)  # the two agree on keys anew, by the next secret
    assert {} == a.observed()
    a.apply(a.wanted(b))
    a.route(b)
    a.reaches(b.inner4)


def test_a_restart_of_the_agent_loses_no_packet_and_writes_nothing(joined: World) -> None:
    a, b = joined.ends
    process = process_of(a.backend.device)
    flow = Flow(a, b.inner4)
    a.restart()
    keeper = Keeper(a, a.wanted(b))
    keeper.settle()
    flow.proceed(20)
    assert 0 == flow.lost()
    keeper.stop()
    assert [] == keeper.written
    assert process == process_of(a.backend.device)


def test_wireguard_go_is_no_part_of_the_agents_process_group(joined: World) -> None:
    process = process_of(joined.a.backend.device)
    assert os.getpgid(process) != os.getpgrp()
    assert os.getsid(process) != os.getsid(0)


def test_a_killed_wireguard_go_is_restored_while_the_agent_runs(joined: World) -> None:
    a, b = joined.ends
    keeper = Keeper(a, a.wanted(b))
    keeper.settle()
    killed = process_of(a.backend.device)
    joined.kill(a)
    eventually(lambda: (written := keeper.written) and written[-1].peers, "its peers are written anew")
    keeper.settle()
    assert killed != process_of(a.backend.device)
    a.route(b)  # it went with the device
    assert eventually(lambda: a.pings(b.inner4), "it carries packets again")
    keeper.stop()


def test_what_a_peer_keeps_is_never_taken_from_it(joined: World) -> None:
    a, b = joined.ends
    flow = Flow(a, b.inner4)
    remote = b.as_peer()
    more = prefixes(*(f"10.{number}.0.0/16" for number in range(100, 200)))
    for _ in range(10):
        a.apply({b.keys.public: replace(remote, allowed=remote.allowed | more)})
        a.apply({b.keys.public: remote})
        a.apply({b.keys.public: replace(remote, allowed=remote.allowed | more)})
        a.apply({OTHERS[0]: Remote(allowed=more), b.keys.public: remote})
    flow.proceed(10)
    assert 0 == flow.lost()
    assert {**a.wanted(b), OTHERS[0]: Remote(allowed=more)} == a.observed()


def test_prefixes_go_where_they_were_moved(joined: World) -> None:
    a, b = joined.ends
    a.reaches(b.inner4)
    a.apply({OTHERS[0]: Remote(allowed=b.own), b.keys.public: replace(b.as_peer(), allowed=frozenset())})
    assert not a.pings(b.inner4, within=1)
    a.apply({OTHERS[0]: Remote(), b.keys.public: b.as_peer()})
    a.reaches(b.inner4)


def test_a_peer_that_roams_is_not_called_back(joined: World) -> None:
    a, b = joined.ends
    a.reaches(b.inner4)
    b.apply({DEVICE: replace(b.device(), port=4501)})
    b.reaches(a.inner4)
    elsewhere = (b.address, 4501)

    def endpoint() -> object:
        return a.do(a.backend.states())[b.keys.public].endpoint

    assert elsewhere == endpoint()
    assert a.wanted(b) == a.observed()
    a.apply({b.keys.public: b.as_peer(keepalive=25)})
    assert elsewhere == endpoint()
    a.restart()
    assert replace(b.as_peer(keepalive=25), destination=elsewhere) == a.observed()[b.keys.public]
    a.apply({b.keys.public: b.as_peer(keepalive=25)})
    assert b.as_peer(keepalive=25) == a.observed()[b.keys.public]
    assert elsewhere == endpoint()
    moved = replace(b.as_peer(), destination=(b.address, 4502))
    a.apply({b.keys.public: moved})
    assert moved.destination == endpoint()


def test_a_port_that_is_taken_is_told(wireguard: World) -> None:
    a, b = wireguard.ends

    def bind() -> socket.socket:
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.bind(("", PORT))
        return taken

    def refused() -> bool:
        """A device that is not up yet takes any port, and has none afterwards."""
        try:
            a.apply(a.wanted(b))
        except DataplaneError as error:
            return "EADDRINUSE" in str(error)
        return False

    with inside(a.namespace, bind):
        eventually(refused, "it is told")
    assert {} == a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


@pytest.mark.parametrize(
    ("kind", "command"), [("bridge", "link add {} type bridge"), ("tun", "tuntap add {} mode tun")]
)
def test_a_foreign_link_is_left_alone(wireguard: World, kind: str, command: str) -> None:
    a, b = wireguard.ends
    a.ip(command.format(a.backend.device))
    before = a.run("ip", "-d", "link", "show", a.backend.device).stdout
    for attempt in (a.backend.observe(), a.backend.apply(a.wanted(b)), a.backend.prune({DEVICE}), a.backend.states()):
        with pytest.raises(
            NetlbError, match=f"{a.backend.device}: a device of kind {kind}.* remove it, or name another"
        ):
            a.do(attempt)
    assert None is a.do(a.backend.key())
    assert before == a.run("ip", "-d", "link", "show", a.backend.device).stdout


def test_another_programs_wireguard_is_left_alone(wireguard: World) -> None:
    a, b = wireguard.ends
    device = a.backend.device
    a.run("wireguard-go", device)
    a.run("sh", "-c", f"echo {keys_of(9).private.text} | wg set {device} listen-port 4500 private-key /dev/stdin")
    for attempt in (a.backend.observe(), a.backend.apply(a.wanted(b)), a.backend.prune({DEVICE}), a.backend.states()):
        with pytest.raises(NetlbError, match="another program has made it"):
            a.do(attempt)
    assert None is a.do(a.backend.key())
    assert keys_of(9).public == a.run("wg", "show", device, "public-key").stdout.strip()


def test_one_without_a_key_is_taken_over_as_one_that_we_left_half_made(wireguard: World) -> None:
    a, b = wireguard.ends
    a.run("wireguard-go", a.backend.device)
    assert {} == a.apply(a.wanted(b))
    assert a.wanted(b) == a.observed()


def test_a_name_in_another_namespace_is_not_taken_for_ours(wireguard: World) -> None:
    a, b = wireguard.ends
    b.run("wireguard-go", a.backend.device)
    try:
        assert {} == a.observed()
        with pytest.raises(NetlbError, match="another network namespace"):
            a.apply(a.wanted(b))
    finally:
        b.run("ip", "link", "delete", a.backend.device)

    def free() -> bool:
        """Who has it may take a while to end."""
        try:
            return {} == a.apply(a.wanted(b))
        except NetlbError:
            return False

    eventually(free, "the name is free")


def test_secrets_are_seen_nowhere(joined: World) -> None:
    a, b = joined.ends
    secrets = [a.keys.private.text, a.keys.private.octets.hex(), "a secret of all"]
    assert isinstance(a.backend, WireGuard)
    said = [repr(a.observed()), repr(a.keys), repr(a.backend), repr(a.do(a.backend._socket.dump()))]
    command = Path(f"/proc/{process_of(a.backend.device)}/cmdline").read_text()
    assert [] == [text for text in (*said, command) for secret in secrets if secret in text]
    assert b.keys.public in said[0]


def test_an_agent_that_is_killed_with_its_group_leaves_a_tunnel_that_the_next_one_adopts(wireguard: World) -> None:
    a, b = wireguard.ends
    b.apply(b.wanted(a))
    b.route(a)
    words = ("ip", "netns", "exec", a.namespace, sys.executable, "-c", AGENT, a.backend.device)
    agent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert agent.stdout is not None
        assert "applied\n" == agent.stdout.readline()
        a.route(b)
        a.reaches(b.inner4)
        flow = Flow(a, b.inner4)
    finally:
        os.killpg(agent.pid, signal.SIGKILL)
        agent.communicate(timeout=30)
    flow.proceed(20)
    keeper = Keeper(a, a.wanted(b))
    keeper.settle()
    flow.proceed(20)
    keeper.stop()
    assert 0 == flow.lost()
    assert [] == keeper.written


def test_the_key_is_kept_through_the_loss_of_its_file(joined: World, tmp_path: Path) -> None:
    a, _ = joined.ends
    path = tmp_path / "keys" / "private"
    assert a.keys.private == own_key(path, "--key-file", running=a.do(a.backend.key()))
    path.unlink()
    a.restart()
    assert a.keys.private == own_key(path, "--key-file", running=a.do(a.backend.key()))
    assert path.exists()


def test_a_wireguard_go_that_hangs_is_told(joined: World, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = joined.ends
    process = process_of(a.backend.device)
    os.kill(process, signal.SIGSTOP)
    try:
        with monkeypatch.context() as hasty:
            hasty.setattr(wireguard_go, "_PATIENCE", 0.3)
            with pytest.raises(TransientError, match="wireguard-go does not answer"):
                a.observed()
    finally:
        os.kill(process, signal.SIGCONT)
    assert eventually(lambda: a.wanted(b) == a.observed(), "it answers again, and to the right question")


def test_another_endpoint_takes_over_under_a_flow_that_loses_no_more_than_is_under_way(
    wireguard: World, namespaces: Namespaces
) -> None:
    name = namespaces.device(3)
    third = End(2, namespaces.open_third(), lambda _: WireGuard(name, Userspace(name)), keys=keys_of(3))
    try:
        # It changes twice. Where a process is held up just then, more is under way.
        eventually(lambda: take_over(wireguard.a, wireguard.b, third) <= 2, "no more is lost than is under way")
    finally:
        third.do(third.backend.prune({DEVICE}))
        third.end()
