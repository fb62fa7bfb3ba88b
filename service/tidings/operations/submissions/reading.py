"""Reads a submitted notification with the contract's parser, once its id and tenant are in it, and that it is a test.

These are put into the bytes as they were sent, and these are what is stored and published: whatever else a caller wrote
stays as it was written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic_core import from_json, to_json

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import LocalTime
from tidings.operations.dead_letters.numbers import NumbersAsWritten
from tidings.operations.due_times import with_instant
from tidings_events import DEFAULT_TENANT, InvalidNotification, Notification, parse
from tidings_events.notifications.base import broken_time_rules
from tidings_events.problems import ContractProblem
from tidings_events.weight import too_heavy

_WHITESPACE: Final = b" \t\r\n"
"""JSON's own (RFC 8259, section 2)."""


@dataclass(frozen=True, slots=True)
class ReadSubmission:
    """A valid notification, and the bytes that are stored and published."""

    notification: Notification
    body: bytes
    chosen: LocalTime | None = None
    """The instant of a due time that was given as a local time."""


class UntimelyNotification(InvalidNotification):
    """Its times alone are not valid now: they may have been when its request came first.

    Args:
        read: The notification.
    """

    def __init__(self, problems: Sequence[str], read: ReadSubmission) -> None:
        super().__init__(problems)
        self.read = read


def read_submission(
    body: bytes, tenant: str | None, id: UUID, *, test: bool = False
) -> ReadSubmission:
    """Read one notification as it was sent.

    Args:
        tenant: The caller's; None if it may name any.
        id: For a notification that has none.
        test: Whether the caller may send tests only: it is one without saying so.

    Raises:
        UntimelyNotification: A time in it has passed, or is too far ahead.
        InvalidNotification: It is no valid notification, or not the caller's to send; names every problem.
    """
    read = _parsed(body, tenant, id, test=test)
    untimely = list(_broken_time_rules(read.notification))
    if not_allowed := list(_not_allowed(read.notification, tenant, test=test)):
        raise InvalidNotification([*not_allowed, *untimely])
    if untimely:
        raise UntimelyNotification(untimely, read)
    return read


def _parsed(body: bytes, tenant: str | None, id: UUID, *, test: bool) -> ReadSubmission:
    body, chosen = _at_an_instant(body)
    if test:
        body = _completed(body, "test", True)
    if tenant is not None and tenant != DEFAULT_TENANT:
        body = _completed(body, "tenant", tenant)
    body = _completed(body, "id", str(id))
    return ReadSubmission(parse(body), body, chosen)


def _at_an_instant(body: bytes) -> tuple[bytes, LocalTime | None]:
    """With the instant in place of a local time and its `timezone`, which the contract does not have.

    Raises:
        InvalidNotification: Time or zone are not valid.
    """
    if b'"timezone"' not in body or too_heavy(body) is not None:
        return body, None
    numbers = NumbersAsWritten()
    try:
        document = numbers.loads(body)
    except (ValueError, RecursionError):
        return body, None
    if not isinstance(document, dict) or "timezone" not in document:
        return body, None
    try:
        fields, chosen = with_instant(document)
    except InvalidRequest as error:
        problem = ContractProblem(f"{error.field}: {error}", (error.field,), "rule")
    else:
        return numbers.dumps(fields).encode("utf-8", "surrogatepass"), chosen
    raise InvalidNotification([problem])


def _completed(body: bytes, name: str, value: str | bool) -> bytes:
    """A JSON object with this field if it has none, or null; anything else as it is, for the parser to refuse."""
    if b'"%b"' % name.encode() not in body and b"\\u" not in body:
        return _with_field(body, name, value)
    if too_heavy(body) is not None:
        return body
    try:
        document = from_json(body)
    except ValueError:
        return body
    if not isinstance(document, dict) or document.get(name) is not None:
        return body
    if name not in document:
        return _with_field(body, name, value)
    return to_json({**document, name: value}, inf_nan_mode="constants")


def _with_field(body: bytes, name: str, value: str | bool) -> bytes:
    """With one more field at its beginning."""
    start = body.lstrip(_WHITESPACE)
    if not start.startswith(b"{"):
        return body
    rest = start[1:].lstrip(_WHITESPACE)
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"%b":%b%b%b' % (name.encode(), to_json(value), comma, rest)


def _not_allowed(
    notification: Notification, tenant: str | None, *, test: bool
) -> Iterator[ContractProblem]:
    """What the caller may not send."""
    if tenant not in {None, notification.tenant}:
        sentence = (
            f'tenant: "{notification.tenant}" is not that of this API key; leave the field out'
        )
        yield ContractProblem(sentence, ("tenant",), "not_allowed")
    if test and not notification.test:
        sentence = "test: is false, and this is a test key; leave the field out"
        yield ContractProblem(sentence, ("test",), "not_allowed")


def _broken_time_rules(notification: Notification) -> Iterator[ContractProblem]:
    """What the contract lets pass because a message may have waited."""
    if notification.scheduled_at or notification.expires_at:
        for field, what in broken_time_rules(notification, reading=False):
            yield ContractProblem(f"{field}: {what}", (field,), "rule")
