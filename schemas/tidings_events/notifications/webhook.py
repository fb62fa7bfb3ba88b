"""A notification posted to a web server."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tidings_events.notifications.addresses import WebUrl
from tidings_events.notifications.base import BaseNotification
from tidings_events.notifications.examples import COMMON, SCHEDULED, Examples
from tidings_events.notifications.fields import JsonObject, Unquoted

_HOOK = "https://example.org/hooks/invoices"


class WebhookNotification(BaseNotification):
    """A signed HTTP request (Standard Webhooks)."""

    examples: ClassVar[Examples] = {
        "minimal": {
            "recipient": _HOOK,
            "event_type": "invoice.paid",
            "payload": {"invoice": "10042"},
        },
        "full": {
            "recipient": _HOOK,
            **COMMON,
            "idempotency_key": "invoice-10042-paid",
            "event_type": "invoice.paid",
            "payload": {
                "invoice": "10042",
                "amount": {"value": "12.50", "currency": "EUR"},
                "lines": [{"sku": "B-1", "quantity": 2}, {"sku": "B-7", "quantity": 1}],
                "note": None,
            },
        },
        "scheduled": {
            "recipient": _HOOK,
            **SCHEDULED,
            "event_type": "sale.started",
            "payload": {"sale": "winter"},
        },
    }

    channel: Literal["webhook"] = Field(default="webhook", description="The channel.")
    recipient: Annotated[WebUrl, Unquoted()] = Field(
        description="URL it is posted to; no credentials, no fragment."
    )
    event_type: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=128),
    ] = Field(
        description="The type of event: words joined by full stops.", examples=["invoice.paid"]
    )
    payload: Annotated[JsonObject, Unquoted()] = Field(
        description="The JSON object that is posted.", examples=[{"invoice": "10042"}]
    )
