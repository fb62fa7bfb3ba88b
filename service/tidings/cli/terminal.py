"""Makes text that somebody else wrote harmless before it reaches a terminal: the one place where that is done.

A recipient, a provider's reply or a header may hold escape sequences that rename the window, hide or
overwrite lines, or turn the direction of writing around.
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
"""Columns where nobody watches: a file or a pipe is as wide as its lines."""
KEPT: Final = frozenset("\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
"""Lay out lines, join letters and emoji, and steer nothing."""
STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of controls, of what has no character, and of line ends of its own."""

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
"""What a terminal without Unicode is shown for the signs that Tidings itself writes."""


def printable(text: str) -> str:
    """Text with every character that would steer a terminal written out, like `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(_written(character) for character in text)


def on_one_line(text: str) -> str:
    """The same, for a value that has one line for itself: its line ends are written out too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def escape(text: str) -> str:
    """A value for a sentence with markup: it stays on its line, and none of it is taken for markup."""
    return markup.escape(on_one_line(text))  # noqa: TID251  # the one place that may


def single_lines(record: Record) -> Record:
    """A record as it is told to people: each text in it, which anybody may have written, on one line.

    Dataclasses, lists and tuples are gone through; mappings are left to whoever prints them as JSON.
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
    """A JSON document that stays the same document, with what would steer a terminal escaped."""
    return "".join(_escaped(character) for character in text) if not text.isprintable() else text


def _escaped(character: str) -> str:
    if _written(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class SafeConsole(Console):
    """A console that passes nothing on to the terminal but printable text and its own colours.

    A terminal is as wide as it is; anything else as wide as its lines, unless COLUMNS says otherwise.
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
        """Print, as `rich.console.Console.print` does; but a text is a sentence, which is broken at its
        words and never inside a command, if this is a terminal. With `soft_wrap` it is left as it is."""
        match objects:
            case (str() as text,) if self.is_terminal and not how.get("soft_wrap"):
                sentence = Sentence(self.render_str(text, markup=how.get("markup")))
                super().print(sentence, crop=crop, **how)
            case _:
                if all(isinstance(part, str) for part in objects):
                    how.setdefault("soft_wrap", True)
                super().print(*objects, crop=crop, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Text as it is laid out: measured after what is harmful is written out."""
        return super().render_str(printable(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Everything that is printed comes through here, each cell of a table too."""
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                yield Segment(printable(segment.text), segment.style)
            else:
                yield segment


def unwrapped(line: Text) -> Text:
    """A line without an end of ours in it: a terminal wraps it, and what is pasted from there is as it was."""
    line.no_wrap, line.overflow = True, "ignore"
    return line


def make_encodable(*streams: TextIO | None) -> None:
    """Let streams whose encoding lacks a character write another instead of failing."""
    codecs.register_error(INSTEAD, _instead)
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=INSTEAD)


def _instead(error: UnicodeError) -> tuple[str, int]:
    """The nearest in ASCII, or the character's number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        NEAREST.get(character) or _numbered(character) for character in lacking
    ), error.end


def _numbered(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


def writes_unicode(stream: TextIO) -> bool:
    """Whether a stream takes every character as it is."""
    return (stream.encoding or "").lower().startswith(("utf-8", "utf8", "utf_8"))
