"""JSON as the API server writes it, and kept: of ten thousand objects that are listed, few have changed since."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from netlb.testing.apiserver.store import Body, Name

__all__ = ["Texts", "page_of", "to_json"]


def to_json(body: Any) -> bytes:
    """Return JSON as Go writes it: a text may have line ends other than LF in it, such as U+0085."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


class Texts:
    """The JSON of objects in lists, by their resource's name, version, and their own name."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, Name], tuple[Body, bytes]] = {}

    def of(self, resource: str, version: str, name: Name, body: Body, form: Callable[[Body], Body]) -> bytes:
        """Return the JSON of the form that a stored object has; bodies are not changed once they are stored."""
        known = self._known.get((resource, version, name))
        if known is None or known[0] is not body:
            self._known[resource, version, name] = known = (body, to_json(form(body)))
        return known[1]

    @staticmethod
    def listed(head: Body, items: Iterable[bytes]) -> bytes:
        """Return the JSON of a list; `head` is all of it but its items."""
        return to_json(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"


def page_of(
    objects: Mapping[Name, Body],
    names: Sequence[Name],
    selects: Callable[[Name, Body], bool],
    start: Name,
    limit: int,
) -> tuple[dict[Name, Body], int]:
    """Return the objects that follow a name, at most so many (0: all), and how many names are left (in order)."""
    page: dict[Name, Body] = {}
    for at in range(bisect_right(names, start), len(names)):
        if limit and len(page) == limit:
            return page, len(names) - at
        if selects(names[at], objects[names[at]]):
            page[names[at]] = objects[names[at]]
    return page, 0
