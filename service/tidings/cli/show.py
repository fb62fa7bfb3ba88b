"""`tidings show`: one notification's whole story, from accepted to its end."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tidings.cli.console import print_json, run
from tidings.cli.options import AsJson, Reveal, id_prefix, open_ledger, paper, shown
from tidings.cli.telling import clock, distance, exact, span
from tidings.delivery.errors import Refused
from tidings.delivery.states import State
from tidings.ledger.reports import IdPrefix
from tidings.ledger.stories import Asked, Burial, Change, Story, Summary, Try
from tidings.settings import Settings

STYLES: Final = {
    State.SCHEDULED: "cyan",
    State.QUEUED: "cyan",
    State.SENDING: "blue",
    State.RETRYING: "yellow",
    State.SENT: "green",
    State.DELIVERED: "green",
    State.BOUNCED: "red",
    State.FAILED: "red",
    State.CANCELLED: "dim",
    State.SUPPRESSED: "dim",
    State.EXPIRED: "red",
    State.UNKNOWN: "magenta",
    State.DISCARDED: "dim",
}


def show(
    id: Annotated[
        IdPrefix,
        typer.Argument(
            parser=id_prefix, metavar="ID", help="An id, or at least its first 8 digits."
        ),
    ],
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Tell what happened to one notification: accepted, every attempt, every change and who made it.

    Example: [bold]tidings show 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d[/]
    """
    story = run(_find(id))
    if as_json:
        print_json(as_data(story, reveal=reveal))
    else:
        paper().print(told(story, reveal=reveal, now=datetime.now(UTC)))


async def _find(prefix: IdPrefix) -> Story:
    async with open_ledger(Settings()) as ledger:
        story = await ledger.reports.show(prefix)
        if story is not None:
            return story
        letters = await ledger.reports.letters(prefix)
    raise Refused(_unknown(letters))


def _unknown(letters: tuple[Burial, ...]) -> str:
    if letters:
        found = ", ".join(f"`tidings dead show {letter.id}`" for letter in letters)
        return f"it never became a notification, but there is a dead letter: {found}"
    return (
        "there is no such notification; one that is still waiting in its lane is known once a "
        "worker has read it (`tidings stats` shows what waits)"
    )


def as_data(story: Story, *, reveal: bool) -> dict[str, Any]:
    """A story for other programs."""
    data = asdict(story)
    notification, body = data.pop("notification"), data.pop("body")
    notification["recipient"] = shown(notification["recipient"], reveal=reveal)
    if reveal:
        notification["body"] = json.loads(body)
    return {**notification, **data}


def told(story: Story, *, reveal: bool, now: datetime) -> RenderableType:
    """A story for people."""
    parts: list[RenderableType] = [_head(story.notification, reveal=reveal, now=now), ""]
    parts.append(_timeline(story, now))
    if coming := _coming(story, now):
        parts += ["", Text.from_markup(coming)]
    if story.clocks_disagree:
        parts += ["", Text("The clocks of its workers disagree: times may be off.", style="yellow")]
    if reveal:
        parts += ["", Text(json.dumps(json.loads(story.body), indent=2, ensure_ascii=False))]
    return Group(*parts)


def _head(one: Summary, *, reveal: bool, now: datetime) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    style = STYLES[one.state]
    grid.add_row(Text("State"), Text(one.state.value.upper(), style=f"bold {style}"))
    grid.add_row("Id", str(one.id))
    grid.add_row("What", f"{one.channel} · {one.priority} · {escape(one.category)}")
    grid.add_row("To", escape(shown(one.recipient, reveal=reveal)))
    for label, value in _about(one, now):
        grid.add_row(label, escape(value))
    return grid


def _about(one: Summary, now: datetime) -> list[tuple[str, str]]:
    entity = f"{one.entity_type} {one.entity_id}" if one.entity_type else None
    rows = (
        ("User", one.user_id),
        ("About", entity),
        ("Accepted", _when(one.accepted_at, now)),
        ("Scheduled", _when(one.scheduled_at, now)),
        ("Expires", _when(one.expires_at, now)),
        ("Key", one.idempotency_key),
        ("Reference", one.reference),
        ("Trace", one.traceparent),
    )
    return [(label, value) for label, value in rows if value]


def _when(moment: datetime | None, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})" if moment else ""


def _timeline(story: Story, now: datetime) -> Table:
    accepted = story.notification.accepted_at
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="dim")
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for event in story.timeline:
        at = event.at if isinstance(event, Change) else event.started_at
        offset = f"+{span(max(0.0, (at - accepted).total_seconds()))}"
        what, who = _change(event) if isinstance(event, Change) else _try(event, story.asked)
        table.add_row(clock(at, accepted), offset, what, who)
    if story.notification.state is State.SENDING:
        table.add_row(clock(now, accepted), "", *_under_way(story.notification, now))
    return table


def _change(change: Change) -> tuple[Text, str]:
    style = STYLES.get(State(change.after), "")
    if change.before is None:
        return Text.assemble(("· ", "dim"), change.reason), change.actor
    moved = change.after if change.before != change.after else "still " + change.after
    return Text.assemble(("→ ", style), (moved, style), f": {change.reason}"), _who(change.actor)


def _try(one: Try, asked: Sequence[Asked]) -> tuple[Text, str]:
    good = one.state is State.SENT
    style = STYLES[one.state]
    epoch = f" of replay {one.epoch}" if one.epoch else ""
    lines = Text.assemble(
        ("✓ " if good else "✗ ", style),
        f"attempt {one.attempt}{epoch} → ",
        (one.state.value, style),
    )
    details = [one.provider, one.code, span(one.duration_ms / 1000)]
    if one.retry_delay:
        details.append(f"again in {span(one.retry_delay).replace('.0 s', 's')}")
    if one.message:
        lines.append(f"\n  {one.kind}: {one.message}")
    lines.append(f"\n  {' · '.join(part for part in details if part)}", style="dim")
    if passed := [
        _asked(each) for each in asked if (each.epoch, each.attempt) == (one.epoch, one.attempt)
    ]:
        lines.append(f"\n  {' → '.join(passed)}", style="dim")
    if one.possible_duplicate:
        lines.append("\n  possibly a second time: an earlier worker vanished", style="magenta")
    return lines, _who(one.worker)


def _asked(one: Asked) -> str:
    """`primary unavailable 451 (1.2 s)`, `backup not asked`."""
    took = f" ({span(one.duration_ms / 1000)})" if one.duration_ms else ""
    return f"{one.provider} {one.kind.replace('_', ' ')} {one.code}".rstrip() + took


def _under_way(one: Summary, now: datetime) -> tuple[Text, str]:
    until = (
        f", for at most {span((one.lease_until - now).total_seconds())} more"
        if one.lease_until
        else ""
    )
    if one.lease_until and one.lease_until < now:
        until = ": its lease has run out, so another worker takes it over"
    what = Text.assemble(("… ", "blue"), f"attempt {one.attempt} is under way{until}")
    return what, _who(one.lease_holder or "")


def _who(actor: str) -> str:
    """The process; which of its deliveries it was matters to nobody here."""
    return escape(actor.split("/", 1)[0])


def _coming(story: Story, now: datetime) -> str:
    """What happens next, or what a person can do."""
    one = story.notification
    match one.state:
        case State.SCHEDULED:
            return f"Goes out {_when(one.dispatch_at or one.scheduled_at, now)}."
        case State.RETRYING:
            return f"Attempt {one.attempt + 1} comes {_next_try(story, now)}."
        case State.SUPPRESSED if one.duplicate_of:
            return f"Not sent: the same key as [bold]tidings show {one.duplicate_of}[/]"
        case State.FAILED | State.EXPIRED | State.UNKNOWN:
            return _letter(story)
        case _:
            return ""


def _next_try(story: Story, now: datetime) -> str:
    if not story.attempts:
        return "when its channel works again"
    last = story.attempts[-1]
    wait = last.duration_ms / 1000 + (last.retry_delay or 0)
    due = last.started_at + timedelta(seconds=wait)
    return f"about {_when(due, now)}" if due > now else "as soon as a worker takes it from its lane"


def _letter(story: Story) -> str:
    buried = [letter for letter in story.letters if letter.state == "buried"]
    if not buried:
        return "Its dead letter is on its way to the archive, or was dealt with."
    letter = buried[-1].id
    return f"Its dead letter: [bold]tidings dead show {letter}[/]; once more: [bold]tidings replay {letter}[/]"
