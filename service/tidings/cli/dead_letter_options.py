"""The options that select dead letters, shared by `tidings dead` and `tidings replay`."""

import inspect
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import update_wrapper
from typing import Annotated, Any, TypeVar, cast

import typer

from tidings.cli.channel_names import known_channel
from tidings.cli.console import Unclear, guarded
from tidings.cli.options import DIGITS, Tenant, id_prefix
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.query import DeadLetterQuery

Function = TypeVar("Function", bound=Callable[..., Any])


class WhichState(StrEnum):
    """Values of `--state`: a state of a dead letter, or all."""

    OPEN = DeadLetterState.OPEN.value
    REPLAYING = DeadLetterState.REPLAYING.value
    REPLAYED = DeadLetterState.REPLAYED.value
    DISCARDED = DeadLetterState.DISCARDED.value
    SUPERSEDED = DeadLetterState.SUPERSEDED.value
    ALL = "all"


Ids = Annotated[
    list[IdPrefix] | None,
    typer.Argument(
        parser=id_prefix,
        metavar="[ID]...",
        help=f"Ids of dead letters or of notifications: in full, or {DIGITS}.",
        show_default=False,
    ),
]
DeadLetterId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help=f"Id of a dead letter or of its notification: in full, or {DIGITS}.",
    ),
]
OneId = Annotated[
    IdPrefix | None,
    typer.Argument(
        parser=id_prefix,
        metavar="[ID]",
        help=f"Id of a dead letter or of its notification: in full, or {DIGITS}.",
        show_default=False,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option("--channel", "-c", callback=known_channel, help="Only in this channel."),
]
OfReason = Annotated[Reason | None, typer.Option("--reason", "-r", help="Only with this reason.")]
Fingerprint = Annotated[
    str | None,
    typer.Option(
        "--fingerprint", "-f", help="Only in this group: its fingerprint or first digits."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Dead-lettered since: 24h, 7d, or a time with UTC offset."),
]
Until = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Dead-lettered before; same format as --since.")
]
MaxAge = Annotated[str | None, typer.Option(hidden=True, help="Another name of --since.")]
User = Annotated[str | None, typer.Option(help="Only for this `user_id`.")]
Entity = Annotated[
    str | None, typer.Option(metavar="TYPE[:ID]", help="Only about this entity, e.g. order:10042.")
]
Recipient = Annotated[
    str | None, typer.Option("--to", help="Only to this recipient: the full address, as published.")
]
WithId = Annotated[
    IdPrefix | None,
    typer.Option(
        "--id",
        parser=id_prefix,
        metavar="ID",
        help=f"Only with this id, of a dead letter or its notification: in full, or {DIGITS}.",
    ),
]
Test = Annotated[bool | None, typer.Option("--test", help="Tests, in place of what is no test.")]
Category = Annotated[str | None, typer.Option(help="Only in this category.")]
States = Annotated[
    list[WhichState] | None,
    typer.Option(
        "--state",
        "-s",
        help="Only in this state; repeatable. By default open ones, and in lists replaying ones.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]


def states_of(
    chosen: Iterable[WhichState] | None, unless_given: tuple[DeadLetterState, ...] = OPEN
) -> tuple[DeadLetterState, ...]:
    """The states that `--state` selects; open and replaying by default."""
    named = set(chosen or ())
    if not named:
        return unless_given
    return tuple(
        state for state in DeadLetterState if WhichState.ALL in named or state.value in named
    )


def about_dead_letters(
    *, ids: bool = False, state: bool = False, unless_given: tuple[DeadLetterState, ...] = OPEN
) -> Callable[[Function], Function]:
    """Add the options that select dead letters to a command, which takes them as one `query`.

    Args:
        ids: Also take ids as arguments.
        state: Also take `--state`.
        unless_given: The states without it.
    """
    options: dict[str, Any] = {
        **({"ids": Ids} if ids else {}),
        "channel": Channel,
        "reason": OfReason,
        "fingerprint": Fingerprint,
        "since": Since,
        "until": Until,
        "max_age": MaxAge,
        "user": User,
        "entity": Entity,
        "tenant": Tenant,
        "category": Category,
        "to": Recipient,
        "id_prefix": WithId,
        "test": Test,
        **({"state": States} if state else {}),
    }

    def decorated(command: Function) -> Function:
        def called(**given: Any) -> object:
            values = {name: given.pop(name) for name in options}
            if (max_age := values.pop("max_age")) and values["since"]:
                raise Unclear("give --since or --max-age, not both")
            values["since"] = values["since"] or max_age
            if state:
                values["states"] = states_of(values.pop("state"), unless_given)
            query = guarded(lambda: DeadLetterQuery.read(**values))
            return command(**given, query=query)

        signature = inspect.signature(command)
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in signature.parameters.values()
            for each in (_parameters(options) if parameter.name == "query" else [parameter])
        ]
        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # Typer reads it
        return cast(Function, update_wrapper(called, command))

    return decorated


def _parameters(options: dict[str, Any]) -> list[inspect.Parameter]:
    """An option that is not given is None."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
