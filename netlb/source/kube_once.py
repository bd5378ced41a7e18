"""What is in force in a cluster now, once, and whether there is a way to ask."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import SettingError
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import Watched
from netlb.source.kube_source import KubeSource

__all__ = ["read_cluster", "require_cluster"]

_PATIENCE = 30.0
"""Seconds for the API server to tell everything."""
_LOOK = 0.05
"""Seconds between two looks whether that will ever be."""


def require_cluster(kubeconfig: Path | None) -> None:
    """Raise SettingError if there is no configuration with which an API server could be asked."""
    KubeClient(kubeconfig, field_manager="netlb").check()


def read_cluster(
    kubeconfig: Path | None,
    intake: Intake,
    kinds: Iterable[Watched],
    *,
    secrets_in: Callable[[str], Sequence[str]] = lambda own: (own,),
    leaves_others: bool = False,
    takes_over: bool = True,
) -> Snapshot:
    """Return the snapshot of now, as of `KubeSource`. Raises SettingError.

    `secrets_in` is given the namespace of the pod, or of the kubeconfig's context.
    """

    async def read() -> Snapshot:
        client = KubeClient(kubeconfig, field_manager="netlb")
        source = KubeSource(
            client,
            intake,
            kinds,
            secrets_in=lambda: secrets_in(client.namespace),
            leaves_others=leaves_others,
            takes_over=takes_over,
        )
        return await _first(source, client)

    return asyncio.run(read())


async def _first(source: KubeSource, client: KubeClient) -> Snapshot:
    first = asyncio.ensure_future(source.first())
    try:
        async with asyncio.timeout(_PATIENCE):
            while not first.done():
                if refusal := source.refusal():
                    raise SettingError("--source", refusal, "or name another account's kubeconfig (kube:FILE)")
                await asyncio.wait([first], timeout=_LOOK)
            return first.result()
    except TimeoutError:
        why = next(iter(source.troubles().values()), "it is slow")
        raise SettingError("--source", f"not all was told within {_PATIENCE:g} s: {why}", "try again") from None
    finally:
        first.cancel()
        await asyncio.wait([first])
        await client.close()
