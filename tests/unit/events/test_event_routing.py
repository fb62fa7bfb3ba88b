"""Where a notification is published to, and what the union of channels promises."""

from typing import Any

import pytest

from tidings_events import CHANNELS, MODELS, Priority, SmsNotification
from tidings_events.routing import EXCHANGE, TRACEPARENT, Headers, routing_key


@pytest.mark.parametrize("priority", list(Priority))
def test_the_routing_key_is_channel_and_priority(priority: Priority) -> None:
    notification = SmsNotification(recipient="+14155550123", body="Hello", priority=priority)
    assert routing_key(notification) == f"sms.{priority.value}"


def test_names_on_the_wire_do_not_change() -> None:
    headers = {name: value for name, value in vars(Headers).items() if name.isupper()}
    prefix = headers.pop("PREFIX")
    assert (EXCHANGE, TRACEPARENT, prefix) == ("tidings.notifications", "traceparent", "x-tidings-")
    assert headers == {name: f"x-tidings-{name.lower().replace('_', '-')}" for name in headers}


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_field_of_every_channel_is_described(channel: str) -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        return [
            f"{path}.{name}"
            for name, field in schema.get("properties", {}).items()
            if not field.get("description")
        ]

    schema = MODELS[channel].model_json_schema()
    found = undescribed(schema, channel)
    for name, part in schema.get("$defs", {}).items():
        found += undescribed(part, name)
    assert found == []
