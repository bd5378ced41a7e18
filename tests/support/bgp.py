"""Worlds for what talks to gobgpd: one in memory, of either generation, and the real one in a network namespace."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Protocol

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.adapter.speaker import GobgpSpeaker
from netlb.bgp.adapter.target import Target
from netlb.bgp.dialect import Dialect
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted, Event
from netlb.bgp.messages import Message, message
from netlb.bgp.model import BgpState, Global, Key, LargeCommunity, Peer, Record, Route
from netlb.bgp.owner import Owner
from netlb.bgp.paths import family_message
from netlb.bgp.peers import encode_global
from netlb.net import Family
from netlb.reconcile import Reconciler
from netlb.testing.gobgp import FakeGobgpd
from netlb.testing.lab import Lab
from netlb.testing.lab.namespaces import inside
from tests.support.bgp_router import Router, Told
from tests.support.waiting import becomes

PATIENCE = 60.0
"""Seconds in which what is expected comes, however busy the machine."""

SPEAKER = Global(asn=65001, router_id=IPv4Address("192.0.2.1"), listen_port=-1)
LISTENING = replace(SPEAKER, listen_port=1790, listen_addresses=(ip_address("127.0.0.1"),))
"""Whom routers may dial."""
ROUTER = Peer(address=ip_address("192.0.2.254"), asn=65000, password="correct horse", passive=True)
FOUR = Route(prefix=ip_network("203.0.113.1/32"), next_hop=ip_address("192.0.2.1"))
SIX = Route(prefix=ip_network("2001:db8::1/128"), next_hop=ip_address("2001:db8:1::1"))
STATE = BgpState(SPEAKER, (ROUTER,), (FOUR, SIX))


class Daemon(Protocol):
    """One gobgpd."""

    @property
    def target(self) -> Target: ...

    async def restart(self) -> None:
        """Kill it, and see another one started, which knows nothing."""

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Rig(Protocol):
    """One world."""

    generation: int
    """Of GoBGP."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario on an event loop inside this world."""

    def daemon(self) -> AbstractAsyncContextManager[Daemon]: ...

    def routers(self, *routers: Router) -> AbstractAsyncContextManager[None]:
        """Let routers dial `LISTENING`; in memory there is nobody to dial."""


class FakeRig:
    """A gobgpd in memory."""

    def __init__(self, folder: Path, dialect: Dialect, generation: int) -> None:
        self.generation = generation
        self._folder = folder
        self._dialect = dialect

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(scenario())

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Daemon]:
        async with FakeGobgpd(self._folder / "api.sock", self._dialect) as gobgpd:
            yield _FakeDaemon(gobgpd)

    @asynccontextmanager
    async def routers(self, *routers: Router) -> AsyncIterator[None]:
        for router in routers:
            router.established = True
        yield


class _FakeDaemon:
    def __init__(self, gobgpd: FakeGobgpd) -> None:
        self._gobgpd = gobgpd
        self.target = gobgpd.target
        self.freeze = gobgpd.freeze
        self.thaw = gobgpd.thaw

    async def restart(self) -> None:
        await self._gobgpd.kill()
        await self._gobgpd.start()


class RealRig:
    """The installed gobgpd, in a network namespace where nobody else is."""

    def __init__(self, folder: Path, namespace: str) -> None:
        ran = subprocess.run(["gobgpd", "--version"], capture_output=True, text=True, check=True)
        self.generation = int(ran.stdout.split()[-1].split(".")[0])
        self._folder = folder
        self._namespace = namespace

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        inside(self._namespace, lambda: asyncio.run(scenario()))

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Daemon]:
        async with Gobgpd(directory=self._folder / "own") as gobgpd:
            yield _RealDaemon(gobgpd)

    @asynccontextmanager
    async def routers(self, *routers: Router) -> AsyncIterator[None]:
        [host] = LISTENING.listen_addresses
        tasks = [asyncio.create_task(router.run(str(host), LISTENING.listen_port)) for router in routers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _RealDaemon:
    def __init__(self, gobgpd: Gobgpd) -> None:
        self._gobgpd = gobgpd
        self.target = gobgpd.target

    async def restart(self) -> None:
        before = self._gobgpd.pid
        self._gobgpd.kill()
        await becomes(lambda: self._gobgpd.pid not in (None, before))

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._gobgpd.pid is not None
        os.kill(self._gobgpd.pid, number)


@contextmanager
def real_rig(folder: Path) -> Iterator[RealRig]:
    """Open a namespace for a real gobgpd."""
    with Lab(nodes=1, clients=0, pods_per_node=0, name="gobgp") as lab:
        yield RealRig(folder, lab.nodes["node-1"].namespace)


def without_gobgpd() -> list[str]:
    """What is missing for a real gobgpd, an empty list if nothing is; tests skip with these words."""
    return [] if shutil.which("gobgpd") else ["gobgpd: the command is not found; install gobgpd"]


class Kept:
    """A speaker under a reconciler, as a daemon has it."""

    def __init__(
        self, target: Target, *, tenancy: Tenancy = Tenancy.SOLE, instance: int = 1, patience: float = PATIENCE
    ) -> None:
        self.events: list[Event] = []
        self.bugs: list[Exception] = []
        self.speaker = GobgpSpeaker(
            target, on_event=self._hear, tenancy=tenancy, instance=instance, interval=0.1, patience=patience
        )
        self.reconciler: Reconciler[Key, Record] = Reconciler(
            "bgp", self.speaker.operations, on_bug=lambda _, error: self.bugs.append(error)
        )

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case DaemonLost():
                self.reconciler.lost()
            case DaemonBack() | Drifted():
                self.reconciler.refresh()

    async def settle(self, state: BgpState) -> None:
        """Bring a state about."""
        self.reconciler.want(state.records())
        await self.settled()

    async def settled(self) -> None:
        """Wait with patience until what is wanted is there."""
        async with asyncio.timeout(PATIENCE):
            await self.reconciler.settled()
        assert [] == self.bugs, self.bugs

    def problems(self) -> set[str]:
        """What the reconciler says of everything that failed."""
        return {status.message for status in self.reconciler.statuses().values() if status.message}

    def count(self, kind: type[Event]) -> int:
        """How many events of a kind there were."""
        return len([event for event in self.events if isinstance(event, kind)])


@asynccontextmanager
async def kept(
    target: Target, *, tenancy: Tenancy = Tenancy.SOLE, instance: int = 1, patience: float = PATIENCE
) -> AsyncIterator[Kept]:
    """Run a speaker and its reconciler; a daemon that does not answer for `patience` seconds is lost."""
    one = Kept(target, tenancy=tenancy, instance=instance, patience=patience)
    tasks = [asyncio.create_task(one.speaker.run()), asyncio.create_task(one.reconciler.run())]
    try:
        yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [] == one.bugs


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[GobgpClient]:
    """Connect as somebody else."""
    client = await GobgpClient.connect(target)
    try:
        yield client
    finally:
        await client.close()


async def start(client: GobgpClient) -> None:
    """Start the speaker, as somebody else."""
    await client.start_bgp(encode_global(SPEAKER))


class Relay:
    """The way to a gobgpd's socket, which can be cut while the gobgpd itself goes on."""

    def __init__(self, target: Target, path: Path) -> None:
        self.target = Target.unix(path)
        self._path = path
        self._behind = target.address.removeprefix("unix:")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def cut(self) -> None:
        """Break every connection, and let no more through."""
        assert self._server is not None
        self._server.close()
        self._path.unlink()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind_writer = await asyncio.open_unix_connection(self._behind)
        except OSError:  # nobody is there: then nobody answers here
            writer.close()
            return
        pair = {writer, behind_writer}
        self._writers |= pair
        await asyncio.gather(_pump(reader, behind_writer), _pump(behind_reader, writer))
        self._writers -= pair


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def told(client: GobgpClient, peer: str) -> dict[str, Told]:
    """Ask a gobgpd what it tells a peer, or would tell it, by prefix: its Adj-RIB-Out."""
    found: dict[str, Told] = {}
    for family in Family:
        table = client.dialect.table_adj_out
        request = message("ListPathRequest")(table_type=table, name=peer, family=family_message(family))
        for answer in await client._stream("ListPath", request, "ListPathResponse"):
            [path] = answer.destination.paths
            found[answer.destination.prefix] = _told(
                dict(filter(None, map(client.dialect.unwrap_attribute, path.pattrs)))
            )
    return found


def _told(attributes: dict[str, Message]) -> Told:
    large = attributes["large_communities"].communities if "large_communities" in attributes else ()
    communities = attributes["communities"].communities if "communities" in attributes else ()
    return Told(
        frozenset(communities),
        frozenset(LargeCommunity(each.global_admin, each.local_data1, each.local_data2) for each in large)
        - {Owner(SPEAKER.asn).community},
        attributes["local_pref"].local_pref if "local_pref" in attributes else None,
        attributes["multi_exit_disc"].med if "multi_exit_disc" in attributes else None,
    )
