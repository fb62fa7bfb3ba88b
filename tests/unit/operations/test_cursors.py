"""A cursor leads on in the list that it was given for, and nowhere else."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.states import State
from tidings.ledger.notifications.filters import Filters, Position
from tidings.operations.cursors import decode, encode

PLACE = Position(
    datetime(2026, 11, 29, 17, 31, 2, 123_457, UTC), UUID("0193a5c4-2c00-7000-8000-000000000001")
)
FILTERS = Filters(states=(State.SENT, State.FAILED), tenant="acme")


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
    st.lists(st.text(max_size=5), max_size=3),
)
def test_a_cursor_says_where_its_list_goes_on(
    moment: datetime, id_: UUID, categories: list[str]
) -> None:
    filters = Filters(categories=tuple(categories))
    place = Position(moment, id_)
    assert decode(encode(place, filters), filters) == place


def test_the_order_of_a_filters_values_does_not_matter() -> None:
    again = Filters(states=(State.FAILED, State.SENT), tenant="acme")
    assert decode(encode(PLACE, FILTERS), again) == PLACE


@pytest.mark.parametrize(
    "other",
    [
        Filters(states=(State.SENT,), tenant="acme"),
        Filters(states=(State.SENT, State.FAILED), tenant="shop"),
        Filters(states=(State.SENT, State.FAILED)),
        Filters(states=(State.SENT, State.FAILED), tenant="acme", subject=""),
    ],
    ids=str,
)
def test_a_cursor_is_refused_with_other_filters_or_by_another_tenant(other: Filters) -> None:
    with pytest.raises(InvalidRequest, match="other filters") as refused:
        decode(encode(PLACE, FILTERS), other)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("text", ["", "x", "====", "ä", "AQ", "AA" * 25, "a" * 10_000, "\x00"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no cursor"):
        decode(text, FILTERS)


def test_a_cursor_that_was_changed_is_refused() -> None:
    cursor = encode(PLACE, FILTERS)
    for place in range(2, len(cursor) - 1):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(InvalidRequest):
            decode(changed, FILTERS)
