"""The fields and rules common to the notifications of all channels.

A producer *writes* a notification by constructing a model; Tidings *reads* one with `parse`. Both
apply the same rules with one exception: a time that must be in the future when a notification is
written may have passed when it is read, since it may have waited in a queue.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

import pydantic_core
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tidings_events.errors import InvalidNotification
from tidings_events.moments import made_at
from tidings_events.notifications.examples import Examples
from tidings_events.notifications.fields import (
    VISIBLE,
    VISIBLE_PATTERN,
    WHOLE,
    Instant,
    JsonObject,
    Locale,
    Reference,
    Scalar,
    Slug,
    TemplateName,
    Unquoted,
)

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The largest notification, as JSON, in bytes."""

READING = {"reading": True}
"""Validation context of `parse`."""

CLOCK_SKEW = timedelta(minutes=1)
FURTHEST_AHEAD = timedelta(days=366)

_UUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

DEFAULT_TENANT: Final = "default"
"""The tenant of a notification that names none."""

Problem = tuple[str, str]
"""The field of a broken rule, and the text of the problem."""

MISSING_ID: Problem = ("id", "is missing; give each notification a UUID of its own")


class Priority(StrEnum):
    """The urgency of a notification relative to others that wait."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


def new_id() -> uuid.UUID:
    """A UUIDv7: ids made later sort later, which keeps the ledger's index compact."""
    if sys.version_info >= (3, 14):
        return uuid.uuid7()
    from uuid_utils.compat import uuid7

    return uuid7()


def is_empty(value: object) -> bool:
    """Whether to omit an empty list or object from the JSON."""
    return not value


def is_default_tenant(value: str) -> bool:
    """Whether to omit the tenant from the JSON, so that earlier versions of the service accept it too."""
    return value == DEFAULT_TENANT


def is_live(value: bool) -> bool:
    """Whether to omit `test` from the JSON: earlier versions of the service refuse it, and so never send a test."""
    return not value


class Entity(BaseModel):
    """The subject of a notification: a ticket, a task, an order."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Slug = Field(description="Kind of thing, e.g. `order`.", examples=["order"])
    id: Reference = Field(description="Its id in your system.", examples=["10042"])


class BaseNotification(BaseModel):
    """The fields common to all channels."""

    model_config = ConfigDict(
        defer_build=True,  # built on first use
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=False,
    )
    content_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that a template replaces."""
    copy_fields: ClassVar[tuple[str, ...]] = ()
    """The fields with addresses of copies: `cc`, `bcc`."""
    examples: ClassVar[Examples] = {}
    """The shortest first. They are published: never change or remove one."""

    id: uuid.UUID = Field(
        default_factory=new_id,
        description="Identifies the notification for ever. Publishing the same id again is safe: "
        "Tidings delivers it once. UUIDv7 recommended.",
        examples=["0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"],
        json_schema_extra={
            "pattern": f"^({_UUID}|urn:uuid:{_UUID}|\\{{{_UUID}\\}}|[0-9A-Fa-f]{{32}})$"
        },
    )
    version: Literal[1] = Field(default=1, description="Version of this contract.")
    channel: str = Field(description="The channel that delivers it.")
    recipient: str = Field(description="The recipient.")
    priority: Priority = Field(
        default=Priority.NORMAL, description="Its urgency relative to others that wait."
    )
    category: Slug = Field(
        default="transactional",
        description="Class of notification, e.g. `otp`, `receipt`, `marketing`. "
        "It may have its own retry policy.",
        examples=["receipt"],
    )
    tenant: Slug = Field(
        default=DEFAULT_TENANT,
        exclude_if=is_default_tenant,
        description="The customer or product that it belongs to, if you have several.",
        examples=["acme"],
    )
    test: bool = Field(
        default=False,
        strict=True,
        exclude_if=is_live,
        description="A test: it is accepted and recorded like any other, and delivered to a sink in place of a "
        "provider.",
        examples=[True],
    )
    user_id: Reference | None = Field(
        default=None,
        description="The recipient's id in your system.",
        examples=["user-4711"],
    )
    entity: Entity | None = Field(default=None, description="Its subject in your system.")
    locale: Locale | None = Field(
        default=None,
        description="BCP 47 language tag that chooses the template's translation; `pt_BR` is read as "
        "`pt-BR`.",
    )
    data: Annotated[JsonObject, Unquoted()] = Field(
        default_factory=dict, exclude_if=is_empty, description="Variables for the template."
    )
    metadata: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=64), VISIBLE],
            Scalar,
        ],
        Unquoted(),
    ] = Field(
        default_factory=dict,
        max_length=50,
        exclude_if=is_empty,
        json_schema_extra={
            "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": VISIBLE_PATTERN}
        },
        description="Your own labels, stored with the notification and never sent.",
        examples=[{"campaign": "spring-2026"}],
    )
    idempotency_key: Reference | None = Field(
        default=None,
        description="Per tenant, channel and recipient: a second notification with the same key within the "
        "window (7 days unless configured) is recorded as a duplicate of the first and not sent, "
        "unless the first ended without being sent (failed, expired, cancelled, discarded).",
        examples=["order-10042-receipt"],
    )
    max_retries: Annotated[int, Field(strict=True, ge=0, le=100), WHOLE] | None = Field(
        default=None,
        description="Attempts after the first one fails; default: the channel's policy.",
        examples=[3],
    )
    scheduled_at: Instant | None = Field(
        default=None,
        description="Deliver at this time: RFC 3339 with an offset, at most a year ahead.",
        examples=["2026-12-24T18:00:00+01:00"],
    )
    expires_at: Instant | None = Field(
        default=None,
        description="Don't deliver later than this: RFC 3339 with an offset, after `scheduled_at`.",
        examples=["2026-12-24T20:00:00+01:00"],
    )

    def to_json(self) -> bytes:
        """Compact JSON that `parse` reads back to an equal notification.

        Raises InvalidNotification if it is larger than MAX_BODY_BYTES.
        """
        body = pydantic_core.to_json(self, exclude_none=True)
        if len(body) > MAX_BODY_BYTES:
            raise InvalidNotification([too_large(len(body))])
        return body

    def broken_rules(self) -> Iterator[Problem]:
        """Check the rules that span several fields. A channel adds its own."""
        return self._broken_content_rules()

    def _broken_content_rules(self) -> Iterator[Problem]:
        return iter(())

    @model_validator(mode="after")
    def _check_rules(self, info: ValidationInfo) -> Self:
        problems = list(self.broken_rules())
        reading = info.context is READING
        if reading and "id" not in self.model_fields_set:
            problems.append(MISSING_ID)
        if self.scheduled_at or self.expires_at:
            problems.extend(broken_time_rules(self, reading=reading))
        if problems:
            raise broken(problems)
        return self


class TemplatedNotification(BaseNotification):
    """A notification with content written out, or rendered from a template of Tidings."""

    template: TemplateName | None = Field(
        default=None,
        description="Name of a template; its variables are in `data`. It replaces the content: give "
        "one or the other.",
    )

    def _broken_content_rules(self) -> Iterator[Problem]:
        written = [name for name in self.content_fields if getattr(self, name) is not None]
        if self.template is None:
            yield from self._incomplete_content(written)
        elif written:
            names = " and ".join(f"`{name}`" for name in written)
            yield "template", f"is given beside {names}; give one or the other"

    def _incomplete_content(self, written: list[str]) -> Iterator[Problem]:
        if not written:
            names = " or ".join(f"`{name}`" for name in self.content_fields)
            yield self.content_fields[0], f"is missing; give {names}, or a `template`"


def broken_time_rules(notification: BaseNotification, *, reading: bool) -> Iterator[Problem]:
    """Problems with the times of a notification that is being written now, or read after it may have waited."""
    now = datetime.now(UTC)
    starts, ends = notification.scheduled_at, notification.expires_at
    if starts and not reading and starts < now - CLOCK_SKEW:
        yield "scheduled_at", "has passed; leave it out to send at once"
    if ends and not reading and ends <= now:
        yield "expires_at", "has passed; it must be in the future"
    if ends and starts and ends <= starts:
        yield "expires_at", "is not after `scheduled_at`; it must be later"
    if not reading:
        yield from too_far_ahead(notification, now)
    elif (made := made_at(notification.id)) is not None:
        # A reader's clock may be years behind: the time in the id counts too.
        yield from too_far_ahead(notification, max(now, made) + CLOCK_SKEW)


def too_far_ahead(notification: BaseNotification, written: datetime) -> Iterator[Problem]:
    """Problems with times too far after `written`."""
    starts, ends = notification.scheduled_at, notification.expires_at
    if starts and starts > written + FURTHEST_AHEAD:
        yield "scheduled_at", "is more than a year ahead; schedule it nearer the time"
    if ends and ends > max(starts or written, written) + FURTHEST_AHEAD:
        yield "expires_at", "is more than a year ahead; leave it out if it never expires"


def broken(problems: list[Problem]) -> PydanticCustomError:
    """The error that carries the results of `broken_rules`."""
    text = "; ".join(f"{field} {text}" for field, text in problems)
    return PydanticCustomError("broken_rules", "{text}", {"text": text, "problems": problems})


def too_large(size: int) -> str:
    """The problem of a notification of `size` bytes that is too large."""
    return (
        f"notification: is {size:,} bytes; at most {MAX_BODY_BYTES:,} are allowed, "
        "so send a link to large content"
    )
