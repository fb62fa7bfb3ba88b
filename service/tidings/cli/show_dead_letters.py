"""What `tidings show` prints for a message that never became a notification."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from tidings.cli import dead_letter_views
from tidings.cli.next_steps import next_steps
from tidings.cli.sentences import Sentence
from tidings.cli.terminal import single_lines
from tidings.cli.timeline import Timeline, facts
from tidings.delivery.properties import producer
from tidings.operations.dead_letters.views import DeadLetterView, published_at
from tidings.operations.notifications import DeadLetterSummary, NotificationView, UnclaimedView
from tidings.operations.times import clock
from tidings_events import DEFAULT_TENANT


def render_dead_letters(view: UnclaimedView) -> RenderableType:
    """The history as text."""
    dead_letters = single_lines(tuple(found.dead_letter for found in view.dead_letters))
    ways = [
        (found.dead_letter.id, next_steps(found.dead_letter.id, found.remedy))
        for found in view.dead_letters
        if found.remedy
    ]
    parts: list[RenderableType] = [_head(dead_letters[-1]), "", _timeline(dead_letters)]
    if ways:
        last, known = ways[-1]
        advice = f"Details:   [bold]tidings dead show {last}[/]\n{known}"
        parts += ["", Sentence(Text.from_markup(advice))]
    return Group(*parts)


def _head(dead_letter: DeadLetterView) -> Group:
    entity = " ".join(part for part in (dead_letter.entity_type, dead_letter.entity_id) if part)
    known = (
        ("Id", str(dead_letter.notification_id or "")),
        ("What", " · ".join(part for part in (dead_letter.channel, dead_letter.category) if part)),
        ("Test", "yes: it is sent to nobody" if dead_letter.test else ""),
        ("Tenant", "" if dead_letter.tenant == DEFAULT_TENANT else dead_letter.tenant or ""),
        ("To", dead_letter.recipient or ""),
        ("User", dead_letter.user_id or ""),
        ("About", entity),
    )
    state = ("State", Text("DEAD LETTER WITHOUT A NOTIFICATION", style="bold red"))
    return Group(*facts([state, *((name, Text(value)) for name, value in known if value)]))


def _timeline(dead_letters: Sequence[DeadLetterView]) -> Timeline:
    """Published and dead-lettered; the producer is in the text, because no worker was involved."""
    return Timeline(
        [
            (clock(at, dead_letters[0].dead_lettered_at), "", what, "")
            for dead_letter in dead_letters
            for at, what in _events(dead_letter)
        ]
    )


def _events(dead_letter: DeadLetterView) -> Iterator[tuple[datetime, Text]]:
    key = f" with routing key {dead_letter.routing_key}" if dead_letter.routing_key else ""
    published = Text(f"· published by {producer(dead_letter.properties)}{key}")
    yield published_at(dead_letter.properties) or dead_letter.first_failed_at, published
    style = dead_letter_views.STYLES[dead_letter.state]
    text = Text.assemble(
        ("✗ ", style), (dead_letter.reason.value, style), f": {dead_letter.message}"
    )
    about = [f"dead letter {dead_letter.id}", dead_letter.state.value, dead_letter.note or ""]
    yield (
        dead_letter.dead_lettered_at,
        text.append(f"\n  {' · '.join(filter(None, about))}", style="dim"),
    )


def strays(view: NotificationView) -> Iterator[Text]:
    """Other messages with the id of the notification that became dead letters."""
    for dead_letter in view.strays:
        yield Text.assemble(
            ("Another message with this id is a dead letter", "yellow"),
            f" ({_kind(dead_letter)}): {dead_letter.message}\n  ",
            (f"tidings dead show {dead_letter.id}", "bold"),
        )


def _kind(dead_letter: DeadLetterSummary) -> str:
    return (
        dead_letter.reason
        if dead_letter.reason == dead_letter.kind
        else f"{dead_letter.reason}, {dead_letter.kind}"
    )
