"""`tidings channels`: shows and controls channels and providers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from tidings.channels.registry import SPECS
from tidings.cli.commands import Commands, unknown
from tidings.cli.console import err, out, print_all_as_json, print_json
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
    SUSPENDED,
    UNSERVED,
    ChannelStatus,
)
from tidings.operations.times import ago, span

STYLES: Final = {
    DELIVERING: "green",
    UNSERVED: "red",
    SUSPENDED: "red",
    PAUSED: "yellow",
    DISABLED: "yellow",
    DOWN: "red",
    RECOVERING: "cyan",
}

app = Commands(
    help="Show, pause and resume channels; enable and disable providers.",
    no_args_is_help=True,
)


def _known(name: str) -> str:
    if name not in SPECS:
        raise typer.BadParameter(unknown(name, SPECS))
    return name


Channel = Annotated[
    str, typer.Argument(metavar="CHANNEL", callback=_known, help="Channel, e.g. email.")
]
OfProvider = Annotated[
    str | None,
    typer.Argument(metavar="[PROVIDER]", help="Provider; optional if the channel has only one."),
]
Note = Annotated[str, typer.Option("--note", help="Note for the history, e.g. a ticket.")]
MOST: Final = 10_000


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the state of every channel and provider.

    Example: [bold]tidings channels list[/]
    """
    page = ask(channels.list_)
    if as_json:
        print_json(page)
    elif page.data:
        out.print(table(page.data))
    else:
        err.print(
            "No channel is configured; `tidings doctor` shows the settings that each one needs."
        )


@app.command()
def pause(channel: Channel, note: Note = "") -> None:
    """Pause a channel in all workers.

    Sends in progress finish; other notifications wait in their lanes. The pause survives restarts, until
    `tidings channels resume`.

    Example: [bold]tidings channels pause email --note "moving to another relay"[/]
    """
    request = channels.OrderRequest(channel, note=note)
    if ask(lambda backend: channels.pause(backend, actor(), request)).changed:
        out.print(f"{channel} is paused; workers stop within about a second.")
    else:
        noted = "; note added" if note.strip() else ""
        out.print(f"{channel} was already paused{noted}.")


@app.command()
def resume(channel: Channel, note: Note = "") -> None:
    """Resume a paused channel.

    Example: [bold]tidings channels resume email[/]
    """
    request = channels.OrderRequest(channel, note=note)
    if ask(lambda backend: channels.resume(backend, actor(), request)).changed:
        out.print(f"{channel} is resumed; workers start within about a second.")
    else:
        out.print(f"{channel} was not paused.")


@app.command()
def disable(channel: Channel, provider: OfProvider = None, note: Note = "") -> None:
    """Disable a provider in all workers.

    It stays disabled, also after restarts, until `tidings channels enable`. Other providers of the channel take over.

    Example: [bold]tidings channels disable email primary --note "their maintenance, until 6:00"[/]
    """
    request = channels.OrderRequest(channel, provider, note)
    order = ask(lambda backend: channels.disable_provider(backend, actor(), request))
    out.print(f"{channel} {order.provider} is disabled; workers stop using it within a second.")


@app.command()
def enable(channel: Channel, provider: OfProvider = None, note: Note = "") -> None:
    """Enable a provider that was disabled, or close its circuit breaker at once.

    All workers send at full concurrency, without a probe: failures spend attempts until the circuit opens again. Use it
    only if you know that the provider is back.

    Example: [bold]tidings channels enable email primary[/]
    """
    request = channels.OrderRequest(channel, provider, note)
    order = ask(lambda backend: channels.enable_provider(backend, actor(), request))
    out.print(f"{channel} {order.provider} is enabled; workers use it within a second.")


@app.command()
def history(
    channel: Annotated[
        str | None, typer.Argument(metavar="[CHANNEL]", help="Only this channel.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MOST, help="Maximum number to list.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who paused, resumed, disabled and enabled channels and providers, newest first.

    Example: [bold]tidings channels history email[/]
    """
    request = channels.HistoryRequest(channel, limit)
    orders = ask(lambda backend: channels.history(backend, request))
    if as_json:
        print_all_as_json(orders)
    elif orders:
        out.print(_history_table(orders))
    else:
        err.print("No channel was ever paused, no provider disabled.")


def _history_table(orders: Sequence[Order]) -> Rows:
    now = datetime.now(UTC)
    return Rows(
        ("When", "Change", "Actor"),
        [
            Row(
                [cell(ago(order.at, now)), cell(_describe_order(order)), cell(order.actor)],
                order.note,
            )
            for order in orders
        ],
    )


def _describe_order(order: Order) -> str:
    """For example: `disable email primary`."""
    return f"{order.verb} {order.channel} {order.provider}".rstrip()


def table(conditions: Sequence[ChannelStatus]) -> Rows:
    """A row for each channel and provider."""
    now = datetime.now(UTC)
    return Rows(
        ("Channel", "Provider", "State", "Since"),
        [
            Row(
                [
                    cell(condition.channel),
                    cell(condition.provider),
                    cell(condition.state.replace("_", " "), STYLES[condition.state]),
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
        parts.append(f"next probe in {span(wait)}" if wait > 0 else "probing")
    return " · ".join(part for part in parts if part)
