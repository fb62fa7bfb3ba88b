"""Renders dead letters for a terminal."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.text import Text

from tidings.cli import recipients
from tidings.cli.hex_dump import hex_dump
from tidings.cli.next_steps import next_steps
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.sentences import Sentence
from tidings.cli.terminal import on_one_line, printable, single_lines, unwrapped
from tidings.cli.timeline import facts
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import UNTRIED
from tidings.operations.dead_letters.body import readable
from tidings.operations.dead_letters.lookup import DeadLetterGroupView, Trend
from tidings.operations.dead_letters.views import DeadLetterInFull, DeadLetterView, published_at
from tidings.operations.times import ago, distance, exact
from tidings_events.moments import in_milliseconds
from tidings_events.routing import MILLISECONDS, Headers

STYLES: Final = {
    DeadLetterState.OPEN: "red",
    DeadLetterState.REPLAYING: "cyan",
    DeadLetterState.REPLAYED: "green",
    DeadLetterState.DISCARDED: "dim",
    DeadLetterState.SUPERSEDED: "dim",
}

PRODUCER: Final = ("app_id", "user_id")
"""AMQP properties that identify the producer."""

BARS: Final = "·▁▂▃▄▅▆▇█"
MOST_BARS: Final = 12
"""A trend is shown in so many bars at most."""
LONGEST_LAID_OUT: Final = 512 * 1024
"""Bytes of a body above which it is not printed: formatting would take seconds."""
SAME_MOMENT: Final = timedelta(seconds=1)
"""Times that are closer are printed once: a message is dead-lettered milliseconds after its last attempt."""


def dead_letters_table(dead_letters: Sequence[DeadLetterView], now: datetime) -> Rows:
    """A row for each dead letter, with its error."""
    return Rows(
        ("ID", "Since", "Source", "State", "Reason", "Group", "To", "Attempts"),
        [
            Row(
                _cells(dead_letter, now),
                _with_notes(
                    _code_and_message(dead_letter.code, dead_letter.message),
                    [dead_letter.note] if dead_letter.note and dead_letter.noted_by else [],
                ),
            )
            for dead_letter in dead_letters
        ],
    )


def _cells(dead_letter: DeadLetterView, now: datetime) -> list[Text]:
    return [
        cell(str(dead_letter.id)),
        cell(ago(dead_letter.dead_lettered_at, now)),
        cell(dead_letter.source or "?"),
        cell(dead_letter.state.value, STYLES[dead_letter.state]),
        cell(dead_letter.reason.value),
        cell(dead_letter.fingerprint),
        cell(dead_letter.recipient or ""),
        cell(str(dead_letter.attempts)),
    ]


def groups_table(groups: Sequence[DeadLetterGroupView], now: datetime) -> Rows:
    """A row for each group, with the error of its newest dead letter."""
    return Rows(
        ("Dead letters", "Group", "Channel", "Reason", "First", "Last", "Trend"),
        [
            Row(
                [
                    cell(f"{group.dead_letters:,}"),
                    cell(group.fingerprint),
                    cell(group.channel or "?"),
                    cell(group.reason.value),
                    cell(ago(group.first_at, now)),
                    cell(ago(group.last_at, now)),
                    cell(_trend(group.trend)),
                ],
                _with_notes(
                    " · ".join(
                        (
                            _code_and_message(group.code, group.message),
                            *(f"owner: {owner.owner}" for owner in view.owners),
                        )
                    ),
                    [note.note for note in view.notes],
                ),
            )
            for view in groups
            for group in (view.group,)
        ],
        right=("Dead letters",),
    )


def _trend(trend: Trend) -> str:
    """A bar for each hour or day, or for several of them: its height is its share of the highest."""
    each = -(-len(trend.counts) // MOST_BARS)
    counts = [sum(trend.counts[at : at + each]) for at in range(0, len(trend.counts), each)]
    return "".join(BARS[-(-count * (len(BARS) - 1) // (max(counts) or 1))] for count in counts)


def dead_letter_details(found: DeadLetterInFull, now: datetime) -> RenderableType:
    """All details of one dead letter."""
    dead_letter, results = found.dead_letter, single_lines(found.recipients)
    parts: list[RenderableType] = [_head(found, now)]
    if apart := recipients.copies(results):
        parts += ["", Text("Copies", style="dim"), apart]
    if headers := _other_headers(dead_letter):
        text = json.dumps(headers, indent=2, ensure_ascii=False)
        parts += ["", Text("Headers", style="dim"), _indented(text)]
    if found.problems:
        parts += ["", Text("Invalid:", style="red")]
        problems = map(on_one_line, found.problems)
        parts += [Sentence(Text(problem), Text("  · "), hanging=0) for problem in problems]
    parts += ["", Text("Body", style="dim"), _indented(_body(found))]
    parts += _advice(found)
    return Stack(*parts)


def _head(found: DeadLetterInFull, now: datetime) -> Stack:
    dead_letter = found.dead_letter
    state = Text(dead_letter.state.value.upper(), style=f"bold {STYLES[dead_letter.state]}")
    known = ((name, cell(value)) for name, value in _facts(found, now) if value)
    return Stack(*facts((("State", state), *known)))


def _facts(found: DeadLetterInFull, now: datetime) -> Iterable[tuple[str, str]]:
    dead_letter = found.dead_letter
    epoch = f" (epoch {dead_letter.epoch})" if dead_letter.epoch else ""
    yield "Dead letter", str(dead_letter.id)
    yield (
        "Notification",
        f"{dead_letter.notification_id}{epoch}" if dead_letter.notification_id else "",
    )
    yield "Reason", dead_letter.reason.value
    yield "Error", " ".join(part for part in (dead_letter.kind, dead_letter.code) if part)
    yield "", dead_letter.message
    yield "Provider", dead_letter.provider
    yield "Producer", _properties(dead_letter, PRODUCER)
    yield "Group", dead_letter.fingerprint
    yield "Source", dead_letter.source or "?"
    yield "Lane", _lane(dead_letter) if _lane(dead_letter) != (dead_letter.source or "?") else ""
    yield "Test", "yes: it is sent to nobody" if dead_letter.test else ""
    yield "Tenant", dead_letter.tenant or ""
    yield "Category", dead_letter.category or ""
    yield "To", dead_letter.recipient or ""
    yield "User", dead_letter.user_id or ""
    yield (
        "About",
        f"{dead_letter.entity_type} {dead_letter.entity_id}" if dead_letter.entity_type else "",
    )
    yield "Attempts", str(dead_letter.attempts)
    yield "Worker", str(dead_letter.headers.get(Headers.WORKER, ""))
    published = published_at(dead_letter.properties)
    yield "Published", _when(published, now) if published else ""
    yield from _times(dead_letter, now)
    yield "Replayed", _when(dead_letter.replayed_at, now) if dead_letter.replayed_at else ""
    noted_at = _when(dead_letter.noted_at, now) if dead_letter.noted_at else ""
    noted_by = dead_letter.noted_by or dead_letter.actor
    yield "Note", " · ".join(part for part in (dead_letter.note, noted_by, noted_at) if part)
    for note in found.group_notes:
        tenant = "" if note.tenant == "*" else f"tenant {note.tenant}"
        parts = (note.note, tenant, note.actor, _when(note.noted_at, now))
        yield "Group's note", " · ".join(part for part in parts if part)
    yield "Replaces", str(dead_letter.supersedes) if dead_letter.supersedes else ""
    yield "Exchange", dead_letter.exchange
    yield "Routing key", dead_letter.routing_key
    yield "Content type", dead_letter.content_type or ""
    shown = {*PRODUCER, *(["timestamp"] if published else [])}
    yield "Properties", _properties(dead_letter, set(dead_letter.properties) - shown)
    yield "Size", f"{dead_letter.size:,} bytes"


def _properties(dead_letter: DeadLetterView, names: Collection[str]) -> str:
    return " · ".join(
        f"{name} {value}" for name, value in dead_letter.properties.items() if name in names
    )


def _body(found: DeadLetterInFull) -> str:
    size, body = found.dead_letter.size, found.body
    if found.too_heavy or (body is not None and len(body) > LONGEST_LAID_OUT):
        return f"{size:,} bytes, too large to print: use --raw"
    if body is None:
        return found.outline or f"{size:,} bytes, not JSON: use --reveal"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return hex_dump(body)
    return readable(body).rstrip()


def _advice(found: DeadLetterInFull) -> list[RenderableType]:
    dead_letter = found.dead_letter
    if dead_letter.state is not DeadLetterState.OPEN:
        return []
    discard = f'Discard:   [bold]tidings dead discard {dead_letter.id} --note "…"[/]'
    if found.remedy is None:
        known = f"[bold]tidings show {dead_letter.notification_id}[/]"
        return [
            "",
            Sentence(Text.from_markup(f"Can't be replayed: {found.refused}: {known}\n{discard}")),
        ]
    return [
        "",
        Sentence(Text.from_markup(f"{next_steps(dead_letter.id, found.remedy)}\n{discard}")),
    ]


def _indented(text: str) -> Text:
    return unwrapped(Text("\n".join(f"  {line}" for line in printable(text).split("\n"))))


def _times(dead_letter: DeadLetterView, now: datetime) -> Iterable[tuple[str, str]]:
    """When it failed and was dead-lettered, without repeating a time."""
    first, last, archived = (
        dead_letter.first_failed_at,
        dead_letter.last_failed_at,
        dead_letter.dead_lettered_at,
    )
    if archived - first >= SAME_MOMENT:
        yield "First failed", _when(first, now)
    if archived - last >= SAME_MOMENT and last - first >= SAME_MOMENT:
        yield "Last failed", _when(last, now)
    yield "Since", _when(archived, now)


def _other_headers(dead_letter: DeadLetterView) -> Mapping[str, Any]:
    """The headers, without those whose values are printed above."""
    shown: dict[str, Any] = {
        Headers.REASON: dead_letter.reason.value,
        Headers.ERROR_CLASS: dead_letter.kind,
        Headers.ERROR_CODE: dead_letter.code,
        Headers.ERROR_MESSAGE: dead_letter.message,
        Headers.PROVIDER: dead_letter.provider,
        Headers.EPOCH: dead_letter.epoch,
        Headers.ATTEMPT: dead_letter.attempts + (dead_letter.kind == UNTRIED),
        Headers.DEAD_LETTER: str(dead_letter.id),
        Headers.QUEUE: f"tidings.{dead_letter.source}",
        Headers.ORIGINAL_HEADERS: {},
    }
    by_rule = {Headers.WORKER, *([Headers.FIRST_SEEN] if _seen_first(dead_letter) else [])}
    headers = _without_publish_time(dead_letter.headers, published_at(dead_letter.properties))
    if isinstance(originals := headers.get(Headers.ORIGINAL_HEADERS), dict):
        originals = _without_publish_time(originals, published_at(dead_letter.properties))
        headers = {**headers, Headers.ORIGINAL_HEADERS: originals}
    return {
        name: value
        for name, value in headers.items()
        if name not in by_rule and (name not in shown or value != shown[name])
    }


def _without_publish_time(
    headers: Mapping[str, Any], published: datetime | None
) -> Mapping[str, Any]:
    """The headers, without the publish time if it is printed above."""
    header = in_milliseconds(headers.get(MILLISECONDS))
    shown = header is not None and header == published
    return {name: value for name, value in headers.items() if not (shown and name == MILLISECONDS)}


def _seen_first(dead_letter: DeadLetterView) -> bool:
    """Whether it was first seen when it failed, like a malformed message."""
    try:
        seen = datetime.fromisoformat(str(dead_letter.headers.get(Headers.FIRST_SEEN)))
        return abs(dead_letter.first_failed_at - seen) < SAME_MOMENT
    except (ValueError, TypeError):  # not a time, or without an offset
        return False


def _lane(dead_letter: DeadLetterView) -> str:
    return f"{dead_letter.channel}.{dead_letter.priority}" if dead_letter.channel else "?"


def _with_notes(text: str, notes: Iterable[str]) -> str:
    return " · ".join((text, *(f"note: {note}" for note in notes)))


def _code_and_message(code: str, message: str) -> str:
    return " ".join(part for part in (code, message) if part)


def _when(moment: datetime, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})"
