"""The Leases by which the speakers of a cluster know of each other: renews a node's own, and follows those of others.

Up to 33 nodes follow the Leases of all. Where there are more, each follows those of its neighbours, 32 at most, and
those that say of a node that it is not alive; who finds a neighbour dead says so in its Lease, as if that node had
left, so that what is sent grows with the nodes and not with their square.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from random import SystemRandom
from typing import Any, Final

import msgspec

from netlb.api.meta import Record
from netlb.errors import NetlbError
from netlb.source.kube import KubeClient
from netlb.source.kube_election import Election, micros, steady
from netlb.source.kube_errors import NOT_FOUND, RequestError
from netlb.source.kube_follower import Follower, Known
from netlb.source.kube_kinds import LEASES, NODES, Watched
from netlb.source.kube_reports import NODE_LABEL, node_label
from netlb.source.lease import Elector, LeasePace, LeaseRecord
from netlb.source.reflector import Pace
from netlb.source.vigil import Life, Sign, Vigil

__all__ = ["ALIVE_LABEL", "NodeLeases", "lease_pace"]

ALIVE_LABEL: Final = "netlb.io/alive"
"""On a node's Lease: `true` while its speaker answers for addresses, `starting` or `false` while it does not."""
_YES, _SOON, _NO = "true", "starting", "false"
_LOTS = SystemRandom()
_LOOK: Final = 0.5
"""Seconds between two looks whether the Node is there."""
_SPREAD: Final = 0.5
"""Seconds within which one of a dead node's neighbours says so; the others then need not."""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class NodeLease(Record, frozen=True, kw_only=True):
    """`coordination.k8s.io/v1 Lease`, as far as it is read."""

    KIND = "Lease"

    spec: _Spec = _Spec()


def lease_pace(duration: int) -> LeasePace:
    """Return how a Lease of so many seconds is renewed: four times in one, so that a few renewals may be lost."""
    return LeasePace(
        duration=duration, renew_deadline=duration * 3 / 4, retry=duration / 4, answer_timeout=duration * 3 / 8
    )


class NodeLeases:
    """One node's part. `on_change` is called when other nodes are dead than before, or more is known."""

    def __init__(
        self,
        client: KubeClient,
        node: str,
        *,
        namespace: Callable[[], str],
        uid: Callable[[], str],
        identity: str,
        duration: int,
    ) -> None:
        """`namespace` returns netlb's own; `uid` that of the Node, which the Lease goes with, or nothing.

        `identity` is the same for all speakers that this machine runs until it starts anew, and for no others.
        """
        self._client = client
        self._node = node
        self._namespace = namespace
        self._uid = uid
        self._duration = duration
        self._identity = identity
        self._vigil = Vigil(identity, duration=duration)
        self._others: frozenset[str] = frozenset()
        self._neighbours: frozenset[str] | None = None
        """Where not all are followed: those that are."""
        self._denied: dict[Follower, frozenset[str]] = {}
        self._followers: tuple[Follower, ...] = ()
        self._rearranged = asyncio.Event()
        self._election: Election | None = None
        self._accusing: set[asyncio.Task[None]] = set()
        self._ready = False
        self._soon_until = float("-inf")
        self._before: object = None
        self.on_change: Callable[[], None] = lambda: None

    # What is known

    @property
    def dead(self) -> frozenset[str]:
        """The nodes that cannot answer for addresses."""
        said = frozenset[str]().union(*self._denied.values()) & self._others
        return self._vigil.dead | (said - (self._neighbours or frozenset()))

    @property
    def settled(self) -> bool:
        """Whether it is known of every node how it is."""
        return self._vigil.settled and all(follower.reflector.synced for follower in self._followers)

    @property
    def renewing(self) -> bool:
        """Whether no other speaker can have taken this node for dead, as far as its Lease says."""
        return self._election is not None and self._election.leads()

    @property
    def rival(self) -> str:
        """Who else holds this node's Lease; empty for nobody."""
        holder = self._election.holder if self._election else ""
        return holder if holder != self._identity else ""

    @property
    def trouble(self) -> str:
        """Why the Lease is not renewed, or those of others are not seen; empty if nothing is wrong."""
        why = self._election.trouble if self._election else ""
        return why or next((follower.trouble for follower in self._followers if follower.trouble), "")

    def life(self, node: str) -> Life:
        """Return how it is with a node."""
        if self._neighbours is not None and node not in self._neighbours:
            return Life.DEAD if node in self.dead else Life.ALIVE
        return self._vigil.life(node)

    # What is done

    def arrange(self, others: Collection[str], neighbours: Collection[str] | None) -> None:
        """Judge these nodes, by following all of them or, if they are too many, these neighbours."""
        self._others = frozenset(others)
        chosen = None if neighbours is None else frozenset(neighbours)
        self._vigil.arrange(self._others if chosen is None else chosen)
        if chosen != self._neighbours:
            self._neighbours = chosen
            self._rearranged.set()

    def be_ready(self, ready: bool) -> None:
        """Say whether this node can answer for addresses; at first it cannot."""
        if ready != self._ready:
            self._ready = ready
            if self._election:
                self._election.hurry()

    async def leave(self) -> bool:
        """Say that this node's speaker leaves; return whether others know it now."""
        if self._election is None or not self._election.leads():
            return False
        self._ready, self._soon_until = False, float("-inf")
        await self._election.resign()
        return not self._election.holder

    async def run(self) -> None:
        """Renew and follow, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew())
                group.create_task(self._follow())
        finally:
            for task in self._accusing:
                task.cancel()

    # How

    async def _renew(self) -> None:
        """Renew while there is a Node that the Lease goes with, or else it would stay behind; until told to leave."""
        self._soon_until = steady() + self._duration
        renewing: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            while renewing is None or not renewing.done():
                if renewing is None and self._uid():
                    self._election = self._new_election()
                    renewing = group.create_task(self._election.run())
                elif renewing is not None and not self._uid():
                    renewing.cancel()
                    renewing = None
                await asyncio.sleep(_LOOK)

    def _new_election(self) -> Election:
        return Election(
            self._client,
            Elector(self._identity, jitter=_LOTS.random, pace=lease_pace(self._duration)),
            namespace=self._namespace(),
            name=self._node,
            changed=lambda _: self.on_change(),
            metadata=self._metadata,
            sending=self._sending,
        )

    def _metadata(self) -> Mapping[str, Any]:
        """Return what the Lease says beside its record; it goes with its Node."""
        if self._ready:
            self._soon_until = float("-inf")
        alive = _YES if self._ready else _SOON if steady() < self._soon_until else _NO
        labels = {NODE_LABEL: node_label(self._node), ALIVE_LABEL: alive}
        node = {"apiVersion": NODES.api_version, "kind": NODES.kind, "name": self._node, "uid": self._uid()}
        return {"labels": labels, "ownerReferences": [node]}

    def _sending(self, record: LeaseRecord) -> None:
        if record.renewed is not None:
            self._vigil.sent(record.renewed, steady())

    async def _follow(self) -> None:
        while True:
            self._rearranged.clear()
            self._denied = {}
            async with asyncio.TaskGroup() as group:
                self._followers = tuple(map(self._follower, self._selectors()))
                tasks = [group.create_task(follower.run()) for follower in self._followers]
                await self._rearranged.wait()
                for task in tasks:
                    task.cancel()

    def _selectors(self) -> tuple[str, ...]:
        if self._neighbours is None:
            return (NODE_LABEL,)
        names = ",".join(sorted(map(node_label, {*self._neighbours, self._node})))
        return f"{NODE_LABEL} in ({names})", f"{ALIVE_LABEL} in ({_SOON},{_NO})"

    def _follower(self, labels: str) -> Follower:
        watched = Watched(resources=(LEASES,), records=(NodeLease,), namespace=self._namespace(), labels=labels)
        denies = labels.startswith(ALIVE_LABEL)
        # On a watch that is alive our own renewals come by all the time; without them it is opened anew.
        silence = Pace().idle_timeout if denies else float(self._duration)
        pace = Pace(answer_timeout=max(self._duration, 4.0), idle_timeout=silence, longest_backoff=self._duration / 4)
        follower: Follower = Follower(
            self._client,
            watched,
            lambda: (self._hear if denies else self._see)(follower),
            pace=pace,
            jitter=_LOTS.random,
        )
        return follower

    def _hear(self, follower: Follower) -> None:
        """Take in who is not alive, as others say."""
        self._denied[follower] = frozenset(key.name for key in follower.reflector.entries)
        self._tell()

    def _see(self, follower: Follower) -> None:
        """Take in Leases; our own comes last, as it proves how fresh all of them are."""
        now = steady()
        declared = follower.take().declared
        signs = {key.name: None if known is None else _sign(known) for key, known in declared.items()}
        for node, sign in signs.items():
            self._vigil.saw(node, sign, now)
        if self._node in signs:
            self._vigil.saw_own(signs[self._node], now)
            if self._neighbours is not None:
                self._accuse()
        self._tell()

    def _tell(self) -> None:
        known = (self._vigil.judgements, self.settled, self._denied.copy())
        if known != self._before:
            self._before = known
            self.on_change()

    # Of many nodes

    def _accuse(self) -> None:
        """Say of neighbours that fell silent that they are dead, unless somebody has."""
        busy = {task.get_name() for task in self._accusing}
        for node in self._vigil.dead - busy:
            if (sign := self._vigil.sign(node)) is not None and sign.holder and sign.ready:
                task = asyncio.create_task(self._say_dead(node, sign), name=node)
                self._accusing.add(task)
                task.add_done_callback(self._accusing.discard)

    async def _say_dead(self, node: str, sign: Sign) -> None:
        await asyncio.sleep(_LOTS.random() * _SPREAD)
        if self._vigil.sign(node) != sign:
            return
        with suppress(NetlbError):  # it is tried again with our next renewal
            namespace = self._namespace()
            try:
                body = await self._client.get(LEASES, namespace, node)
            except RequestError as error:
                if error.status == NOT_FOUND:
                    return
                raise
            if _sign(body) == sign:
                spec = {name: value for name, value in body["spec"].items() if name != "holderIdentity"}
                labels = {**body["metadata"].get("labels", {}), ALIVE_LABEL: _NO}
                metadata = {**body["metadata"], "labels": labels}
                await self._client.replace(LEASES, namespace, {**body, "metadata": metadata, "spec": spec})


def _sign(known: Known | Mapping[str, Any]) -> Sign | None:
    """Read a Lease; None for what is no node's."""
    try:
        if isinstance(known, bytes):
            lease = msgspec.json.decode(known, type=NodeLease)
        else:
            lease = msgspec.convert(known, NodeLease)
    except msgspec.ValidationError:
        return None
    spec, labels = lease.spec, lease.metadata.labels
    if NODE_LABEL not in labels:
        return None
    return Sign(
        holder=spec.holder_identity or "",
        ready=labels.get(ALIVE_LABEL) == _YES,
        starting=labels.get(ALIVE_LABEL) == _SOON,
        duration=spec.lease_duration_seconds or 1,
        renewed=micros(spec.renew_time),
        transitions=spec.lease_transitions or 0,
    )
