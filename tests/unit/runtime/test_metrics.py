"""Metrics are computed when they are asked for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from netlb import __version__
from netlb.reconcile import Counts
from netlb.runtime.metrics import StateCollector, counter, gauge, new_registry, reconciler_metrics


class Reconciling:
    def __init__(self, name: str, counts: Counts) -> None:
        self.name = name
        self._counts = counts

    def counts(self) -> Counts:
        return self._counts


def test_a_gauge_is_a_function_of_the_state_at_the_scrape() -> None:
    state: dict[tuple[str, ...], float] = {}
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: [gauge("netlb_held", "Held.", ("family",), state)]))
    assert registry.get_sample_value("netlb_held", {"family": "ipv4"}) is None
    state["ipv4",] = 3
    assert registry.get_sample_value("netlb_held", {"family": "ipv4"}) == 3


def test_registering_reads_nothing() -> None:
    CollectorRegistry(auto_describe=True).register(StateCollector(lambda: 1 / 0))  # type: ignore[arg-type,return-value]


def test_a_counter_keeps_its_name() -> None:
    registry = CollectorRegistry()
    registry.register(StateCollector(lambda: [counter("netlb_frames_total", "Frames.", (), {(): 2})]))
    assert registry.get_sample_value("netlb_frames_total") == 2


def test_every_registry_shows_build_and_process_and_is_its_own() -> None:
    for component in ("netlb-speaker", "netlb-controller"):
        registry = new_registry(component)
        labels = {"component": component, "version": __version__}
        assert registry.get_sample_value("netlb_build_info", labels) == 1
        assert (registry.get_sample_value("process_resident_memory_bytes") or 0) > 0


def test_reconcilers_show_how_far_they_are() -> None:
    registry = CollectorRegistry()
    reconcilers = [
        Reconciling("l2", Counts(pending=1, errors=2, retries=3)),
        Reconciling("status", Counts(pending=4, errors=5, retries=6)),
    ]
    registry.register(StateCollector(lambda: reconciler_metrics(reconcilers)))
    samples = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert samples == [
        'netlb_reconcile_pending{reconciler="l2"} 1.0',
        'netlb_reconcile_pending{reconciler="status"} 4.0',
        'netlb_reconcile_errors{reconciler="l2"} 2.0',
        'netlb_reconcile_errors{reconciler="status"} 5.0',
        'netlb_reconcile_retries_total{reconciler="l2"} 3.0',
        'netlb_reconcile_retries_total{reconciler="status"} 6.0',
    ]
