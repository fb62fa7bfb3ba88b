"""Lays out tables: as many columns side by side as fit, the others on lines below each row, with their headings.

Nothing is cut, however narrow the terminal. A file or pipe gets one line for each row.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tidings.cli.sentences import Sentence
from tidings.cli.terminal import on_one_line, unwrapped

GAP: Final = 2
"""Blanks between two cells; one if everything fits only so."""
ROOM: Final = 30
"""Minimum width in which a text may take two lines."""
BENEATH: Final = Text("  ")
"""Indents the lines below a row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its cells, and a text such as the reason."""

    cells: Sequence[Text]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table without borders."""

    names: Sequence[str]
    """Headings of the columns."""
    rows: Sequence[Row]
    right: Collection[str] = ()
    """Headings of the right-aligned columns."""
    least: Mapping[str, int] = field(default_factory=dict)
    """Minimum width by heading."""
    reason: str = "Why"
    """The heading of the texts."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        widths = [self._width(place) for place in range(len(self.names))]
        count, gap = _that_fit(widths, width)
        at = sum(widths[:count]) + gap * count
        beside = count == len(self.names) and self._reasons_fit(width - at)
        headings = Row([Text(name, "dim") for name in self.names], self.reason)
        for row in (headings, *self.rows):
            why = Text(on_one_line(row.why), "dim" if row is headings else "")
            line = self._side_by_side(row.cells[:count], widths, gap)
            if beside and why:
                line.append(" " * (at - line.cell_len))
                yield Sentence(why, line, hanging=0)
            else:
                yield unwrapped(line) if count > 1 else Sentence(line)
            if row is not headings:
                beneath = [*zip(self.names[count:], row.cells[count:], strict=True)]
                yield from _beneath(beneath if beside else [*beneath, (self.reason, why)], width)

    def _width(self, place: int) -> int:
        cells = (row.cells[place].cell_len for row in self.rows)
        name = self.names[place]
        return max(cell_len(name), self.least.get(name, 0), *cells)

    def _reasons_fit(self, room: int) -> bool:
        """Whether the texts fit in a last column without taking more lines than below the row."""
        longest = max((cell_len(on_one_line(row.why)) for row in self.rows), default=0)
        return 0 < longest <= (room * 3 // 2 if room >= ROOM else room)

    def _side_by_side(self, cells: Sequence[Text], widths: Sequence[int], gap: int) -> Text:
        """One line, without trailing blanks."""
        line, at = Text(), 0
        for cell, width, name in zip(cells, widths, self.names, strict=False):
            start = at + (width - cell.cell_len if name in self.right else 0)
            line.append(" " * (start - line.cell_len))
            line.append_text(cell)
            at += width + gap
        line.rstrip()
        return line


def _that_fit(widths: Sequence[int], width: int) -> tuple[int, int]:
    """How many cells fit side by side, at least one, and the gap between them."""
    for count, gap in ((len(widths), GAP), (len(widths), 1)):
        if sum(widths) + gap * (count - 1) <= width:
            return count, gap
    count = len(widths)
    while count > 1 and sum(widths[:count]) + GAP * (count - 1) > width:
        count -= 1
    return count, GAP


def _beneath(values: Iterable[tuple[str, Text]], width: int) -> Iterator[Sentence]:
    """Values with their headings, as many per line as fit."""
    line = Text()
    for name, value in values:
        labelled = Text.assemble((f"{name} ", "dim"), value) if value else Text()
        longer = Text(" · ", "dim").join(part for part in (line, labelled) if part)
        if not (line and labelled) or BENEATH.cell_len + longer.cell_len <= width:
            line = longer
        else:
            yield Sentence(line, BENEATH)
            line = labelled
    if line:
        yield Sentence(line, BENEATH)


def cell(text: str, style: str = "") -> Text:
    """A value, escaped to one line."""
    return Text(on_one_line(text), style)
