"""What a run of scenarios tells: a table, JSON, and the section of docs/reliability.md."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from tests.chaos.memory import MIB
from tests.chaos.verdict import Verdict

SCENARIOS: Final = "scenarios"
LONG_RUN: Final = "long run"
"""The two places for a report in a document, each between markers of its own."""

Data = dict[str, Any]


def as_data(verdict: Verdict) -> dict[str, Any]:
    """For a report."""
    return {
        "passed": verdict.passed,
        "confirmed": verdict.confirmed,
        "ends": dict(verdict.ends),
        "lost": verdict.lost,
        "sends": verdict.sends,
        "duplicates": verdict.duplicates,
        "in_flight": verdict.in_flight,
        "marked": verdict.marked,
        "slowest_recovery": round(verdict.slowest_recovery, 2),
        "peak_mib": round(verdict.peak / MIB),
        "violations": [
            {
                "invariant": violation.invariant,
                "what": violation.what,
                "count": violation.count,
                "examples": list(violation.examples),
            }
            for violation in verdict.violations
        ],
    }


def show(console: Console, runs: Sequence[Data]) -> None:
    """The table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for name in (
        "",
        "scenario",
        "checks",
        "faults",
        "confirmed",
        "ended",
        "lost",
        "twice",
        "MiB",
        "s",
    ):
        table.add_column(name, overflow="fold")
    for run in runs:
        table.add_row(
            "[green]✓[/]" if run["passed"] else "[red]✗[/]",
            f"{run['number'] or ''} {run['name']}".strip(),
            run["checks"],
            str(sum(run["faults"].values())),
            f"{run['confirmed']:,}",
            ", ".join(f"{state} {count:,}" for state, count in run["ends"].items()),
            str(run["lost"]),
            f"{run['duplicates']} (≤ {run['in_flight']})",
            str(run["peak_mib"]),
            f"{run['seconds']:.0f}",
        )
    console.print(table)


def complaints(run: Data) -> Iterator[str]:
    """What is wrong with a run, line by line."""
    if run["passed"]:
        return
    yield f"\n{run['name']} (seed {run['seed']}), everything about it in {run['folder']}"
    if run["error"]:
        yield f"  the run failed: {run['error']}"
    for violation in run["violations"]:
        yield f"  {violation['invariant']}: {violation['count']} {violation['what']}: {'; '.join(violation['examples'])}"
    for note in run["notes"]:
        yield f"  {note}"


def save(path: Path, runs: Sequence[Data], **about: object) -> None:
    """The same as JSON."""
    document = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **about, "runs": list(runs)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def write(document: Path, runs: Sequence[Data], about: str) -> None:
    """Bring the section of a document up to date.

    Raises:
        ValueError: It has no place for it.
    """
    place = SCENARIOS if any(run["number"] for run in runs) else LONG_RUN
    opening, closing = f"<!-- chaos: {place} -->", f"<!-- /chaos: {place} -->"
    before, begin, rest = document.read_text().partition(opening)
    _, end, after = rest.partition(closing)
    if not (begin and end):
        raise ValueError(f"{document} has no place for it: write {opening} and {closing} into it")
    document.write_text(f"{before}{begin}\n\n{markdown(runs, about)}\n\n{end}{after}")


def markdown(runs: Sequence[Data], about: str) -> str:
    """The section."""
    lines = [
        about,
        "",
        "| | scenario | checks | faults | confirmed | ended as | lost | twice | in flight | MiB | s | per s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(run) for run in runs),
        "",
        *_summary(runs),
    ]
    return "\n".join(lines).strip()


def _row(run: Data) -> str:
    faults = ", ".join(f"{count} × {kind}" for kind, count in run["faults"].items())
    ends = ", ".join(f"{state} {count:,}" for state, count in run["ends"].items())
    cells = (
        run["number"] or "",
        run["title"],
        run["checks"],
        faults,
        f"{run['confirmed']:,}",
        ends,
        run["lost"] if run["passed"] else f"**{run['lost']}, FAILED**",
        run["duplicates"],
        run["in_flight"],
        run["peak_mib"],
        f"{run['seconds']:.0f}",
        run["rate"],
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _summary(runs: Sequence[Data]) -> Iterator[str]:
    confirmed, lost = (sum(run[name] for run in runs) for name in ("confirmed", "lost"))
    twice, faults = (
        sum(run["duplicates"] for run in runs),
        sum(sum(run["faults"].values()) for run in runs),
    )
    yield (
        f"Together: {confirmed:,} notifications confirmed, {faults:,} faults, {lost} lost, "
        f"{twice} messages that came twice. What comes twice was in flight at a fault: the provider "
        "had taken it, and whoever knew was killed before recording it."
    )
