"""What differs between two mappings of which the second mostly is the first. Pure.

An IP address is hashed in Python: to look up a thousand of them takes as long as everything else about one change.
So nothing is looked up that did not change: copies of dicts keep the hashes, and what is in both is in the same order.
"""

from collections.abc import Hashable, Mapping
from itertools import starmap
from operator import is_
from typing import Any, TypeVar

__all__ = ["differing"]

K = TypeVar("K", bound=Hashable)


def differing(before: Mapping[K, Any], after: Mapping[K, Any]) -> list[K]:
    """Return the keys that one of them has, or whose values are not equal: those of `after` first, in their order."""
    before, after = dict(before), dict(after)
    added, gone = set(after).difference(before), set(before).difference(after)
    old, new = dict(before), dict(after)
    for key in gone:
        del old[key]
    for key in added:
        del new[key]
    if all(starmap(is_, zip(old, new, strict=True))):
        pairs = zip(old.values(), new.items(), strict=True)
        other = [key for value, (key, now) in pairs if value is not now and value != now]
    else:
        other = [key for key, now in new.items() if (value := old[key]) is not now and value != now]
    return [*_in_order({*added, *other}, after), *_in_order(gone, before)]


def _in_order(some: set[K], whole: Mapping[K, Any]) -> list[K]:
    """Return some of the keys in the order of all; what is new is at the end."""
    found: list[K] = []
    for key in reversed(list(whole)):
        if len(found) == len(some):
            break
        if key in some:
            found.append(key)
    return found[::-1]
