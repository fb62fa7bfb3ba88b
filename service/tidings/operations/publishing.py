"""Publishes notifications, as any producer would."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tidings.operations.actor import Actor, app_id_of
from tidings.operations.suggestions import unknown
from tidings.runtime.certificates import verifying
from tidings.settings import BrokerSettings
from tidings_events import (
    CHANNELS,
    MODELS,
    BaseNotification,
    InvalidNotification,
    Notification,
    Producer,
    describe,
)
from tidings_events.routing import routing_key


def notification_of(fields: Any) -> Notification:
    """A notification as a person or a program wrote it, checked as a producer's is.

    Raises:
        InvalidNotification: It is none; names every fault.
    """
    channel = fields.get("channel") if isinstance(fields, dict) else None
    model = MODELS.get(channel) if isinstance(channel, str) else None
    if model is None:
        raise InvalidNotification([f"channel: {unknown(str(channel), CHANNELS)}"])
    try:
        notification: BaseNotification = model.model_validate_json(json.dumps(fields))
        notification.to_json()
    except ValidationError as invalid:
        raise InvalidNotification(describe(invalid)) from None
    except RecursionError:
        raise InvalidNotification(["it is nested too deeply"]) from None
    return notification  # type: ignore[return-value]  # MODELS holds exactly the union's members


async def publish(
    settings: BrokerSettings, actor: Actor, notifications: Sequence[Notification]
) -> None:
    """Publish all of them; each is safe once this returns.

    Raises:
        SomeNotPublished: Some of several could not be published; says which.
        TidingsEventsError: The only one could not be published.
    """
    producer = Producer(
        settings.urls,
        timeout=settings.amqp_timeout,
        ssl_context=verifying(settings.amqp_ca_file, "TIDINGS_AMQP_CA_FILE"),
        name="tidings publish",
        app_id=app_id_of(actor),
    )
    async with producer:
        if len(notifications) == 1:
            await producer.publish(notifications[0])
        else:
            await producer.publish_many(notifications)


def published_as_data(notification: Notification) -> dict[str, Any]:
    """The JSON of this view."""
    return {"id": notification.id, "routing_key": routing_key(notification)}
