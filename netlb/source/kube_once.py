"""What is in force in a cluster now, once, and whether there is a way to ask."""

import asyncio
from collections.abc import Iterable
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


def require_cluster(kubeconfig: Path | None) -> None:
    """Raise SettingError if there is no configuration with which an API server could be asked."""
    KubeClient(kubeconfig, field_manager="netlb").check()


def read_cluster(kubeconfig: Path | None, intake: Intake, kinds: Iterable[Watched], namespace: str = "") -> Snapshot:
    """Return the snapshot of now, with the passwords of this namespace. Raises SettingError."""
    return asyncio.run(_read(kubeconfig, intake, kinds, namespace))


async def _read(kubeconfig: Path | None, intake: Intake, kinds: Iterable[Watched], namespace: str) -> Snapshot:
    client = KubeClient(kubeconfig, field_manager="netlb")
    source = KubeSource(client, intake, kinds, secrets_in=lambda: (namespace or client.namespace,))
    try:
        async with asyncio.timeout(_PATIENCE):
            return await source.first()
    except TimeoutError:
        why = next(iter(source.troubles().values()), "it is slow")
        raise SettingError("--source", f"not all was told within {_PATIENCE:g} s: {why}", "try again") from None
    finally:
        await client.close()
