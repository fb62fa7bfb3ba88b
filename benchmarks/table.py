"""The same in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.report import shown
from benchmarks.results import Results
from benchmarks.targets import Verdict
from benchmarks.workloads.base import Workload


def show(results: Results, workloads: Sequence[Workload], verdicts: Sequence[Verdict]) -> None:
    """One table for each workload, and the targets."""
    console = Console()
    for workload in workloads:
        if workload.name in results.workloads():
            console.print(_workload(results, workload))
    console.print(_verdicts(verdicts))


def _workload(results: Results, workload: Workload) -> Table:
    table = Table(title=f"{workload.name} {workload.title}", title_justify="left")
    table.add_column("")
    for column in workload.columns:
        table.add_column(column.title, justify="right")
    for participant in results.participants:
        for variant in results.variants(workload.name, participant.name):
            found = (
                (results.of(workload.name, participant.name, column.value, variant), column.form)
                for column in workload.columns
            )
            cells = ("" if it is None else shown(it, form) for it, form in found)
            table.add_row(f"{participant.name} {variant}".strip(), *cells)
    for gap in results.gaps:
        if gap.workload == workload.name:
            table.add_row(gap.contender, f"[dim]{gap.why}[/]")
    return table


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for head in ("", "wanted", "measured", ""):
        table.add_column(head)
    for verdict in verdicts:
        mark = {True: "[green]met[/]", False: "[bold red]not met[/]", None: "[dim]—[/]"}[
            verdict.met
        ]
        margin = "" if verdict.margin is None else f" {verdict.margin:+.0%}"
        table.add_row(verdict.workload, verdict.wanted, verdict.measured, f"{mark}{margin}")
    return table
