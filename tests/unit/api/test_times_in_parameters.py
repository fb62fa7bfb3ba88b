"""`since` and `until` are a time with its offset, or how long ago."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from tidings.api.routes.parameters import Time

TIME: TypeAdapter[datetime] = TypeAdapter(Time)


@pytest.mark.parametrize(
    "written", ["2026-11-22T18:00:00+01:00", "2026-11-22T18:00:00 01:00", "2026-11-22T17:00:00Z"]
)
def test_a_time_with_its_offset_is_read_even_if_its_plus_was_not_escaped(written: str) -> None:
    expected = datetime(2026, 11, 22, 18, tzinfo=timezone(timedelta(hours=1)))
    assert TIME.validate_python(written) == expected


def test_how_long_ago_is_read() -> None:
    found = TIME.validate_python("24h")
    ago = datetime.now(UTC) - found
    assert timedelta(hours=24) <= ago < timedelta(hours=24, minutes=1)


@pytest.mark.parametrize(
    "written", ["2026-11-22", "2026-11-22T18:00:00", "yesterday", "", "9" * 400 + "d"]
)
def test_what_has_no_offset_or_is_no_time_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="date and time with its offset"):
        TIME.validate_python(written)
