"""`tidings up`: a whole Tidings on this machine, and a tour of it."""

import asyncio
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from tidings.cli.console import FAULT, err, guarded, out, print_error, run
from tidings.cli.terminal import escape
from tidings_local.errors import LocalStackError

if TYPE_CHECKING:
    from tidings_local.laptop import Laptop
    from tidings_local.tour import Seen


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
    from tidings_local.last_run import LastRun
    from tidings_local.packages import ensure_installed, needed_servers

    brought = guarded(lambda: LastRun(data).others(os.environ))
    guarded(lambda: ensure_installed(out.print, needed_servers(brought)))
    run(_up(data, once=once))


async def _up(data: Path, *, once: bool) -> None:
    """The first Ctrl-C, SIGTERM or end of the terminal stops everything in good order, whatever is going on."""
    everything = asyncio.create_task(_everything(data, once=once))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, everything.cancel)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(
            signal.SIGHUP, lambda: everything.cancelling() or everything.cancel()
        )
    try:
        await everything
    except asyncio.CancelledError:
        out.print("stopped")
    except LocalStackError as error:
        sentence, *last_words = str(error).splitlines()
        print_error(sentence)
        for line in last_words:
            err.print(f"  {escape(line)}", soft_wrap=True)
        raise typer.Exit(FAULT) from None


async def _everything(data: Path, *, once: bool) -> None:
    from tidings_local.laptop import Laptop

    laptop = Laptop(data, os.environ)
    if laptop.ignored:
        out.print(
            f"[yellow]![/] ignored, as everything is delivered to stand-ins here: {', '.join(laptop.ignored)}"
        )
    with out.status("starting RabbitMQ, PostgreSQL and the sinks …"):
        await laptop.__aenter__()
    try:
        with out.status("starting worker, scheduler, archive and API …"):
            await laptop.start_roles()
        shown = await _tour(laptop)
        if not once:
            key = await laptop.api_key()
            for line in where_to_look(laptop, key, shown):
                out.print(line)
            await laptop.roles_end()
    finally:
        with out.status("stopping …"):
            await laptop.__aexit__()


async def _tour(laptop: "Laptop") -> UUID | None:
    """Take it; the id of the last notification."""
    from tidings_local.tour import take_tour

    last: Seen | None = None
    async for seen in take_tour(laptop):
        out.print(f"[green]✓[/] [bold]{seen.title}[/] [dim]· {seen.seconds:.1f}s[/]")
        out.print(f"  {escape(seen.what)}")
        last = seen
    if last is not None:
        out.print(f"\n[dim]$[/] [bold]tidings show {last.id}[/]")
        story = await laptop.tidings("show", str(last.id), width=out.width)
        out.print(story, markup=False, soft_wrap=True)
    return last.id if last is not None else None


def where_to_look(laptop: "Laptop", key: str, shown: UUID | None) -> Iterator[str]:
    """What is to be typed is in bold, and so never broken: it can be pasted."""
    yield "[bold]Tidings is running[/]; Ctrl-C ends it. What was written stays, these samples too.\n"
    for label, value in _addresses(laptop):
        yield f"  [bold]{label:<19}[/]  {escape(value)}"
    yield "\nIn another terminal, in this folder:\n"
    for command in (
        f"source {shlex.quote(str(laptop.environment_file))}",
        "tidings publish email --to you@example.com --subject Hello --body 'It works.'",
        "tidings list",
        "tidings stats",
        "tidings dead list",
        "tidings --help",
        f"KEY={key}",
        f"API=http://{laptop.environment['TIDINGS_API_LISTEN']}/v1",
        f'curl -H "Authorization: Bearer $KEY" $API/notifications/{shown}',
    ):
        yield f"  [bold]{escape(command)}[/]"


def _addresses(laptop: "Laptop") -> Iterator[tuple[str, str]]:
    yield "Console", f"http://{laptop.environment['TIDINGS_API_LISTEN']}/console/"
    yield "", "sign in with the key below"
    yield "In-app inbox", laptop.inbox.url
    if laptop.rabbitmq is not None:
        yield "RabbitMQ management", laptop.rabbitmq.management_url
        yield "", f"{laptop.rabbitmq.user} / {laptop.rabbitmq.password}"
    yield "What was sent", laptop.outbox.url
    yield "Takes webhooks", f"{laptop.webhooks.url}/"
    yield "HTTP API", f"http://{laptop.environment['TIDINGS_API_LISTEN']}/docs"
    port = laptop.environment["TIDINGS_HTTP_PORT"]
    yield "Metrics and health", f"http://127.0.0.1:{port}/metrics"
    yield "Log of the roles", str(laptop.log)
