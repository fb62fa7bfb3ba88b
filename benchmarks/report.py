"""Writes docs/performance.md: what was measured, on what, how everyone was set up, and each target. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from benchmarks.results import Participant, Results, Summary
from benchmarks.targets import Verdict, judge
from benchmarks.workloads.base import Column, Workload

NOTE = "<!-- Written by `make bench`; changes here are lost. -->"

INTRODUCTION = """\
# Performance

Tidings beside what people would use instead: every contender on the same RabbitMQ and PostgreSQL, with the
same messages and the same work, on one machine in one run. The absolute figures are this machine's; what
holds elsewhere is the ratios. `make bench` measures again and writes this page, [the figures](performance.json)
and the plot. `make bench-quick` takes three minutes and fails if W1 falls under its ratios, or a command takes more than 0.35 s of CPU to start.

![Rates of all contenders](performance.svg)
"""

METHOD = """\
## How it is measured

- Repeats are interleaved: each contender once, then all again beginning with another one. Tables show the
  median, and after ± half of what lies between the lowest and the highest. Figures without it were
  measured once.
- Everyone gets the same JSON, in the envelope of its own protocol, and validates it with the same pydantic
  model. The ledger is emptied and PostgreSQL checkpointed before each measurement. PostgreSQL runs with
  fsync on and what docs/operations.md advises: a quarter of the memory (here at most 2 GB) as
  `shared_buffers`, and `max_wal_size` of 4 GB. All queues are quorum queues, all messages are
  persistent, and logs are at warning.
- A rate is the slope of the queue's depth from the first tenth (at most 2,000) to the last twentieth, or for
  10 s (8 s in W6 and W7). Rows are counted afterwards: who takes messages without recording them has no result.
- CPU is that of the contender's whole process tree, from /proc, without RabbitMQ and PostgreSQL, which share
  the cores. Memory is the sum of the processes' highest resident sizes.
- The two bare loops only show what the client library costs: they lose what Tidings keeps.
"""


def report(results: Results, workloads: Sequence[Workload]) -> str:
    """The whole page."""
    return "\n".join(
        [
            NOTE,
            INTRODUCTION,
            *_scale(results),
            *_targets(judge(results)),
            *_workloads(results, workloads),
            METHOD,
            *_contenders(results),
            *_machine(results),
        ]
    )


def _scale(results: Results) -> Iterator[str]:
    if results.scale != 1:
        yield f"**Measured at scale {results.scale:g}**: sizes are that share of what is said below.\n"


def _targets(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield "## Targets\n"
    yield from _table(
        ("", "Wanted", "Measured", "", "Margin"),
        (
            (verdict.workload, verdict.wanted, verdict.measured, _mark(verdict), _margin(verdict))
            for verdict in verdicts
        ),
    )
    missed = [verdict for verdict in verdicts if verdict.met is False and verdict.why]
    if missed:
        yield "What stands in the way, as far as is known; this run did not measure it:\n"
        yield from (f"- {verdict.workload}, {verdict.wanted}: {verdict.why}." for verdict in missed)
        yield ""


def _mark(verdict: Verdict) -> str:
    return {True: "met", False: "**not met**", None: "—"}[verdict.met]


def _margin(verdict: Verdict) -> str:
    return "" if verdict.margin is None else f"{verdict.margin:+.0%}"


def _workloads(results: Results, workloads: Sequence[Workload]) -> Iterator[str]:
    for workload in sorted(workloads, key=attrgetter("name")):
        if workload.name in results.workloads():
            yield f"## {workload.name}: {workload.title}\n"
            yield f"{workload.what}\n"
            yield from _table(_heads(results, workload), _rows(results, workload))
            yield from _gaps(results, workload)


def _heads(results: Results, workload: Workload) -> Sequence[str]:
    variant = ["Variant"] if _varied(results, workload) else []
    return ["", *variant, *(column.title for column in workload.columns)]


def _varied(results: Results, workload: Workload) -> bool:
    return any(
        measurement.variant
        for measurement in results.measurements
        if measurement.workload == workload.name
    )


def _rows(results: Results, workload: Workload) -> Iterator[Sequence[str]]:
    for participant in results.participants:
        for variant in results.variants(workload.name, participant.name):
            cells = (
                _cell(results, workload, participant.name, variant, it) for it in workload.columns
            )
            yield [participant.name, *([variant] if _varied(results, workload) else []), *cells]


def _cell(results: Results, workload: Workload, name: str, variant: str, column: Column) -> str:
    summary = results.of(workload.name, name, column.value, variant)
    return "" if summary is None else shown(summary, column.form)


def shown(summary: Summary, form: str) -> str:
    """`5,012 ± 2 %`."""
    spread = f" ± {summary.spread:.0%}".replace("%", " %") if summary.count > 1 else ""
    return f"{summary.median:{form}}{spread}"


def _gaps(results: Results, workload: Workload) -> Iterator[str]:
    found = [gap for gap in results.gaps if gap.workload == workload.name]
    for gap in found:
        yield f"- {gap.contender}: {gap.why}."
    if found:
        yield ""


def _contenders(results: Results) -> Iterator[str]:
    yield "## Who takes part, and how\n"
    yield (
        "*Shape* is processes × what each does at once: the best of those tried in W1 on two cores. "
        "In W7 the concurrency takes its place.\n"
    )
    yield from _table(
        ("", "Version", "Shape", "Tried", "Configuration"),
        map(_participant, results.participants),
    )


def _participant(participant: Participant) -> Sequence[str]:
    return (
        participant.name,
        participant.version,
        participant.shape,
        "; ".join(participant.tried),
        "; ".join(participant.configuration),
    )


def _machine(results: Results) -> Iterator[str]:
    yield "## Machine and versions\n"
    facts = {**results.machine, **results.versions}
    yield from _table(("", ""), facts.items())
    yield f"Began {results.began}, took {results.minutes:g} minutes, scale {results.scale:g}."
    yield ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""
