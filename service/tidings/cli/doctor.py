"""`tidings doctor`: checks everything Tidings depends on, with a remedy for each fault."""

import os
from collections.abc import Sequence
from typing import Final

import typer

from tidings.cli import plugins
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.options import AsJson, actor
from tidings.cli.terminal import escape
from tidings.delivery.ports import Finding, Verdict
from tidings.operations.health import examine
from tidings.settings import Settings

MARKS: Final = {
    Verdict.OK: "[green]✓[/]",
    Verdict.WARNING: "[yellow]![/]",
    Verdict.FAULT: "[red]✗[/]",
}


def doctor(as_json: AsJson = False) -> None:
    """Check RabbitMQ, PostgreSQL, providers and templates without sending anything.

    One line for each finding: ✓ ok, ! warning, ✗ fault, with a remedy. Exit code 1 if there is a fault.

    Example: [bold]tidings doctor[/]
    """
    view = run(examine(Settings(), actor(), os.environ))
    if as_json:
        print_json(view)
    else:
        _print_findings(view.findings)
    if not view.healthy:
        for hint in plugins.hints(os.environ):
            err.print(f"[dim]{escape(hint)}[/]")
        raise typer.Exit(FAULT)


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        out.print(
            f"{MARKS[finding.verdict]} [bold]{escape(finding.subject)}[/]: {escape(finding.detail)}"
        )
        if finding.remedy:
            out.print(f"    [dim]→[/] {escape(finding.remedy)}")
    faults = sum(finding.verdict is Verdict.FAULT for finding in findings)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in findings)
    out.print()
    if faults:
        out.print(f"[red]Faults: {faults}[/], warnings: {warnings}.")
    else:
        out.print(f"[green]No faults[/]{f'; warnings: {warnings}' if warnings else ''}.")
