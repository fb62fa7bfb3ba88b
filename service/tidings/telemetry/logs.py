"""Configures logging: to standard error, one line per event, as JSON or for a terminal, without secrets."""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOBase
from typing import Any, Final, TextIO, cast

import pydantic_core
import structlog
from structlog.typing import EventDict, Processor

from tidings.telemetry.log_writer import NOT_RENDERED, NOT_WRITTEN, DroppedLines
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
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,  # each WebSocket's address, with its ticket
}


class _StandardError(TextIOBase):
    """The current standard error: loggers outlive a stream that a test or a host replaces.

    Lines that can't be written are dropped and counted.
    """

    def __init__(self, dropped: DroppedLines) -> None:
        self._dropped = dropped

    def write(self, text: str) -> int:
        try:
            sys.stderr.write(text)
        except (OSError, ValueError, AttributeError):  # full, closed, or never there
            self._dropped.add(NOT_WRITTEN)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that never raises."""

    def __init__(self, stream: TextIO, dropped: DroppedLines) -> None:
        super().__init__(stream)
        self._dropped = dropped

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            return bool(super().handle(record))
        except Exception:  # noqa: BLE001  # a filter's; counted
            self._dropped.add(NOT_RENDERED)
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        self._dropped.add(NOT_RENDERED)


def configure(
    level: str = "info",
    format: str = "auto",
    stream: TextIO | None = None,
    dropped: DroppedLines | None = None,
) -> None:
    """Send structlog and the standard library's logging to one stream in one shape. Logging raises nothing.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format: `json`, `console`, or `auto`: console if the stream is a terminal.
        stream: Standard error if None.
        dropped: Counts the lines that can't be written.
    """
    dropped = dropped or DroppedLines()
    stream = stream or cast(TextIO, _StandardError(dropped))
    console = format == "console" or (format == "auto" and stream.isatty())
    rendering = _for_people(colors=stream.isatty()) if console else _for_machines()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_common(), *rendering],
        wrapper_class=_never_raising(structlog.make_filtering_bound_logger(LEVELS[level]), dropped),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(_Handler(stream, dropped), LEVELS[level], rendering)


def _never_raising(logger: Any, dropped: DroppedLines) -> Any:
    """A logger class like `logger` that drops and counts lines that can't be rendered."""

    def _proxy_to_logger(self: Any, name: str, event: str | None = None, /, **values: Any) -> None:
        try:
            logger._proxy_to_logger(self, name, event, **values)  # noqa: SLF001  # made to be replaced
        except Exception:  # noqa: BLE001  # from a value's `repr` or a broken traceback
            dropped.add(NOT_RENDERED)

    return type("Logger", (logger,), {"_proxy_to_logger": _proxy_to_logger})


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
    return [structlog.processors.format_exc_info, redact, _on_one_line, renderer]


class _Quoted:
    """A text that is rendered as a Python literal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _on_one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that escapes line breaks and control characters of producers' and providers' texts.

    The lines of a traceback are kept, indented.
    """
    for name, value in event.items():
        if not isinstance(value, str) or value.isprintable():
            continue
        match name:
            case "exception" | "stack":
                lines = (f"    {_visible(line)}" for line in value.split("\n"))
                event[name] = "\n".join(lines)
            case "event":
                event[name] = _visible(value)
            case _:
                event[name] = _Quoted(value)
    return event


def _visible(text: str) -> str:
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def _to_json(_logger: object, _method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    line = {**first, **event}
    try:
        text = pydantic_core.to_json(line, fallback=repr).decode()
    except (ValueError, UnicodeError):  # bytes or lone surrogates: rare
        return json.dumps(line, default=repr)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def _route_standard_logging(
    handler: logging.Handler, level: int, rendering: Sequence[Processor]
) -> None:
    """Libraries log with the standard library: same stream, same shape."""
    handler.addFilter(_filter_amqp)
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


def _filter_amqp(record: logging.LogRecord) -> bool:
    """Filter the log of the AMQP libraries.

    They log a lost connection several times, with tracebacks; we log it once. Their arguments may be whole messages,
    so only texts and numbers are kept, and the type of others.
    """
    if not record.name.startswith(_AMQP):
        return True
    if isinstance(record.args, tuple):
        record.args = tuple(_short(argument) for argument in record.args)
    blocked = " was blocked " in str(record.msg) or " was unblocked" in str(record.msg)
    return record.name != "aiormq.connection" or blocked


def _short(argument: Any) -> Any:
    return argument if isinstance(argument, (str, int, float)) else type(argument).__name__
