"""Reads notifications from options and files and validates them as a producer does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import typer

from tidings.cli.console import USAGE, Unclear, print_error
from tidings.cli.files import STDIN, contents
from tidings.cli.options import parsed
from tidings.operations import times
from tidings.operations.publishing import notification_of
from tidings_events import CHANNELS, InvalidNotification, Notification


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields of a notification before validation, and their source."""

    where: str
    fields: Any = field(repr=False)


def from_flags(channel: str | None, given: Mapping[str, Any]) -> Draft:
    if channel is None:
        raise Unclear(f"give a channel ({', '.join(CHANNELS)}) or --file")
    return Draft("", {"channel": channel, **given})


def from_file(file: str, channel: str | None, given: Mapping[str, Any]) -> list[Draft]:
    if channel or given:
        raise Unclear("give --file, or a channel with its fields, not both")
    text = contents("--file", file)
    name = "standard input" if file == STDIN else file
    return list(_documents(name, text))


def read_json(text: str | bytes) -> Any:
    """Read JSON that a person wrote.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _documents(name: str, text: bytes) -> Iterator[Draft]:
    """One object, an array, or JSON lines."""
    try:
        whole = read_json(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            _refuse([f"{name}: is not JSON ({error})"])
        for number, line in enumerate(lines, start=1):
            yield Draft(f"{name}, line {number}: ", _line(name, number, line))
    else:
        items = whole if isinstance(whole, list) else [whole]
        for number, item in enumerate(items, start=1):
            yield Draft(f"{name}, number {number}: " if len(items) > 1 else f"{name}: ", item)


def _line(name: str, number: int, line: bytes) -> Any:
    try:
        return read_json(line)
    except ValueError as error:
        _refuse([f"{name}, line {number}: is not JSON ({error})"])


def validated(raw: Sequence[Draft]) -> list[Notification]:
    """Validate all notifications; one that is invalid ends the command."""
    notifications: list[Notification] = []
    problems: list[str] = []
    for draft in raw:
        try:
            notifications.append(notification_of(draft.fields))
        except InvalidNotification as invalid:
            problems += [f"{draft.where}{problem}" for problem in invalid.problems]
    if problems:
        _refuse(problems)
    if not notifications:
        _refuse(["it contains no notification"])
    return notifications


def _refuse(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        print_error(problem)
    raise typer.Exit(USAGE)


def json_object(option: str, text: str | bytes | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = read_json(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter('write a JSON object, like {"name": "Jane"}', param_hint=option)
    return value


def entity(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    type_, _, id_ = text.partition(":")
    if not (type_ and id_):
        raise typer.BadParameter("write it as TYPE:ID, e.g. order:10042", param_hint="--entity")
    return {"type": type_, "id": id_}


def ahead(option: str, text: str | None) -> str | None:
    """A future time in the format of a notification, or None."""
    return None if text is None else parsed(times.ahead, text, option)


def pairs(settings: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{setting!r}: write it as FIELD=VALUE", param_hint="--set")
        try:
            yield name, read_json(text)
        except ValueError:
            yield name, text
