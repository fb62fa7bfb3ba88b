"""Every command says what it does and shows how it is typed."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tidings.cli.main import app


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


@pytest.mark.parametrize("name", EVERY)
def test_each_of_its_options_is_explained(name: str) -> None:
    silent = [one.name for one in EVERY[name].params if not getattr(one, "help", None)]
    assert silent == []
