"""The cases as tables, and the targets they are held against. Pure."""

from collections.abc import Callable, Sequence
from statistics import median

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.arp.measure import Case, Round
from benchmarks.arp.peers import FARPD, KERNEL, NDPPD, NETLB, OTHER, PEERS, SCAPY, SOCKETS, Peer
from benchmarks.arp.places import Family, Way
from benchmarks.arp.traffic import Traffic
from benchmarks.harness.targets import Target

__all__ = ["memory_table", "round_trip_table", "targets", "traffic_table"]

BPF_LIMIT = 0.95
"""Times the kernel's own answer, of the median and of the slowest hundredth."""
SOCKETS_LIMIT = 8.0
"""The same of a process that is woken, of the median."""
SOCKETS_RATE_LIMIT = 1.25
"""How many times as many answers a second the kernel gives."""
FLAT_LIMIT = 1.25
"""Times one address's median, with many: tables of 100,000 are in no cache, which costs half a microsecond."""
TRAFFIC_LIMIT = 1.02

_MEDIANS: Sequence[tuple[str, Callable[[Round], float]]] = (
    ("p50", lambda each: each.round_trip_us.p50),
    ("p99", lambda each: each.round_trip_us.p99),
)
_RIVALS: dict[Family, tuple[Peer, ...]] = {"ARP": (SCAPY, FARPD), "NDP": (SCAPY, NDPPD)}
_WAYS: tuple[Way, ...] = ("veth", "bridge")


def round_trip_table(cases: Sequence[Case]) -> Table:
    """Return a row for every case: medians over the rounds, ratios to the kernel in the same rounds and place."""
    title = "answering for an address, or one of many; x: times the kernel's for one, in the same rounds"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("over", "answered by"):
        table.add_column(heading, no_wrap=True)
    headings = ("of", "p50 µs", "x", "p99 µs", "x", "answers/s", "x", "CPU µs", "lost", "of flood")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for case in cases:
        kernel = _find(cases, KERNEL, case.family, case.way)
        name = f"{case.family} {case.way}"
        table.add_row(name, case.peer.name, f"{case.addresses:,}", *_numbers(case, kernel))
    return table


def _numbers(case: Case, kernel: Case | None) -> list[str]:
    if case.peer.missing:
        return ["not installed"]
    if case.failure or not case.rounds:
        return ["not measured"]
    cells = []
    for value in (*(value for _, value in _MEDIANS), lambda each: each.per_second):
        ratio = None if kernel is None else case.ratio(value, kernel)
        cells += [_figure(case.median(value)), "-" if ratio is None else _figure(ratio)]
    cpu = [each.cpu_us for each in case.rounds if each.cpu_us is not None]
    cells.append(_figure(case.median(lambda each: each.cpu_us or 0.0)) if cpu else "-")
    cells.append(str(sum(each.lost + each.window_lost for each in case.rounds)))
    lost = flood_lost(case)
    return [*cells, "-" if lost is None else f"{lost:.2%}"]


def flood_lost(case: Case) -> float | None:
    """Return which part of the questions of a flood was not answered; None where there was none."""
    sent = sum(each.flood_sent for each in case.rounds)
    return sum(each.flood_lost for each in case.rounds) / sent if sent else None


def memory_table(cases: Sequence[Case]) -> Table:
    """Return the memory of each peer that was measured; of the first of its cases."""
    table = Table(title="memory, idle", title_justify="left", box=SIMPLE)
    table.add_column("answered by")
    table.add_column("process")
    table.add_column("RSS MiB", justify="right")
    shown = set()
    for case in cases:
        if case.peer.name in shown or not case.rounds:
            continue
        shown.add(case.peer.name)
        for index in range(len(case.rounds[0].resident_bytes)):
            mebibytes = median(each.resident_bytes[index] for each in case.rounds) / 2**20
            role = "the program that holds the address" if index == 0 else "its responder"
            ours = case.peer.name in {NETLB.name, SOCKETS.name}
            table.add_row(case.peer.name, role if ours else "", f"{mebibytes:.1f}")
    return table


def traffic_table(traffic: Traffic) -> Table:
    """Return how much one TCP stream brings into the node, with whom on the interface."""
    table = Table(title="one TCP stream into the node over the cable", title_justify="left", box=SIMPLE)
    table.add_column("on the interface")
    for heading in ("Gbit/s", "without / with"):
        table.add_column(heading, justify="right")
    for peer in (None, NETLB, SOCKETS):
        bits = traffic.bits[peer.name if peer else "nobody"]
        cost = traffic.cost(peer) if peer else None
        speed = f"{median(bits) / 1e9:.2f}" if bits else "not measured"
        table.add_row(peer.name if peer else "nobody", speed, "-" if cost is None else f"{cost:.3f}")
    return table


def targets(cases: Sequence[Case], traffic: Traffic) -> list[Target]:
    """Return what the benchmark is meant to show."""
    found = []
    for family in _RIVALS:
        for way in _WAYS:
            found += _against_kernel(cases, family, way)
        found += _against_rivals(cases, family)
        found += _flatness(cases, family)
    for peer in (NETLB, SOCKETS):
        lost = [part for case in cases if case.peer.name == peer.name and (part := flood_lost(case)) is not None]
        lost_of_one = max(lost, default=None)
        percent = None if lost_of_one is None else 100 * lost_of_one
        found.append(Target(name=f"{peer.name}: lost of 100,000/s, worst case", value=percent, limit=0.001, unit="%"))
        cost = traffic.cost(peer)
        found.append(Target(name=f"{peer.name}: TCP without / with", value=cost, limit=TRAFFIC_LIMIT, unit="x"))
    return found


def _against_kernel(cases: Sequence[Case], family: Family, way: Way) -> list[Target]:
    kernel = _find(cases, KERNEL, family, way)
    bpf, sockets = _find(cases, NETLB, family, way), _find(cases, SOCKETS, family, way)
    found = [
        Target(
            name=f"{family} over {way}, {name}: {NETLB.name} / kernel",
            value=_ratio(bpf, value, kernel),
            limit=BPF_LIMIT,
            unit="x",
        )
        for name, value in _MEDIANS
    ]
    name, value = f"{family} over {way}, p50: {SOCKETS.name} / kernel", _ratio(sockets, _MEDIANS[0][1], kernel)
    found.append(Target(name=name, value=value, limit=SOCKETS_LIMIT, unit="x"))
    rate = _ratio(kernel, lambda each: each.per_second, sockets)
    name = f"{family} over {way}, answers/s: kernel / {SOCKETS.name}"
    return [*found, Target(name=name, value=rate, limit=SOCKETS_RATE_LIMIT, unit="x")]


def _against_rivals(cases: Sequence[Case], family: Family) -> list[Target]:
    rivals = (*_RIVALS[family], *([OTHER] if OTHER in PEERS else []))
    return [
        Target(
            name=f"{family} over bridge, {name}: {NETLB.name} / {rival.name}",
            value=_ratio(_find(cases, NETLB, family, "bridge"), value, _find(cases, rival, family, "bridge")),
            limit=1.0,
            unit="x",
        )
        for rival in rivals
        for name, value in _MEDIANS
    ]


def _flatness(cases: Sequence[Case], family: Family) -> list[Target]:
    return [
        Target(
            name=f"{family}, p50: {case.peer.name}, {case.addresses:,} addresses / 1",
            value=_ratio(case, _MEDIANS[0][1], _find(cases, case.peer, family, case.way)),
            limit=FLAT_LIMIT,
            unit="x",
        )
        for case in cases
        if case.family == family and case.addresses > 1
    ]


def _ratio(case: Case | None, value: Callable[[Round], float], reference: Case | None) -> float | None:
    return None if case is None or reference is None else case.ratio(value, reference)


def _find(cases: Sequence[Case], peer: Peer, family: Family, way: Way) -> Case | None:
    wanted = (peer.name, family, way, 1)
    return next((case for case in cases if (case.peer.name, case.family, case.way, case.addresses) == wanted), None)


def _figure(value: float) -> str:
    """Show three digits, or all of a greater whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
