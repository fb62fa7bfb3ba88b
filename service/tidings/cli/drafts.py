"""What is written at the terminal or in a file becomes notifications, each checked as a producer's is."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

import typer
from pydantic import ValidationError
from rich.markup import escape

from tidings.cli.console import USAGE, err
from tidings.delivery.delay import seconds
from tidings_events import (
    CHANNELS,
    MODELS,
    BaseNotification,
    InvalidNotification,
    Notification,
    describe,
)

STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification as it was written, and where."""

    where: str
    fields: Any = field(repr=False)


def from_flags(channel: str | None, given: Mapping[str, Any]) -> Draft:
    if channel is None:
        raise typer.BadParameter(f"name a channel ({', '.join(CHANNELS)}), or give --file")
    return Draft("", {"channel": channel, **given})


def from_file(file: str, channel: str | None, given: Mapping[str, Any]) -> list[Draft]:
    if channel or given:
        raise typer.BadParameter("give either --file or a channel with its fields, not both")
    try:
        text = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    name = "standard input" if file == STDIN else file
    return list(_documents(name, text))


def _documents(name: str, text: bytes) -> Iterator[Draft]:
    """One object, a list, or an object a line."""
    try:
        whole = json.loads(text)
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
        return json.loads(line)
    except ValueError as error:
        _refuse([f"{name}, line {number}: is not JSON ({error})"])


def validated(raw: Sequence[Draft]) -> list[Notification]:
    """All of them, or none is published."""
    notifications: list[Notification] = []
    problems: list[str] = []
    for one in raw:
        try:
            notifications.append(_notification(one.fields))
        except InvalidNotification as invalid:
            problems += [f"{one.where}{problem}" for problem in invalid.problems]
    if problems:
        _refuse(problems)
    if not notifications:
        _refuse(["there is no notification in it"])
    return notifications


def _notification(fields: Any) -> Notification:
    channel = fields.get("channel") if isinstance(fields, dict) else None
    model = MODELS.get(channel) if isinstance(channel, str) else None
    if model is None:
        known = ", ".join(CHANNELS)
        raise InvalidNotification([f"channel: {channel!r} is not a channel; use one of {known}"])
    try:
        notification: BaseNotification = model.model_validate_json(json.dumps(fields))
        notification.to_json()
    except ValidationError as invalid:
        raise InvalidNotification(describe(invalid)) from None
    return notification  # type: ignore[return-value]  # MODELS holds exactly the union's members


def _refuse(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        err.print(f"[bold red]Error:[/] {escape(problem)}", soft_wrap=True)
    raise typer.Exit(USAGE)


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
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
        raise typer.BadParameter("write it like order:10042", param_hint="--entity")
    return {"type": type_, "id": id_}


def ahead(option: str, text: str | None) -> str | None:
    """`10m` from now, or a time as it is written: the notification's own rules judge it."""
    if text is None:
        return None
    try:
        return (
            datetime.now(UTC) + timedelta(seconds=seconds(text.removeprefix("in ")))
        ).isoformat()
    except ValueError:
        pass
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write it like 10m, 2h, or 2026-12-24T18:00:00+01:00",
            param_hint=option,
        ) from None
    return text


def pairs(settings: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{setting!r}: write it like FIELD=VALUE", param_hint="--set")
        try:
            yield name, json.loads(text)
        except ValueError:
            yield name, text
