"""Where a message's bytes become a notification."""

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tidings_events.errors import InvalidNotification
from tidings_events.notifications import Notification
from tidings_events.notifications.base import MAX_BODY_BYTES, MISSING_ID, READING, too_large
from tidings_events.problems import describe

_MANY = 10_000
_MOST_FIELDS = 100

_adapter: TypeAdapter[Notification] = TypeAdapter(Notification)


def parse(body: bytes) -> Notification:
    """The notification that `body`, a JSON object in UTF-8, describes.

    Times that have passed are accepted: it may have waited in a queue. Where a key is given
    twice the last one counts. Raises InvalidNotification, whose `problems` name every field that
    is wrong and what to write instead.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidNotification([too_large(len(body))])
    if body.count(b":") > _MANY:
        _refuse_a_crowd(body)
    try:
        return _adapter.validate_json(body, context=READING)
    except ValidationError as error:
        problems = _with_the_id(describe(error, body), body)
    # Raised out here so that the traceback does not chain pydantic's error, which holds the input.
    raise InvalidNotification(problems)


def _with_the_id(problems: tuple[str, ...], body: bytes) -> tuple[str, ...]:
    """Say that there is no id in the same breath: only where all else is well does the model say so."""
    said = ": ".join(MISSING_ID)
    try:
        document = from_json(body)
    except ValueError:
        return problems
    if not isinstance(document, dict) or "id" in document or said in problems:
        return problems
    return (*problems, said)


def _refuse_a_crowd(body: bytes) -> None:
    # Pydantic describes every unknown field there is: seconds, for some hundred thousand, in which
    # the worker could do nothing else.
    try:
        document = from_json(body)
    except ValueError:
        return  # told properly by the validation that follows
    if not isinstance(document, dict):
        return
    attachments = document.get("attachments")
    parts = [
        document,
        document.get("entity"),
        *(attachments if isinstance(attachments, list) else []),
    ]
    crowd = max(len(part) for part in parts if isinstance(part, dict))
    if crowd > _MOST_FIELDS:
        raise InvalidNotification(
            [f"notification: has an object with {crowd:,} fields; no part of one has so many"]
        )
