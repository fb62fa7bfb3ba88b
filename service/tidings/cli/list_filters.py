"""The options that select notifications: the filters of `GET /v1/notifications`, under the same names."""

from collections.abc import Iterable
from typing import Annotated

import typer

from tidings.cli.channel_names import known_channels
from tidings.cli.options import parsed
from tidings.delivery.states import State
from tidings.operations.filters import entity
from tidings.operations.notifications import Filters
from tidings.operations.times import moment
from tidings_events import Priority

Several = list[str] | None

Channels = Annotated[
    Several,
    typer.Option(
        "--channel", "-c", callback=known_channels, help="Only in this channel; repeatable."
    ),
]
States = Annotated[
    list[State] | None, typer.Option("--state", "-s", help="Only in this state; repeatable.")
]
Priorities = Annotated[
    list[Priority] | None, typer.Option("--priority", help="Only with this priority; repeatable.")
]
Categories = Annotated[
    Several, typer.Option("--category", help="Only in this category; repeatable.")
]
Users = Annotated[
    Several, typer.Option("--user-id", "--user", help="Only for this user; repeatable.")
]
Entities = Annotated[
    Several,
    typer.Option(
        "--entity",
        metavar="TYPE[:ID]",
        help="Only about this entity, e.g. order:10042; repeatable.",
    ),
]
Recipients = Annotated[
    Several,
    typer.Option(
        "--recipient",
        "--to",
        help="Only to this recipient: the full address, as published; repeatable.",
    ),
]
Templates = Annotated[
    Several, typer.Option("--template", help="Only with this template; repeatable.")
]
Providers = Annotated[
    Several,
    typer.Option("--provider", help="Only with this provider of the last attempt; repeatable."),
]
ErrorClasses = Annotated[
    Several,
    typer.Option(
        "--error-class",
        help="Only if the last attempt failed with this class of error; repeatable.",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option(
        "--subject",
        help="Only with this text in the subject, in any case of letters; a template's subject is not searched.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="WHEN", help="Accepted since: 24h, 7d, or a time with UTC offset."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="WHEN", help="Accepted before; same format as --since."),
]
Overdue = Annotated[
    bool,
    typer.Option("--overdue", help="Only those due for more than a minute, and not published."),
]
Test = Annotated[bool | None, typer.Option("--test", help="Tests, in place of what is no test.")]


def filters_of(
    *,
    channels: Several = None,
    states: Iterable[State] | None = None,
    priorities: Iterable[Priority] | None = None,
    tenant: str | None = None,
    categories: Several = None,
    users: Several = None,
    entities: Several = None,
    recipients: Several = None,
    templates: Several = None,
    providers: Several = None,
    error_classes: Several = None,
    subject: str | None = None,
    since: str | None = None,
    until: str | None = None,
    overdue: bool = False,
    test: bool | None = None,
) -> Filters:
    """The filters as they were typed.

    Raises:
        typer.BadParameter: An entity or a time can't be read.
    """
    return Filters(
        channels=tuple(channels or ()),
        states=tuple(states or ()),
        priorities=tuple(priority.value for priority in priorities or ()),
        tenant=tenant,
        categories=tuple(categories or ()),
        user_ids=tuple(users or ()),
        entities=tuple(parsed(entity, text, "--entity") for text in entities or ()),
        recipients=tuple(recipients or ()),
        templates=tuple(templates or ()),
        providers=tuple(providers or ()),
        error_classes=tuple(error_classes or ()),
        subject=subject,
        since=parsed(moment, since, "--since") if since else None,
        until=parsed(moment, until, "--until") if until else None,
        overdue=overdue,
        test=bool(test),
    )
