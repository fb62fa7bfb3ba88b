"""A notification posted to somebody's web server."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tidings_events.notifications.addresses import WebUrl
from tidings_events.notifications.base import BaseNotification
from tidings_events.notifications.fields import JsonObject, Unquoted


class WebhookNotification(BaseNotification):
    """A signed HTTP request (Standard Webhooks)."""

    channel: Literal["webhook"] = Field(default="webhook", description="What carries it.")
    recipient: Annotated[WebUrl, Unquoted()] = Field(
        description="URL it is posted to; no credentials, no fragment."
    )
    event_type: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=128),
    ] = Field(description="What happened: words joined by full stops.", examples=["invoice.paid"])
    payload: Annotated[JsonObject, Unquoted()] = Field(
        description="The JSON object that is posted.", examples=[{"invoice": "10042"}]
    )
