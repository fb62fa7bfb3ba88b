"""A row that can't be read fails alone: those beside it are published."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tidings_events.outbox import batch
from tidings_events.outbox.batch import RelayBatch, reason_without_values
from tidings_events.outbox.rows import OutboxRow

NOW = datetime.now(UTC)


def row(headers: str = "{}") -> OutboxRow:
    id = uuid4()
    body = json.dumps(
        {"id": str(id), "channel": "sms", "recipient": "+4915112345678", "body": "Hello"}
    )
    return OutboxRow(id, "sms.normal", body.encode(), headers, 0, NOW, NOW, 1)


def nested(levels: int) -> str:
    return '{"a": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("levels", "reason"), [(10_000, "headers: are 20,007 bytes"), (8_000, "headers: are nested")]
)
def test_headers_that_are_nested_too_deeply_fail_alone(levels: int, reason: str) -> None:
    good, bad = row(), row(nested(levels))
    made = RelayBatch([bad, good], None)
    assert [publication.id for publication in made.publications] == [str(good.id)]
    assert made.settlement.failed[bad.id].startswith(reason)


def test_whatever_goes_wrong_in_reading_a_row_is_that_row_s(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = row(), row()
    parse = batch.parse

    def failing(body: bytes) -> object:
        if UUID(json.loads(body)["id"]) == bad.id:
            raise RuntimeError("who would have thought")
        return parse(body)

    monkeypatch.setattr(batch, "parse", failing)
    made = RelayBatch([bad, good], None)
    assert [publication.id for publication in made.publications] == [str(good.id)]
    assert reason_without_values(made.settlement.failed[bad.id]).startswith("notification: ")
    assert "who would have thought" in caplog.text
