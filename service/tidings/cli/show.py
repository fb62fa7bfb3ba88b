"""`tidings show`: the history of one notification."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidings.cli import recipients
from tidings.cli.console import out, print_json
from tidings.cli.next_steps import next_steps
from tidings.cli.options import AsJson, NotificationId, Reveal, ask
from tidings.cli.sentences import Sentence
from tidings.cli.terminal import escape, single_lines, unwrapped
from tidings.cli.timeline import Timeline, facts
from tidings.delivery.arrival import TimeSource
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.operations import notifications
from tidings.operations.notifications import (
    AttemptRow,
    NotificationDetails,
    NotificationSummary,
    NotificationView,
    ProviderAttemptRow,
    ShowRequest,
    Transition,
    UnclaimedView,
)
from tidings.operations.times import clock, distance, exact, span, untried
from tidings_events import DEFAULT_TENANT

if TYPE_CHECKING:
    from tidings.operations.inbox.message_states import MessageStateView

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
    id: NotificationId,
    everywhere: Annotated[
        bool,
        typer.Option(
            "--full-scan",
            help="Search all ids for the given digits; by default only the newest are searched, for a short time.",
        ),
    ] = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Show the history of one notification: attempts, state changes and actors.

    Example: [bold]tidings show 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d[/]
    """
    request = ShowRequest(id, everywhere, reveal)
    view = ask(lambda backend: notifications.show(backend, request))
    if as_json:
        print_json(view.as_data())
        return
    match view:
        case NotificationView():
            out.print(render_story(view, datetime.now(UTC)))
        case UnclaimedView():
            from tidings.cli import show_dead_letters  # few notifications need it

            out.print(show_dead_letters.render_dead_letters(view))


def render_story(view: NotificationView, now: datetime) -> RenderableType:
    """The history as text."""
    view = single_lines(view)
    story, waits = view.story, view.waiting_reason
    parts: list[RenderableType] = [_head(story.notification, view.inbox, now), ""]
    parts.append(_timeline(story, now))
    now_in = [
        recipient for recipient in story.recipients if recipient.epoch == story.notification.epoch
    ]
    if apart := recipients.copies(now_in):
        parts += ["", apart]
    queued = story.notification.state is State.QUEUED
    if coming := f"Waits: {escape(waits)}" if queued and waits else _coming(view, now):
        parts += ["", Sentence(Text.from_markup(coming))]
    if again := view.published_again:
        parts += [
            "",
            Sentence(
                Text(
                    f"{_times(again)} with other content: every notification needs a unique id.",
                    "yellow",
                )
            ),
        ]
    if view.strays:
        from tidings.cli import show_dead_letters

        for stray in show_dead_letters.strays(view):
            parts += ["", Sentence(stray)]
    if story.clocks_disagree:
        clocks = "The clocks of its workers differ: times may be wrong."
        parts += ["", Sentence(Text(clocks, style="yellow"))]
    if story.body:
        body = json.dumps(json.loads(story.body), indent=2, ensure_ascii=False)
        parts += ["", *(unwrapped(Text(line)) for line in body.split("\n"))]
    return Group(*parts)


def _times(count: int) -> str:
    return "Its id was published again" + (f" {count} times" if count > 1 else "")


def _head(
    summary: NotificationSummary, inbox: "MessageStateView | None", now: datetime
) -> RenderableType:
    rows = (
        ("State", Text(summary.state.value.upper(), style=f"bold {STYLES[summary.state]}")),
        ("Id", Text(str(summary.id))),
        ("What", Text(f"{summary.channel} · {summary.priority} · {summary.category}")),
        ("To", Text(summary.recipient)),
        *((name, Text(value)) for name, value in _about(summary, now)),
        *([("Inbox", Text(_in_inbox(inbox, now)))] if inbox is not None else []),
    )
    return Group(*facts(rows))


def _about(summary: NotificationSummary, now: datetime) -> list[tuple[str, str]]:
    entity = f"{summary.entity_type} {summary.entity_id}" if summary.entity_type else None
    rows = (
        ("Test", "yes: it is sent to nobody" if summary.test else None),
        ("Tenant", None if summary.tenant == DEFAULT_TENANT else summary.tenant),
        ("User", summary.user_id),
        ("About", entity),
        ("First read" if summary.only_read else "Accepted", _accepted(summary, now)),
        ("Scheduled", _when(summary.scheduled_at, now)),
        ("Expires", _when(summary.expires_at, now)),
        ("Key", summary.idempotency_key),
        ("Reference", summary.reference),
        ("Trace", summary.traceparent),
    )
    return [(label, value) for label, value in rows if value]


def _in_inbox(view: "MessageStateView", now: datetime) -> str:
    """For example: `read: seen 2026-03-02 09:31:00 UTC (2 min ago), read …`."""
    action = f" ({view.action})" if view.action else ""
    moments = (
        ("seen", view.seen_at),
        ("read", view.read_at),
        (f"acted on{action}", view.acted_at),
        ("archived", view.archived_at),
        ("snoozed until", view.snoozed_until),
        ("deleted", view.deleted_at),
    )
    known = ", ".join(f"{what} {_when(at, now)}" for what, at in moments if at is not None)
    return f"{view.state}: {known}" if known else str(view.state)


def _accepted(summary: NotificationSummary, now: datetime) -> str:
    match summary.time_source:
        case TimeSource.ID:
            return f"{_when(summary.accepted_at, now)}, according to its id"
        case TimeSource.PRODUCER if (
            not summary.accepted_at.microsecond
        ):  # AMQP counts whole seconds
            return f"{_when(summary.accepted_at, now)}, to the second"
        case _:
            return _when(summary.accepted_at, now)


def _when(moment: datetime | None, now: datetime) -> str:
    return f"{exact(moment)} ({distance(moment, now)})" if moment else ""


def _timeline(story: NotificationDetails, now: datetime) -> Timeline:
    accepted = story.notification.accepted_at
    events = []
    for event in story.timeline:
        at = event.at if isinstance(event, Transition) else event.started_at
        offset = f"+{span(max(0.0, (at - accepted).total_seconds()))}"
        what, who = (
            _change(event)
            if isinstance(event, Transition)
            else _attempt(event, story.provider_attempts)
        )
        events.append((clock(at, accepted), offset, what, who))
    if story.notification.state is State.SENDING:
        events.append((clock(now, accepted), "", *_in_progress(story.notification, now)))
    return Timeline(events)


def _change(change: Transition) -> tuple[Text, str]:
    style = STYLES.get(State(change.after), "")
    reason = change.reason
    if change.before is None:
        return Text.assemble(("· ", "dim"), reason), change.actor
    if change.before == change.after:  # a note without a change of state
        return Text.assemble(("· ", "dim"), reason), _who(change.actor)
    return Text.assemble(("→ ", style), (change.after, style), f": {reason}"), _who(change.actor)


def _attempt(
    attempt: AttemptRow, provider_attempts: Sequence[ProviderAttemptRow]
) -> tuple[Text, str]:
    good = attempt.state is State.SENT
    style = STYLES[attempt.state]
    if attempt.untried:
        return _not_attempted(attempt)
    epoch = f" of replay {attempt.epoch}" if attempt.epoch else ""
    lines = Text.assemble(
        ("✓ " if good else "✗ ", style),
        f"attempt {attempt.attempt}{epoch} → ",
        (attempt.state.value, style),
    )
    details = [attempt.provider, attempt.code, span(attempt.duration_ms / 1000)]
    if attempt.retry_delay:
        details.append(f"retry in {span(attempt.retry_delay)}")
    if attempt.message:
        lines.append(f"\n  {attempt.kind}: {attempt.message}")
    lines.append(f"\n  {' · '.join(part for part in details if part)}", style="dim")
    if passed := [
        _provider_attempt(each)
        for each in provider_attempts
        if (each.epoch, each.attempt) == (attempt.epoch, attempt.attempt)
    ]:
        lines.append(f"\n  {' → '.join(passed)}", style="dim")
    if attempt.possible_duplicate:
        lines.append(
            "\n  possible duplicate: an earlier attempt may have been delivered",
            style="magenta",
        )
    return lines, _who(attempt.worker)


def _not_attempted(attempt: AttemptRow) -> tuple[Text, str]:
    title = untried(attempt.attempt - 1)
    return Text.assemble(("✗ ", STYLES[attempt.state]), f"{title}\n  {attempt.message}"), _who(
        attempt.worker
    )


def _provider_attempt(attempt: ProviderAttemptRow) -> str:
    """For example: `primary unavailable 451 (1.2 s)`."""
    took = f" ({span(attempt.duration_ms / 1000)})" if attempt.duration_ms else ""
    return f"{attempt.provider} {attempt.kind.replace('_', ' ')} {attempt.code}".rstrip() + took


def _in_progress(summary: NotificationSummary, now: datetime) -> tuple[Text, str]:
    until = (
        f", for at most {span((summary.lease_until - now).total_seconds())} more"
        if summary.lease_until
        else ""
    )
    if summary.lease_until and summary.lease_until < now:
        until = ": its lease has expired, another worker takes it over"
    what = Text.assemble(("… ", "blue"), f"attempt {summary.attempt} is in progress{until}")
    return what, _who(summary.lease_holder or "")


def _who(actor: str) -> str:
    """The process, without the delivery."""
    return actor.split("/", 1)[0]


def _coming(view: NotificationView, now: datetime) -> str:
    """What happens next, or what an operator can do."""
    summary = view.story.notification
    match summary.state:
        case State.SCHEDULED:
            return f"Due {_when(summary.dispatch_at or summary.scheduled_at, now)}."
        case State.RETRYING:
            return f"Next: attempt {summary.attempt + 1} {_next_attempt(view, now)}."
        case State.SUPPRESSED if summary.duplicate_of:
            return f"Not sent: same idempotency key as [bold]tidings show {summary.duplicate_of}[/]"
        case State.FAILED | State.EXPIRED | State.UNKNOWN:
            return _dead_letter(view)
        case State.SENT if summary.reason == Reason.COPIES_REFUSED:
            return _dead_letter(view)
        case _:
            return ""


def _next_attempt(view: NotificationView, now: datetime) -> str:
    attempts = view.story.attempts
    if not attempts:
        return "when its channel is available again"
    last = attempts[-1]
    wait = last.duration_ms / 1000 + (last.retry_delay or 0)
    due = last.started_at + timedelta(seconds=wait)
    if due > now:
        return f"about {_when(due, now)}"
    if view.postponed_at is not None:
        since = distance(view.postponed_at, now)
        return f"runs automatically: postponed {since}, waiting in a retry queue or in its lane"
    return "when a worker reads it from its lane"


def _dead_letter(view: NotificationView) -> str:
    dead_letter = view.dead_letter
    if dead_letter is None or view.remedy is None:
        return "Its dead letter is not archived yet, or no longer open."
    return f"Dead letter: [bold]tidings dead show {dead_letter}[/]\n{next_steps(dead_letter, view.remedy)}"
