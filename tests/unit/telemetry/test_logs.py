"""Log lines: one shape for ours and the libraries', and no secret in either."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from tests.unit.telemetry.logging_put_back import logging_put_back

from tidings.telemetry.logs import configure


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    with logging_put_back():
        yield


def fail(error: Exception) -> None:
    raise error


class Lines:
    """What was logged, line by line."""

    def __init__(self, level: str = "info") -> None:
        self.stream = io.StringIO()
        configure(level, "json", self.stream)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self.stream.getvalue().splitlines())

    @property
    def only(self) -> dict[str, Any]:
        (line,) = self
        return line


def test_our_own_line_begins_with_when_how_bad_and_what() -> None:
    lines = Lines()
    structlog.get_logger().info("broker connected", connection="worker", id=UUID(int=1))
    assert list(lines.only)[:3] == ["timestamp", "level", "event"]
    assert lines.only["event"] == "broker connected"
    assert lines.only["connection"] == "worker"
    assert lines.only["id"] == str(UUID(int=1))


def test_a_line_may_have_a_field_that_is_called_name() -> None:
    lines = Lines()
    structlog.get_logger("tidings").warning("unknown variable", name="TIDINGS_EMIAL_HOST")
    assert lines.only["name"] == "TIDINGS_EMIAL_HOST"


def test_a_library_s_line_has_the_same_shape_and_its_logger_s_name() -> None:
    lines = Lines()
    logging.getLogger("alembic.runtime").info("running %s", "0001")
    assert lines.only["event"] == "running 0001"
    assert lines.only["logger"] == "alembic.runtime"
    assert lines.only["level"] == "info"


def test_below_the_level_nothing_is_written() -> None:
    lines = Lines("warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("alembic").info("quiet")
    assert list(lines) == []


def test_libraries_that_log_whole_messages_stay_quiet_even_at_debug() -> None:
    lines = Lines("debug")
    logging.getLogger("aiormq.connection").debug("Received frame %r", b"jane@example.com")
    logging.getLogger("twilio.async_http_client").info("Data: To=+14155550123")
    logging.getLogger("aiosmtplib").debug("rcpt to jane@example.com")
    assert list(lines) == []


def test_a_lost_connection_is_not_told_by_the_amqp_library_too() -> None:
    lines = Lines()
    log = logging.getLogger("aiormq.connection")
    try:
        fail(ConnectionResetError("peer"))
    except ConnectionResetError:
        log.warning("Cancelling cause reader exited abnormally", exc_info=True)
    log.error("error when creating transport: %r", ConnectionRefusedError())
    assert list(lines) == []


def test_a_blocked_connection_is_told() -> None:
    lines = Lines()
    logging.getLogger("aiormq.connection").warning(
        "Connection %r was blocked by: %r", object(), "low on memory"
    )
    assert lines.only["event"] == "Connection 'object' was blocked by: 'low on memory'"


def test_the_amqp_library_s_messages_are_named_and_not_shown() -> None:
    class DeliveredMessage:
        def __repr__(self) -> str:
            return "DeliveredMessage(body=b'jane@example.com')"

    lines = Lines()
    logging.getLogger("aiormq.channel").error("Unhandled message %r returning", DeliveredMessage())
    assert lines.only["event"] == "Unhandled message 'DeliveredMessage' returning"


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_password_reaches_the_log_by_any_way(format_: str) -> None:
    stream = io.StringIO()
    configure("info", format_, stream)
    log = structlog.get_logger()
    log.info("connecting", url="amqp://tidings:hunter2@broker/", password="hunter2")
    log.info("cannot reach amqp://tidings:hunter2@broker/", nested={"auth_token": "hunter2"})
    log.info("posting", urls=["https://hooks.example.com/x?api_key=hunter2&a=b"])
    log.info("failed", error=OSError("postgresql://tidings:hunter2@db/tidings"))
    try:
        fail(OSError("postgresql://tidings:hunter2@db/tidings"))
    except OSError:
        log.exception("failed")
        logging.getLogger("alembic").exception("failed")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert text.count("[redacted]") >= 8
    assert "Traceback" in text


def test_a_traceback_tells_no_local_variable() -> None:
    stream = io.StringIO()
    configure("info", "console", stream)
    recipient = "jane@example.com"
    try:
        fail(ValueError(len(recipient)))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert recipient not in stream.getvalue()
    assert "ValueError: 16" in stream.getvalue()


def test_what_json_cannot_say_is_logged_all_the_same() -> None:
    lines = Lines()
    structlog.get_logger().info("odd", body=b"\xff", text="\ud800", thing=object)
    assert lines.only["event"] == "odd"
    assert lines.only["thing"] == "<class 'object'>"


def test_auto_is_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure("info", "auto", stream)
    structlog.get_logger().info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


def test_lines_go_to_standard_error_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("info", "json")
    structlog.get_logger().info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err
    assert sys.stderr is not sys.stdout


FORGED = "2026-11-28 [info     ] all is well"
HOSTILE = [
    *(f"a{end}{FORGED}" for end in ("\n", "\r", "\x85", "\u2028", "\v", "\r\n")),
    "a\x1b[2K",
    "a\u202eb",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("format", ["json", "console"])
def test_a_line_stays_one_line_whatever_somebody_wrote_into_it(format: str, hostile: str) -> None:
    stream = io.StringIO()
    configure("info", format, stream)
    structlog.get_logger().info("sent", code=hostile, error=hostile, labels={hostile: [hostile]})
    structlog.get_logger().info(hostile)
    logging.getLogger("library").warning("said %s", hostile)
    written = stream.getvalue()
    lines = written.splitlines()
    assert len(lines) == 3
    assert not any(line.startswith(FORGED) for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_no_line_of_a_traceback_begins_as_a_line_of_ours_does(hostile: str) -> None:
    stream = io.StringIO()
    configure("info", "console", stream)
    try:
        fail(ValueError(hostile))
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    written = stream.getvalue()
    assert "Traceback" in written
    assert "ValueError: a" in written
    assert not any(line.startswith(FORGED) for line in written.splitlines())
    assert written.replace("\n", "").isprintable()
