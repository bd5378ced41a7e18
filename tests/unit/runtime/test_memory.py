"""Memory that is given back."""

import ctypes
from typing import Any

import pytest

from netlb.runtime.memory import give_back


class Library:
    """A C library."""

    def __init__(self) -> None:
        self.trimmed: list[int] = []

    def malloc_trim(self, pad: int) -> int:
        self.trimmed.append(pad)
        return 1


def test_all_of_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    give_back()
    assert [0] == library.trimmed


def test_a_c_library_that_cannot_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = object()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: other)
    give_back()


def test_the_one_of_this_machine_is_asked() -> None:
    give_back()
