"""Show the reports of the benchmarks that ran, after everything else that pytest prints."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType

REPORTS = pytest.StashKey[list[RenderableType]]()


@pytest.fixture(scope="session")
def reports(pytestconfig: pytest.Config) -> list[RenderableType]:
    """What is to be shown at the end; a benchmark appends its report."""
    return pytestconfig.stash.setdefault(REPORTS, [])


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the reports, on at least 120 columns: a narrower table would be cut into pieces."""
    terminal = Console()
    console = Console(
        file=StringIO(), width=max(120, terminal.width), force_terminal=terminal.is_terminal, highlight=False
    )
    for report in config.stash.get(REPORTS, []):
        with console.capture() as captured:
            console.print(report)
        terminalreporter.write("\n" + captured.get())
