"""A cursor leads on in the list that it was given for, and nowhere else."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.states import State
from tidings.ledger.notifications.filters import Filters
from tidings.operations.cursors import DIGEST, Position, _digest, decode, encode, position

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
    assert decode(encode(place, filters), filters, position) == place


def test_a_cursor_of_a_numbered_list_leads_to_its_number() -> None:
    assert decode(encode("17", ("jobs", ())), ("jobs", ()), int) == 17


def test_the_order_of_a_filters_values_does_not_matter() -> None:
    again = Filters(states=(State.FAILED, State.SENT), tenant="acme")
    assert decode(encode(PLACE, FILTERS), again, position) == PLACE


def test_a_time_that_moves_on_does_not_matter() -> None:
    """`24h` is another time with each page."""
    now = datetime.now(UTC)
    first, later = Filters(since=now), Filters(since=now + timedelta(seconds=7), until=now)
    assert decode(encode(PLACE, first), later, position) == PLACE


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
    with pytest.raises(InvalidRequest, match="with these filters") as refused:
        decode(encode(PLACE, FILTERS), other, position)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("text", ["", "x", "====", "ä", "AQ", "AA" * 25, "a" * 10_000, "\x00"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no cursor"):
        decode(text, FILTERS, position)


def test_a_cursor_that_was_changed_is_refused() -> None:
    cursor = encode(PLACE, FILTERS)
    for place in range(2, len(cursor) - 1):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(InvalidRequest):
            decode(changed, FILTERS, position)


@pytest.mark.parametrize("place", ["seven", f"{10**30} {PLACE.id}", "1 2"])
def test_a_forged_place_is_refused_too(place: str) -> None:
    packed = _digest(place, FILTERS) + place.encode()
    assert packed[DIGEST:] == place.encode()
    with pytest.raises(InvalidRequest):
        decode(base64.urlsafe_b64encode(packed).decode(), FILTERS, position)
