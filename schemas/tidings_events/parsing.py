"""Parses a message body into a notification."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from tidings_events.errors import InvalidNotification
from tidings_events.notifications import MODELS, Notification
from tidings_events.notifications.base import MISSING_ID, READING
from tidings_events.problems import describe, not_json
from tidings_events.weight import HARMLESS, too_heavy

_MOST_FIELDS: Final = 100

_adapter: TypeAdapter[Notification] = TypeAdapter(Notification, config=ConfigDict(defer_build=True))


def parse(body: bytes) -> Notification:
    """The notification that `body`, a JSON object in UTF-8, describes.

    Times in the past are accepted: it may have waited in a queue. If a key occurs twice the last one
    counts, and a null field is ignored. Takes no more memory than three times MAX_BODY_BYTES, the
    body included. Raises InvalidNotification, whose `problems` name every invalid field and the remedy.
    """
    if len(body) > HARMLESS:
        return _parse_large(body)
    try:
        return _adapter.validate_json(body, context=READING)
    except ValidationError as error:
        given = _without_nulls(body)
        if given is None:
            problems = _with_the_id(describe(error, body), body)
    if given is not None:
        return parse(given)
    # Raised out here so that the traceback does not chain pydantic's error, which holds the input.
    raise InvalidNotification(problems)


def _parse_large(body: bytes) -> Notification:
    """Parse in two steps: in one step pydantic keeps its own tree, and a copy of the input for each problem."""
    if (heavy := too_heavy(body)) is not None:
        raise InvalidNotification([heavy])
    try:
        document = from_json(body)
    except ValueError as error:
        raise InvalidNotification([not_json(str(error), body)]) from None
    if isinstance(document, dict) and (oversized := list(_oversized_objects(document))):
        raise InvalidNotification(oversized)
    return _validated(document)


def _validated(document: Any) -> Notification:
    try:
        return _adapter.validate_python(document, context=READING)
    except ValidationError as error:
        given = _given(document)
        if given is None:
            problems = _with_the_id_in(describe(error), document)
    if given is not None:
        return _validated(given)
    raise InvalidNotification(problems)


def _without_nulls(body: bytes) -> bytes | None:
    """The body without null fields; None if it has none.

    Many serialisers write null for unset fields. Done only if the model refused it:
    in most fields null is the default anyway, and the search would cost time on every message.
    """
    if b"null" not in body:
        return None
    try:
        document = from_json(body)
    except ValueError:
        return None
    given = _given(document)
    return None if given is None else to_json(given, inf_nan_mode="constants")


def _given(document: Any) -> dict[str, Any] | None:
    """A notification without null fields; None if it has none, or is no notification."""
    model = MODELS.get(str(document.get("channel"))) if isinstance(document, dict) else None
    if model is None:
        return None
    given = {
        name: value
        for name, value in document.items()
        if value is not None or name not in model.model_fields
    }
    return None if len(given) == len(document) else given


def _with_the_id(problems: tuple[str, ...], body: bytes) -> tuple[str, ...]:
    try:
        document = from_json(body)
    except ValueError:
        return problems
    return _with_the_id_in(problems, document)


def _with_the_id_in(problems: tuple[str, ...], document: Any) -> tuple[str, ...]:
    """Add the problem of a missing id: the model reports it only if there are no others."""
    missing = ": ".join(MISSING_ID)
    if not isinstance(document, dict) or "id" in document or missing in problems:
        return problems
    return (*problems, missing)


def _oversized_objects(document: dict[str, Any]) -> Iterator[str]:
    """Objects with far too many fields: pydantic would report each of them."""
    attachments = document.get("attachments")
    for part in [
        document,
        document.get("entity"),
        *(attachments if isinstance(attachments, list) else []),
    ]:
        if isinstance(part, dict) and len(part) > _MOST_FIELDS:
            yield f"notification: has an object with {len(part):,} fields; no part of one has so many"
            return
    channel = document.get("channel")
    model = MODELS.get(channel) if isinstance(channel, str) else None
    for name, field in model.model_fields.items() if model else ():
        given = document.get(name)
        if not isinstance(given, dict):
            continue
        limits = (getattr(each, "max_length", None) for each in field.metadata)
        most = next((limit for limit in limits if limit is not None), len(given))
        if len(given) > most:
            yield f"{name}: is {len(given):,} items long; at most {most:,} are allowed"
