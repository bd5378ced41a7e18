"""A gobgpd's API in one piece: the kept connection, the operations on it, and the events out of it."""

from collections.abc import Callable
from typing import Final, Never

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.link import GobgpLink
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.adapter.target import Target
from netlb.bgp.events import Drifted, Event, SessionChanged
from netlb.bgp.messages import Message
from netlb.bgp.paths import decode_path
from netlb.bgp.peers import Session, session

__all__ = ["GobgpSpeaker"]

_PEER_INIT: Final = 1
_PEER_STATE: Final = 3
_NOBODY: Final = frozenset({"", "<nil>", "invalid IP"})


class GobgpSpeaker:
    """What a daemon needs of one gobgpd: give `operations` to a Reconciler, and let `run` run.

    The reconciler forgets what it knows at DaemonLost (`lost`), and looks again at DaemonBack and Drifted (`refresh`).
    `on_event` is called from the event loop and must neither wait nor raise.
    """

    def __init__(
        self,
        target: Target,
        *,
        on_event: Callable[[Event], None],
        tenancy: Tenancy = Tenancy.SOLE,
        instance: int = 1,
        interval: float = 5.0,
        patience: float = 2.0,
    ) -> None:
        """Use the gobgpd at `target`; see `Tenancy`, `Owner` and `GobgpLink` for the other arguments."""
        self._emit = on_event
        self._link = GobgpLink(target, on_event=on_event, on_message=self._hear, interval=interval, patience=patience)
        self.operations = BgpOperations(
            self._link.client, tenancy=tenancy, instance=instance, on_drift=lambda what: on_event(Drifted(what))
        )

    async def run(self) -> Never:
        """Keep the connection until cancelled."""
        await self._link.run()

    async def sessions(self) -> dict[str, Session]:
        """Return every session, those of strangers too, by the router's address."""
        client = self._link.client()
        found = [self._session(client, peer) for peer in await client.list_peers(advertised=True)]
        return {one.address: one for one in found}

    def _session(self, client: GobgpClient, peer: Message) -> Session:
        address = peer.state.neighbor_address or peer.conf.neighbor_address
        key = self.operations.peer_at(address, peer.conf.neighbor_interface)
        return session(client.dialect, key, peer)

    def _hear(self, client: GobgpClient, message: Message) -> None:
        match message.WhichOneof("event"):
            case "peer" if message.peer.type in (_PEER_INIT, _PEER_STATE):
                heard = self._session(client, message.peer.peer)
                if heard.address not in _NOBODY:
                    self._emit(SessionChanged(heard))
            case "table":
                self._compare(client, message.table.paths)

    def _compare(self, client: GobgpClient, paths: list[Message]) -> None:
        owner = self.operations.owner()
        if owner is None:
            return
        for path in paths:
            found = decode_path(client.dialect, owner, path)
            if found is not None and self.operations.drifted(found, withdrawn=path.is_withdraw):
                self._emit(Drifted(f"the route to {found.prefix} was changed by somebody else"))
