"""`tidings requeue`: publishes notifications again whose message is gone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from tidings.cli import letter_options as which
from tidings.cli.commands import Unclear
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.options import AsJson, id_prefix, open_ledger
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
from tidings.delivery.states import State
from tidings.ledger import Ledger
from tidings.ledger.notifications.requeue import Stranded
from tidings.operations.times import exact
from tidings.settings import Duration, Settings

STATES: Final = (
    *(State.QUEUED, State.RETRYING, State.SENDING),
    *(State.FAILED, State.EXPIRED, State.UNKNOWN),
)
"""What waits for a message, or for its dead letter."""
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What was, or would be, published again."""

    requeued: Sequence[Stranded]
    refused: dict[str, str]
    """By id, why not."""
    looked_back_to: datetime | None = None
    """What was accepted before was not looked at."""

    @property
    def counts(self) -> str:
        """`2 (1 queued, 1 retrying)`; empty for none."""
        states = Counter(one.state.value for one in self.requeued)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"{len(self.requeued)} ({told})" if told else ""


def _late(text: str) -> float:
    try:
        return float(TypeAdapter(Duration).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(f"{text!r}: write it like 15m or 2h") from None


def requeue(
    ids: Annotated[
        list[IdPrefix] | None,
        typer.Argument(
            parser=id_prefix, metavar="ID", help=f"Ids, or at least their first {SHORTEST} digits."
        ),
    ] = None,
    channel: which.Channel = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", "-s", help="In this state; may be given several times."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that waits too long.")] = False,
    overdue: Annotated[
        float | None,
        typer.Option(
            "--overdue",
            parser=_late,
            metavar="15m",
            help="Later than this; TIDINGS_REQUEUE_AFTER unless said otherwise. Not for ids.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 10_000,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Look through all notifications there are, not only for a moment among the newest.",
        ),
    ] = False,
    why: Annotated[str, typer.Option("--why", help="Kept in their history, with your name.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish notifications again whose message is gone: by id, by filters, or --all.

    For after a purge, or a lost queue or virtual host. The scheduler does the same
    by itself, later. In a large ledger the newest are looked through, for a moment,
    and it says how far; --whole looks through all. A message that was not gone after all does no harm: whichever
    comes second is recognised and dropped. What ended and has no dead letter gets one.

    Exits with 1 where one that was named could not be published again.

    Examples:
      [bold]tidings requeue 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --why "queue was purged"[/]
      [bold]tidings requeue --channel webhook --state retrying --overdue 1m --dry-run[/]
    """
    states = tuple(state or STATES)
    if wrong := [one for one in states if one not in STATES]:
        raise typer.BadParameter(f"what is {wrong[0]} waits for no message", param_hint="--state")
    if not (ids or channel or state or overdue is not None or every):
        raise Unclear("say which notifications: ids, filters, or --all")
    if ids and (channel or state or overdue is not None or every):
        raise Unclear("give ids or filters, not both")
    report = run(
        _requeue(ids or [], states, channel, overdue, limit, why.strip(), dry_run, whole=whole)
    )
    _tell(report, dry_run=dry_run, as_json=as_json)
    if report.refused:
        raise typer.Exit(FAULT)


async def _requeue(
    ids: Sequence[IdPrefix],
    states: Sequence[State],
    channel: str | None,
    overdue: float | None,
    limit: int,
    why: str,
    dry_run: bool,
    *,
    whole: bool,
) -> Report:
    async with open_ledger(Settings()) as ledger:
        if ids:
            report = await _named(ledger, ids)
        else:
            late = ledger.requeues.after if overdue is None else overdue
            report = await _chosen(ledger, states, channel, late, limit, whole=whole)
        if dry_run:
            return report
        said = f"by hand: {why}" if why else "by hand"
        requeued = await ledger.requeues.requeue(report.requeued, why=said)
        moved_on = {one.id for one in report.requeued} - {one.id for one in requeued}
        changed = dict.fromkeys(map(str, moved_on), "it has just moved on by itself")
        return Report(requeued, report.refused | (changed if ids else {}), report.looked_back_to)


async def _chosen(
    ledger: Ledger,
    states: Sequence[State],
    channel: str | None,
    late: float,
    limit: int,
    *,
    whole: bool,
) -> Report:
    if whole:
        return Report(await ledger.requeues.select(states, channel, late, limit), {})
    selected = await ledger.requeues.select_newest(states, channel, late, limit)
    return Report(selected.found, {}, selected.looked_back_to)


async def _named(ledger: Ledger, ids: Sequence[IdPrefix]) -> Report:
    found = [(prefix, await ledger.reports.find(prefix)) for prefix in ids]
    known = await ledger.requeues.look_up([id_ for _, id_ in found if id_ is not None])
    refused = {
        str(prefix.lowest) if prefix.whole else prefix.text: "there is no such notification"
        for prefix, id_ in found
        if id_ is None
    }
    refused |= {str(one.stranded.id): one.refusal for one in known if one.refusal is not None}
    return Report([one.stranded for one in known if one.refusal is None], refused)


def _tell(report: Report, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        listed = [{"id": one.id, "state": one.state} for one in report.requeued]
        print_json(
            {
                "dry_run": dry_run,
                "requeued": listed,
                "refused": report.refused,
                "looked_back_to": report.looked_back_to,
            }
        )
        return
    if not report.requeued:
        out.print("Nothing would be published again." if dry_run else "Nothing was requeued.")
    elif dry_run:
        out.print(f"Would be published again: {report.counts}.")
        if report.requeued:
            out.print(_table(report.requeued[:SHOWN]))
        if len(report.requeued) > SHOWN:
            out.print(f"… and {len(report.requeued) - SHOWN} more")
    else:
        out.print(f"Requeued: {report.counts}; the scheduler publishes them within seconds.")
    for id_, refusal in report.refused.items():
        out.print(f"Not {id_}: {refusal}.")
    if report.looked_back_to is not None:
        since = f"Looked through everything accepted since {exact(report.looked_back_to)}, and no further."
        err.print(f"[dim]{since} `--whole` looks through all.[/]")


def _table(requeued: Sequence[Stranded]) -> Rows:
    return Rows(
        ("ID", "Channel", "State"),
        [Row([cell(str(one.id)), cell(one.channel), cell(one.state.value)]) for one in requeued],
    )
