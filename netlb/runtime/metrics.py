"""Metrics as functions of a state: what is shown is computed when it is asked for, and so is never out of step.

Every daemon has a registry of its own; nothing registers itself on import.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netlb import __version__
from netlb.reconcile import Counts

__all__ = [
    "Counted",
    "Followed",
    "StateCollector",
    "counter",
    "gauge",
    "new_registry",
    "received_metric",
    "reconciler_metrics",
    "source_metrics",
]

Samples = Mapping[tuple[str, ...], float]
"""Values by label values, in the order of the label names; the key of a metric without labels is `()`."""


class Counted(Protocol):
    """What a reconciler shows of itself."""

    name: str

    def counts(self) -> Counts:
        """Return its numbers."""
        ...


class Followed(Protocol):
    """What a source that may be out of reach shows of itself; times in seconds since 1970."""

    missing_since: int | None
    """Since when changes are missed; None: they are not."""
    kept_since: int | None
    """When that was heard which is in force, if it comes from the disk; None: it does not."""

    def troubles(self) -> Mapping[str, str]:
        """Return the kinds of which changes are missed, and why."""
        ...


class StateCollector(Collector):
    """Asks `read` for the metrics at every scrape."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment."""
        return self._read()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: without this, registering would read a state that is not there yet."""
        return ()


def gauge(name: str, documentation: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """Return a value that goes up and down."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family


def counter(name: str, documentation: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """Return a value that only grows; `name` ends in `_total`."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family


def new_registry(component: str) -> CollectorRegistry:
    """Return a registry that shows the process and the build; `component` is the name of the daemon."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    build = gauge("netlb_build_info", "Always 1.", ("component", "version"), {(component, __version__): 1})
    registry.register(StateCollector(lambda: [build]))
    return registry


def reconciler_metrics(reconcilers: Iterable[Counted]) -> Iterable[Metric]:
    """Return how far each reconciler has come."""
    counts = {(reconciler.name,): reconciler.counts() for reconciler in reconcilers}
    labels = ("reconciler",)
    yield gauge(
        "netlb_reconcile_pending",
        "Objects that are not as wanted and have not failed.",
        labels,
        {key: count.pending for key, count in counts.items()},
    )
    yield gauge(
        "netlb_reconcile_errors",
        "Objects whose last attempt failed, and one more while the adapter cannot be observed.",
        labels,
        {key: count.errors for key, count in counts.items()},
    )
    yield counter(
        "netlb_reconcile_retries_total",
        "Attempts made after a failure.",
        labels,
        {key: count.retries for key, count in counts.items()},
    )


def received_metric(received: Samples) -> Metric:
    """Return how much an API server has sent, by kind and verb."""
    description = "Bytes of the API server's answers, as sent, without headers and TLS."
    return counter("netlb_source_received_bytes_total", description, ("kind", "verb"), received)


def source_metrics(source: Followed) -> Iterable[Metric]:
    """Return what is missed of what happens at a source."""
    yield gauge(
        "netlb_source_missing",
        "Always 1: changes of the kind are missed at the moment.",
        ("kind",),
        {(kind,): 1.0 for kind in source.troubles()},
    )
    yield gauge(
        "netlb_source_missing_since_timestamp_seconds",
        "Since when changes are missed; 0: they are not.",
        (),
        {(): float(source.missing_since or 0)},
    )
    yield gauge(
        "netlb_source_kept_timestamp_seconds",
        "When that was heard which is in force, if it comes from the disk; 0: it comes from the API server.",
        (),
        {(): float(source.kept_since or 0)},
    )
