"""`tidings verify`: whether anything was lost, as far as ledger and queues can tell."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.table import Table

from tidings.broker.management import Management
from tidings.broker.topology import DEAD, PRIORITIES, lane_queue
from tidings.cli.console import FAULT, UNAVAILABLE, err, guarded, out, print_json, run
from tidings.cli.options import AsJson, open_ledger, paper
from tidings.cli.telling import moment
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import BrokerUnavailable, Refused
from tidings.delivery.states import UNFINISHED, State
from tidings.ledger import Ledger
from tidings.ledger.verification import Broken, Journaled, Soundness
from tidings.settings import Settings

EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
SETTLED: Final = 20.0
"""Seconds: the management API's numbers may be ten seconds old, and a message takes its time."""
LOOKS: Final = 3
"""A message on its way from one queue to the next may be missed by one look, hardly by three."""
PAUSE: Final = 2.0

Held = Mapping[str, int]
"""Messages in each queue, ready or not."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known, and what is wrong with it."""

    states: Mapping[State, int]
    queues: Held | None
    """None where the management API could not be asked."""
    journal: Journaled | None
    broken: tuple[Broken, ...]
    unchecked: tuple[str, ...] = ()


def verify(
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
    ended: Annotated[
        bool,
        typer.Option(
            "--ended", help="Nothing may be under way any more, and no queue hold anything."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold ledger and queues against each other: is anything lost, or in a state that can't be?

    Exit code 0 where every rule holds, 1 where one is broken, 3 where RabbitMQ's management API or
    PostgreSQL could not be asked, so that not every rule could be tried.

    Example: [bold]tidings verify --since 24h --journal confirmed.txt[/]
    """
    ids = [] if journal is None else guarded(lambda: _read(journal))
    from_ = EVER if since is None else moment(since)
    findings = run(_examine(Settings(), from_, None if journal is None else ids, ended=ended))
    if as_json:
        print_json(as_data(findings))
    else:
        _tell(findings)
    if findings.broken:
        raise typer.Exit(FAULT)
    if findings.unchecked:
        raise typer.Exit(UNAVAILABLE)


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


async def _examine(
    settings: Settings, since: datetime, ids: Sequence[UUID] | None, *, ended: bool
) -> Findings:
    """Look until nothing is missing, or often enough to be sure that it is."""
    async with open_ledger(settings) as ledger:
        for look in range(LOOKS):
            findings = await _look(ledger, settings, since, ids, ended=ended)
            if not findings.broken or look == LOOKS - 1:
                break
            await asyncio.sleep(PAUSE)
    return findings


async def _look(
    ledger: Ledger,
    settings: Settings,
    since: datetime,
    ids: Sequence[UUID] | None,
    *,
    ended: bool,
) -> Findings:
    """The queues first: what is under way later was in one of them then."""
    held, fault = await _held(settings)
    soundness = await ledger.verification.soundness(since, SETTLED)
    journal = None if ids is None else await ledger.verification.journaled(ids)
    found = Findings(soundness.states, held, journal, soundness.broken)
    if held is None:
        return replace(found, unchecked=(f"the queues were not looked at: {fault}",))
    over = tuple(_left(soundness, held)) if ended else ()
    return replace(found, broken=(*found.broken, *_missing(soundness, journal, held), *over))


async def _held(settings: Settings) -> tuple[Held | None, str]:
    try:
        listed = await Management.of(settings.broker).queues()
    except BrokerUnavailable as error:
        return None, str(error)
    return {one.name: one.messages or 0 for one in listed if one.name.startswith("tidings.")}, ""


def _missing(soundness: Soundness, journal: Journaled | None, held: Held) -> Iterator[Broken]:
    """What must have a message in a queue, and more of it than there are messages."""
    for channel, waiting in soundness.waiting.items():
        messages = sum(n for name, n in held.items() if name.startswith(f"tidings.{channel}."))
        if waiting.lapsed > messages:
            rule = f"{channel}: under a lease that ran out, and no message is left to take it over"
            yield Broken(rule, waiting.lapsed - messages)
        if waiting.under_way > messages:
            rule = (
                f"{channel}: under way by the ledger, and no message is in any queue of its channel"
            )
            yield Broken(rule, waiting.under_way - messages)
    if soundness.unburied is not None and soundness.unburied.count > held.get(DEAD, 0):
        short = soundness.unburied.count - held.get(DEAD, 0)
        yield replace(soundness.unburied, count=short)
    if journal is not None and len(journal.unknown) > (lanes := _in_lanes(held)):
        rule = "confirmed by the journal, and neither in the ledger nor in a lane"
        examples = tuple(str(id) for id in journal.unknown[:5])
        yield Broken(rule, len(journal.unknown) - lanes, examples)


def _in_lanes(held: Held) -> int:
    channels = {name.split(".")[1] for name in held if name.count(".") >= 2}
    lanes = (lane_queue(Lane(channel, one)) for channel in channels for one in PRIORITIES)
    return sum(held.get(lane, 0) for lane in lanes) + held.get(DEAD, 0)


def _left(soundness: Soundness, held: Held) -> Iterator[Broken]:
    """What may not be there where everything should have ended."""
    if under_way := sum(soundness.states.get(state, 0) for state in UNFINISHED):
        yield Broken("still under way", under_way)
    if full := sorted(name for name, messages in held.items() if messages):
        yield Broken("messages left in a queue", sum(held[name] for name in full), tuple(full))


def as_data(findings: Findings) -> dict[str, Any]:
    """For other programs."""
    return {
        "holds": not findings.broken and not findings.unchecked,
        "states": dict(findings.states),
        "queues": findings.queues,
        "journal": _journal_as_data(findings.journal),
        "broken": [asdict(one) for one in findings.broken],
        "unchecked": findings.unchecked,
    }


def _journal_as_data(journal: Journaled | None) -> dict[str, Any] | None:
    if journal is None:
        return None
    return {
        "states": dict(journal.states),
        "letters": journal.letters,
        "unknown": len(journal.unknown),
    }


def _tell(findings: Findings) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("state")
    table.add_column("notifications", justify="right")
    if findings.journal is not None:
        table.add_column("of the journal", justify="right")
    for state in State:
        if count := findings.states.get(state, 0):
            table.add_row(state, f"{count:,}", *_journaled(findings.journal, state))
    paper().print(table)
    if findings.queues is not None:
        out.print(f"\nMessages in queues: {sum(findings.queues.values()):,}")
    if findings.journal is not None and (waiting := len(findings.journal.unknown)):
        out.print(f"Of the journal, not read by a worker yet: {waiting:,}")
    if findings.journal is not None and findings.journal.letters:
        out.print(f"Of the journal, only a dead letter: {findings.journal.letters:,}")
    for one in findings.broken:
        examples = f" (e.g. {', '.join(one.examples)})" if one.examples else ""
        out.print(f"[red]✗[/] {one.count:,} {one.rule}{examples}", soft_wrap=True)
    for reason in findings.unchecked:
        err.print(f"[yellow]![/] {reason}", soft_wrap=True)
    if not findings.broken:
        out.print("[green]✓[/] every rule that could be tried holds")


def _journaled(journal: Journaled | None, state: State) -> tuple[str, ...]:
    return () if journal is None else (f"{journal.states.get(state, 0):,}",)
