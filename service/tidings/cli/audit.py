"""`tidings audit`: compares ledger, queues and a producer's journal."""

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
            help="Ids that RabbitMQ confirmed to a producer, one at the start of each line.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Only notifications accepted since: 24h, 7d, or a time."),
    ] = None,
    full_scan: Annotated[
        bool,
        typer.Option(
            "--full-scan",
            help="All notifications, not only the newest; takes about six seconds per million.",
        ),
    ] = False,
    require_idle: Annotated[
        bool,
        typer.Option(
            "--require-idle",
            help="Also require that every notification is finished and every queue empty; implies --full-scan.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare ledger and queues, and report lost or inconsistent notifications.

    In a large ledger only the newest notifications are checked, and the output says since when; --since, --full-scan and
    --require-idle remove this limit.

    Exit code 0 if every rule holds, 1 if one is violated, 3 if a rule could not be checked: RabbitMQ's management API or
    PostgreSQL is unavailable, or an id missing from the ledger may belong to a dead letter without an id.

    Example: [bold]tidings audit --since 24h --journal confirmed.txt[/]
    """
    ids = [] if journal is None else guarded(lambda: _read(journal))
    if since is not None and (full_scan or require_idle):
        raise Unclear(
            f"give --since or {'--full-scan' if full_scan else '--require-idle'}, not both"
        )
    request = AuditRequest(
        None if since is None else parsed(moment, since, "--since"),
        full_scan,
        require_idle,
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
            since = f", back to {exact(reached)}" if reached is not None else ""
            status.update(f"{seen:,} checked{since}")

        return await audit(backend, request, show)


def _read(journal: Path) -> list[UUID]:
    """The ids in a journal: one at the start of each line, or JSON lines with an `id`."""
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
            f"{journal}, line {place}: no id: start each line with the UUID of a notification"
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
        err.print(
            "[dim]Older ones were not checked: use `--full-scan`, or `--since` with a time.[/]"
        )
    if not view.violations:
        rules = "every rule that could be checked" if view.unchecked else "every rule"
        out.print(f"[green]✓[/] {rules} holds{of_what}")


def _counts(view: AuditView) -> Iterator[str]:
    journal = view.journal
    if view.queues is not None:
        yield f"\nMessages in queues: {sum(view.queues.values()):,}"
    if journal is not None and journal.unknown:
        yield f"In the journal, not in the ledger: {len(journal.unknown):,}"
    if journal is not None and journal.dead_letters:
        yield f"In the journal, only a dead letter: {journal.dead_letters:,}"
    if view.without_id:
        yield f"Dead letters without a readable id: {view.without_id:,}"


def _states(view: AuditView) -> Rows:
    journal = view.journal
    names = ("state", "notifications", *(() if journal is None else ("in journal",)))
    present = {state: count for state in State if (count := view.states.get(state, 0))}
    rows = [
        Row([cell(text) for text in (state, f"{count:,}", *_journaled(journal, state))])
        for state, count in present.items()
    ]
    return Rows(names, rows, right=names[1:])


def _journaled(journal: JournalFindings | None, state: State) -> tuple[str, ...]:
    return () if journal is None else (f"{journal.states.get(state, 0):,}",)
