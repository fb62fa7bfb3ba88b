"""How dead letters look on a terminal, and to other programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tidings.cli.options import shown
from tidings.cli.telling import ago, exact
from tidings.cli.veil import hex_dump, printable, veiled
from tidings.dead_letters.editing import Unreadable, checked, readable
from tidings.delivery.letter import LetterState
from tidings.ledger.letter_rows import StoredLetter
from tidings.ledger.letter_search import Group

STYLES: Final = {
    LetterState.BURIED: "red",
    LetterState.REPLAYING: "cyan",
    LetterState.REPLAYED: "green",
    LetterState.DISCARDED: "dim",
    LetterState.SUPERSEDED: "dim",
}

ROOMY: Final = 150
"""Columns from which on there is room for whole ids and for reasons."""
SHORT_ID: Final = 8
"""Digits that name a letter well enough."""


def as_data(letter: StoredLetter, *, reveal: bool) -> dict[str, Any]:
    """A letter for other programs."""
    data = asdict(letter)
    failure = data.pop("failure")
    recipient = shown(letter.recipient, reveal=reveal) if letter.recipient else None
    return {**data, **failure, "recipient": recipient}


def letters_table(
    letters: Sequence[StoredLetter], now: datetime, *, reveal: bool, width: int
) -> Table:
    """One line a letter; where there is little room, its id's first digits and no reasons."""
    roomy = width >= ROOMY
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("ID", no_wrap=True, min_width=36 if roomy else SHORT_ID)
    for name in ("Buried", "Channel", *(["State"] if roomy else []), "Reason"):
        table.add_column(name, no_wrap=True)
    table.add_column("Group", no_wrap=True, min_width=12)
    table.add_column("To", overflow="ellipsis", no_wrap=True)
    if roomy:
        table.add_column("Tries", justify="right")
        table.add_column("Why")  # the only one that gives way: what matters is in the others
    for one in letters:
        table.add_row(*_cells(one, now, reveal=reveal, roomy=roomy))
    return table


def _cells(
    one: StoredLetter, now: datetime, *, reveal: bool, roomy: bool
) -> Iterator[RenderableType]:
    yield str(one.id) if roomy else str(one.id)[:SHORT_ID]
    yield from (ago(one.buried_at, now), _lane(one))
    if roomy:
        yield Text(one.state.value, style=STYLES[one.state])
    yield from (one.reason.value, one.fingerprint)
    yield escape(shown(one.recipient, reveal=reveal) if one.recipient else "")
    if roomy:
        yield str(one.attempts)
        yield Text(printable(_fault(one)), no_wrap=True, overflow="ellipsis")


def groups_table(groups: Iterable[Group], now: datetime, *, width: int) -> Table:
    """One line a group; where there is little room, their reasons are told on several."""
    roomy = width >= ROOMY
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Letters", justify="right", no_wrap=True)
    for name in ("Group", "Channel", "Reason", *(["First"] if roomy else []), "Last"):
        table.add_column(name, no_wrap=True)
    table.add_column("Why, the latest", overflow="fold")
    for one in groups:
        table.add_row(
            f"{one.letters:,}",
            one.fingerprint,
            one.channel or "?",
            one.reason.value,
            *([ago(one.first_at, now)] if roomy else []),
            ago(one.last_at, now),
            escape(printable(" ".join(part for part in (one.code, one.message) if part))),
        )
    return table


def told(letter: StoredLetter, body: bytes, now: datetime, *, reveal: bool) -> RenderableType:
    """Everything about one letter."""
    parts: list[RenderableType] = [_head(letter, now, reveal=reveal)]
    if letter.headers:
        parts += ["", Text("Headers", style="dim"), _indented(json.dumps(letter.headers, indent=2))]
    try:
        checked(body)
    except Unreadable as unreadable:
        parts += ["", Text("It can't be read:", style="red")]
        parts += [_indented(f"· {problem}") for problem in unreadable.problems]
    parts += ["", Text("Body", style="dim"), _indented(_body(body, reveal=reveal))]
    if advice := _advice(letter):
        parts += ["", advice]
    return Stack(*parts)


def _head(letter: StoredLetter, now: datetime, *, reveal: bool) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("State", Text(letter.state.value.upper(), style=f"bold {STYLES[letter.state]}"))
    for label, value in _facts(letter, now, reveal=reveal):
        if value:
            grid.add_row(label, Text(printable(value)))
    return grid


def _facts(letter: StoredLetter, now: datetime, *, reveal: bool) -> Iterable[tuple[str, str]]:
    failure = letter.failure
    epoch = f" (epoch {letter.epoch})" if letter.epoch else ""
    yield "Letter", str(letter.id)
    yield "Notification", f"{letter.notification_id}{epoch}" if letter.notification_id else ""
    yield "Reason", letter.reason.value
    yield "Error", " ".join(part for part in (failure.kind, failure.code) if part)
    yield "", failure.message
    yield "Provider", failure.provider
    yield "Group", letter.fingerprint
    yield "Lane", _lane(letter)
    yield "Category", letter.category or ""
    yield "To", shown(letter.recipient, reveal=reveal) if letter.recipient else ""
    yield "User", letter.user_id or ""
    yield "About", f"{letter.entity_type} {letter.entity_id}" if letter.entity_type else ""
    yield "Attempts", str(letter.attempts)
    yield "First failed", _when(letter.first_failed_at, now)
    yield "Last failed", _when(letter.last_failed_at, now)
    yield "Buried", _when(letter.buried_at, now)
    yield "Replayed", _when(letter.replayed_at, now) if letter.replayed_at else ""
    yield "Note", " · ".join(part for part in (letter.note, letter.actor) if part)
    yield "In place of", str(letter.supersedes) if letter.supersedes else ""
    yield "Exchange", letter.exchange
    yield "Routing key", letter.routing_key
    yield "Content type", letter.content_type or ""
    yield "Size", f"{letter.size:,} bytes"


def _body(body: bytes, *, reveal: bool) -> str:
    if not reveal:
        return veiled(body) or f"{len(body):,} bytes that are no JSON: --reveal shows them"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return hex_dump(body)
    return readable(body).rstrip()


def _advice(letter: StoredLetter) -> Text | None:
    if letter.state is not LetterState.BURIED:
        return None
    id_ = str(letter.id)
    return Text.from_markup(
        f"Once more: [bold]tidings replay {id_}[/]\n"
        f"Mended:    [bold]tidings dead edit {id_} --replay[/]\n"
        f'Never:     [bold]tidings dead discard {id_} --why "…"[/]'
    )


def _indented(text: str) -> Text:
    return Text("\n".join(f"  {line}" for line in printable(text).split("\n")))


def _lane(letter: StoredLetter) -> str:
    return f"{letter.channel}.{letter.priority}" if letter.channel else "?"


def _fault(letter: StoredLetter) -> str:
    return " ".join(part for part in (letter.failure.code, letter.failure.message) if part)


def _when(moment: datetime, now: datetime) -> str:
    return f"{exact(moment)} ({ago(moment, now)})"
