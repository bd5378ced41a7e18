"""IPsec as a backend: a strongSwan that runs on this node, over VICI. What others have configured there stays."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vici import Session
from vici.exception import CommandException, DeserializationException, SessionException

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven import ipsec
from netlb.raven.adapter.links import NetLink
from netlb.raven.backend import DEVICE, Choice, Device, Part, PeerState, Remote
from netlb.raven.ipsec import Sa
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.mtu import ANY

__all__ = ["LIBIPSEC_DEVICE", "VICI", "Strongswan", "Vici"]

VICI: Final = Path("/var/run/charon.vici")
LIBIPSEC_DEVICE: Final = "ipsec0"
"""The device of kernel-libipsec, which has one for everything and gives it this name."""
_LIBIPSEC_WIDEST: Final = 1400
"""It reads packets from its device into room for so many octets, and cuts off what is longer, whatever MTU it has."""
_ROUND: Final = 1.0
"""Seconds between two looks at the SAs."""
_PATIENCE: Final = 10.0


class Vici:
    """strongSwan's control socket. One request is out at a time, in a thread of its own."""

    def __init__(self, path: Path = VICI) -> None:
        self._path = path
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    async def ask(self, command: str, message: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to a request. NetlbError: it is refused; TransientError: nobody answers."""
        found: dict[str, Any] = await self._call(command, lambda session: session.request(command, message))
        return found

    async def listed(self, command: str, event: str) -> list[dict[str, Any]]:
        """Return what a request streams; errors as of `ask`."""
        found: list[dict[str, Any]] = await self._call(
            command, lambda session: list(session.streamed_request(command, event, {}))
        )
        return found

    async def close(self) -> None:
        """Hang up."""
        async with self._turn:
            session, self._session = self._session, None
            _hang_up(session)

    async def _call(self, command: str, call: Callable[[Session], Any]) -> Any:
        async with self._turn:
            session, self._session = self._session, None
            try:
                if session is None:
                    session = await asyncio.to_thread(self._connect)
                answer = await asyncio.to_thread(call, session)
            except CommandException as error:
                self._session = session
                raise NetlbError(f"strongSwan refuses {command}: {error}") from None
            except (OSError, SessionException, DeserializationException) as error:
                _hang_up(session)
                words = f"strongSwan does not answer at {self._path}: {error}"
                raise TransientError(f"{words}; start it, with its plugin vici") from None
            except asyncio.CancelledError:
                _hang_up(session)  # the answer is still to come, and would be taken for that to the next request
                raise
            self._session = session
            return answer

    def _connect(self) -> Session:
        channel = socket.socket(socket.AF_UNIX)
        try:
            channel.settimeout(_PATIENCE)
            channel.connect(str(self._path))
        except OSError:
            channel.close()
            raise
        return Session(channel)


def _hang_up(session: Session | None) -> None:
    if session is not None:
        with contextlib.suppress(OSError):
            session.transport.close()
        session.transport.socket.close()


class Strongswan:
    """A `Backend` over one strongSwan.

    Connections and secrets of ours begin with `netlb-` and the device's name. With ESP in the kernel the device is an
    xfrm interface of ours; kernel-libipsec has its own. From the first `apply` on, SAs are looked after once a second.
    """

    choice: Final = Choice.IPSEC
    overhead: Final = ipsec.OVERHEAD

    def __init__(self, device: str, vici: Vici, *, libipsec: bool) -> None:
        """Keep the peers of a device. With `libipsec` it is the plugin's own, and only set up."""
        self.device = device
        self.widest = _LIBIPSEC_WIDEST if libipsec else ANY
        self._link = NetLink(device)
        self._vici = vici
        self._libipsec = libipsec
        self._keys: Keys | None = None
        self._lost: Callable[[], None] = lambda: None
        self._loaded: dict[str, tuple[Remote, Keys]] = {}
        self._port = 0
        self._tending: asyncio.Task[None] | None = None

    def use(self, keys: Keys) -> None:
        """See `Backend`. NetlbError: without a shared secret there is no IPsec."""
        if keys.shared is None:
            raise NetlbError("IPsec needs a secret that all endpoints share; give one, or choose WireGuard")
        self._keys = keys

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Backend`."""
        self._lost = lost

    async def key(self) -> PrivateKey | None:
        """See `Backend`: strongSwan never has it."""
        return None

    async def observe(self) -> Mapping[str, Part]:
        """See `Backend`. What another process loaded is not known in full, and is loaded again, which ends no SA."""
        link = await self._link.link()
        connections = await self._connections()
        found: dict[str, Part] = {}
        if link is not None and link.ours:
            found[DEVICE] = Device(key=self._own.public, port=self._port, mtu=link.mtu, up=link.up)
        for key, listed in connections.items():
            remote, keys = self._loaded.get(key, (Remote(), None))
            known = keys is not None and ipsec.same(listed, keys.public, remote)
            found[key] = replace(remote if known else Remote(), shared=known and keys == self._own)
        return found

    async def apply(self, changes: Mapping[str, Part]) -> Mapping[str, Exception]:
        """See `Backend`. Each peer is a connection of its own: SAs follow, new ones first."""
        device = changes.get(DEVICE)
        if isinstance(device, Device):
            await self._make(device)
        failures: dict[str, Exception] = {}
        for key, part in changes.items():
            if isinstance(part, Remote):
                try:
                    await self._load(key, part)
                except TransientError:
                    raise
                except NetlbError as error:
                    failures[key] = error
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._tend())
        await self._look_after()
        return failures

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """See `Backend`. The device of kernel-libipsec stays, without our mark."""
        there, secrets = (await self._connections()).keys(), await self._secrets()
        for key in there | secrets if DEVICE in keys else keys:
            self._loaded.pop(key, None)
            name = ipsec.name_of(self.device, key)
            if key in there:
                await self._vici.ask("unload-conn", {"name": name})
                await self._end(name)
            if key in secrets:  # also if we were killed just when its connection had gone
                await self._vici.ask("unload-shared", {"id": name})
        link = await self._link.link()
        if DEVICE in keys and link is not None and link.ours:
            await (self._link.disown(link) if self._libipsec else self._link.delete_link(link))
        return {}

    async def states(self) -> Mapping[str, PeerState]:
        """See `Backend`."""
        sas = await self._sas()
        return {
            key: ipsec.state(sa for sa in sas if sa.name == ipsec.name_of(self.device, key))
            for key in await self._connections()
        }

    async def close(self) -> None:
        """See `Backend`."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait([self._tending])
        await self._vici.close()

    @property
    def _own(self) -> Keys:
        assert self._keys is not None, "use() comes first"
        return self._keys

    async def _make(self, want: Device) -> None:
        if want.key != self._own.public:
            raise NetlbError(f"{self.device}: it is wanted with another key than the one that is in use")
        link = await self._link.link()
        if link is None and self._libipsec:
            raise TransientError(f"{self.device}: strongSwan has not made it; give it its plugin kernel-libipsec")
        if link is None:
            try:
                await self._link.add_link("xfrm", xfrm_if_id=ipsec.IF_ID)
            except DataplaneError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                remedy = "load xfrm_interface, or give strongSwan its plugin kernel-libipsec"
                raise NetlbError(f"{self.device}: this kernel has no xfrm interfaces; {remedy}") from error
            link = await self._link.link()
        elif not self._libipsec and not link.ours:
            raise NetlbError(f"{self.device}: another program has made it; remove it, or name another device")
        if link is None:
            raise TransientError(f"{self.device}: it was made, and is gone")
        await self._link.configure(link, want.mtu)
        if self._port != want.port:
            self._port = want.port
            for key, (remote, _) in list(self._loaded.items()):
                await self._load(key, remote)

    async def _load(self, key: str, remote: Remote) -> None:
        keys = self._own
        assert keys.shared is not None
        own, if_id = keys.public, 0 if self._libipsec else ipsec.IF_ID
        await self._vici.ask("load-shared", ipsec.secret(self.device, own, key, keys.shared.octets))
        connection = ipsec.connection(self.device, own, key, remote, self._port, if_id)
        await self._vici.ask("load-conn", connection)
        self._loaded[key] = (remote, keys)

    async def _tend(self) -> None:
        """Look after the SAs for as long as we live; tell when strongSwan was gone and is back."""
        away = False
        while True:
            await asyncio.sleep(_ROUND)
            try:
                await self._look_after()
            except NetlbError:
                away = True
                continue
            if away or self._loaded.keys() - await self._connections():
                away = False
                self._lost()

    async def _end(self, name: str) -> None:
        """End all SAs of a connection, whether or not the peer is there to agree."""
        with contextlib.suppress(NetlbError):  # it has none
            await self._vici.ask("terminate", {"ike": name, "force": "yes", "timeout": "-1"})

    async def _look_after(self) -> None:
        wanted = {ipsec.name_of(self.device, key): remote for key, (remote, _) in self._loaded.items()}
        todo = ipsec.to_do(wanted, await self._sas())
        for name in todo.end:
            await self._end(name)
        for stale in todo.stale:
            with contextlib.suppress(NetlbError):
                await self._vici.ask("terminate", {"ike-id": str(stale), "force": "yes", "timeout": "-1"})
        # What is refused here is not there any more, or is asked for again in the next round.
        for name, child in todo.initiate:
            with contextlib.suppress(NetlbError):
                await self._vici.ask("initiate", {"ike": name, "child": child, "timeout": "-1"})
        for number in todo.terminate:
            with contextlib.suppress(NetlbError):
                await self._vici.ask("terminate", {"child-id": number, "timeout": "-1"})

    async def _connections(self) -> dict[str, Mapping[str, Any]]:
        """Return our connections, by public key."""
        return {
            key: connection
            for message in await self._vici.listed("list-conns", "list-conn")
            for name, connection in message.items()
            if (key := ipsec.key_of(self.device, name)) is not None
        }

    async def _secrets(self) -> set[str]:
        """Return the peers with which we have a secret, by public key."""
        names = (await self._vici.ask("get-shared")).get("keys", ())
        return {key for name in names if (key := ipsec.key_of(self.device, name.decode())) is not None}

    async def _sas(self) -> tuple[Sa, ...]:
        try:
            return tuple(
                ipsec.read_sa(name, sa)
                for message in await self._vici.listed("list-sas", "list-sa")
                for name, sa in message.items()
                if ipsec.key_of(self.device, name) is not None
            )
        except (KeyError, ValueError) as error:
            raise NetlbError(f"what strongSwan says of its SAs is not understood: {error}") from error
