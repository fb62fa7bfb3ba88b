"""Plots say with their axes, lines and tables what the numbers are."""

from datetime import UTC, datetime

import pytest

from tidings.console.charts import HEIGHT, LEFT, RIGHT, ROWS, TOP, WIDTH, plot

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_the_highest_number_is_below_the_top_label_and_the_first_is_at_the_axis() -> None:
    drawing = plot("Sent", "per minute", NOON, 60, {"email": [0, 3, 7], "sms": [1, 1, 1]}, NUMBERS)
    assert [mark.text for mark in drawing.upright] == ["0", "2", "4", "6", "8"]
    assert drawing.upright[-1].at == TOP
    email = drawing.lines[0]
    first, _, last = email.path.removeprefix("M").split("L")
    assert first == f"{LEFT}.0 {drawing.upright[0].at}"
    x, y = map(float, last.split())
    assert x == WIDTH - RIGHT
    assert drawing.upright[-1].at < y < drawing.upright[-2].at
    assert (email.values, email.total) == ("0 3 7", 10)


NUMBERS = {"email": 1, "sms": 2}


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["0", "1"]),
        (1, ["0", "0.5", "1"]),
        (0.03, ["0", "0.01", "0.02", "0.03"]),
        (9, ["0", "5", "10"]),
        (2_900, ["0", "1k", "2k", "3k"]),
        (4_000_000, ["0", "1M", "2M", "3M", "4M"]),
    ],
)
def test_labels_are_round_numbers(most: float, labels: list[str]) -> None:
    drawing = plot("Sent", "", NOON, 60, {"email": [0, most]}, NUMBERS)
    assert [mark.text for mark in drawing.upright] == labels


@pytest.mark.parametrize(
    ("points", "seconds", "expected"),
    [
        (61, 60, ["12:00", "12:15", "12:30", "12:45", "13:00"]),
        (25, 3_600, ["12:00", "16:00", "20:00", "03 Mar", "04:00", "08:00", "12:00"]),
        (31, 86_400, ["05 Mar", "12 Mar", "19 Mar", "26 Mar"]),
    ],
)
def test_the_time_axis_has_whole_times(points: int, seconds: int, expected: list[str]) -> None:
    drawing = plot("Sent", "", NOON, seconds, {"email": [1] * points}, NUMBERS)
    assert [mark.text for mark in drawing.times] == expected
    assert all(LEFT <= mark.at <= WIDTH - RIGHT for mark in drawing.times)
    of_day = [datetime.fromtimestamp(mark.time, UTC) for mark in drawing.times if mark.time]
    assert [f"{at:%H:%M}" for at in of_day if at.hour] == [text for text in expected if ":" in text]


def test_the_table_has_few_rows_and_means_of_the_same_numbers() -> None:
    drawing = plot("Sent", "", NOON, 60, {"email": [1, 3] * 60}, NUMBERS)
    assert len(drawing.rows) == ROWS
    assert {row.values for row in drawing.rows} <= {(2.0,), (1.8,), (2.2,)}


def test_nothing_at_all_can_be_drawn() -> None:
    for series in ({}, {"email": []}, {"email": [0]}):
        drawing = plot("Sent", "", NOON, 60, series, NUMBERS)
        assert drawing.empty
        assert drawing.height == HEIGHT
