"""The notifications of a schedule: its content, once for each recipient. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from tidings_events import InvalidNotification, Notification, parse
from tidings_events.notifications.base import new_id

MOST_RECIPIENTS: Final = 1_000
HEAVIEST: Final = 32 * 1024 * 1024
"""Bytes of all notifications of one run."""
PER_RECIPIENT: Final = ("recipient", "user_id", "locale", "entity", "data")
"""Fields that each recipient may have of its own; `data` is added to the content's."""
PER_RUN: Final = ("id", "scheduled_at", "expires_at", "idempotency_key")
"""Fields of a single notification, which no content of many can have."""

Fields = Mapping[str, Any]


def checked(
    content: Fields, recipients: Sequence[str | Fields], *, tenant: str, data: Fields | None = None
) -> None:
    """Check every notification that a run would have.

    Raises:
        InvalidNotification: With every problem, by its field in `content` or `recipients[0]`; at most 25.
    """
    problems = [
        f"content.{name}: belongs to a single notification; leave it out"
        for name in PER_RUN
        if name in content
    ]
    if "recipient" in content:
        problems.append("content.recipient: is given by `recipients`; leave it out")
    if content.get("tenant", tenant) != tenant:
        problems.append("content.tenant: is the schedule's; leave it out")
    if len(recipients) > MOST_RECIPIENTS:
        problems.append(
            f"recipients: are {len(recipients):,}; at most {MOST_RECIPIENTS:,} are allowed"
        )
    weight = 0
    for index, recipient in enumerate(recipients[:MOST_RECIPIENTS]):
        problems += _odd_recipient(index, recipient)
        if len(problems) < 25:
            body = body_of(content, recipient, new_id(), tenant=tenant, data=data)
            weight += len(body)
            problems += _problems(index, recipient, body)
    if weight > HEAVIEST:
        problems.append(
            f"content: is {weight:,} bytes for all recipients; at most {HEAVIEST:,} are allowed"
        )
    if problems:
        raise InvalidNotification(list(dict.fromkeys(problems))[:25])


def _odd_recipient(index: int, recipient: object) -> list[str]:
    if isinstance(recipient, str):
        return []
    if not isinstance(recipient, Mapping):
        return [f"recipients[{index}]: is neither an address nor an object with `recipient`"]
    return [
        f"recipients[{index}].{name}: is not a recipient's own; allowed are {', '.join(PER_RECIPIENT)}"
        for name in recipient
        if name not in PER_RECIPIENT
    ]


def _problems(index: int, recipient: object, body: bytes) -> list[str]:
    own = {"recipient", *(recipient if isinstance(recipient, Mapping) else ())}
    try:
        parse(body)
    except InvalidNotification as invalid:
        return [
            f"recipients[{index}].{problem}"
            if problem.split(":")[0].split(".")[0].split("[")[0] in own
            else f"content.{problem}"
            for problem in invalid.problems
        ]
    return []


def body_of(
    content: Fields,
    recipient: str | Fields,
    id: UUID,
    *,
    tenant: str,
    data: Fields | None = None,
) -> bytes:
    """One recipient's notification, as its message has it.

    Args:
        content: The fields that all have.
        recipient: An address, or the fields that only this one has.
        id: The notification's.
        tenant: The schedule's.
        data: Variables of this run.
    """
    own = recipient if isinstance(recipient, Mapping) else {"recipient": recipient}
    fields = {**content, **own, "id": str(id), "tenant": tenant}
    parts: list[Any] = [content.get("data"), data, own.get("data")]
    parts = [part for part in parts if part is not None]
    if parts:
        mappings = all(isinstance(part, Mapping) for part in parts)
        fields["data"] = (
            {name: value for part in parts for name, value in part.items()}
            if mappings
            else parts[-1]
        )
    return to_json(fields, inf_nan_mode="constants")


def notifications_of(bodies: Sequence[bytes]) -> list[tuple[Notification, bytes]]:
    """Each body with its notification.

    Raises:
        InvalidNotification: A stored content is no longer valid.
    """
    return [(parse(body), body) for body in bodies]
