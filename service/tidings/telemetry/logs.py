"""Where every log line goes: standard error, one line each, JSON or for a terminal, secrets left out."""

import json
import logging
import sys
from collections.abc import Sequence
from io import TextIOBase
from typing import Any, Final, TextIO, cast

import pydantic_core
import structlog
from structlog.typing import EventDict, Processor

from tidings.telemetry.redaction import redact

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_AMQP: Final = ("aio_pika", "aiormq")
_FLOORS: Final = {
    # Below these they write whole frames, requests and e-mails: bodies, recipients, credentials.
    **dict.fromkeys(_AMQP, logging.WARNING),
    "aiosmtplib": logging.WARNING,
    "apprise": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "twilio": logging.WARNING,
    "urllib3": logging.WARNING,
}


class _StandardError(TextIOBase):
    """Whatever standard error is by then: loggers outlive a stream that a test or a host replaces."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def configure(
    level: str = "info",
    format: str = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send structlog and the standard library's logging to one stream in one shape.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format: `json`, `console`, or `auto`: console where the stream is a terminal.
        stream: Standard error where None.
    """
    stream = stream or cast(TextIO, _StandardError())
    console = format == "console" or (format == "auto" and stream.isatty())
    rendering = _for_people(colors=stream.isatty()) if console else _for_machines()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_common(), *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(stream, LEVELS[level], rendering)


def _common() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, redact, _to_json]


def _for_people(*, colors: bool) -> list[Processor]:
    # Plain tracebacks: the pretty ones print local variables, recipients and passwords included.
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
    return [structlog.processors.format_exc_info, redact, renderer]


def _to_json(_logger: object, _method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    line = {**first, **event}
    try:
        return pydantic_core.to_json(line, fallback=repr).decode()
    except (ValueError, UnicodeError):  # bytes or lone surrogates: rare, and still to be told
        return json.dumps(line, default=repr)


def _route_standard_logging(stream: TextIO, level: int, rendering: Sequence[Processor]) -> None:
    """Libraries log with the standard library: same stream, same shape."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(_tame)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_common(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name, floor in _FLOORS.items():
        logging.getLogger(name).setLevel(max(level, floor))


def _tame(record: logging.LogRecord) -> bool:
    """What the AMQP libraries may say.

    Of a lost connection they tell several times with tracebacks; we tell it ourselves, once. Their
    arguments may be whole messages, so that only names and numbers of them are kept.
    """
    if not record.name.startswith(_AMQP):
        return True
    if isinstance(record.args, tuple):
        record.args = tuple(_harmless(argument) for argument in record.args)
    blocked = " was blocked " in str(record.msg) or " was unblocked" in str(record.msg)
    return record.name != "aiormq.connection" or blocked


def _harmless(argument: Any) -> Any:
    return argument if isinstance(argument, (str, int, float)) else type(argument).__name__
