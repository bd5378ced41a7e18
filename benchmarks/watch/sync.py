"""Read all Services and EndpointSlices of a cluster once, as one program does it, and say what that took.

Run in a process of its own: PEER KUBECONFIG. Prints one line of JSON. What has been read is kept until the end.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PEERS"]

_PAGE = 500


async def netlb(kubeconfig: str) -> Callable[[], Awaitable[int]]:
    """What the speaker does: followed from then on, in the form that it plans from."""
    from netlb.api.intake import Intake  # noqa: PLC0415 - of the peers, this process loads one
    from netlb.runtime.app import GC_ALLOCATIONS  # noqa: PLC0415
    from netlb.source.kube import KubeClient  # noqa: PLC0415
    from netlb.source.kube_kinds import Reader, watched  # noqa: PLC0415
    from netlb.source.kube_source import KubeSource  # noqa: PLC0415

    gc.set_threshold(GC_ALLOCATIONS)
    client = KubeClient(Path(kubeconfig), field_manager="bench")
    source = KubeSource(client, Intake(), watched(reader=Reader.ANNOUNCEMENTS, lean=True))

    async def read() -> int:
        snapshots = source.snapshots()
        snapshot = await anext(snapshots)
        _KEPT.append((snapshots, source, client, snapshot))
        return len(snapshot.services) + sum(map(len, snapshot.endpoint_slices.values()))

    return read


async def kubernetes_asyncio(kubeconfig: str) -> Callable[[], Awaitable[int]]:
    """The official client's models, on asyncio."""
    from kubernetes_asyncio import client, config  # noqa: PLC0415

    await config.load_kube_config(kubeconfig)
    api = client.ApiClient()

    async def read() -> int:
        lists = (
            client.CoreV1Api(api).list_service_for_all_namespaces,
            client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces,
        )
        found = await asyncio.gather(*map(_all, lists))
        _KEPT.append((api, found))
        return sum(map(len, found))

    async def _all(listed: Callable[..., Awaitable[Any]]) -> list[Any]:
        items: list[Any] = []
        token = ""
        while True:
            page = await listed(limit=_PAGE, **({"_continue": token} if token else {}))
            items += page.items
            token = page.metadata._continue
            if not token:
                return items

    return read


async def kr8s(kubeconfig: str) -> Callable[[], Awaitable[int]]:
    """Objects around dictionaries."""
    import kr8s.asyncio as library  # noqa: PLC0415

    api = await library.api(kubeconfig=kubeconfig)

    async def read() -> int:
        async def listed(kind: str) -> list[Any]:
            return [found async for found in api.get(kind, namespace="all")]

        found = await asyncio.gather(listed("services"), listed("endpointslices.discovery.k8s.io"))
        _KEPT.append((api, found))
        return sum(map(len, found))

    return read


PEERS: Mapping[str, Callable[[str], Awaitable[Callable[[], Awaitable[int]]]]] = {
    "netlb": netlb,
    "kubernetes_asyncio": kubernetes_asyncio,
    "kr8s": kr8s,
}
_KEPT: list[Any] = []


def resident() -> int:
    """Return this process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def main(peer: str, kubeconfig: str) -> None:
    """Read, and say what it took."""
    read = await PEERS[peer](kubeconfig)
    before, cpu, begin = resident(), time.process_time(), time.monotonic()
    objects = await read()
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    said = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "objects": objects,
        "before_bytes": before,
        "after_bytes": resident(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(said), flush=True)
    os._exit(0)  # what the libraries keep open takes time to close, which nobody measures


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
