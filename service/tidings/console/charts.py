"""Draws time series as SVG, from numbers: the coordinates here, the elements in `macros/charts.html`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 170
LEFT: Final = 44
RIGHT: Final = 8
TOP: Final = 8
BOTTOM: Final = 22
"""Of the drawing, in its own units; around the lines there is room for the axes' labels."""
GRID: Final = 4
"""Most parts of the upright axis."""
ROWS: Final = 24
"""Most rows of the table that says the same."""
MARKS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (900, 3_600, 4 * 3_600, 12 * 3_600, 86_400, 2 * 86_400, 7 * 86_400)
)
"""Steps of the time axis."""
MOST_MARKS: Final = 6


@dataclass(frozen=True, slots=True)
class AxisMark:
    """A label at an axis."""

    at: float
    text: str
    time: int = 0
    """Seconds since 1970 that the page's script writes in the reader's own zone; 0: it is a number or a day."""


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One series."""

    name: str
    number: int
    """Its colour and dashes: 1 to 6."""
    path: str
    values: str
    """The numbers, apart by blanks, for the page's script."""
    total: float


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of the table that says the same."""

    since: datetime
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing."""

    title: str
    unit: str
    since: datetime
    seconds: int
    """That each point covers."""
    lines: tuple[PlotLine, ...]
    upright: tuple[AxisMark, ...]
    times: tuple[AxisMark, ...]
    rows: tuple[TableRow, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM

    @property
    def empty(self) -> bool:
        """Whether nothing happened."""
        return not any(line.total for line in self.lines)


def plot(
    title: str,
    unit: str,
    since: datetime,
    seconds: int,
    series: Mapping[str, Sequence[float]],
    numbers: Mapping[str, int],
) -> Plot:
    """Draw series that have a point for each span of time.

    Args:
        title: Of the plot.
        unit: Of its numbers.
        since: Where the first span begins.
        seconds: That each covers.
        series: The numbers by name; all have equally many.
        numbers: The colour of each, so that a name has one in all plots.
    """
    count = max((len(values) for values in series.values()), default=0)
    step = _step(max((max(values, default=0) for values in series.values()), default=0))
    top = step * max(1, _parts(series, step))
    places = _places(count)
    lines = tuple(
        PlotLine(
            name,
            numbers[name],
            _path(values, top, places),
            " ".join(f"{value:g}" for value in values),
            sum(values),
        )
        for name, values in series.items()
    )
    upright = tuple(
        AxisMark(_height(step * place, top), _short(step * place))
        for place in range(round(top / step) + 1)
    )
    return Plot(
        title,
        unit,
        since,
        seconds,
        lines,
        upright,
        tuple(_times(since, max(1, count - 1) * seconds)),
        tuple(_rows(since, seconds, list(series.values()), count)),
    )


def _step(most: float) -> float:
    """The distance of two labels: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= most / GRID:
        power *= 10
    while power > most / GRID:
        power /= 10
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step * GRID >= most)


def _parts(series: Mapping[str, Sequence[float]], step: float) -> int:
    most = max((max(values, default=0) for values in series.values()), default=0)
    return -int(-most // step)


def _height(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP), 1)


def _places(count: int) -> Sequence[str]:
    """Where the points of a line are from left to right."""
    space = (WIDTH - LEFT - RIGHT) / max(1, count - 1)
    return [f"{LEFT + place * space:.1f} " for place in range(count)]


def _path(values: Sequence[float], top: float, places: Sequence[str]) -> str:
    bottom, scale = HEIGHT - BOTTOM, (HEIGHT - BOTTOM - TOP) / top
    points = [
        f"{place}{bottom - value * scale:.1f}" for place, value in zip(places, values, strict=True)
    ]
    return f"M{'L'.join(points)}" if points else ""


def _times(since: datetime, length: float) -> Iterator[AxisMark]:
    """Labels at whole times, in UTC."""
    step = next(
        (mark for mark in MARKS if length <= MOST_MARKS * mark.total_seconds()), MARKS[-1]
    ).total_seconds()
    first = -(-since.timestamp() // step) * step - since.timestamp()
    places = int((length - first) // step) + 1 if length >= first else 0
    for place in range(places):
        after = first + place * step
        at = since + timedelta(seconds=after)
        text = f"{at:%H:%M}" if step < 86_400 and (at.hour or at.minute) else f"{at:%d %b}"
        time = int(at.timestamp()) if step < 86_400 else 0
        yield AxisMark(round(LEFT + after / length * (WIDTH - LEFT - RIGHT), 1), text, time)


def _rows(
    since: datetime, seconds: int, series: Sequence[Sequence[float]], count: int
) -> Iterator[TableRow]:
    """At most `ROWS`: means of as many points as that needs."""
    each = max(1, -(-count // ROWS))
    for first in range(0, count, each):
        parts = (values[first : first + each] for values in series)
        means = tuple(round(sum(part) / len(part), 2) for part in parts)
        yield TableRow(since + timedelta(seconds=first * seconds), means)


def _short(value: float) -> str:
    """1500 → `1.5k`: a label has little room."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
