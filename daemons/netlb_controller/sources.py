"""The sources of pools: one reconciler for each, which reserves what is claimed and gives back the rest."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec
from netlb.errors import NetlbError
from netlb.ipam import Claims, Leases
from netlb.ipam.adapter.netbox import NetBox
from netlb.ipam.adapter.operations import LeaseOperations
from netlb.ipam.adapter.settings import NetBoxSettings, TokenFile
from netlb.ipam.source import AddressSource, Claim, Lessee
from netlb.net import Address
from netlb.reconcile import Reconciler

__all__ = ["MakeSource", "PoolSources", "make_source"]

MakeSource = Callable[[AddressPool, str], AddressSource]
"""Makes the source of a pool, for an installation of that name. Raises NetlbError."""


def make_source(pool: AddressPool, installation: str) -> AddressSource:
    """Make the source that a pool declares."""
    if pool.spec.source is None:
        raise ValueError(f"{pool.ref} has no source")
    netbox = pool.spec.source.netbox
    settings = NetBoxSettings(
        url=netbox.url,
        token=TokenFile(Path(netbox.token_file)),
        addresses=pool.spec.addresses,
        vrf=netbox.vrf,
        ca_file=netbox.ca_file,
    )
    return NetBox(settings, Lessee(installation, pool.metadata.name))


@dataclass(slots=True)
class _Source:
    spec: AddressPoolSpec
    source: AddressSource
    reconciler: Reconciler[Claim, Address | None]
    task: asyncio.Task[None]


class PoolSources:
    """Follows the pools of the plans."""

    def __init__(
        self,
        installation: str,
        make: MakeSource,
        *,
        on_leases: Callable[[], None],
        on_bug: Callable[[str, Exception], None],
    ) -> None:
        self._installation = installation
        self._make = make
        self._on_leases = on_leases
        self._on_bug = on_bug
        self._sources: dict[str, _Source] = {}
        self._retired: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._wanted: tuple[Mapping[str, AddressPool], Mapping[str, Claims]] = ({}, {})
        self.leases: dict[str, Leases] = {}
        """By pool: what its source has reserved for us, as last seen."""

    @property
    def reconcilers(self) -> list[Reconciler[Claim, Address | None]]:
        """Those of all sources."""
        return [one.reconciler for one in self._sources.values()]

    async def run(self) -> None:
        """Reserve and give back until cancelled; what is reserved stays reserved."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self.want(*self._wanted)
                await asyncio.Event().wait()
        finally:
            for one in self._sources.values():
                await one.source.close()

    def want(self, pools: Mapping[str, AddressPool], claims: Mapping[str, Claims]) -> None:
        """Set the pools, and what is to be reserved for each."""
        self._wanted = pools, claims
        if self._tasks is None:
            return
        for name, one in list(self._sources.items()):
            if name not in pools or pools[name].spec != one.spec:
                self._retire(name)
        for name, pool in pools.items():
            if pool.spec.source is None:
                continue
            if name not in self._sources:
                self._open(name, pool, self._tasks)
            if name in self._sources:
                self._sources[name].reconciler.want(dict(claims.get(name, {})))

    def _open(self, name: str, pool: AddressPool, tasks: asyncio.TaskGroup) -> None:
        try:
            source = self._make(pool, self._installation)
        except NetlbError as error:
            self._leased(name, Leases(problem=str(error)))
            return
        reconciler: Reconciler[Claim, Address | None] = Reconciler(
            f"source of {name}",
            LeaseOperations(source, lambda leases: self._leased(name, leases)),
            on_bug=self._on_bug,
        )
        self._sources[name] = _Source(pool.spec, source, reconciler, tasks.create_task(reconciler.run()))

    def _retire(self, name: str) -> None:
        """Give back what the source of a pool that is gone, or is another one now, has reserved for us."""
        one = self._sources.pop(name)
        self.leases.pop(name, None)
        one.reconciler.want({})
        if self._tasks is not None:
            self._retired.add(self._tasks.create_task(self._finish(one)))

    async def _finish(self, one: _Source) -> None:
        try:
            await one.reconciler.settled()
        finally:
            one.task.cancel()
            await one.source.close()

    def _leased(self, name: str, leases: Leases) -> None:
        if self.leases.get(name) != leases:
            self.leases[name] = leases
            asyncio.get_running_loop().call_soon(self._on_leases)
