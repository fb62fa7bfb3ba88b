"""Properties that are encoded by hand are those that pamqp would read and write."""

from datetime import UTC, datetime

import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.header import ContentHeader

from tidings.broker.wire.properties import our_properties, producers_properties
from tidings.broker.wire.publish_frames import content_frames

AT = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("traceparent", [None, TRACE])
@pytest.mark.parametrize("app_id", ["api-key shop", "Größe", "x" * 255])
def test_they_are_read_back_as_they_were_meant(app_id: str, traceparent: str | None) -> None:
    properties = producers_properties("m-1", "n-1", AT, app_id, traceparent)
    header, *bodies = content_frames(3, properties, b"x" * 250, 100)
    _, channel, frame = pamqp.frame.unmarshal(header)
    assert isinstance(frame, ContentHeader)
    assert (channel, frame.body_size) == (3, 250)
    expected = {"timestamp_in_ms": 1_772_366_400_123}
    assert frame.properties == spec.Basic.Properties(
        content_type="application/json",
        headers=expected if traceparent is None else {**expected, "traceparent": traceparent},
        delivery_mode=2,
        correlation_id="n-1",
        message_id="m-1",
        timestamp=AT.replace(microsecond=0),
        app_id=app_id,
    )
    pieces = [pamqp.frame.unmarshal(body)[2].value for body in bodies]  # type: ignore[union-attr]
    assert b"".join(pieces) == b"x" * 250
    assert [len(piece) for piece in pieces] == [100, 100, 50]


def test_those_of_our_own_messages_too() -> None:
    headers: dict[str, str | int] = {
        "x-tidings-epoch": 3,
        "least": -(2**63),
        "most": 2**63 - 1,
        "empty": "",
        "long": "Größe " * 100,
        "x" * 255: "name",
    }
    header, *_ = content_frames(1, our_properties("m-1", headers, "text/plain"), b"", 100)
    _, _, frame = pamqp.frame.unmarshal(header)
    assert isinstance(frame, ContentHeader)
    assert frame.properties == spec.Basic.Properties(
        content_type="text/plain", headers=headers, delivery_mode=2, message_id="m-1"
    )


def test_no_headers_are_an_empty_table() -> None:
    header, *_ = content_frames(1, our_properties("m-1", {}), b"", 100)
    _, _, frame = pamqp.frame.unmarshal(header)
    assert isinstance(frame, ContentHeader)
    assert frame.properties.headers == {}
