"""An empty value or a misspelt word is refused, by every command alike."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import typer
import typer.main

from tidings.cli import plugins
from tidings.cli.commands import Commands
from tidings.cli.help import prose
from tidings.cli.lazy import LazyCommands
from tidings.cli.main import app


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if below := getattr(command, "commands", None):
        for name, inner in below.items():
            yield from commands(inner, *path, name)
    else:
        yield path, command


ROOT = typer.main.get_command(app)
EVERY = dict(commands(ROOT))
TAKES_A_VALUE = [
    (path, param)
    for path, command in EVERY.items()
    for param in command.params
    if not getattr(param, "is_flag", False)
]


NUMBERS = [
    (path, param)
    for path, param in TAKES_A_VALUE
    if getattr(getattr(param, "type_descriptor", None), "annotation", None) is int
]


def refused(*arguments: str) -> str:
    with pytest.raises(typer.BadParameter) as refusal:
        ROOT.main([*arguments], standalone_mode=False)
    assert refusal.value.exit_code == 2
    return refusal.value.format_message()


@pytest.mark.parametrize(
    ("path", "param"),
    TAKES_A_VALUE,
    ids=lambda param: " ".join(param) if isinstance(param, tuple) else param.opts[0],
)
def test_an_empty_value_is_refused(path: tuple[str, ...], param: Any) -> None:
    if param.param_type_name == "argument":
        text = refused(*path, *([] if param.name != "provider" else ["email"]), "")
    else:
        text = refused(*path, f"{param.opts[0]}=")
    assert "is empty" in text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("list", "--state", "sen"), "sent"),
        (("dead", "list", "--reason", "reject"), "rejected"),
        (("dead", "list", "--state", "opne"), "open"),
        (("publish", "sms", "--priority", "urgend"), "urgent"),
        (("list", "--channel", "emial"), "email"),
        (("dead", "list", "--channel", "webhok"), "webhook"),
        (("replay", "--channel", "smss"), "sms"),
        (("worker", "--channel", "email", "--channel", "whatsap"), "whatsapp"),
        (("channels", "pause", "emial"), "email"),
    ],
)
def test_a_misspelt_word_is_told_from_its_neighbour(typed: tuple[str, ...], meant: str) -> None:
    assert f"did you mean {meant!r}?" in refused(*typed)


TAKES_A_CHANNEL = [
    path
    for path, command in EVERY.items()
    if any("--channel" in param.opts for param in command.params)
]


@pytest.mark.parametrize("path", TAKES_A_CHANNEL, ids=" ".join)
def test_every_command_that_takes_a_channel_refuses_one_that_there_is_not(
    path: tuple[str, ...],
) -> None:
    why = ["--note", "x"] if any("--note" in param.opts for param in EVERY[path].params) else []
    assert "did you mean 'email'?" in refused(*path, "--channel", "emial", *why)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("list -s sent,failed", "'sent,failed' is several values: repeat the option, `--state sent --state failed`"),
        ("dead list --state open,replayed", "`--state open --state replayed`"),
        ("worker --channel email,sms", "repeat the option, `--channel email --channel sms`"),
        ("dead list --reason rejected,expired", "'rejected,expired' is several values: give one"),
        ("list --channel email,sms", "repeat the option, `--channel email --channel sms`"),
        ("replay 1f0c52a6,1f0c52a7 --yes", "'1f0c52a6,1f0c52a7' is several values: write `1f0c52a6 1f0c52a7`"),
        ("show 1f0c52a6,1f0c52a7", "'1f0c52a6,1f0c52a7' is several values: give one"),
    ],
)  # fmt: skip
def test_what_is_several_words_in_one_is_told_how_they_are_written(typed: str, text: str) -> None:
    assert text in refused(*typed.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("list --sate sent", "'--state'"),
        ("channels pause email --reason x", "'--note'"),
        ("channels disable email --reason x", "'--note'"),
        ("cancel 1f0c52a6 --reason x", "'--note'"),
        ("requeue --all --reason x", "'--note'"),
        ("dead list --note rejected", "'--reason'"),
        ("replay --note rejected", "'--reason'"),
        ("dead discard 1f0c52a6 --why x", "'--note'"),
        ("dead list --recipient jane@example.com", "'--to'"),
        ("replay --dry", "'--dry-run'"),
        ("lst", "'list'"),
        ("dead lst", "'list'"),
        ("edit 1f0c52a6", "`tidings dead edit` or `tidings alerts edit`"),
        ("dead replay 1f0c52a6", "`tidings replay`"),
        ("enable email", "`tidings channels enable` or `tidings alerts enable`"),
        (
            "pause email",
            "`tidings schedules pause` or `tidings dispatching pause` or `tidings channels pause` or `tidings jobs pause`",
        ),
        ("channels open email", "'disable'"),
        ("channels close email", "'enable'"),
        ("verify", "'audit'"),
    ],
)
def test_an_option_or_a_command_that_there_is_not_is_told_from_its_neighbour(
    typed: str, meant: str
) -> None:
    text = refused(*typed.split())
    assert text.startswith(("there is no option ", "there is no command "))
    assert "(did you mean " in text
    assert all(name.removeprefix("`tidings") in text for name in meant.split(" or "))
    assert text.count("`") in {0, 2 * (1 + meant.count(" or "))}


def test_a_canary_without_time_to_watch_it_is_refused() -> None:
    canary = "replay", "--all", "--canary", "1,10"
    assert "give a --watch-timeout longer than 0" in refused(*canary, "--watch-timeout", "0")


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_names_an_option_that_it_does_not_have(path: tuple[str, ...]) -> None:
    assert refused(*path, "--no-such-option").startswith("there is no option --no-such-option")


@pytest.mark.parametrize(
    ("path", "param"), NUMBERS, ids=lambda param: str(getattr(param, "name", param))
)
def test_a_number_that_is_none_is_quoted_with_its_option(path: tuple[str, ...], param: Any) -> None:
    option = param.opts[0]
    assert f"'{option}'" in (text := refused(*path, option, "many"))
    assert "'many' is not a whole number" in text
    assert "-1 is too small: at least" in refused(*path, f"{option}=-1")


@pytest.mark.parametrize(
    ("typed", "option"),
    [("replay --all --canary a", "--canary"), ("stats --every 0x", "--every")],
)
def test_a_value_that_is_read_late_is_refused_with_its_option(typed: str, option: str) -> None:
    assert refused(*typed.split()).startswith(f"Invalid value for {option}: ")


def test_why_an_operator_does_something_is_called_the_same_everywhere() -> None:
    kept = [
        param
        for command in EVERY.values()
        for param in command.params
        if (param.help or "").startswith("Note for")
    ]
    assert {param.opts[0] for param in kept} == {"--note"}
    assert len(kept) > 10


def test_a_word_like_none_is_answered_with_all_there_are() -> None:
    text = refused("list", "--state", "xyz")
    assert "did you mean" not in text
    assert "scheduled, queued, sending" in text


def test_help_has_paragraphs_as_whole_lines_and_examples_as_they_are_typed() -> None:
    text = "One\nsentence.\n\nExamples:\n  [bold]tidings a[/]\n  [bold]tidings b[/]\n\nExample: [bold]c[/]"
    assert list(prose(text)) == [
        "One sentence.", "", "Examples:", "  [bold]tidings a[/]", "  [bold]tidings b[/]", "", "Example: [bold]c[/]",
    ]  # fmt: skip


@pytest.mark.parametrize("entity", [":", ":7", "order:"])
@pytest.mark.parametrize(
    "command", [("list",), ("dead", "list"), ("replay",), ("dead", "discard", "--note", "x")]
)
def test_an_entity_of_which_a_part_is_empty_is_refused(
    command: tuple[str, ...], entity: str
) -> None:
    assert "write it like order" in refused(*command, "--entity", entity)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_is_in_its_help(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ROOT.main([*path, "--help"], standalone_mode=False)
    text = capsys.readouterr().out
    assert f"tidings {' '.join(path)}" in text.replace("pytest", "tidings")
    for param in EVERY[path].params:
        hidden = getattr(param, "hidden", False)
        assert param.opts[-1] in text or param.param_type_name == "argument" or hidden


def test_a_command_of_a_distribution_that_is_not_installed_says_which() -> None:
    product = Commands()
    product.callback()(lambda: None)
    with pytest.raises(typer.BadParameter) as refusal:
        typer.main.get_group(product).main(["up"], standalone_mode=False)
    assert "it is part of the package tidings-local" in refusal.value.format_message()


def test_only_the_outermost_group_names_the_distribution_of_a_command() -> None:
    assert "tidings-local" not in refused("dead", "up")


@pytest.mark.parametrize("place", ["tidings_gone.up:up", "tidings.cli.main:gone"])
def test_a_command_whose_distribution_is_gone_is_left_out(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("up", place, group)])
    assert list(LazyCommands(())) == []
    assert "up" not in LazyCommands(())
    assert list(plugins.hints({})) == []


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("requeue --state sent", "--state"),
        ("dead edit 1f0c52a6 --set x", "--set"),
        ("dead edit 1f0c52a6 --unset a..b", "--unset"),
    ],
)
def test_a_request_that_an_operation_refuses_names_the_option(typed: str, option: str) -> None:
    assert f"Invalid value for {option}" in refused(*typed.split())


@pytest.mark.parametrize("option", ["--max-age 1h", "--limit 5", "--force"])
def test_options_that_choose_are_refused_beside_ids(option: str) -> None:
    text = refused("outbox", "retry", "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d", *option.split())
    assert "leave them out with ids" in text
