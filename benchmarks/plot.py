"""Draws docs/performance.svg: rates and latencies as bars, readable on light and on dark. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.results import Participant, Results, Summary

WIDTH: Final = 820
LABELS: Final = 150
BARS: Final = 500
ROW: Final = 30
HEAD: Final = 76
GAP: Final = 24

STYLE: Final = """\
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.unit, .axis { font-size: 12px; fill: #656d76 }
.ours { fill: #0969da } .bare { fill: #8c959f } .peer { fill: #bf8700 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.grid { stroke: #d0d7de; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .unit, .axis { fill: #8d96a0 }
  .ours { fill: #4493f8 } .bare { fill: #6e7681 } .peer { fill: #d29922 }
  .spread { stroke: #e6edf3 } .grid { stroke: #30363d }
}"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of everyone."""

    workload: str
    value: str
    variant: str
    title: str
    unit: str


PANELS: Final = (
    Panel("W1", "rate", "", "W1 Durable no-op", "messages a second; more is better"),
    Panel("W2", "rate", "", "W2 Email", "mails a second (bare loop: messages); more is better"),
    Panel("W3", "p99_ms", "70 % load", "W3 Latency at 70 % load, p99", "ms; less is better"),
    Panel("W5", "p99_ms", "", "W5 Urgent behind 100,000 low, p99", "ms; less is better"),
)


def plot(results: Results) -> str:
    """A panel for each figure that several contenders have."""
    pieces: list[str] = []
    top = 10
    for panel in PANELS:
        rows = list(_rows(results, panel))
        if len(rows) > 1:
            pieces += _panel(panel, rows, top)
            top += HEAD + ROW * len(rows) + GAP
    pieces += _legend(top)
    height = top + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Rates and latencies of all contenders">\n'
        f"<style>\n{STYLE}\n</style>\n" + "\n".join(pieces) + "\n</svg>\n"
    )


def _rows(results: Results, panel: Panel) -> Iterator[tuple[Participant, Summary]]:
    for participant in results.participants:
        figure = results.of(panel.workload, participant.name, panel.value, panel.variant)
        if figure is not None:
            yield participant, figure


def _panel(panel: Panel, rows: Sequence[tuple[Participant, Summary]], top: int) -> Iterator[str]:
    step = _step(max(figure.highest for _, figure in rows))
    bottom = top + HEAD + ROW * len(rows)
    yield f'<text class="title" x="0" y="{top + 18}">{escape(panel.title)}</text>'
    yield f'<text class="unit" x="0" y="{top + 38}">{escape(panel.unit)}</text>'
    for tick in range(6):
        x = LABELS + BARS * tick / 5
        yield f'<line class="grid" x1="{x:.1f}" y1="{top + HEAD - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="axis" x="{x:.1f}" y="{top + HEAD - 10}" text-anchor="middle">{step * tick:,.10g}</text>'
    for place, (participant, figure) in enumerate(rows):
        yield from _bar(participant, figure, top + HEAD + ROW * place, BARS / step / 5)


def _bar(participant: Participant, figure: Summary, y: int, scale: float) -> Iterator[str]:
    middle, length = y + ROW / 2, figure.median * scale
    yield f'<text x="{LABELS - 10}" y="{middle + 5}" text-anchor="end">{escape(participant.name)}</text>'
    yield (
        f'<rect class="{_kind(participant)}" x="{LABELS}" y="{y + 5}" width="{length:.1f}" height="{ROW - 10}" rx="3"/>'
    )
    end = length
    if figure.count > 1:
        low, end = figure.lowest * scale, figure.highest * scale
        yield (
            f'<line class="spread" x1="{LABELS + low:.1f}" y1="{middle}" x2="{LABELS + end:.1f}" y2="{middle}"/>'
        )
    yield f'<text x="{LABELS + max(end, length) + 8:.1f}" y="{middle + 5}">{_shown(figure.median)}</text>'


def _legend(top: int) -> Iterator[str]:
    for place, (kind, words) in enumerate(
        (("ours", "Tidings"), ("bare", "aio-pika alone"), ("peer", "used instead"))
    ):
        x = LABELS + 150 * place
        yield f'<rect class="{kind}" x="{x}" y="{top}" width="14" height="14" rx="3"/>'
        yield f'<text class="unit" x="{x + 20}" y="{top + 12}">{words}</text>'


def _kind(participant: Participant) -> str:
    if participant.name == "Tidings":
        return "ours"
    return "peer" if participant.peer else "bare"


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"


def _step(highest: float) -> float:
    """A round number of which five reach the highest."""
    size = 1.0
    while size * 50 < highest:
        size *= 10
    return next(
        size * factor
        for factor in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
        if size * factor * 5 >= highest
    )
