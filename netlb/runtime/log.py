"""Logs: one line an event on stderr, with fields; the standard library's loggers come out the same way.

The format does not depend on where stderr goes: what a person sees on a terminal is what the journal and
`kubectl logs` show, and key=value is as easy to grep as to read. JSON is for collectors, and is asked for.
"""

import logging
import os
import sys
from enum import StrEnum
from types import ModuleType
from typing import TextIO, cast

# structlog loads rich where it is installed, for tracebacks that are not shown here: 6 MB of a daemon's memory.
_rich = sys.modules.get("rich")
sys.modules["rich"] = cast(ModuleType, None)
try:
    import structlog
    from structlog.typing import FilteringBoundLogger, Processor
finally:
    if _rich is None:
        del sys.modules["rich"]
    else:
        sys.modules["rich"] = _rich

__all__ = ["LogFormat", "LogLevel", "configure", "get_logger"]


class LogLevel(StrEnum):
    """The least severe level that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as the standard library counts."""
        return logging.getLevelNamesMapping()[self.name]


class LogFormat(StrEnum):
    """How an event becomes a line."""

    CONSOLE = "console"
    JSON = "json"


def configure(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (stderr); a second call replaces the first."""
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor]
    if form is LogFormat.JSON:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        colors = out.isatty() and "NO_COLOR" not in os.environ
        plain = structlog.dev.plain_traceback  # the default would load rich
        rendering = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level.number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.number)
    # At INFO, uvicorn tells that it starts and stops, which the daemons say themselves, and httpx2 of every request.
    for chatty in ("uvicorn", "httpx2"):
        logging.getLogger(chatty).setLevel(max(level.number, logging.WARNING))


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger whose lines carry `component=name`; it may be made before `configure` is called."""
    return cast(FilteringBoundLogger, structlog.get_logger(component=name))
