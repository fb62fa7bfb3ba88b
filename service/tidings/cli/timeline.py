"""Lays out a history: time, offset, event and actor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tidings.cli.sentences import HANGING, Sentence

ROOM: Final = 60
"""Minimum width of the event for the actor to be beside it; otherwise the actor is below."""
WIDEST: Final = 200
"""Maximum width for the actor to be beside the event; in a file or pipe it is below."""
GAP: Final = 2
"""Blanks between two columns."""
ID: Final = HANGING + len("01a22503-9dd1-71d7-bde5-a2c09aa33d96,")
"""Width of an indented id."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events, one or a few lines each."""

    events: Sequence[tuple[str, str, Text, str]]
    """Time, offset from acceptance, event and actor; all but the event may be empty."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        who = max((cell_len(_by(who)) for *_, who in self.events), default=0)
        left = options.max_width - GAP - who
        if left >= self._column(GAP) + ROOM and options.max_width <= WIDEST:
            yield from self._beside(left)
        elif (gap := self._gap(options.max_width)) is not None:
            yield from self._below(options.max_width, gap)
        else:
            yield from self._beneath(options.max_width)

    def _beside(self, width: int) -> Iterator[Text]:
        blocks = [list(Sentence(what, when).lines(width)) for when, what, _ in self._columns(GAP)]
        widest = max((line.cell_len for lines in blocks for line in lines), default=0)
        for (first, *others), (*_, who) in zip(blocks, self.events, strict=True):
            if who:
                first.append(" " * (widest + GAP - first.cell_len)).append(_by(who), "dim")
            yield from (first, *others)

    def _below(self, width: int, gap: int) -> Iterator[Text]:
        """The actor below the event."""
        for when, what, who in self._columns(gap):
            yield from Sentence(_with(what, who), when).lines(width)

    def _beneath(self, width: int) -> Iterator[Text]:
        """The event below its time."""
        for when, what, who in self._columns(GAP):
            when.rstrip()
            yield when
            yield from Sentence(_with(what, who), Text("  ")).lines(width)

    def _gap(self, width: int) -> int | None:
        """The gap with which an id fits beside the time; None if it doesn't fit."""
        return next((gap for gap in (GAP, 1) if width - self._column(gap) >= ID), None)

    def _column(self, gap: int) -> int:
        return max((when.cell_len for when, *_ in self._columns(gap)), default=0)

    def _columns(self, gap: int) -> Iterator[tuple[Text, Text, str]]:
        """Aligned time, event and actor of each."""
        moment = max((len(at) for at, *_ in self.events), default=0)
        length = max((len(offset) for _, offset, *_ in self.events), default=0)
        for at, offset, what, who in self.events:
            when = Text(f"{at:<{moment}}{' ' * gap}")
            if length:
                when.append(f"{offset:>{length}}{' ' * gap}", "dim")
            yield when, what, who


def _with(what: Text, who: str) -> Text:
    return what.copy().append(f"\n  {_by(who)}", "dim") if who else what


def _by(who: str) -> str:
    return f"by {who}" if who else ""


def facts(rows: Iterable[tuple[str, Text]]) -> Iterator[Sentence]:
    """Aligned names and values."""
    listed = list(rows)
    widest = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        yield Sentence(value, Text(f"{name:<{widest}}  ", "dim"), hanging=0)
