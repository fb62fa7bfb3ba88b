"""How dead letters look on a terminal."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from tidings.cli import recipients
from tidings.cli.harmless import on_one_line, printable, single_lines, whole
from tidings.cli.hex_dump import hex_dump
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.sentences import Sentence
from tidings.cli.timeline import facts
from tidings.cli.ways_on import ways_on
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import UNTRIED
from tidings.operations.dead_letters.body import readable
from tidings.operations.dead_letters.looks import DeadLetterGroups
from tidings.operations.dead_letters.views import DeadLetterInFull, DeadLetterView, published_at
from tidings.operations.times import ago, distance, exact
from tidings_events.moments import in_milliseconds
from tidings_events.routing import MILLISECONDS, Headers

STYLES: Final = {
    LetterState.BURIED: "red",
    LetterState.REPLAYING: "cyan",
    LetterState.REPLAYED: "green",
    LetterState.DISCARDED: "dim",
    LetterState.SUPERSEDED: "dim",
}

PRODUCER: Final = ("app_id", "user_id")
"""AMQP properties that say who published it."""

LONGEST_LAID_OUT: Final = 512 * 1024
"""Bytes of a body beyond which laying it out on a terminal takes seconds, and helps nobody."""
SAME_MOMENT: Final = timedelta(seconds=1)
"""Times that are closer are told once: a letter is buried milliseconds after its last attempt."""


def letters_table(letters: Sequence[DeadLetterView], now: datetime) -> Rows:
    """For people: an id and a group to go on with, and why each was buried."""
    return Rows(
        ("ID", "Buried", "Came by", "State", "Reason", "Group", "To", "Tries"),
        [Row(_cells(one, now), _code_and_words(one.code, one.message)) for one in letters],
    )


def _cells(one: DeadLetterView, now: datetime) -> list[Text]:
    return [
        cell(str(one.id)),
        cell(ago(one.buried_at, now)),
        cell(one.came_by or "?"),
        cell(one.state.value, STYLES[one.state]),
        cell(one.reason.value),
        cell(one.fingerprint),
        cell(one.recipient or ""),
        cell(str(one.attempts)),
    ]


def groups_table(found: DeadLetterGroups, now: datetime) -> Rows:
    """For people: how many letters have the same fault, and which, as the latest of them tells it."""
    return Rows(
        ("Letters", "Group", "Channel", "Reason", "First", "Last"),
        [
            Row(
                [
                    cell(f"{one.letters:,}"),
                    cell(one.fingerprint),
                    cell(one.channel or "?"),
                    cell(one.reason.value),
                    cell(ago(one.first_at, now)),
                    cell(ago(one.last_at, now)),
                ],
                _code_and_words(one.code, one.message),
            )
            for one in found.groups
        ],
        right=("Letters",),
    )


def told(found: DeadLetterInFull, now: datetime) -> RenderableType:
    """Everything about one letter."""
    letter, results = found.letter, single_lines(found.recipients)
    parts: list[RenderableType] = [_head(letter, now)]
    if apart := recipients.copies(results):
        parts += ["", Text("Copies", style="dim"), apart]
    if headers := _not_told(letter):
        text = json.dumps(headers, indent=2, ensure_ascii=False)
        parts += ["", Text("Headers", style="dim"), _indented(text)]
    if found.problems:
        parts += ["", Text("It can't be read:", style="red")]
        problems = map(on_one_line, found.problems)
        parts += [Sentence(Text(one), Text("  · "), hanging=0) for one in problems]
    parts += ["", Text("Body", style="dim"), _indented(_body(found))]
    parts += _advice(found)
    return Stack(*parts)


def _head(letter: DeadLetterView, now: datetime) -> Stack:
    state = Text(letter.state.value.upper(), style=f"bold {STYLES[letter.state]}")
    known = ((name, cell(value)) for name, value in _facts(letter, now) if value)
    return Stack(*facts((("State", state), *known)))


def _facts(letter: DeadLetterView, now: datetime) -> Iterable[tuple[str, str]]:
    epoch = f" (epoch {letter.epoch})" if letter.epoch else ""
    yield "Letter", str(letter.id)
    yield "Notification", f"{letter.notification_id}{epoch}" if letter.notification_id else ""
    yield "Reason", letter.reason.value
    yield "Error", " ".join(part for part in (letter.kind, letter.code) if part)
    yield "", letter.message
    yield "Provider", letter.provider
    yield "Producer", _properties(letter, PRODUCER)
    yield "Group", letter.fingerprint
    yield "Came by", letter.came_by or "?"
    yield "Lane", _lane(letter) if _lane(letter) != (letter.came_by or "?") else ""
    yield "Category", letter.category or ""
    yield "To", letter.recipient or ""
    yield "User", letter.user_id or ""
    yield "About", f"{letter.entity_type} {letter.entity_id}" if letter.entity_type else ""
    yield "Attempts", str(letter.attempts)
    yield "Worker", str(letter.headers.get(Headers.WORKER, ""))
    published = published_at(letter.properties)
    yield "Published", _when(published, now) if published else ""
    yield from _times(letter, now)
    yield "Replayed", _when(letter.replayed_at, now) if letter.replayed_at else ""
    yield "Note", " · ".join(part for part in (letter.note, letter.actor) if part)
    yield "In place of", str(letter.supersedes) if letter.supersedes else ""
    yield "Exchange", letter.exchange
    yield "Routing key", letter.routing_key
    yield "Content type", letter.content_type or ""
    told = {*PRODUCER, *(["timestamp"] if published else [])}
    yield "Properties", _properties(letter, set(letter.properties) - told)
    yield "Size", f"{letter.size:,} bytes"


def _properties(letter: DeadLetterView, names: Collection[str]) -> str:
    return " · ".join(
        f"{name} {value}" for name, value in letter.properties.items() if name in names
    )


def _body(found: DeadLetterInFull) -> str:
    size, body = found.letter.size, found.body
    if found.too_heavy or (body is not None and len(body) > LONGEST_LAID_OUT):
        return f"{size:,} bytes, too much to lay out: --raw writes them"
    if body is None:
        return found.outline or f"{size:,} bytes that are no JSON: --reveal shows them"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return hex_dump(body)
    return readable(body).rstrip()


def _advice(found: DeadLetterInFull) -> list[RenderableType]:
    letter = found.letter
    if letter.state is not LetterState.BURIED:
        return []
    never = f'Never:     [bold]tidings dead discard {letter.id} --why "…"[/]'
    if found.remedy is None:
        known = f"[bold]tidings show {letter.notification_id}[/]"
        return ["", Sentence(Text.from_markup(f"Not again: {found.refused}: {known}\n{never}"))]
    return ["", Sentence(Text.from_markup(f"{ways_on(letter.id, found.remedy)}\n{never}"))]


def _indented(text: str) -> Text:
    return whole(Text("\n".join(f"  {line}" for line in printable(text).split("\n"))))


def _times(letter: DeadLetterView, now: datetime) -> Iterable[tuple[str, str]]:
    """When it failed and was buried, each moment once."""
    first, last, buried = letter.first_failed_at, letter.last_failed_at, letter.buried_at
    if buried - first >= SAME_MOMENT:
        yield "First failed", _when(first, now)
    if buried - last >= SAME_MOMENT and last - first >= SAME_MOMENT:
        yield "Last failed", _when(last, now)
    yield "Buried", _when(buried, now)


def _not_told(letter: DeadLetterView) -> Mapping[str, Any]:
    """The headers without those of ours that say what stands above them already."""
    told: dict[str, Any] = {
        Headers.REASON: letter.reason.value,
        Headers.ERROR_CLASS: letter.kind,
        Headers.ERROR_CODE: letter.code,
        Headers.ERROR_MESSAGE: letter.message,
        Headers.PROVIDER: letter.provider,
        Headers.EPOCH: letter.epoch,
        Headers.ATTEMPT: letter.attempts + (letter.kind == UNTRIED),
        Headers.LETTER: str(letter.id),
        Headers.QUEUE: f"tidings.{letter.came_by}",
        Headers.ORIGINAL_HEADERS: {},
    }
    by_rule = {Headers.WORKER, *([Headers.FIRST_SEEN] if _seen_first(letter) else [])}
    headers = _without_its_time(letter.headers, published_at(letter.properties))
    if isinstance(originals := headers.get(Headers.ORIGINAL_HEADERS), dict):
        originals = _without_its_time(originals, published_at(letter.properties))
        headers = {**headers, Headers.ORIGINAL_HEADERS: originals}
    return {
        name: value
        for name, value in headers.items()
        if name not in by_rule and (name not in told or value != told[name])
    }


def _without_its_time(headers: Mapping[str, Any], published: datetime | None) -> Mapping[str, Any]:
    """Without the header that says when it was published, where that is told already."""
    said = in_milliseconds(headers.get(MILLISECONDS))
    told = said is not None and said == published
    return {name: value for name, value in headers.items() if not (told and name == MILLISECONDS)}


def _seen_first(letter: DeadLetterView) -> bool:
    """Whether it was first seen when it failed, as what can't be read is."""
    try:
        seen = datetime.fromisoformat(str(letter.headers.get(Headers.FIRST_SEEN)))
        return abs(letter.first_failed_at - seen) < SAME_MOMENT
    except (ValueError, TypeError):  # no time, or one without an offset
        return False


def _lane(letter: DeadLetterView) -> str:
    return f"{letter.channel}.{letter.priority}" if letter.channel else "?"


def _code_and_words(code: str, message: str) -> str:
    return " ".join(part for part in (code, message) if part)


def _when(moment: datetime, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})"
