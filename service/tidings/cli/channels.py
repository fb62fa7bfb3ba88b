"""`tidings channels`: how channels and their providers fare, and an operator's word to all workers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from tidings.channels.registry import SPECS
from tidings.cli.commands import Commands, unknown
from tidings.cli.console import err, out, print_json
from tidings.cli.options import AsJson, actor, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.orders import Order
from tidings.operations import channels
from tidings.operations.channels import (
    DELIVERING,
    DISABLED,
    DOWN,
    PAUSED,
    RECOVERING,
    RESTING,
    UNSERVED,
    ChannelStatus,
)
from tidings.operations.times import ago, span

STYLES: Final = {
    DELIVERING: "green",
    UNSERVED: "red",
    RESTING: "red",
    PAUSED: "yellow",
    DISABLED: "yellow",
    DOWN: "red",
    RECOVERING: "cyan",
}

app = Commands(
    help="See how channels and their providers fare; pause and resume them.",
    no_args_is_help=True,
)


def _known(name: str) -> str:
    if name not in SPECS:
        raise typer.BadParameter(unknown(name, SPECS))
    return name


Channel = Annotated[
    str, typer.Argument(metavar="CHANNEL", callback=_known, help="E.g. email, sms.")
]
OfProvider = Annotated[
    str | None,
    typer.Argument(metavar="[PROVIDER]", help="Its name; not needed where there is only one."),
]
Note = Annotated[str, typer.Option("--note", help="Kept in the history, with your name.")]
MOST: Final = 10_000


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every channel and its providers: delivering, paused by whom and why, down since when.

    Example: [bold]tidings channels list[/]
    """
    conditions = ask(channels.conditions)
    if as_json:
        print_json(conditions)
    elif conditions:
        out.print(table(conditions))
    else:
        err.print("No channel is switched on; `tidings doctor` says what each of them needs.")


@app.command()
def pause(channel: Channel, note: Note = "") -> None:
    """Let no worker take anything more of a channel; what is under way ends, the rest waits in its lanes.

    Lasts until it is resumed, whoever restarts meanwhile.

    Example: [bold]tidings channels pause email --note "moving to another relay"[/]
    """
    request = channels.OrderRequest(channel, note=note)
    if ask(lambda backend: channels.pause(backend, actor(), request)).changed:
        out.print(f"{channel} is paused; workers obey within about a second.")
    else:
        noted = "; your reason is noted" if note.strip() else ""
        out.print(f"{channel} was paused already{noted}.")


@app.command()
def resume(channel: Channel, note: Note = "") -> None:
    """Let a paused channel go on.

    Example: [bold]tidings channels resume email[/]
    """
    request = channels.OrderRequest(channel, note=note)
    if ask(lambda backend: channels.resume(backend, actor(), request)).changed:
        out.print(f"{channel} goes on within about a second.")
    else:
        out.print(f"{channel} was not paused.")


@app.command()
def disable(channel: Channel, provider: OfProvider = None, note: Note = "") -> None:
    """Let no worker use a provider, until it is enabled again.

    Example: [bold]tidings channels disable email primary --note "their maintenance, until 6:00"[/]
    """
    request = channels.OrderRequest(channel, provider, note)
    order = ask(lambda backend: channels.disable_provider(backend, actor(), request))
    out.print(f"{channel} {order.provider} is disabled; workers obey within a second.")


@app.command()
def enable(channel: Channel, provider: OfProvider = None, note: Note = "") -> None:
    """Let workers use a provider again at once: it was disabled, or they found it down.

    Example: [bold]tidings channels enable email primary[/]
    """
    request = channels.OrderRequest(channel, provider, note)
    order = ask(lambda backend: channels.enable_provider(backend, actor(), request))
    out.print(f"{channel} {order.provider} is enabled; workers obey within a second.")


@app.command()
def history(
    channel: Annotated[
        str | None, typer.Argument(metavar="[CHANNEL]", help="Only of this one.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who paused, resumed, disabled and enabled what, when and why; the newest first.

    Example: [bold]tidings channels history email[/]
    """
    request = channels.HistoryRequest(channel, limit)
    orders = ask(lambda backend: channels.history(backend, request))
    if as_json:
        print_json(orders)
    elif orders:
        out.print(_history_table(orders))
    else:
        err.print("Nobody ever did.")


def _history_table(orders: Sequence[Order]) -> Rows:
    now = datetime.now(UTC)
    return Rows(
        ("When", "Order", "Who"),
        [
            Row(
                [cell(ago(order.at, now)), cell(_describe_order(order)), cell(order.actor)],
                order.note,
            )
            for order in orders
        ],
    )


def _describe_order(order: Order) -> str:
    """`pause email`, `open email primary`."""
    return f"{order.verb} {order.channel} {order.provider}".rstrip()


def table(conditions: Sequence[ChannelStatus]) -> Rows:
    """For people; a channel's only provider has no line of its own while all is well."""
    now = datetime.now(UTC)
    return Rows(
        ("Channel", "Provider", "State", "Since"),
        [
            Row(
                [
                    cell(condition.channel),
                    cell(condition.provider),
                    cell(condition.state, STYLES[condition.state]),
                    cell(ago(condition.since, now) if condition.since else ""),
                ],
                _why(condition, now),
            )
            for condition in conditions
        ],
    )


def _why(condition: ChannelStatus, now: datetime) -> str:
    parts = [condition.reason]
    if condition.workers < condition.serving:
        parts.append(f"in {condition.workers} of {condition.serving} workers")
    if condition.probe_at is not None and condition.state == DOWN:
        wait = (condition.probe_at - now).total_seconds()
        parts.append(f"tried again in {span(wait)}" if wait > 0 else "being tried")
    return " · ".join(part for part in parts if part)
