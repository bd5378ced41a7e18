"""A node's data plane brought about by the adapters, without a daemon."""

import asyncio
from collections.abc import Mapping
from typing import Any

from netlb.raven.adapter import KernelOperations, cleanup
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.backend import parts
from netlb.raven.dataplane import DataPlane, Numbers
from netlb.raven.keys import Keys
from netlb.raven.objects import objects
from netlb.testing.lab import Host
from netlb.testing.lab.namespaces import inside

__all__ = ["bring", "remove"]


def bring(host: Host, plane: DataPlane, numbers: Numbers, keys: Keys) -> list[str]:
    """Bring a node to a plan, as the engine does; return what was written to its kernel, and raise what went wrong."""
    return inside(host.namespace, lambda: asyncio.run(_bring(plane, numbers, keys)))


def remove(host: Host, numbers: Numbers, keys: Keys) -> None:
    """Remove everything of ours from a node."""
    inside(host.namespace, lambda: asyncio.run(_remove(numbers, keys)))


async def _bring(plane: DataPlane, numbers: Numbers, keys: Keys) -> list[str]:
    backend = WireGuard(numbers.tunnel_device, Userspace(numbers.tunnel_device))
    backend.use(keys)
    try:
        if plane.tunnel:
            await _change(backend, parts(plane.tunnel, keys))
    finally:
        await backend.close()
    async with KernelOperations(numbers) as kernel:
        return await _change(kernel, objects(plane, numbers))


async def _change(operations: Any, wanted: Mapping[Any, Any]) -> list[str]:
    there = await operations.observe()
    changed = {key: value for key, value in wanted.items() if there.get(key) != value}
    gone = [key for key in there if key not in wanted]
    failures = dict(await operations.apply(changed)) if changed else {}
    failures |= await operations.prune(gone) if gone else {}
    if failures:
        raise ExceptionGroup("not brought about", list(failures.values()))
    return [str(key) for key in (*changed, *gone)]


async def _remove(numbers: Numbers, keys: Keys) -> None:
    removed = await cleanup(numbers)
    assert not any(removed.values()), removed
    backend = WireGuard(numbers.tunnel_device, Userspace(numbers.tunnel_device))
    backend.use(keys)
    try:
        there = await backend.observe()
        failures = await backend.prune(list(there)) if there else {}
        assert not failures, failures
    finally:
        await backend.close()
