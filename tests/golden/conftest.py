"""`pytest tests/golden --update-golden` writes what planning says now into the scenario files; then read the diff."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected parts of the scenarios")
