"""What `tidings show` tells of a message that no worker could take: how it came to its dead letter."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from tidings.cli import dead_letter_views
from tidings.cli.harmless import single_lines
from tidings.cli.sentences import Sentence
from tidings.cli.timeline import Timeline, facts
from tidings.cli.ways_on import ways_on
from tidings.delivery.properties import producer
from tidings.operations.dead_letters.views import DeadLetterView, published_at
from tidings.operations.notifications import DeadLetterSummary, NotificationView, UnclaimedView
from tidings.operations.times import clock


def told(view: UnclaimedView) -> RenderableType:
    """For people."""
    dead_letters = single_lines(tuple(one.dead_letter for one in view.dead_letters))
    ways = [
        (one.dead_letter.id, ways_on(one.dead_letter.id, one.remedy))
        for one in view.dead_letters
        if one.remedy
    ]
    parts: list[RenderableType] = [_head(dead_letters[-1]), "", _timeline(dead_letters)]
    if ways:
        last, known = ways[-1]
        advice = f"All of it: [bold]tidings dead show {last}[/]\n{known}"
        parts += ["", Sentence(Text.from_markup(advice))]
    return Group(*parts)


def _head(one: DeadLetterView) -> Group:
    entity = " ".join(part for part in (one.entity_type, one.entity_id) if part)
    known = (
        ("Id", str(one.notification_id or "")),
        ("What", " · ".join(part for part in (one.channel, one.category) if part)),
        ("To", one.recipient or ""),
        ("User", one.user_id or ""),
        ("About", entity),
    )
    state = ("State", Text("NO NOTIFICATION: A DEAD LETTER", style="bold red"))
    return Group(*facts([state, *((name, Text(value)) for name, value in known if value)]))


def _timeline(dead_letters: Sequence[DeadLetterView]) -> Timeline:
    """Who published it is told with it, as no worker made anything of it."""
    return Timeline(
        [
            (clock(at, dead_letters[0].dead_lettered_at), "", what, "")
            for one in dead_letters
            for at, what in _events(one)
        ]
    )


def _events(one: DeadLetterView) -> Iterator[tuple[datetime, Text]]:
    key = f" with the key {one.routing_key}" if one.routing_key else ""
    published = Text(f"· published by {producer(one.properties)}{key}")
    yield published_at(one.properties) or one.first_failed_at, published
    style = dead_letter_views.STYLES[one.state]
    text = Text.assemble(("✗ ", style), (one.reason.value, style), f": {one.message}")
    about = [f"dead letter {one.id}", one.state.value, one.note or ""]
    yield one.dead_lettered_at, text.append(f"\n  {' · '.join(filter(None, about))}", style="dim")


def strays(view: NotificationView) -> Iterator[Text]:
    """Other messages with the id of a notification, which no worker could take."""
    for one in view.strays:
        yield Text.assemble(
            ("Another message with this id is a dead letter", "yellow"),
            f" ({_kind(one)}): {one.message}\n  ",
            (f"tidings dead show {one.id}", "bold"),
        )


def _kind(one: DeadLetterSummary) -> str:
    return one.reason if one.reason == one.kind else f"{one.reason}, {one.kind}"
