"""Our rules, by pyroute2: those with our protocol number that lead to a table of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.net import Family
from netlb.raven.adapter.errors import ForeignStateError
from netlb.raven.dataplane import Numbers, Rule
from netlb.raven.objects import Key, RuleKey, Strange, Value
from netlb.reasons import Foreign

__all__ = ["Rules"]

_FAMILIES: Final = {Family.IPV4: 2, Family.IPV6: 10}
_TO_TABLE: Final = 1
_EEXIST, _ENOENT = 17, 2
_PLAIN: Final = frozenset(
    {
        "FRA_TABLE",
        "FRA_PRIORITY",
        "FRA_PROTOCOL",
        "FRA_IIFNAME",
        "FRA_SUPPRESS_PREFIXLEN",
        "FRA_SUPPRESS_IFGROUP",
    }
)
_NOT_SUPPRESSED: Final = 0xFFFFFFFF
_DETACHED: Final = 8
"""FIB_RULE_IIF_DETACHED: the device that it names is not there."""


@dataclass(frozen=True, slots=True)
class _There:
    """A rule as it is there."""

    key: RuleKey
    protocol: int
    odd: str

    @property
    def value(self) -> Value:
        """It as a value."""
        key = self.key
        return Strange(self.odd) if self.odd else Rule(key.family, key.priority, key.table, key.incoming)


class Rules:
    """The rules of both families."""

    def __init__(self, route: AsyncIPRoute, numbers: Numbers) -> None:
        self._route = route
        self._protocol = numbers.protocol
        self._tables = frozenset((numbers.overlay_table, numbers.tunnel_table))

    async def observe(self) -> dict[Key, Value]:
        """Return our rules."""
        found: dict[Key, Value] = {}
        for family in Family:
            for there in await self._there(family):
                if self._is_ours(there):
                    found[there.key] = there.value if there.key not in found else Strange("several")
        return found

    async def apply(self, key: RuleKey) -> None:
        """Make a rule; NetlinkError, or ForeignStateError if somebody else has one of its priority."""
        for there in await self.refuse(key):
            if there.key == key and there.odd:
                await self.prune(key)
        try:
            await self._send("add", key)
        except NetlinkError as error:
            if error.code != _EEXIST:
                raise

    async def refuse(self, key: RuleKey) -> "list[_There]":
        """Return the rules of its family; ForeignStateError if somebody else has one of its priority."""
        found = await self._there(key.family)
        for there in found:
            if there.key.priority == key.priority and not self._is_ours(there):
                raise ForeignStateError(
                    Foreign.RULE,
                    key,
                    f"there is a rule to table {there.key.table} with protocol {there.protocol} at that priority",
                    "remove it, or choose other priorities",
                )
        return found

    async def prune(self, key: RuleKey) -> None:
        """Remove all of a key.

        To the kernel, a rule to be removed that names no device is any. What goes with it because it comes first is
        made again.
        """
        restored: list[RuleKey] = []
        matching = [there.key for there in await self._there(key.family) if self._matches(there, key)]
        while key in matching:
            first = matching.pop(0)
            try:
                await self._send("del", key)
            except NetlinkError as error:
                if error.code != _ENOENT:
                    raise
                break
            if first != key:
                restored.append(first)
        for other in restored:
            await self._send("add", other)

    def _matches(self, there: _There, key: RuleKey) -> bool:
        same = (there.key.priority, there.key.table) == (key.priority, key.table)
        return same and self._is_ours(there) and key.incoming in ("", there.key.incoming)

    def _is_ours(self, there: _There) -> bool:
        return there.protocol == self._protocol and there.key.table in self._tables

    async def _there(self, family: Family) -> list[_There]:
        return [_read(family, message) async for message in await self._route.rule("dump", family=_FAMILIES[family])]

    async def _send(self, command: str, key: RuleKey) -> None:
        incoming: Mapping[str, str] = {"iifname": key.incoming} if key.incoming else {}
        await self._route.rule(
            command,
            family=_FAMILIES[key.family],
            priority=key.priority,
            table=key.table,
            protocol=self._protocol,
            **incoming,
        )


def _read(family: Family, message: Any) -> _There:
    key = RuleKey(
        family,
        message.get_attr("FRA_PRIORITY") or 0,
        message.get_attr("FRA_TABLE") or message["table"],
        message.get_attr("FRA_IIFNAME") or "",
    )
    odd = [name for name, _ in message["attrs"] if name not in _PLAIN]
    if message.get_attr("FRA_SUPPRESS_PREFIXLEN") not in (None, _NOT_SUPPRESSED):
        odd.append("suppresses")
    if message["action"] != _TO_TABLE or message["src_len"] or message["dst_len"] or message["tos"]:
        odd.append("selects")
    if message["flags"] & ~_DETACHED:
        odd.append("inverted")
    return _There(key, message.get_attr("FRA_PROTOCOL") or 0, ", ".join(odd))
