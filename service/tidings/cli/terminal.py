"""Removes control characters from untrusted text before it reaches a terminal.

A recipient, a provider's reply or a header may contain escape sequences that rename the window, hide or
overwrite lines, or reverse the writing direction.
"""

import codecs
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from io import TextIOWrapper
from typing import Any, Final, TextIO, TypeVar, cast
from unicodedata import category

from rich import markup
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tidings.cli.sentences import Sentence

Record = TypeVar("Record")

UNLIMITED: Final = 100_000
"""Columns of a file or pipe, which is as wide as its lines."""
KEPT: Final = frozenset("\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
"""Controls that are safe: they lay out lines and join letters and emoji."""
STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of controls, unassigned characters and line separators."""

INSTEAD: Final = "tidings-instead"
NEAREST: Final = {
    "✓": "+",
    "✗": "x",
    "→": "->",
    "…": "...",
    "·": "-",
    "–": "-",
    "—": "-",
    "•": "*",
    "─": "-",
    "\N{NO-BREAK SPACE}": " ",
    "“": '"',
    "”": '"',
    "’": "'",
}
"""Replacements for our own symbols in a terminal without Unicode."""


def printable(text: str) -> str:
    """Text with control characters escaped, like `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(_written(character) for character in text)


def on_one_line(text: str) -> str:
    """The same with line ends and tabs escaped, for a value on one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def escape(text: str) -> str:
    """Escape a value for a text with markup, on one line."""
    return markup.escape(on_one_line(text))  # noqa: TID251  # the only use


def single_lines(record: Record) -> Record:
    """A copy of a record with every text in it escaped to one line.

    Includes nested dataclasses, lists and tuples; mappings, which are printed as JSON, are left unchanged.
    """
    return cast(Record, _single_lines(record))


def _single_lines(value: Any) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return on_one_line(value)
        case list() | tuple():
            return type(value)(map(_single_lines, value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            made = {
                attribute.name: _single_lines(getattr(value, attribute.name))
                for attribute in fields(value)
                if attribute.init
            }
            return replace(value, **made)
        case _:
            return value


def _written(character: str) -> str:
    if character in KEPT or category(character) not in STEERING:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable_json(text: str) -> str:
    """An equivalent JSON document with control characters escaped."""
    return "".join(_escaped(character) for character in text) if not text.isprintable() else text


def _escaped(character: str) -> str:
    if _written(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class SafeConsole(Console):
    """A console that prints only printable text and its own colours.

    A file or pipe is as wide as its lines unless COLUMNS is set.
    """

    def __init__(self, *, stderr: bool = False, file: TextIO | None = None) -> None:
        super().__init__(stderr=stderr, file=file, highlight=False, emoji=False)

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        known = super().size
        width_is_set = self._width is not None or self._environ.get("COLUMNS", "").isdigit()
        if self.is_terminal or width_is_set:
            return known
        return ConsoleDimensions(UNLIMITED, known.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: object, crop: bool = False, **how: Any) -> None:
        """Print like `rich.console.Console.print`, but on a terminal wrap a text as a `Sentence`, unless `soft_wrap`
        is set."""
        match objects:
            case (str() as text,) if self.is_terminal and not how.get("soft_wrap"):
                sentence = Sentence(self.render_str(text, markup=how.get("markup")))
                super().print(sentence, crop=crop, **how)
            case _:
                if all(isinstance(part, str) for part in objects):
                    how.setdefault("soft_wrap", True)
                super().print(*objects, crop=crop, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Render after escaping, so that the width is right."""
        return super().render_str(printable(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Escape all output, including the cells of tables."""
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                yield Segment(printable(segment.text), segment.style)
            else:
                yield segment


def unwrapped(line: Text) -> Text:
    """A line that only the terminal wraps, so that it can be copied unchanged."""
    line.no_wrap, line.overflow = True, "ignore"
    return line


def make_encodable(*streams: TextIO | None) -> None:
    """Let streams replace characters that their encoding lacks, instead of failing."""
    codecs.register_error(INSTEAD, _instead)
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=INSTEAD)


def _instead(error: UnicodeError) -> tuple[str, int]:
    """The nearest ASCII character, or an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        NEAREST.get(character) or _numbered(character) for character in lacking
    ), error.end


def _numbered(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


def writes_unicode(stream: TextIO) -> bool:
    """Whether a stream can encode every character."""
    return (stream.encoding or "").lower().startswith(("utf-8", "utf8", "utf_8"))
