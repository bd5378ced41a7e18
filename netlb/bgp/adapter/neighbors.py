"""Peers in a gobgpd: with an address each, or made of a group when one connects from a prefix."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Self

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import ApiError, ForeignDaemonError
from netlb.bgp.messages import Message, message
from netlb.bgp.model import Global, Key, Peer
from netlb.bgp.owner import Owner
from netlb.bgp.peers import agree, encode_group, encode_peer, group_key, group_name, peer_key
from netlb.errors import NetlbError

__all__ = ["Neighbors"]


class Neighbors:
    """The peers of one gobgpd as they were when they were listed, as one owner sees them."""

    def __init__(
        self,
        client: GobgpClient,
        owner: Owner,
        peers: Iterable[Message],
        groups: Iterable[Message],
        prefixes: Iterable[tuple[str, str]],
    ) -> None:
        self._client = client
        self._owner = owner
        self._peers: dict[Key, Message] = {}
        self._groups: dict[Key, Message] = {}
        self._members: defaultdict[str, list[Message]] = defaultdict(list)
        self._prefixes: defaultdict[str, list[str]] = defaultdict(list)
        self._strangers: dict[Key, Message] = {}
        for prefix, group in prefixes:
            self._prefixes[group].append(prefix)
        for group in groups:
            if group.conf.peer_group_name.startswith(owner.group_prefix):
                self._groups[group_key(owner, group.conf.peer_group_name)] = group
        for peer in peers:
            if peer.conf.peer_group.startswith(owner.group_prefix):
                self._members[peer.conf.peer_group].append(peer)
            elif owner.description(peer.conf.description) is not None:
                self._peers[peer_key(owner, peer)] = peer
            else:
                self._strangers[peer_key(owner, peer)] = peer

    @classmethod
    async def found(cls, client: GobgpClient, owner: Owner) -> Self:
        """List what is there now."""
        peers, groups = await client.list_peers(), await client.list_groups()
        return cls(client, owner, peers, groups, await client.list_dynamic())

    @property
    def ours(self) -> frozenset[Key]:
        """The keys of our peers."""
        return frozenset({*self._peers, *self._groups})

    @property
    def strangers(self) -> list[str]:
        """The names of everybody else's peers."""
        return [key.name for key in self._strangers]

    def agrees(self, speaker: Global, peer: Peer) -> bool:
        """Whether a peer is there as it is wanted."""
        if peer.prefix is None:
            found = self._peers.get(peer.key)
            return found is not None and agree(encode_peer(self._owner, speaker, peer), found)
        group = self._groups.get(peer.key)
        listening = self._prefixes[group_name(self._owner, str(peer.prefix))]
        wanted = encode_group(self._owner, speaker, peer)
        return group is not None and agree(wanted, group) and [peer.prefix] == list(map(ip_network, listening))

    async def configure(self, speaker: Global, peers: Iterable[Peer]) -> Mapping[Key, Exception]:
        """Add peers, or change them; a session begins anew only where its peer really changes."""
        failures: dict[Key, Exception] = {}
        for peer in peers:
            try:
                if not self.agrees(speaker, peer):
                    await (self._set_peer if peer.prefix is None else self._set_group)(speaker, peer)
            except (ApiError, ForeignDaemonError, UnsupportedError) as error:
                failures[peer.key] = error
        return failures

    async def remove(self, keys: Iterable[Key]) -> Mapping[Key, Exception]:
        """Remove peers of ours; removing what is not there is nothing."""
        failures: dict[Key, Exception] = {}
        for key in keys:
            try:
                if key in self._groups:
                    await self._remove_group(key)
                elif key in self._peers:
                    await self._remove_peer(self._peers[key])
            except ApiError as error:
                failures[key] = error
        return failures

    async def _set_peer(self, speaker: Global, peer: Peer) -> None:
        if peer.key in self._strangers:
            raise ForeignDaemonError(f"somebody else has configured the peer {peer.key.name}; it is left alone")
        if peer.address is None and not self._client.dialect.bare_interfaces:
            raise UnsupportedError(
                f"peer {peer.key.name}: GoBGP 3 needs the router's link-local address beside the interface; give both"
            )
        wanted = encode_peer(self._owner, speaker, peer)
        if peer.key not in self._peers:
            await self._client.add_peer(wanted)
            return
        await self._client.update_peer(wanted)
        after = {peer_key(self._owner, found): found for found in await self._client.list_peers()}.get(peer.key)
        if after is None or not agree(wanted, after):
            if after is not None:
                await self._remove_peer(after)
            await self._client.add_peer(wanted)

    async def _set_group(self, speaker: Global, peer: Peer) -> None:
        if peer.password and not self._client.dialect.dynamic_passwords:
            raise UnsupportedError(
                f"peer {peer.key.name}: GoBGP 3 has no password for dynamic neighbours; give each router's address"
            )
        if peer.key in self._groups:
            await self._remove_group(peer.key)
        await self._client.add_group(encode_group(self._owner, speaker, peer), str(peer.prefix))

    async def _remove_peer(self, found: Message) -> None:
        if found.conf.auth_password:
            # Or the listening socket goes on demanding it of whoever has the address next.
            without = message("Peer").FromString(found.SerializeToString())
            without.conf.auth_password = ""
            await self._client.update_peer(without)
        address, interface = found.conf.neighbor_address, found.conf.neighbor_interface
        await self._client.delete_peer(address=address, interface="" if address else interface)

    async def _remove_group(self, key: Key) -> None:
        name = self._groups[key].conf.peer_group_name
        prefixes = self._prefixes[name]
        await self._client.delete_dynamic(name, prefixes)
        for member in self._members[name]:
            await self._client.delete_peer(address=member.state.neighbor_address)
        await self._client.delete_group(name)


class UnsupportedError(NetlbError):
    """This generation of GoBGP cannot do what a peer asks for."""
