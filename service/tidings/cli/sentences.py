"""Wraps text at words for a terminal, so that commands and ids in it can be copied."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

COMMAND: Final = "bold"
"""The style of commands, which are kept whole like text in backticks."""
HANGING: Final = 2
"""Indent of continuation lines."""
FURTHER: Final = 4
"""Indent of continuation lines of a command."""
CONTINUATION: Final = " \\"
"""The shell's line continuation."""
_QUOTED: Final = re.compile(r"`[^`\n]+`")
_PIECE: Final = re.compile(r" *[^ ]+")
_ARGUMENT: Final = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[^ "']+|["'])+""")
"""One argument of a command, with blanks if it is quoted."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text that is wrapped to the width of the terminal.

    Words, commands, ids and URLs are kept whole; one that is too long moves to the next line. If it doesn't fit there
    either, a word starts further left, and a command continues after a backslash between two arguments.
    """

    text: Text
    before: Text = field(default_factory=Text)
    """Precedes the first line; the other lines start in the column where it ends."""
    hanging: int = HANGING

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.lines(options.max_width)

    def lines(self, width: int) -> Iterator[Text]:
        """The wrapped lines for a width."""
        start, column = self.before, self.before.cell_len
        for line in self.text.split("\n", allow_blank=True):
            hang = (column or _indent(line.plain)) + self.hanging
            yield from _lines(start, line, hang, width)
            start = Text(" " * column)


def _lines(start: Text, text: Text, hang: int, width: int) -> Iterator[Text]:
    line = _unbroken(start)
    for piece in _pieces(text):
        if line.cell_len + piece.cell_len > width:
            if line.plain.strip():
                yield line
                line, piece = Text(" " * hang), _without_blanks(piece)
            column = line.cell_len + _indent(piece.plain)
            *before, line = _placed(_without_blanks(piece), column, width)
            yield from before
        else:
            line.append_text(piece)
    yield line


def _pieces(text: Text) -> Iterator[Text]:
    """Words and commands, each with its leading blanks."""
    plain = text.plain
    whole = [match.span() for match in _QUOTED.finditer(plain)]
    whole += [(span.start, span.end) for span in text.spans if span.style == COMMAND]
    for start, end in whole:
        plain = plain[:start] + plain[start:end].replace(" ", "x") + plain[end:]
    for match in _PIECE.finditer(plain):
        yield text[match.start() : match.end()]


def _placed(piece: Text, column: int, width: int) -> list[Text]:
    """A word or command at the start of a line, in this column if possible."""
    if " " in piece.plain and column + piece.cell_len > width:
        return list(_continued(piece, column, width))
    return [_at(min(column, width - piece.cell_len), piece)]


def _continued(command: Text, column: int, width: int) -> Iterator[Text]:
    """A command that is too long for a line, with line continuations."""
    first, *others = _arguments(command, width - column - FURTHER - len(CONTINUATION))
    line = _at(column, first)
    for place, argument in enumerate(others, 1):
        room = width - (len(CONTINUATION) if place < len(others) else 0)
        if line.cell_len + 1 + argument.cell_len > room:
            yield line.append(CONTINUATION)
            line = _at(min(column + FURTHER, room - argument.cell_len), argument)
        else:
            line.append(" ").append_text(argument)
    yield line


def _arguments(command: Text, longest: int) -> Iterator[Text]:
    """The arguments of a command, each option with its value if both fit on a line."""
    option: tuple[int, int] | None = None
    for match in _ARGUMENT.finditer(command.plain):
        start, end = match.span()
        if option and (command.plain[start] == "-" or end - option[0] > longest):
            yield command[option[0] : option[1]]
            option = None
        if option is None and command.plain[start] == "-":
            option = start, end
        else:
            yield command[option[0] if option else start : end]
            option = None
    if option:
        yield command[option[0] : option[1]]


def _at(column: int, text: Text) -> Text:
    return _unbroken(Text(" " * max(0, column))).append_text(text)


def _unbroken(start: Text) -> Text:
    """A line with this start that the console doesn't wrap."""
    return Text(no_wrap=True, overflow="ignore").append_text(start)


def _without_blanks(piece: Text) -> Text:
    return piece[_indent(piece.plain) :]


def _indent(line: str) -> int:
    return cell_len(line) - cell_len(line.lstrip(" "))
