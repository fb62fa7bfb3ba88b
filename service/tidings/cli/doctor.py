"""`tidings doctor`: tries everything Tidings depends on, and says what to do about each fault."""

import os
from collections.abc import Sequence
from typing import Final

import typer

from tidings.cli import installed
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.harmless import escape
from tidings.cli.options import AsJson, actor
from tidings.delivery.ports import Finding, Verdict
from tidings.operations.health import examine
from tidings.settings import Settings

MARKS: Final = {
    Verdict.OK: "[green]✓[/]",
    Verdict.WARNING: "[yellow]![/]",
    Verdict.FAULT: "[red]✗[/]",
}


def doctor(as_json: AsJson = False) -> None:
    """Check RabbitMQ, PostgreSQL, every channel's provider and the templates; nothing is sent.

    One line per finding: ✓ well, ! worth knowing, ✗ a fault, each with what to do. Exit code 1
    where there is a fault.

    Example: [bold]tidings doctor[/]
    """
    findings = run(examine(Settings(), actor(), os.environ))
    if as_json:
        print_json(findings)
    else:
        _tell(findings)
    if any(one.verdict is Verdict.FAULT for one in findings):
        for hint in installed.hints(os.environ):
            err.print(f"[dim]{escape(hint)}[/]")
        raise typer.Exit(FAULT)


def _tell(findings: Sequence[Finding]) -> None:
    for one in findings:
        out.print(f"{MARKS[one.verdict]} [bold]{escape(one.subject)}[/]: {escape(one.detail)}")
        if one.remedy:
            out.print(f"    [dim]→[/] {escape(one.remedy)}")
    faults = sum(one.verdict is Verdict.FAULT for one in findings)
    warnings = sum(one.verdict is Verdict.WARNING for one in findings)
    out.print()
    if faults:
        out.print(f"[red]Faults: {faults}[/], worth knowing: {warnings}.")
    else:
        out.print(f"[green]All is well[/]{f'; worth knowing: {warnings}' if warnings else ''}.")
