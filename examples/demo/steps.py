"""Steps of a demonstration: shown with the time that each took, and bounded in it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until a step that does not come about has failed."""

console = Console(highlight=False)


class StepFailedError(Exception):
    """A step did not hold."""


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """Show one step with the time that it took; what is handed to the yielded function is its outcome."""
    outcome: list[str] = []
    began = time.perf_counter()
    try:
        with console.status(escape(what)):
            yield outcome.append
    except Exception:
        console.print(f"[red]✗[/]             {escape(what)}")
        raise
    milliseconds = (time.perf_counter() - began) * 1000
    result = "".join(f": [bold]{escape(line)}[/]" for line in outcome)
    console.print(f"[green]✓[/] {milliseconds:7.0f} ms  {escape(what)}{result}", soft_wrap=True)


def act(title: str) -> None:
    """Begin another part."""
    console.rule(f"[bold]{escape(title)}[/]", align="left")


def require(condition: object, problem: str) -> None:
    """Fail the step unless something holds."""
    if not condition:
        raise StepFailedError(problem)


def eventually(look: Callable[[], T | None], problem: str) -> T:
    """Wait until `look` finds something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise StepFailedError(problem)
