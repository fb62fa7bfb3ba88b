"""Which dead letters a command is about: the options that `tidings dead` and `tidings replay` share."""

import inspect
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import update_wrapper
from typing import Annotated, Any, TypeVar, cast

import typer

from tidings.cli.channel_names import known_channel
from tidings.cli.console import Unclear, guarded
from tidings.cli.options import Tenant, id_prefix
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.query import DeadLetterQuery

Function = TypeVar("Function", bound=Callable[..., Any])


class WhichState(StrEnum):
    """What `--state` takes: a dead letter's state, or all of them."""

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
        help="Dead letters by their id or its first digits, or by their notification's id or its last group.",
        show_default=False,
    ),
]
DeadLetterId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help="A dead letter's id or its first digits, or its notification's id or its last group.",
    ),
]
Channel = Annotated[
    str | None, typer.Option("--channel", "-c", callback=known_channel, help="Of this channel.")
]
OfReason = Annotated[Reason | None, typer.Option("--reason", "-r", help="With this reason.")]
Fingerprint = Annotated[
    str | None,
    typer.Option("--fingerprint", "-f", help="Of this group, by its first digits or all of them."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Dead-lettered since then: 24h, 7d, or a time with offset."),
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Dead-lettered before then.")]
MaxAge = Annotated[
    str | None,
    typer.Option(metavar="24h", help="Dead-lettered within this time; the same as --since."),
]
User = Annotated[str | None, typer.Option(help="For this `user_id`.")]
Entity = Annotated[
    str | None, typer.Option(metavar="TYPE[:ID]", help="About this, e.g. order:10042.")
]
Recipient = Annotated[
    str | None, typer.Option("--to", help="To this recipient, in full as it was published.")
]
WithId = Annotated[
    IdPrefix | None,
    typer.Option(
        "--id",
        parser=id_prefix,
        metavar="ID",
        help="Of this notification, or this dead letter, by its id or some of its digits.",
    ),
]
Category = Annotated[str | None, typer.Option(help="Of this category.")]
States = Annotated[
    list[WhichState] | None,
    typer.Option(
        "--state",
        "-s",
        help="In this state; may be given several times. Otherwise what is still open: dead-lettered, or "
        "being replayed.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def states_of(chosen: Iterable[WhichState] | None) -> tuple[DeadLetterState, ...]:
    """The states that `--state` asks for; those that are open where it is not given."""
    named = set(chosen or ())
    if not named:
        return OPEN
    return tuple(
        state for state in DeadLetterState if WhichState.ALL in named or state.value in named
    )


def about_dead_letters(*, ids: bool = False, state: bool = False) -> Callable[[Function], Function]:
    """Give a command the options that say which dead letters it is about; it takes them as one `query`.

    Args:
        ids: Dead letters may be named as well.
        state: Their states may be chosen; otherwise the command's operation knows which it means.
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
        **({"state": States} if state else {}),
    }

    def decorated(command: Function) -> Function:
        def called(**given: Any) -> object:
            values = {name: given.pop(name) for name in options}
            if values["since"] and values["max_age"]:
                raise Unclear("give --since or --max-age, not both")
            if state:
                values["states"] = states_of(values.pop("state"))
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
    """One that is not given is None."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
