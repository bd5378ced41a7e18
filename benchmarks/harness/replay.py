"""Hand measurements that were taken elsewhere to pytest-benchmark.

Peers must be measured by turns, within one run, and by a probe that is not written in Python; pytest-benchmark runs one
test to its end before the next and times Python functions. So everything is measured first, and each test then replays
its rounds to a clock that shows the probe's times: they reach pytest-benchmark's table, JSON and comparisons unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["CLOCK", "RecordedClock", "replay"]


class RecordedClock:
    """A clock that stands still until it is told how long something took."""

    def __init__(self) -> None:
        self._reading = 0.0

    def read(self) -> float:
        """Return the reading in seconds."""
        return self._reading

    def pass_by(self, seconds: float) -> None:
        """Move on."""
        self._reading += seconds


CLOCK: Final = RecordedClock()
"""For `@pytest.mark.benchmark(timer=CLOCK.read)`, which every test that replays must carry."""


def replay(benchmark: BenchmarkFixture, durations: Sequence[float], extra_info: Mapping[str, object]) -> None:
    """Make each duration, in seconds, one round of the test; `extra_info` goes into the JSON beside them."""
    recorded = iter(durations)
    benchmark.extra_info.update(extra_info)
    run: Callable[..., None] = benchmark.pedantic
    run(lambda: CLOCK.pass_by(next(recorded)), rounds=len(durations), iterations=1)
