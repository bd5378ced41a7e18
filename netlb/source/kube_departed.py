"""Reports of nodes that have left the cluster: nobody is there any more to take them back, so whoever leads does."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from netlb.errors import NetlbError
from netlb.source.kube import KubeClient
from netlb.source.kube_kinds import REPORTS, SPEAKER_STATUSES, Resource
from netlb.source.kube_reports import NODE_LABEL, node_label
from netlb.source.kube_writing import write_each
from netlb.source.reflector import List

__all__ = ["DepartedNodes"]

_PAGE = 500


class DepartedNodes:
    """Looks for reports of nodes that are not there, once at first and then whenever a node has gone.

    A node counts as gone when it was not there at two looks, `interval` seconds apart. The SpeakerStatus of a node is
    removed last, so that what is left half done is found again.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        nodes: Callable[[], frozenset[str] | None],
        why_not: Callable[[], str],
        on_trouble: Callable[[str], None],
        interval: float,
    ) -> None:
        """`nodes` returns the names of those that are there, None while that is not known for certain.

        `why_not` says why this process may not write, if so; `on_trouble` is called with what is the matter.
        """
        self._client = client
        self._nodes = nodes
        self._why_not = why_not
        self._on_trouble = on_trouble
        self._interval = interval
        self._told = ""

    async def run(self) -> None:
        """Look until cancelled."""
        there: frozenset[str] | None = None
        due = True
        while True:
            await asyncio.sleep(self._interval)
            before, there = there, self._nodes()
            if there is None:
                due = True  # who went meanwhile is not known
                continue
            if due and before is not None:
                due = not await self._clean(before | there)
            due = due or (before is not None and not before <= there)

    async def _clean(self, alive: frozenset[str]) -> bool:
        """Remove the reports of all nodes but these; say whether nothing is left of them."""
        try:
            found = [body["metadata"] for body in await self._list(SPEAKER_STATUSES)]
            done = [await self._forget(metadata) for metadata in found if metadata["name"] not in alive]
        except NetlbError as error:
            self._tell(str(error))
            return False
        self._told = self._told if not all(done) else ""
        return all(done)

    async def _forget(self, speaker: Mapping[str, Any]) -> bool:
        """Remove all that one node's speaker has written; say whether that is done."""
        if speaker["name"] in (self._nodes() or ()):
            return True  # it has come back
        selected = f"{NODE_LABEL}={node_label(speaker['name'])}"
        left = {
            f"{resource.plural}/{metadata['namespace']}/{metadata['name']}": (resource, metadata)
            for resource in REPORTS.values()
            if resource.namespaced
            for metadata in [body["metadata"] for body in await self._list(resource, selected)]
        }

        async def remove(key: str) -> None:
            resource, metadata = left[key]
            await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])

        failures = await write_each(left, remove, self._why_not)
        if failures:
            self._tell(str(next(iter(failures.values()))))
            return False
        if why := self._why_not():
            self._tell(why)
            return False
        await self._client.delete(SPEAKER_STATUSES, "", speaker["name"], uid=speaker["uid"])
        return True

    async def _list(self, resource: Resource, labels: str = "") -> list[Any]:
        found: list[Any] = []
        page = List(_PAGE)
        while True:
            answer = await self._client.list_page(resource, page, labels=labels)
            found += answer.items
            if not answer.continue_token:
                return found
            page = List(_PAGE, answer.continue_token)

    def _tell(self, why: str) -> None:
        """Say what is the matter, once."""
        if why != self._told:
            self._told = why
            self._on_trouble(why)
