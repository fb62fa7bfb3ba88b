"""Takes apart a request with several notifications."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from tidings_events import InvalidNotification
from tidings_events.problems import ContractProblem, not_json, with_location

MOST: Final = 1_000
"""Notifications in one request."""
AT_ONCE: Final = 100
"""Notifications that are read before other requests have their turn."""
HEAVIEST: Final = 32 * 1024 * 1024
"""Bytes that one content may take for all its recipients together."""
_MOST_VALUES: Final = 500_000
"""Values in one request: each takes some sixty bytes as an object."""
_OF_A_RECIPIENT: Final = ("recipient", "user_id", "locale")
"""What may differ from recipient to recipient."""


class RequestPart(NamedTuple):
    """One notification of several."""

    body: bytes
    within: tuple[int | str, ...]
    """Its place in the request."""
    own: frozenset[str] | None = None
    """Its fields that stand there; None: all. The others are the whole request's."""

    def placed(self, problem: str) -> ContractProblem:
        """A problem of it, with the location in the request."""
        found = with_location(problem)
        field = found.location[0] if found.location else ""
        if self.own is None or field in self.own:
            return ContractProblem(found, (*self.within, *found.location), found.code)
        if field == "recipient":  # written without a name
            return ContractProblem(found, self.within, found.code)
        return found


def parts_of_batch(body: bytes) -> list[RequestPart]:
    """The notifications of `{"notifications": [{…}, …]}`.

    Raises:
        InvalidNotification: It is no such object.
    """
    document = _document(body)
    listed = _list(document, "notifications")
    for name in document:
        if name != "notifications":
            raise _refused(
                name, "is not a field of a batch; write it into each notification", "unknown_field"
            )
    return [
        RequestPart(to_json(it, inf_nan_mode="constants"), ("notifications", index))
        for index, it in enumerate(listed)
    ]


def parts_if_several(body: bytes) -> list[RequestPart] | None:
    """The notifications of one that is written for several recipients; None if it is for one. Raises like
    `parts_of_recipients`.
    """
    if b'"recipients"' not in body:
        return None
    document = _document(body)
    return _of_recipients(document, len(body)) if "recipients" in document else None


def parts_of_recipients(body: bytes) -> list[RequestPart]:
    """A notification for each of `recipients`: addresses, or objects with `recipient`, `user_id` and `locale`.

    Raises:
        InvalidNotification: It is no such object.
    """
    return _of_recipients(_document(body), len(body))


def _of_recipients(document: dict[str, Any], size: int) -> list[RequestPart]:
    recipients = _list(document, "recipients")
    for name in ("id", "recipient"):
        if document.get(name) is not None:
            raise _refused(
                name, "can't be given beside `recipients`; send an Idempotency-Key", "rule"
            )
    content = {name: it for name, it in document.items() if name != "recipients"}
    if size * len(recipients) > HEAVIEST:
        raise _refused(
            "recipients",
            f"are too many for so large a content; at most {HEAVIEST:,} bytes in all are allowed",
            "too_large",
        )
    return [
        RequestPart(
            to_json({**content, **fields}, inf_nan_mode="constants"),
            ("recipients", index),
            frozenset(fields) if isinstance(recipients[index], dict) else frozenset(),
        )
        for index, fields in enumerate(_each(recipients))
    ]


def _each(recipients: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The fields of each recipient's own."""
    for index, recipient in enumerate(recipients):
        if not isinstance(recipient, dict):
            yield {"recipient": recipient}
            continue
        for name in recipient:
            if name not in _OF_A_RECIPIENT:
                sentence = (
                    f"recipients[{index}].{name[:80]}: can't differ by recipient; "
                    f"only {', '.join(_OF_A_RECIPIENT)} can"
                )
                location = ("recipients", index, name)
                raise InvalidNotification([ContractProblem(sentence, location, "unknown_field")])
        yield recipient


def _document(body: bytes) -> dict[str, Any]:
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_VALUES:
        raise InvalidNotification(
            [ContractProblem(f"request: holds more than {_MOST_VALUES:,} values", (), "too_large")]
        )
    try:
        document = from_json(body)
    except ValueError as error:
        raise InvalidNotification([not_json(str(error), body)]) from None
    if not isinstance(document, dict):
        raise InvalidNotification(
            [ContractProblem("request: is not an object; write a JSON object, {…}", (), "type")]
        )
    return document


def _list(document: dict[str, Any], name: str) -> list[Any]:
    listed = document.get(name)
    if not isinstance(listed, list):
        raise _refused(name, "is missing; write a list, […]", "missing")
    if not 0 < len(listed) <= MOST:
        raise _refused(
            name,
            f"has {len(listed):,} items; from 1 to {MOST:,} are allowed",
            "too_long" if listed else "too_short",
        )
    return listed


def _refused(name: str, what: str, code: str) -> InvalidNotification:
    return InvalidNotification([ContractProblem(f"{name[:80]}: {what}", (name,), code)])
