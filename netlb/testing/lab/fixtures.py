"""Labs as pytest fixtures. Import this module from tests only: it needs pytest, and the package does not."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from netlb.testing.lab.lab import Lab
from netlb.testing.lab.layout import Segment
from netlb.testing.lab.requirements import requirements

__all__ = ["lab_fixture"]


def lab_fixture(
    *,
    nodes: int = 3,
    clients: int = 1,
    routers: int = 0,
    pods_per_node: int = 1,
    name: str = "test",
    segment: Segment | None = None,
    scope: Literal["function", "class", "module", "package", "session"] = "module",
) -> Any:
    """Make a fixture that opens such a lab, and skips by name of what is missing where there can be none."""

    @pytest.fixture(scope=scope)
    def lab() -> Iterator[Lab]:
        if missing := requirements():
            pytest.skip("; ".join(missing))
        with Lab(
            nodes=nodes,
            clients=clients,
            routers=routers,
            pods_per_node=pods_per_node,
            name=name,
            segment=segment,
        ) as opened:
            yield opened

    return lab
