"""Draws docs/performance.svg: rates as bars, readable on light and on dark. Pure."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.results import Participant, Results, Summary
from benchmarks.workloads.base import Workload

WIDTH: Final = 820
LABELS: Final = 150
BARS: Final = 500
ROW: Final = 30
HEAD: Final = 58
GAP: Final = 18

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


def plot(results: Results, workloads: Sequence[Workload]) -> str:
    """One panel for each workload that has a rate of several contenders."""
    pieces: list[str] = []
    top = 10
    for workload in workloads:
        rows = list(_rows(results, workload))
        if len(rows) > 1:
            pieces += _panel(workload, rows, top)
            top += HEAD + ROW * len(rows) + GAP
    pieces += _legend(top)
    height = top + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Messages a second by contender and workload">\n'
        f"<style>\n{STYLE}\n</style>\n" + "\n".join(pieces) + "\n</svg>\n"
    )


def _rows(results: Results, workload: Workload) -> Iterator[tuple[Participant, Summary]]:
    for one in results.participants:
        if (rate := results.of(workload.name, one.name, "rate")) is not None:
            yield one, rate


def _panel(
    workload: Workload, rows: Sequence[tuple[Participant, Summary]], top: int
) -> Iterator[str]:
    step = _step(max(rate.highest for _, rate in rows))
    most = step * 5
    bottom = top + HEAD + ROW * len(rows)
    yield f'<text class="title" x="0" y="{top + 18}">{workload.name} {escape(workload.title)}</text>'
    yield f'<text class="unit" x="0" y="{top + 38}">messages a second, one run, two cores; higher is better</text>'
    for tick in range(6):
        x = LABELS + BARS * tick / 5
        yield f'<line class="grid" x1="{x:.1f}" y1="{top + HEAD - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="axis" x="{x:.1f}" y="{top + HEAD - 10}" text-anchor="middle">{step * tick:,.0f}</text>'
    for place, (one, rate) in enumerate(rows):
        yield from _bar(one, rate, top + HEAD + ROW * place, BARS / most)


def _bar(one: Participant, rate: Summary, y: int, per_message: float) -> Iterator[str]:
    middle, length = y + ROW / 2, rate.median * per_message
    yield f'<text x="{LABELS - 10}" y="{middle + 5}" text-anchor="end">{escape(one.name)}</text>'
    yield (
        f'<rect class="{_kind(one)}" x="{LABELS}" y="{y + 5}" width="{length:.1f}" height="{ROW - 10}" rx="3"/>'
    )
    end = length
    if rate.count > 1:
        low, end = rate.lowest * per_message, rate.highest * per_message
        yield (
            f'<line class="spread" x1="{LABELS + low:.1f}" y1="{middle}" x2="{LABELS + end:.1f}" y2="{middle}"/>'
        )
    yield f'<text x="{LABELS + max(end, length) + 8:.1f}" y="{middle + 5}">{rate.median:,.0f}</text>'


def _legend(top: int) -> Iterator[str]:
    for place, (kind, words) in enumerate(
        (("ours", "Tidings"), ("bare", "aio-pika alone"), ("peer", "used instead"))
    ):
        x = LABELS + 150 * place
        yield f'<rect class="{kind}" x="{x}" y="{top}" width="14" height="14" rx="3"/>'
        yield f'<text class="unit" x="{x + 20}" y="{top + 12}">{words}</text>'


def _kind(one: Participant) -> str:
    if one.name == "Tidings":
        return "ours"
    return "peer" if one.peer else "bare"


def _step(highest: float) -> float:
    """A round number of which five reach the highest."""
    size = 1.0
    while size * 50 < highest:
        size *= 10
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * 5 >= highest)
