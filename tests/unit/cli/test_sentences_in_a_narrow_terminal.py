"""A sentence is broken at its words, and what can be pasted from it is not broken at all."""

import io
import re
import shlex
from uuid import UUID

import pytest
from rich.console import Console
from rich.text import Text
from tests.support.processes import tidings
from tests.support.terminal import ANSI, in_a_terminal

from tidings.cli.sentences import Sentence

WHOLE = re.compile(r"`[^`]+`|\S+")
ID = str(UUID(int=7))
COMMAND = f"tidings dead edit {ID} --set recipient=jane@example.com --replay"


def printed(text: str, width: int) -> list[str]:
    paper = io.StringIO()
    console = Console(file=paper, width=width, highlight=False)
    console.print(Sentence(Text.from_markup(text)), crop=False)
    return paper.getvalue().splitlines()


@pytest.mark.parametrize("width", range(20, 90))
def test_a_sentence_is_broken_between_its_words(width: int) -> None:
    words = "Error: it says what happened, where, and what can be done about it, in this order."
    lines = printed(words, width)
    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == words
    assert all(line.startswith("  ") and line[2] != " " for line in lines[1:])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("marked", [f"`{COMMAND}`", f"[bold]{COMMAND}[/]"])
def test_a_command_begins_a_line_where_it_does_not_fit_on_the_one_before(
    marked: str, width: int
) -> None:
    lines = printed(f"Error: this can't be read; mend it with {marked}, or discard it.", width)
    assert max(map(len, lines)) <= width or width < len(ID)
    assert COMMAND in re.sub(r" \\\n +", " ", "\n".join(lines))
    assert width < 120 or any(COMMAND in line for line in lines)


@pytest.mark.parametrize("width", range(24, 130))
def test_a_command_that_fits_on_no_line_goes_on_between_two_of_its_arguments(width: int) -> None:
    command = f"""tidings publish --body "It's all \\"well\\"." --data '{{"a": "b c"}}' --to x@example.com {ID}"""
    first, *others = printed(f"  [bold]{command}[/]", width)
    assert first.startswith("  tidings publish")
    assert all(
        line.startswith("      ") or len(line) in range(width - 3, width + 1) or ID in line
        for line in others
    )
    assert all(line.endswith(" \\") for line in (first, *others)[:-1])
    whole = "\n".join((first, *others))
    assert shlex.split(whole.replace("\\\n", "")) == shlex.split(command)  # as a shell reads it
    if width >= 48:
        assert "--to x@example.com" in whole
        assert "--data '" in whole


def test_what_is_listed_before_a_command_stays_before_it() -> None:
    assert printed("Never:     [bold]tidings dead discard 1f0c52a6 --note x[/] for good", 30) == [
        "Never:", "  tidings dead discard \\", "      1f0c52a6 --note x for", "  good",
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [ID, "https://shop.example.com/hooks/orders"])
def test_an_id_or_a_url_moves_to_the_left_before_it_would_be_broken(whole: str) -> None:
    lines = printed(f"      dead letter {whole} replayed", len(whole) + 3)
    assert lines == ["      dead letter", f"   {whole}", "        replayed"]


def test_lines_keep_their_indent_and_what_is_lined_up_in_them() -> None:
    text = "  12  were refused, for one reason or another\nAll of it:  here"
    assert printed(text, 30) == ["  12  were refused, for one", "    reason or another", "All of it:  here"]  # fmt: skip


def test_a_style_goes_on_over_a_broken_line() -> None:
    paper = io.StringIO()
    console = Console(file=paper, width=10, force_terminal=True, color_system="standard")
    console.print(Sentence(Text.from_markup("[red]one two three[/]")))
    red = [ANSI.findall(line)[0] for line in paper.getvalue().splitlines()]
    assert red == ["\x1b[31m"] * 2


@pytest.mark.parametrize("env", [{}, {"COLUMNS": "60"}], ids=str)
async def test_what_is_no_terminal_gets_one_line(env: dict[str, str]) -> None:
    finished = await tidings("list", "--since", "yesterday or so", env=env)
    assert finished.code == 2
    text = finished.err.splitlines()
    assert len(text) == 2
    assert text[0].startswith("Error: ")
    assert text[1] == "Try `tidings list --help`."


@pytest.mark.parametrize(
    "typed",
    [
        ["list", "--since", "yesterday or so"],  # a value
        ["show", "--no-such-option-as-this-one", "--and-another"],  # an option
        ["publish", "email", "--to", "jane@example.com", "--body", "It works, and this has no subject"],
        ["templates", "list", "--root", "/nonexistent/folder-of-templates/that-is-not-there"],
    ],
    ids=lambda typed: typed[0],
)  # fmt: skip
def test_every_error_is_broken_at_its_words_in_a_terminal(typed: list[str]) -> None:
    code, text = in_a_terminal(60, *typed)
    assert code == 2
    assert "Error: " in text
    long = [line for line in text.splitlines() if len(line) > 60]
    assert [line for line in long if not WHOLE.fullmatch(line)] == []
