"""The OpenAPI document has the fields of each channel's notification, as a request may have them."""

from typing import Any

import pytest
from tests.support.api_document import described

from tidings_events import CHANNELS
from tidings_events.export.json_schemas import json_schema


def schema(channel: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = described()["components"]["schemas"][f"{channel.capitalize()}{kind}"]
    return found


@pytest.mark.parametrize("channel", CHANNELS)
def test_it_has_every_field_of_the_contract(channel: str) -> None:
    fields = {*json_schema(channel)["properties"]}
    assert {*schema(channel, "Notification")["properties"]} == fields | {"timezone"}
    assert {*schema(channel, "Submission")["properties"]} == fields | {"timezone", "recipients"}
    assert "recipient" in schema(channel, "Notification")["required"]
    for kind in ("Notification", "Submission"):
        assert {"id", "tenant"} & {*schema(channel, kind)["required"]} == set()


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("field", ["tenant", "test"])
def test_what_follows_from_the_key_has_no_default_that_a_client_would_send(
    channel: str, field: str
) -> None:
    for kind in ("Notification", "Submission"):
        assert "default" not in schema(channel, kind)["properties"][field]
