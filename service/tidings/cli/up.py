"""`tidings up`: a whole Tidings on this machine, and a tour of it."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.panel import Panel
from rich.table import Table

from tidings.cli.console import FAULT, err, guarded, out, run

if TYPE_CHECKING:
    from tidings.local.laptop import Laptop
    from tidings.local.tour import Seen


def up(
    once: Annotated[
        bool, typer.Option("--once", help="End after the tour; non-zero where a step failed.")
    ] = False,
    data: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = Path(
        ".local"
    ),
) -> None:
    """Run everything on this machine: RabbitMQ, PostgreSQL, mail, SMS and webhook sinks, every role.

    Servers are private to the folder, on free ports, and end with this command. With
    TIDINGS_AMQP_URL or TIDINGS_DATABASE_URL set, those are used instead.

    Example: [bold]tidings up --once[/]
    """
    from tidings.local.packages import ensure_installed, needed_servers

    guarded(lambda: ensure_installed(out.print, needed_servers(os.environ)))
    run(_up(data, once=once))


async def _up(data: Path, *, once: bool) -> None:
    """The first Ctrl-C or SIGTERM stops everything in good order, whatever is going on."""
    everything = asyncio.create_task(_everything(data, once=once))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, everything.cancel)
    try:
        await everything
    except asyncio.CancelledError:
        out.print("stopped")


async def _everything(data: Path, *, once: bool) -> None:
    from tidings.local.laptop import Laptop

    laptop = Laptop(data, os.environ)
    with out.status("starting RabbitMQ, PostgreSQL and the sinks …"):
        await laptop.__aenter__()
    try:
        with out.status("starting worker, scheduler and archive …"):
            await laptop.start_roles()
        await _tour(laptop)
        if not once:
            out.print(_where_to_look(laptop))
            code = await laptop.roles_ended()
            err.print(
                f"[bold red]Error:[/] the roles ended by themselves with {code}: see {laptop.log}"
            )
            raise typer.Exit(FAULT)
    finally:
        with out.status("stopping …"):
            await laptop.__aexit__()


async def _tour(laptop: "Laptop") -> None:
    from tidings.local.tour import take_tour

    last: Seen | None = None
    async for seen in take_tour(laptop):
        out.print(f"[green]✓[/] [bold]{seen.title}[/]  {seen.what}  [dim]{seen.seconds:.1f} s[/]")
        last = seen
    if last is not None:
        out.print(f"\n[dim]$ tidings show {last.id}[/]")
        out.print(await laptop.tidings("show", str(last.id)), markup=False, highlight=False)


def _where_to_look(laptop: "Laptop") -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    if laptop.rabbitmq is not None:
        login = f"{laptop.rabbitmq.user} / {laptop.rabbitmq.password}"
        table.add_row("RabbitMQ management", f"{laptop.rabbitmq.management_url}   {login}")
    table.add_row("What was sent", laptop.outbox.url)
    table.add_row(
        "Metrics and health", f"http://127.0.0.1:{laptop.environment['TIDINGS_HTTP_PORT']}/metrics"
    )
    table.add_row("Log of the roles", str(laptop.log))
    table.add_row("In another terminal", f"source {laptop.environment_file}")
    table.add_row(
        "", "tidings publish email --to you@example.com --subject Hello --body 'It works.'"
    )
    table.add_row("", "tidings list · tidings stats · tidings dead list · tidings --help")
    return Panel(
        table,
        title="Tidings is running",
        subtitle="Ctrl-C ends it; what was written stays",
        expand=False,
    )
