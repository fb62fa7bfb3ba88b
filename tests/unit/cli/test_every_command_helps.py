"""Every command says what it does and shows how it is typed."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tidings.cli.console import out
from tidings.cli.help import prose
from tidings.cli.lazy import LazyCommand
from tidings.cli.main import Root, app


def commands(command: Any, path: str = "tidings") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by what one types."""
    if below := getattr(command, "commands", None):
        for name, inner in below.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


EVERY = dict(commands(typer.main.get_command(app)))


def test_they_are_found() -> None:
    assert {"tidings show", "tidings topology check", "tidings worker"} <= set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_its_help_has_an_example_of_itself(name: str) -> None:
    text = EVERY[name].help or ""
    assert "Example" in text
    assert name in text


@pytest.mark.parametrize("listed", Root.listed, ids=lambda command: command.name)
def test_the_line_that_it_is_listed_with_begins_its_help(listed: LazyCommand) -> None:
    command = typer.main.get_group(app).commands[listed.name]
    assert listed.line == next(prose(command.help or ""))
    assert listed.panel == command.rich_help_panel


@pytest.mark.parametrize("name", EVERY)
def test_each_of_its_options_is_explained(name: str) -> None:
    silent = [param.name for param in EVERY[name].params if not getattr(param, "help", None)]
    assert silent == []


def helped(
    path: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(out, "_width", width)
    typer.main.get_command(app).main([*path.split()[1:], "--help"], standalone_mode=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", EVERY)
def test_its_examples_fit_into_a_terminal_and_can_be_pasted(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = helped(name, width, capsys, monkeypatch)
    assert [line for line in text.splitlines() if len(line) > width] == []
    joined = re.sub(r" \\\n +", " ", text)
    for example in re.findall(r"\[bold\](.*)\[/\]", EVERY[name].help):
        assert f"Example: {example}" in text or f"  {example}" in joined
    for goes_on in re.findall(r"^( +.+) \\$", text, re.MULTILINE):
        assert shlex.split(goes_on)  # raises where a word in quotes is broken


def test_what_may_be_left_out_or_repeated_is_in_brackets_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, usage in (
        ("tidings replay", "replay [OPTIONS] [ID]..."),
        ("tidings show", "show [OPTIONS] ID"),
        ("tidings channels disable", "channels disable [OPTIONS] CHANNEL [PROVIDER]"),
        ("tidings dead", "dead [OPTIONS] COMMAND [ARGS]..."),
    ):
        first, *_ = helped(path, 80, capsys, monkeypatch).splitlines()
        assert first.endswith(usage)


def test_no_two_blank_lines_follow_each_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (*EVERY, "tidings", "tidings dead"):
        assert "\n\n\n" not in helped(path, 80, capsys, monkeypatch)


def test_what_changes_many_things_can_be_looked_at_first() -> None:
    asks = {"-y", "--yes", "--all", "--file"}
    several = [
        name
        for name, command in EVERY.items()
        if any(asks & set(param.opts) or param.nargs == -1 for param in command.params)
    ]
    assert {"tidings dead discard", "tidings publish", "tidings requeue"} < set(several)
    assert [
        name
        for name in several
        if not any("--dry-run" in command.opts for command in EVERY[name].params)
    ] == []


def test_each_heading_stands_once_above_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    typer.main.get_command(app).main(["--help"], standalone_mode=False)
    text = capsys.readouterr().out.splitlines()
    headings = [line for line in text if line and not line.startswith(" ")]
    assert len(headings) == len(set(headings))
    assert {"Run", "Operate", "Set up"} < set(headings)
    assert len([line for line in text if line.startswith("  dead ")]) == 1
