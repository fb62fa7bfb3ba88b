"""How dead letters look on a terminal, and to other programs."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from tidings.broker.letters import came_by
from tidings.cli import recipients
from tidings.cli.harmless import on_one_line, printable, single_lines, whole
from tidings.cli.hex_dump import hex_dump
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.sentences import Sentence
from tidings.cli.timeline import facts
from tidings.cli.ways_on import ways_on, would_expire
from tidings.delivery.letter import LetterState
from tidings.ledger.dead_letters.rows import StoredLetter, published_at
from tidings.ledger.dead_letters.search import Group
from tidings.ledger.notifications.stories import Recipient
from tidings.operations.dead_letters.body import Unreadable, checked, readable
from tidings.operations.masks import discreet, shown, veiled, veiled_headers
from tidings.operations.times import ago, distance, exact
from tidings_events.moments import in_milliseconds
from tidings_events.routing import MILLISECONDS, Headers
from tidings_events.weight import too_heavy

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


def letters_table(letters: Sequence[StoredLetter], now: datetime, *, reveal: bool) -> Rows:
    """For people: an id and a group to go on with, and why each was buried."""
    return Rows(
        ("ID", "Buried", "Came by", "State", "Reason", "Group", "To", "Tries"),
        [Row(_cells(one, now, reveal=reveal), _fault(one)) for one in letters],
    )


def _cells(one: StoredLetter, now: datetime, *, reveal: bool) -> list[Text]:
    return [
        cell(str(one.id)),
        cell(ago(one.buried_at, now)),
        cell(_came_by(one)),
        cell(one.state.value, STYLES[one.state]),
        cell(one.reason.value),
        cell(one.fingerprint),
        cell(shown(one.recipient, reveal=reveal) if one.recipient else ""),
        cell(str(one.tries)),
    ]


def groups_table(groups: Iterable[Group], now: datetime) -> Rows:
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
            for one in groups
        ],
        right=("Letters",),
    )


def told(
    letter: StoredLetter,
    body: bytes,
    results: Sequence[Recipient],
    now: datetime,
    *,
    reveal: bool,
    closed: str | None = None,
) -> RenderableType:
    """Everything about one letter.

    Args:
        results: What became of each recipient, where they did not all fare alike.
        closed: Why it can't be sent again, whatever is in it.
    """
    results = single_lines(tuple(results))
    parts: list[RenderableType] = [_head(letter, now, reveal=reveal)]
    if apart := recipients.copies(results, reveal=reveal):
        parts += ["", Text("Copies", style="dim"), apart]
    if headers := _not_told(letter):
        headers = headers if reveal else veiled_headers(headers)
        text = json.dumps(headers, indent=2, ensure_ascii=False)
        parts += ["", Text("Headers", style="dim"), _indented(text)]
    try:
        checked(body)
    except Unreadable as unreadable:
        parts += ["", Text("It can't be read:", style="red")]
        said = unreadable.problems if reveal else map(discreet, unreadable.problems)
        parts += [Sentence(Text(on_one_line(one)), Text("  · "), hanging=0) for one in said]
    parts += ["", Text("Body", style="dim"), _indented(_body(body, reveal=reveal))]
    parts += _advice(letter, body, now, closed)
    return Stack(*parts)


def _head(letter: StoredLetter, now: datetime, *, reveal: bool) -> Stack:
    state = Text(letter.state.value.upper(), style=f"bold {STYLES[letter.state]}")
    known = ((name, cell(value)) for name, value in _facts(letter, now, reveal=reveal) if value)
    return Stack(*facts((("State", state), *known)))


def _facts(letter: StoredLetter, now: datetime, *, reveal: bool) -> Iterable[tuple[str, str]]:
    failure = letter.failure
    epoch = f" (epoch {letter.epoch})" if letter.epoch else ""
    yield "Letter", str(letter.id)
    yield "Notification", f"{letter.notification_id}{epoch}" if letter.notification_id else ""
    yield "Reason", letter.reason.value
    yield "Error", " ".join(part for part in (failure.kind, failure.code) if part)
    yield "", failure.message if reveal else discreet(failure.message)
    yield "Provider", failure.provider
    yield "Producer", _properties(letter, PRODUCER)
    yield "Group", letter.fingerprint
    yield "Came by", _came_by(letter)
    yield "Lane", _lane(letter) if _lane(letter) != _came_by(letter) else ""
    yield "Category", letter.category or ""
    yield "To", shown(letter.recipient, reveal=reveal) if letter.recipient else ""
    yield "User", letter.user_id or ""
    yield "About", f"{letter.entity_type} {letter.entity_id}" if letter.entity_type else ""
    yield "Attempts", str(letter.tries)
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


def _properties(letter: StoredLetter, names: Collection[str]) -> str:
    return " · ".join(
        f"{name} {value}" for name, value in letter.properties.items() if name in names
    )


def _body(body: bytes, *, reveal: bool) -> str:
    if too_heavy(body) is not None or (reveal and len(body) > LONGEST_LAID_OUT):
        return f"{len(body):,} bytes, too much to lay out: --raw writes them"
    if not reveal:
        return veiled(body) or f"{len(body):,} bytes that are no JSON: --reveal shows them"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return hex_dump(body)
    return readable(body).rstrip()


def _advice(
    letter: StoredLetter, body: bytes, now: datetime, closed: str | None
) -> list[RenderableType]:
    if letter.state is not LetterState.BURIED:
        return []
    never = f'Never:     [bold]tidings dead discard {letter.id} --why "…"[/]'
    if closed is not None:
        known = f"[bold]tidings show {letter.notification_id}[/]"
        return ["", Sentence(Text.from_markup(f"Not again: {closed}: {known}\n{never}"))]
    expired = would_expire(letter, body, now)
    ways = ways_on(letter.id, body, letter.failure.code, expired=expired)
    return ["", Sentence(Text.from_markup(f"{ways}\n{never}"))]


def _indented(text: str) -> Text:
    return whole(Text("\n".join(f"  {line}" for line in printable(text).split("\n"))))


def _times(letter: StoredLetter, now: datetime) -> Iterable[tuple[str, str]]:
    """When it failed and was buried, each moment once."""
    first, last, buried = letter.first_failed_at, letter.last_failed_at, letter.buried_at
    if buried - first >= SAME_MOMENT:
        yield "First failed", _when(first, now)
    if buried - last >= SAME_MOMENT and last - first >= SAME_MOMENT:
        yield "Last failed", _when(last, now)
    yield "Buried", _when(buried, now)


def _not_told(letter: StoredLetter) -> Mapping[str, Any]:
    """The headers without those of ours that say what stands above them already."""
    failure = letter.failure
    told: dict[str, Any] = {
        Headers.REASON: letter.reason.value,
        Headers.ERROR_CLASS: failure.kind,
        Headers.ERROR_CODE: failure.code,
        Headers.ERROR_MESSAGE: failure.message,
        Headers.PROVIDER: failure.provider,
        Headers.EPOCH: letter.epoch,
        Headers.ATTEMPT: letter.attempts,
        Headers.LETTER: str(letter.id),
        Headers.QUEUE: f"tidings.{_came_by(letter)}",
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


def _seen_first(letter: StoredLetter) -> bool:
    """Whether it was first seen when it failed, as what can't be read is."""
    try:
        seen = datetime.fromisoformat(str(letter.headers.get(Headers.FIRST_SEEN)))
        return abs(letter.first_failed_at - seen) < SAME_MOMENT
    except (ValueError, TypeError):  # no time, or one without an offset
        return False


def _came_by(letter: StoredLetter) -> str:
    return came_by(letter.headers, letter.routing_key) or "?"


def _lane(letter: StoredLetter) -> str:
    return f"{letter.channel}.{letter.priority}" if letter.channel else "?"


def _fault(letter: StoredLetter) -> str:
    return _code_and_words(letter.failure.code, letter.failure.message)


def _code_and_words(code: str, message: str) -> str:
    return " ".join(part for part in (code, discreet(message)) if part)


def _when(moment: datetime, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})"
