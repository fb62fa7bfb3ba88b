"""What somebody else wrote reaches a terminal as text, and nothing of it as a command to the terminal."""

import io
import json
import sys
from dataclasses import dataclass
from itertools import chain

import pytest
from rich.table import Table
from rich.text import Text

from tidings.cli.console import print_json
from tidings.cli.terminal import (
    SafeConsole,
    escape,
    make_encodable,
    on_one_line,
    printable,
    single_lines,
)
from tidings.delivery.dead_letter import DeadLetterState

CONTROLS = [chr(code) for code in chain(range(0x20), range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
DIRECTIONS = ["\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\ufeff", "\U000e0041"]
HOSTILE = "4711\x1b]0;title\x07\x1b[2K\x1b[1A\x9b2J\u202eX"


def printed(*what: object, width: str = "80") -> str:
    paper = io.StringIO()
    console = SafeConsole(file=paper)
    console.width = int(width)
    console.print(*what)  # type: ignore[arg-type]  # whatever can be printed
    return paper.getvalue()


@pytest.mark.parametrize("character", [*CONTROLS, *DIRECTIONS], ids=ascii)
def test_a_steering_character_is_written_out(character: str) -> None:
    assert printable(f"a{character}b") == f"a{_number(character)}b"
    assert character not in printed(f"a{character}b")


def _number(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


@pytest.mark.parametrize(
    "text", ["Grüße", "日本語 ✓", "a\u00a0b", "👩\u200d👩\u200d👧", "می\u200cخواهم", "1\t2\n3"]
)
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_value_on_one_line_can_t_begin_another() -> None:
    assert on_one_line("4711\nState  SENT") == "4711\\nState  SENT"


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_no_cell_text_or_line_lets_an_escape_through(width: str) -> None:
    table = Table(HOSTILE, "b", title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE, style="red"))
    shown = printed(table, HOSTILE, Text.assemble((HOSTILE, "bold"), "x"), width=width)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)
    assert "\\u001b" in shown.replace("\n", "")


LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]


@dataclass(frozen=True, slots=True)
class Inner:
    text: str | None
    state: DeadLetterState = DeadLetterState.OPEN


@dataclass(frozen=True, slots=True)
class Outer:
    text: str
    inner: Inner
    several: tuple[Inner, ...]
    names: list[str]
    body: bytes
    labels: dict[str, str]


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_every_text_of_a_record_stays_on_its_line(end: str) -> None:
    text = f"a{end}State       SENT"
    record = Outer(text, Inner(None), (Inner(text), Inner("b")), [text], text.encode(), {"x": text})
    copy = single_lines(record)
    texts = (copy.text, copy.several[0].text, *copy.names)
    assert all(len(str(text).splitlines()) == 1 for text in texts), texts
    assert copy.inner == record.inner
    assert (copy.several[1], copy.body, copy.labels) == (Inner("b"), record.body, record.labels)
    assert copy.inner.state is DeadLetterState.OPEN
    assert single_lines(copy) == copy


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_a_value_in_a_sentence_stays_on_its_line_and_is_no_markup(end: str) -> None:
    paper = io.StringIO()
    SafeConsole(file=paper).print(f"Paused by {escape(f'[red]x{end}y[/]')}.")
    assert paper.getvalue().splitlines() == [f"Paused by [red]x{on_one_line(end)}y[/]."]


def test_json_stays_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    value = {HOSTILE: ["\x7f\x9b", "\U000e0041", "\n", "é"]}
    print_json(value)
    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == value
    assert "é" in text


def test_an_encoding_that_lacks_a_sign_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    make_encodable(stream)
    stream.write("✓ all is well … é 日 \udcff")
    stream.flush()
    assert raw.getvalue() == b"+ all is well ... \\xe9 \\u65e5 \\udcff"
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"é": "😀"})
    stream.flush()
    assert json.loads(raw.getvalue().decode().partition("\\udcff")[2]) == {"é": "😀"}


def test_what_is_no_terminal_is_as_wide_as_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    paper = io.StringIO()
    table = Table.grid(padding=1)
    table.add_row("a" * 300, "b c " * 300)
    SafeConsole(file=paper).print(table)
    assert paper.getvalue().count("\n") == 1
