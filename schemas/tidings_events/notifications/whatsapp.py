"""A notification sent over WhatsApp."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from tidings_events.notifications.addresses import WhatsAppNumber
from tidings_events.notifications.base import Problem, TemplatedNotification, is_empty
from tidings_events.notifications.examples import COMMON, PHONE, SCHEDULED, Examples
from tidings_events.notifications.fields import NO_NUL, NO_NUL_IN_SCHEMA, Unquoted, given


class WhatsAppNotification(TemplatedNotification):
    """A WhatsApp message.

    Outside the 24 hours after a person's last message WhatsApp only takes approved content, which
    is identified by `content_sid`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                given("body"),
                given("template"),
                given("content_sid"),
            ],
            "if": {
                "required": ["content_variables"],
                "properties": {"content_variables": {"type": "object", "minProperties": 1}},
            },
            "then": given("content_sid"),
        }
    )
    content_fields = ("body", "content_sid")
    examples: ClassVar[Examples] = {
        "minimal": {"recipient": PHONE, "body": "Your table is booked for eight o'clock."},
        "full": {
            "recipient": PHONE,
            **COMMON,
            "idempotency_key": "order-10042-receipt-whatsapp",
            "locale": "en",
            "sender": "+14155550100",
            "content_sid": "HX0123456789abcdef0123456789abcdef",
            "content_variables": {"1": "Anna", "2": "10042"},
        },
        "template": {
            "recipient": PHONE,
            "template": "receipt",
            "data": {"name": "Anna", "order": 10042},
        },
        "scheduled": {"recipient": PHONE, **SCHEDULED, "body": "The doors open at eight."},
    }

    channel: Literal["whatsapp"] = Field(default="whatsapp", description="The channel.")
    recipient: WhatsAppNumber = Field(
        description="Number it is sent to, in E.164, or as WhatsApp reports it."
    )
    sender: WhatsAppNumber | None = Field(
        default=None, description="Sender's number, if not the configured one."
    )
    body: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=1600),
            NO_NUL,
            NO_NUL_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="The text.")
    content_sid: Annotated[str, StringConstraints(pattern=r"^HX[0-9a-fA-F]{32}$")] | None = Field(
        default=None,
        description="Approved content at the provider, sent instead of a text.",
        examples=["HX0123456789abcdef0123456789abcdef"],
    )
    content_variables: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,32}$")],
            Annotated[str, StringConstraints(max_length=1024), NO_NUL, NO_NUL_IN_SCHEMA],
        ],
        Unquoted(),
    ] = Field(
        default_factory=dict,
        max_length=100,
        json_schema_extra={"additionalProperties": False},
        exclude_if=is_empty,
        description="Values for the placeholders of `content_sid`.",
        examples=[{"1": "Anna", "2": "10042"}],
    )

    def broken_rules(self) -> Iterator[Problem]:
        """Exactly one of body, template and content_sid."""
        yield from super().broken_rules()
        if self.body is not None and self.content_sid is not None:
            yield "content_sid", "is given beside `body`; give one or the other"
        if self.content_variables and self.content_sid is None:
            yield "content_variables", "are given without `content_sid`; name the content"
