"""A notification sent as a text message."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from tidings_events.notifications.addresses import PhoneNumber
from tidings_events.notifications.base import TemplatedNotification
from tidings_events.notifications.examples import COMMON, PHONE, SCHEDULED, Examples
from tidings_events.notifications.fields import NO_NUL, NO_NUL_IN_SCHEMA, Unquoted, given

_NUMBER = r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8})$"
_NAME = r"^[A-Za-z0-9 &._+-]{1,11}$"


def _sender(value: str) -> str:
    name = re.fullmatch(_NAME, value) and re.search("[A-Za-z]", value)
    if not (name or re.fullmatch(_NUMBER, value)):
        raise ValueError(
            "is not a sender; give a number in E.164, a short code, or a name of up to 11 letters "
            "and digits"
        )
    return value


Sender = Annotated[
    str,
    AfterValidator(_sender),
    Field(
        max_length=16,
        json_schema_extra={
            "anyOf": [
                {"type": "null"},
                {"pattern": _NUMBER},
                {"allOf": [{"pattern": _NAME}, {"pattern": "[A-Za-z]"}]},
            ]
        },
    ),
]


class SmsNotification(TemplatedNotification):
    """A text message."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [given("body"), given("template")]})
    content_fields = ("body",)
    examples: ClassVar[Examples] = {
        "minimal": {"recipient": PHONE, "body": "Your parcel arrives today."},
        "full": {
            "recipient": PHONE,
            **COMMON,
            "idempotency_key": "order-10042-receipt-sms",
            "locale": "en",
            "sender": "Acme",
            "body": "Thank you for order 10042.",
        },
        "template": {
            "recipient": PHONE,
            "priority": "urgent",
            "category": "otp",
            "expires_at": "2026-12-24T18:05:00+01:00",
            "template": "otp",
            "data": {"code": "493027"},
        },
        "scheduled": {"recipient": PHONE, **SCHEDULED, "body": "The doors open at eight."},
    }

    channel: Literal["sms"] = Field(default="sms", description="The channel.")
    recipient: PhoneNumber = Field(description="Number it is sent to, in E.164.")
    sender: Sender | None = Field(
        default=None,
        description="Sender, if not the configured one: a number in E.164, a short code, "
        "or a name of up to 11 characters.",
        examples=["+14155550100", "Acme"],
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
    ) = Field(
        default=None,
        description="The text. Long texts are sent, and charged, in parts.",
    )
