"""Lengths of time as operators write them, and the names of the retry queues."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.delay import Delay, seconds

DAY = 86_400


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("500ms", 0.5),
        ("0ms", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1d2h3m4.5s", DAY + 7384.5),
        ("7d", 7 * DAY),
        (" 90S ", 90.0),
    ],
)
def test_a_length_of_time_is_read_as_seconds(written: str, length: float) -> None:
    assert seconds(written) == length


@pytest.mark.parametrize(
    "written",
    ["", " ", "15", "s", "1h 30m", "30m1h", "-5s", "1.5m", "2w", "1e3s", "1m500ms", "ms", "inf"],
)
def test_anything_else_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(ValueError, match="write it like 30s, 2m, 1h30m or 7d"):
        seconds(written)


@pytest.mark.parametrize(
    ("length", "name"),
    [(1, "1s"), (59, "59s"), (60, "1m"), (90, "90s"), (120, "2m"), (3600, "1h"), (5400, "90m")],
)
def test_a_tier_is_named_by_its_delay_in_one_unit(length: int, name: str) -> None:
    assert Delay(length).name == str(Delay(length)) == name


@given(st.integers(1, 7 * DAY))
def test_a_name_says_exactly_how_long(length: int) -> None:
    delay = Delay(length)
    assert Delay.parse(delay.name) == delay
    assert seconds(delay.name) == length
    assert delay.name.isalnum(), "it is part of a routing key, whose words end at a dot"


@given(st.integers(1, 7 * DAY), st.integers(1, 7 * DAY))
def test_different_delays_have_different_names_and_the_order_of_their_lengths(
    first: int, other: int
) -> None:
    assert (Delay(first).name == Delay(other).name) == (first == other)
    assert (Delay(first) < Delay(other)) == (first < other)


@pytest.mark.parametrize("length", [0, -1, 7 * DAY + 1])
def test_a_delay_outside_of_a_second_and_a_week_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="between 1s and 7d"):
        Delay(length)


@pytest.mark.parametrize("written", ["500ms", "1.5s", "0s", "8d", "soon", f"{'9' * 400}d"])
def test_a_delay_that_no_tier_can_have_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"retry delay|length of time"):
        Delay.parse(written)


def test_parts_of_a_second_that_make_a_whole_are_a_delay() -> None:
    assert Delay.parse("2000ms") == Delay(2)


@given(st.text(max_size=30))
def test_reading_a_length_of_time_raises_nothing_but_a_value_error(written: str) -> None:
    for read in (seconds, Delay.parse):
        try:
            read(written)
        except ValueError:
            continue
