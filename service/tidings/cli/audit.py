"""`tidings audit`: whether anything was lost, as far as ledger and queues can tell."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from tidings.cli.console import FAULT, UNAVAILABLE, Unclear, err, guarded, out, print_json
from tidings.cli.options import AsJson, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import escape
from tidings.delivery.errors import Refused
from tidings.delivery.states import State
from tidings.operations.audit import AuditRequest, AuditView, JournalFindings, audit
from tidings.operations.backend import Backend
from tidings.operations.times import exact, moment


def audit_(
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ids that were confirmed to a producer, one at the beginning of each line.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Only what was accepted since then: 24h, 7d, or a time."),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="All there are, not only the newest that can be looked at in a moment: six seconds a million.",
        ),
    ] = False,
    ended: Annotated[
        bool,
        typer.Option(
            "--ended",
            help="Nothing may be under way any more, and no queue hold anything; looks at all there are.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold ledger and queues against each other: is anything lost, or in a state that can't be?

    In a large ledger the newest notifications are looked at, for a moment, and
    it says how far; --since, --whole and --ended look at all they name.

    Exit code 0 where every rule holds, 1 where one is broken, 3 where not every rule could be tried:
    RabbitMQ's management API or PostgreSQL could not be asked, or what a journal misses may be among
    dead letters without an id.

    Example: [bold]tidings audit --since 24h --journal confirmed.txt[/]
    """
    ids = [] if journal is None else guarded(lambda: _read(journal))
    if since is not None and (whole or ended):
        raise Unclear(f"give --since or {'--whole' if whole else '--ended'}, not both")
    request = AuditRequest(
        None if since is None else parsed(moment, since, "--since"),
        whole,
        ended,
        None if journal is None else ids,
    )
    view = ask(lambda backend: _audit(backend, request))
    if as_json:
        print_json(view.as_data())
    else:
        _print_result(view)
    if view.violations:
        raise typer.Exit(FAULT)
    if view.unchecked:
        raise typer.Exit(UNAVAILABLE)


async def _audit(backend: Backend, request: AuditRequest) -> AuditView:
    with err.status("") as status:

        def show(seen: int, reached: datetime | None) -> None:
            since = f", all since {exact(reached)}" if reached is not None else ""
            status.update(f"{seen:,} looked at{since}")

        return await audit(backend, request, show)


def _read(journal: Path) -> list[UUID]:
    """The ids in a journal: plain lines, or JSON lines with an `id`."""
    lines = journal.read_text("utf-8", errors="replace").splitlines()
    return [_id(journal, place, line) for place, line in enumerate(lines, 1) if line.strip()]


def _id(journal: Path, place: int, line: str) -> UUID:
    try:
        word = (
            json.loads(line)["id"] if line.lstrip().startswith("{") else line.split(maxsplit=1)[0]
        )
        return UUID(str(word))
    except (ValueError, KeyError, TypeError):
        raise Refused(
            f"{journal}, line {place}: no id at its beginning: write a notification's UUID on each line"
        ) from None


def _print_result(view: AuditView) -> None:
    out.print(_states(view))
    for line in _counts(view):
        out.print(line)
    for finding in view.violations:
        examples = f" (e.g. {', '.join(finding.examples)})" if finding.examples else ""
        out.print(f"[red]✗[/] {finding.count:,} {escape(finding.rule + examples)}")
    for why in view.stalled:
        out.print(f"[yellow]![/] {escape(why)}")
    for reason in view.unchecked:
        err.print(f"[yellow]![/] {escape(reason)}")
    of_what = ""
    if view.searched_since is not None:
        of_what = f" for everything accepted since {exact(view.searched_since)}"
        err.print("[dim]Older ones were not looked at: `--whole`, or `--since` with a time.[/]")
    if not view.violations:
        rules = "every rule that could be tried" if view.unchecked else "every rule"
        out.print(f"[green]✓[/] {rules} holds{of_what}")


def _counts(view: AuditView) -> Iterator[str]:
    journal = view.journal
    if view.queues is not None:
        yield f"\nMessages in queues: {sum(view.queues.values()):,}"
    if journal is not None and journal.unknown:
        yield f"Of the journal, not in the ledger: {len(journal.unknown):,}"
    if journal is not None and journal.dead_letters:
        yield f"Of the journal, only a dead letter: {journal.dead_letters:,}"
    if view.without_id:
        yield f"Dead letters out of which no id can be read: {view.without_id:,}"


def _states(view: AuditView) -> Rows:
    journal = view.journal
    names = ("state", "notifications", *(() if journal is None else ("of the journal",)))
    present = {state: count for state in State if (count := view.states.get(state, 0))}
    rows = [
        Row([cell(text) for text in (state, f"{count:,}", *_journaled(journal, state))])
        for state, count in present.items()
    ]
    return Rows(names, rows, right=names[1:])


def _journaled(journal: JournalFindings | None, state: State) -> tuple[str, ...]:
    return () if journal is None else (f"{journal.states.get(state, 0):,}",)
