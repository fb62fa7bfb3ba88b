"""`tidings show`: one notification's whole story, from accepted to its end."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidings.cli import recipients, show_letters
from tidings.cli.console import print_json, run
from tidings.cli.harmless import escape, single_lines, whole
from tidings.cli.options import AsJson, OneNotification, Reveal, open_ledger, paper
from tidings.cli.sentences import Sentence
from tidings.cli.timeline import Timeline, facts
from tidings.cli.ways_on import ways_on
from tidings.delivery.arrival import TimeSource
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger.notifications.conflicts import PUBLISHED_AGAIN
from tidings.ledger.notifications.records import PUT_OFF
from tidings.ledger.notifications.stories import Asked, Change, Story, Summary, Try
from tidings.ledger.steps import PATIENCE
from tidings.operations.backend import Backend
from tidings.operations.masks import discreet, shown
from tidings.operations.recipients import recipients_as_data
from tidings.operations.times import clock, distance, exact, span, untried
from tidings.operations.waiting import surroundings, unknown, why_it_waits
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
    id: OneNotification,
    everywhere: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Look for its digits among all ids there are, not only for a moment among the newest.",
        ),
    ] = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Tell what happened to one notification: accepted, every attempt, every change and who made it.

    Example: [bold]tidings show 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d[/]
    """
    found, waits = run(_find(id, None if everywhere else PATIENCE))
    if not isinstance(found, Story):
        if as_json:
            print_json(show_letters.as_data(found, reveal=reveal))
        else:
            paper().print(show_letters.told(found, reveal=reveal, now=datetime.now(UTC)))
    elif as_json:
        print_json({**as_data(found, reveal=reveal), "waits": waits or None})
    else:
        paper().print(told(found, reveal=reveal, now=datetime.now(UTC), waits=waits))


async def _find(
    prefix: IdPrefix, patience: float | None
) -> tuple[Story | show_letters.Unclaimed, str]:
    """The story of a notification and why it waits, or the letters of what never became one."""
    settings = Settings()
    async with open_ledger(settings) as ledger:
        reports = ledger.reports
        story = (
            await reports.show(prefix, within=False)
            or await show_letters.behind(ledger, prefix)
            or await reports.show(prefix, patience=patience)
        )
        if not story:
            raise Refused(await unknown(Backend(settings, ledger)))
        if not isinstance(story, Story):
            return story, ""
        around = await surroundings(Backend(settings, ledger), [story.notification])
        return story, why_it_waits(story.notification, around, datetime.now(UTC))


def as_data(story: Story, *, reveal: bool) -> dict[str, Any]:
    """A story for other programs."""
    data = asdict(story)
    notification, body = story.notification.data, data.pop("body")
    del data["notification"]
    data["attempts"] = [asdict(one) for one in story.attempts if not one.untried]
    notification["recipient"] = shown(notification["recipient"], reveal=reveal)
    data["recipients"] = recipients_as_data(story.recipients, reveal=reveal)
    if reveal:
        notification["body"] = json.loads(body)
    else:
        for one in data["letters"]:
            one["message"] = discreet(one["message"])
        for one in data["history"]:
            one["reason"] = discreet(one["reason"])
    return {**notification, **data}


def told(story: Story, *, reveal: bool, now: datetime, waits: str = "") -> RenderableType:
    """A story for people."""
    story = single_lines(story)
    parts: list[RenderableType] = [_head(story.notification, reveal=reveal, now=now), ""]
    parts.append(_timeline(story, now))
    now_in = [one for one in story.recipients if one.epoch == story.notification.epoch]
    if apart := recipients.copies(now_in, reveal=reveal):
        parts += ["", apart]
    queued = story.notification.state is State.QUEUED
    if coming := f"Waits: {escape(waits)}" if queued and waits else _coming(story, now):
        parts += ["", Sentence(Text.from_markup(coming))]
    if again := sum(one.reason.startswith(PUBLISHED_AGAIN) for one in story.history):
        parts += [
            "",
            Sentence(
                Text(
                    f"{_times(again)} with other content: each notification needs an id of its own.",
                    "yellow",
                )
            ),
        ]
    for stray in show_letters.strays(story):
        parts += ["", Sentence(stray)]
    if story.clocks_disagree:
        clocks = "The clocks of its workers disagree: times may be off."
        parts += ["", Sentence(Text(clocks, style="yellow"))]
    if reveal:
        body = json.dumps(json.loads(story.body), indent=2, ensure_ascii=False)
        parts += ["", *(whole(Text(line)) for line in body.split("\n"))]
    return Group(*parts)


def _times(count: int) -> str:
    return "Its id was published again" + (f" {count} times" if count > 1 else "")


def _head(one: Summary, *, reveal: bool, now: datetime) -> RenderableType:
    told = (
        ("State", Text(one.state.value.upper(), style=f"bold {STYLES[one.state]}")),
        ("Id", Text(str(one.id))),
        ("What", Text(f"{one.channel} · {one.priority} · {one.category}")),
        ("To", Text(shown(one.recipient, reveal=reveal))),
        *((name, Text(value)) for name, value in _about(one, now)),
    )
    return Group(*facts(told))


def _about(one: Summary, now: datetime) -> list[tuple[str, str]]:
    entity = f"{one.entity_type} {one.entity_id}" if one.entity_type else None
    rows = (
        ("User", one.user_id),
        ("About", entity),
        ("First read" if one.only_read else "Accepted", _accepted(one, now)),
        ("Scheduled", _when(one.scheduled_at, now)),
        ("Expires", _when(one.expires_at, now)),
        ("Key", one.idempotency_key),
        ("Reference", one.reference),
        ("Trace", one.traceparent),
    )
    return [(label, value) for label, value in rows if value]


def _accepted(one: Summary, now: datetime) -> str:
    match one.time_source:
        case TimeSource.ID:
            return f"{_when(one.accepted_at, now)} as its id says"
        case TimeSource.PRODUCER if not one.accepted_at.microsecond:  # AMQP counts whole seconds
            return f"{_when(one.accepted_at, now)} to the second"
        case _:
            return _when(one.accepted_at, now)


def _when(moment: datetime | None, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})" if moment else ""


def _timeline(story: Story, now: datetime) -> Timeline:
    accepted = story.notification.accepted_at
    events = []
    for event in story.timeline:
        at = event.at if isinstance(event, Change) else event.started_at
        offset = f"+{span(max(0.0, (at - accepted).total_seconds()))}"
        what, who = _change(event) if isinstance(event, Change) else _try(event, story.asked)
        events.append((clock(at, accepted), offset, what, who))
    if story.notification.state is State.SENDING:
        events.append((clock(now, accepted), "", *_under_way(story.notification, now)))
    return Timeline(events)


def _change(change: Change) -> tuple[Text, str]:
    style = STYLES.get(State(change.after), "")
    reason = discreet(change.reason)
    if change.before is None:
        return Text.assemble(("· ", "dim"), reason), change.actor
    if change.before == change.after:  # a note: it moved nothing
        return Text.assemble(("· ", "dim"), reason), _who(change.actor)
    return Text.assemble(("→ ", style), (change.after, style), f": {reason}"), _who(change.actor)


def _try(one: Try, asked: Sequence[Asked]) -> tuple[Text, str]:
    good = one.state is State.SENT
    style = STYLES[one.state]
    if one.untried:
        return _untried(one)
    epoch = f" of replay {one.epoch}" if one.epoch else ""
    lines = Text.assemble(
        ("✓ " if good else "✗ ", style),
        f"attempt {one.attempt}{epoch} → ",
        (one.state.value, style),
    )
    details = [one.provider, one.code, span(one.duration_ms / 1000)]
    if one.retry_delay:
        details.append(f"again in {span(one.retry_delay)}")
    if one.message:
        lines.append(f"\n  {one.kind}: {one.message}")
    lines.append(f"\n  {' · '.join(part for part in details if part)}", style="dim")
    if passed := [
        _asked(each) for each in asked if (each.epoch, each.attempt) == (one.epoch, one.attempt)
    ]:
        lines.append(f"\n  {' → '.join(passed)}", style="dim")
    if one.possible_duplicate:
        lines.append(
            "\n  possibly a second time: an earlier attempt may have been delivered",
            style="magenta",
        )
    return lines, _who(one.worker)


def _untried(one: Try) -> tuple[Text, str]:
    said = untried(one.attempt - 1)
    return Text.assemble(("✗ ", STYLES[one.state]), f"{said}\n  {one.message}"), _who(one.worker)


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
    return actor.split("/", 1)[0]


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
            return _letter(story, now)
        case State.SENT if one.reason == Reason.COPIES_REFUSED:
            return _letter(story, now)
        case _:
            return ""


def _next_try(story: Story, now: datetime) -> str:
    if not story.attempts:
        return "when its channel works again"
    last = story.attempts[-1]
    wait = last.duration_ms / 1000 + (last.retry_delay or 0)
    due = last.started_at + timedelta(seconds=wait)
    if due > now:
        return f"about {_when(due, now)}"
    put_off = [
        one.at
        for one in story.history
        if one.at > last.started_at and one.reason.startswith(PUT_OFF)
    ]
    if put_off:
        since = distance(put_off[-1], now)
        return f"by itself: it was put off {since}, and waits in a retry queue or its lane"
    return "as soon as a worker takes it from its lane"


def _letter(story: Story, now: datetime) -> str:
    reason, expires_at = story.notification.reason, story.notification.expires_at
    open_ = [one for one in story.letters if one.state == "buried"]
    buried = [one for one in open_ if one.reason == reason] or open_
    if not buried:
        return "Its dead letter is on its way to the archive, or was dealt with."
    letter = buried[-1].id
    expired = expires_at is not None and expires_at <= now
    again = ways_on(letter, story.body, buried[-1].code, expired=expired)
    return f"Its dead letter: [bold]tidings dead show {letter}[/]\n{again}"
