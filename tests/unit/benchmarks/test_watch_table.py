"""The tables of bench_watch.py fit, and its targets are judged by what was measured."""

from io import StringIO

from rich.console import Console, Group

from benchmarks.watch.measure import KINDS, Changes, Speaker, Sync
from benchmarks.watch.objects import NODE, address, cluster, endpoints, ours, service
from benchmarks.watch.table import changes_table, speaker_table, sync_table, targets

MIB = 2**20


def sync(seconds: float, peak: int = 100) -> Sync:
    return Sync(
        seconds=seconds,
        cpu_seconds=seconds / 2,
        objects=20_000,
        before_bytes=50 * MIB,
        after_bytes=90 * MIB,
        peak_bytes=peak * MIB,
    )


SYNCS = {"netlb": [sync(0.5), sync(1.0), sync(0.75)], "kubernetes_asyncio": [sync(5.0), sync(5.0), sync(7.5)]}
SPEAKER = Speaker(
    ready_seconds=3.25, steady_bytes=70 * MIB, peak_bytes=90 * MIB, others_bytes=[12 * MIB], idle_cpu=0.004
)
CHANGES = Changes(
    single={KINDS[0]: [float(number) for number in range(1, 101)], KINDS[1]: [1.0] * 100},
    burst=[100.0, 12_345.6],
    burst_events_ms=50.0,
    burst_all_ms=12_400.0,
    created=[30.0, 40.0],
)


def shown() -> str:
    console = Console(file=StringIO(), width=120)
    with console.capture() as captured:
        console.print(Group(sync_table(SYNCS), speaker_table(SPEAKER), changes_table(CHANGES)))
    return captured.get()


def test_every_row_fits_120_columns() -> None:
    lines = shown().splitlines()
    assert 120 >= max(map(len, lines))
    assert [] == [line for line in lines if "…" in line]


def test_a_peer_is_shown_by_the_median_of_its_ratios() -> None:
    (row,) = (line.split() for line in shown().splitlines() if "kubernetes_asyncio" in line)
    assert ["5.00", "7.50", "10"] == row[1:4]


def test_targets_are_judged_by_what_was_measured() -> None:
    judged = {target.name: (target.value, target.met) for target in targets(SYNCS, SPEAKER, CHANGES)}
    assert {
        "first sync": (0.75, True),
        "speaker's RSS when idle": (70.0, True),
        "speaker's RSS at its peak": (90.0, False),
        f"event to frame, p99: {KINDS[0]}": (99.0, False),
        f"event to frame, p99: {KINDS[1]}": (1.0, True),
        "idle CPU": (0.4, True),
    } == judged


def test_the_cluster_is_what_the_method_says() -> None:
    objects = list(cluster(100))
    kinds = [body["kind"] for body in objects]
    assert (100, 100, 100) == (kinds.count("Service"), kinds.count("EndpointSlice"), kinds.count("Node"))
    assert 400 == sum(len(body["endpoints"]) for body in objects if body["kind"] == "EndpointSlice")
    assert 10 == sum(map(ours, range(100)))
    assert {NODE} == {each["nodeName"] for each in endpoints(10)["endpoints"]}
    assert address(10) == service(10)["status"]["loadBalancer"]["ingress"][0]["ip"]
