"""What a responder process holds and has counted, read in pages."""

from collections.abc import AsyncIterator, Iterable, Mapping
from ipaddress import ip_address

from netlb.l2.adapter.process import ResponderProcess
from netlb.l2.announces import AddressStats, FrameSource, Stats
from netlb.l2.interfaces import Interface
from netlb.net import Address
from netlb.reasons import FrameVerdict

__all__ = ["holdings_of", "stats_of"]


async def holdings_of(process: ResponderProcess) -> list[tuple[int, bytes, list[bytes]]]:
    """Return its open interfaces: index, MAC address, and the addresses that are held there."""
    return [
        (index, mac, [address async for address, *_ in _rows(process, index)]) for index, mac in await process.opened()
    ]


async def stats_of(process: ResponderProcess, interfaces: Iterable[Interface]) -> Stats:
    """Return its counters, of these interfaces, which are open."""
    frames = await process.stats()
    judged: dict[FrameSource, Mapping[FrameVerdict, int]] = {}
    addresses: dict[Address, AddressStats] = {}
    for interface in interfaces:
        counts = frames.verdicts.get(interface.index, {})
        judged[FrameSource(interface.name, "socket")] = {FrameVerdict(name): count for name, count in counts.items()}
        if interface.index in frames.fast:
            hook, answered = frames.fast[interface.index]
            judged[FrameSource(interface.name, hook)] = {FrameVerdict.ANSWERED: answered}
        async for packed, requests, responses, gratuitous in _rows(process, interface.index):
            address = ip_address(packed)
            known = addresses.get(address, AddressStats())
            addresses[address] = known.plus(requests, responses, gratuitous)
    return Stats(judged, frames.overrun, frames.unsent, addresses)


async def _rows(process: ResponderProcess, index: int) -> AsyncIterator[tuple[bytes, int, int, int]]:
    start = 0
    while rows := (await process.counters(index, start)).rows:
        start += len(rows)
        for row in rows:
            yield row
