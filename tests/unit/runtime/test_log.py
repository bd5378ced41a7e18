"""What a log line looks like, ours and the standard library's."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from netlb.runtime.log import LogFormat, LogLevel, configure, get_logger

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_console_lines_are_key_value_without_colour() -> None:
    out = io.StringIO()
    configure(LogLevel.INFO, LogFormat.CONSOLE, out)
    get_logger("l2").info("address announced", ip="192.0.2.1")
    assert re.fullmatch(rf"{TIME} \[info +\] address announced +component=l2 ip=192\.0\.2\.1\n", out.getvalue())


def test_a_logger_may_be_older_than_the_configuration() -> None:
    log, out = get_logger("l2"), io.StringIO()
    configure(LogLevel.WARNING, LogFormat.CONSOLE, out)
    log.info("hidden")
    log.warning("shown")
    assert "shown" in out.getvalue()
    assert "hidden" not in out.getvalue()


def test_a_terminal_gets_colour_unless_it_does_not_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    configure(LogLevel.INFO, LogFormat.CONSOLE, coloured)
    get_logger("l2").info("x")
    monkeypatch.setenv("NO_COLOR", "1")
    configure(LogLevel.INFO, LogFormat.CONSOLE, plain)
    get_logger("l2").info("x")
    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[" not in plain.getvalue()


def test_json_lines_are_one_object_each() -> None:
    out = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, out)
    get_logger("l2").warning("x", n=1)
    line = json.loads(out.getvalue())
    assert re.fullmatch(TIME, line.pop("timestamp"))
    assert line == {"event": "x", "level": "warning", "component": "l2", "n": 1}


@pytest.mark.parametrize("form", LogFormat)
def test_the_level_counts_for_both_worlds(form: LogFormat) -> None:
    out = io.StringIO()
    configure(LogLevel.WARNING, form, out)
    get_logger("l2").info("ours, hidden")
    logging.getLogger("asyncio").info("theirs, hidden")
    get_logger("l2").warning("ours, shown")
    logging.getLogger("asyncio").warning("theirs, %s", "shown")
    assert "hidden" not in out.getvalue()
    assert out.getvalue().count("shown") == 2


def test_debug_shows_the_debugging_of_both_worlds() -> None:
    out = io.StringIO()
    configure(LogLevel.DEBUG, LogFormat.CONSOLE, out)
    get_logger("l2").debug("ours")
    logging.getLogger("asyncio").debug("theirs")
    assert out.getvalue().count("[debug") == 2


def test_a_line_of_the_standard_library_looks_like_ours() -> None:
    out = io.StringIO()
    configure(LogLevel.INFO, LogFormat.JSON, out)
    logging.getLogger("asyncio").warning("took %d seconds", 3)
    line = json.loads(out.getvalue())
    assert re.fullmatch(TIME, line.pop("timestamp"))
    assert line == {"event": "took 3 seconds", "level": "warning", "logger": "asyncio"}


@pytest.mark.parametrize("form", LogFormat)
def test_a_traceback_is_shown_for_both_worlds(form: LogFormat) -> None:
    out = io.StringIO()
    configure(LogLevel.INFO, form, out)
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        get_logger("l2").error("ours", exc_info=error)
        logging.getLogger("asyncio").exception("theirs")
    assert out.getvalue().count("ZeroDivisionError: division by zero") == 2
    assert out.getvalue().count("Traceback (most recent call last):") == 2, "plain, not in a box"


@pytest.mark.parametrize("name", ["uvicorn.error", "httpx2"])
def test_who_tells_everything_is_heard_from_warnings_up(name: str) -> None:
    out = io.StringIO()
    configure(LogLevel.DEBUG, LogFormat.CONSOLE, out)
    logging.getLogger(name).info("started")
    logging.getLogger(name).warning("limit reached")
    assert "started" not in out.getvalue()
    assert "limit reached" in out.getvalue()
