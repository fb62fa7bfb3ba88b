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
from rich.status import Status

from tidings.broker.topology.layout import DEAD, PRIORITIES, lane_queue
from tidings.broker.topology.management import Management
from tidings.cli.commands import Unclear
from tidings.cli.console import FAULT, UNAVAILABLE, err, guarded, out, print_json, run
from tidings.cli.harmless import escape
from tidings.cli.options import AsJson, open_ledger, paper, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import BrokerUnavailable, Refused
from tidings.delivery.states import UNFINISHED, State
from tidings.ledger import Ledger
from tidings.ledger.operators.verification import Broken, Journaled, Soundness
from tidings.ledger.steps import PATIENCE
from tidings.operations.backend import Backend
from tidings.operations.channels import Condition, conditions
from tidings.operations.times import counted, exact, moment
from tidings.operations.waiting import not_delivering
from tidings.settings import Settings

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
    nameless: int = 0
    """Dead letters out of whose bodies no id can be read."""
    unchecked: tuple[str, ...] = ()
    held_up: tuple[str, ...] = ()
    """Channels that deliver nothing while messages wait in their queues, and why: nothing is lost by that."""
    looked_back_to: datetime | None = None
    """What was accepted before was not looked at."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much to look at."""

    since: datetime | None
    """Only what was accepted since then."""
    patience: float | None
    """Seconds, about, for which to look at the newest; at all of it where None."""
    ended: bool


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

    Example: [bold]tidings verify --since 24h --journal confirmed.txt[/]
    """
    ids = [] if journal is None else guarded(lambda: _read(journal))
    if since is not None and (whole or ended):
        raise Unclear(f"give --since or {'--whole' if whole else '--ended'}, not both")
    from_ = None if since is None else parsed(moment, since, "--since")
    newest = from_ is None and not (whole or ended)
    extent = Extent(from_, PATIENCE if newest else None, ended)
    findings = run(_examine(Settings(), extent, None if journal is None else ids))
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


async def _examine(settings: Settings, extent: Extent, ids: Sequence[UUID] | None) -> Findings:
    """Look until nothing is missing, or often enough to be sure that it is."""
    async with open_ledger(settings) as ledger:
        with err.status("") as status:
            for look in range(LOOKS):
                findings = await _look(ledger, settings, extent, ids, status)
                if not findings.broken or look == LOOKS - 1:
                    break
                await asyncio.sleep(PAUSE)
    return findings


async def _look(
    ledger: Ledger,
    settings: Settings,
    extent: Extent,
    ids: Sequence[UUID] | None,
    status: Status,
) -> Findings:
    """The queues first: what is under way later was in one of them then."""

    def tell(seen: int, reached: datetime | None) -> None:
        since = f", all since {exact(reached)}" if reached is not None else ""
        status.update(f"{seen:,} looked at{since}")

    held, fault = await _held(settings)
    soundness = await ledger.verification.soundness(
        extent.since, SETTLED, patience=extent.patience, progress=tell
    )
    journal = None if ids is None else await ledger.verification.journaled(ids)
    found = Findings(
        soundness.states,
        held,
        journal,
        soundness.broken,
        soundness.nameless,
        looked_back_to=soundness.looked_back_to,
    )
    if held is None:
        return replace(found, unchecked=tuple(_untried(fault, journal, ended=extent.ended)))
    if any(held.values()):
        fares = await conditions(Backend(settings, ledger))
        found = replace(found, held_up=tuple(_held_up(fares, held, datetime.now(UTC))))
    over = tuple(_left(soundness, held)) if extent.ended else ()
    lost, doubt = (None, None) if journal is None else _lost(journal, held, soundness.nameless)
    broken = (*found.broken, *_missing(soundness, held), *([lost] if lost else []), *over)
    return replace(found, broken=broken, unchecked=(doubt,) if doubt else ())


def _untried(fault: str, journal: Journaled | None, *, ended: bool) -> Iterator[str]:
    """The rules that can't be tried without the queues."""
    yield f"the queues could not be looked at, so it is not known whether anything is lost: {fault}"
    yield "not tried: what is under way has a message in a queue"
    yield "not tried: what failed has its dead letter, or that is in its queue"
    if journal is not None:
        yield "not tried: what the journal names is in the ledger, or in a lane"
    if ended:
        yield "not tried: nothing is under way, and every queue is empty"


async def _held(settings: Settings) -> tuple[Held | None, str]:
    try:
        listed = await Management.of(settings.broker).queues()
    except BrokerUnavailable as error:
        return None, str(error)
    return {one.name: one.messages or 0 for one in listed if one.name.startswith("tidings.")}, ""


def _held_up(fares: Sequence[Condition], held: Held, now: datetime) -> Iterator[str]:
    """Which channels deliver nothing, though there is something in their queues."""
    for channel in (one for one in fares if not one.provider):
        count = sum(n for name, n in held.items() if name.startswith(f"tidings.{channel.channel}."))
        for why in not_delivering([channel], now) if count else ():
            yield f"{why}; {counted(count, 'message')} in its queues"


def _missing(soundness: Soundness, held: Held) -> Iterator[Broken]:
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


def _lost(journal: Journaled, held: Held, nameless: int) -> tuple[Broken | None, str | None]:
    """What was confirmed and is nowhere; or may be among letters of which nobody can tell whose they are."""
    missed = len(journal.unknown) - _in_lanes(held)
    if missed > nameless:
        rule = "confirmed by the journal, and neither in the ledger nor in a lane"
        examples = tuple(str(id) for id in journal.unknown[:5])
        return Broken(rule, missed - nameless, examples), None
    if missed > 0:
        return None, (
            f"{missed:,} of the journal are neither in the ledger nor in a lane, and may be among the {nameless:,} dead "
            f"letters without an id, e.g. {journal.unknown[0]}: `tidings dead list --reason malformed --reveal`"
        )
    return None, None


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
        "letters_without_id": findings.nameless,
        "broken": [asdict(one) for one in findings.broken],
        "unchecked": findings.unchecked,
        "held_up": findings.held_up,
        "looked_back_to": findings.looked_back_to,
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
    paper().print(_states(findings))
    for line in _counts(findings):
        out.print(line)
    for one in findings.broken:
        examples = f" (e.g. {', '.join(one.examples)})" if one.examples else ""
        out.print(f"[red]✗[/] {one.count:,} {escape(one.rule + examples)}")
    for why in findings.held_up:
        out.print(f"[yellow]![/] {escape(why)}")
    for reason in findings.unchecked:
        err.print(f"[yellow]![/] {escape(reason)}")
    of_what = ""
    if findings.looked_back_to is not None:
        of_what = f" for everything accepted since {exact(findings.looked_back_to)}"
        err.print("[dim]Older ones were not looked at: `--whole`, or `--since` with a time.[/]")
    if not findings.broken:
        rules = "every rule that could be tried" if findings.unchecked else "every rule"
        out.print(f"[green]✓[/] {rules} holds{of_what}")


def _counts(findings: Findings) -> Iterator[str]:
    journal = findings.journal
    if findings.queues is not None:
        yield f"\nMessages in queues: {sum(findings.queues.values()):,}"
    if journal is not None and journal.unknown:
        yield f"Of the journal, not in the ledger: {len(journal.unknown):,}"
    if journal is not None and journal.letters:
        yield f"Of the journal, only a dead letter: {journal.letters:,}"
    if findings.nameless:
        yield f"Dead letters out of which no id can be read: {findings.nameless:,}"


def _states(findings: Findings) -> Rows:
    journal = findings.journal
    names = ("state", "notifications", *(() if journal is None else ("of the journal",)))
    present = {state: count for state in State if (count := findings.states.get(state, 0))}
    rows = [
        Row([cell(one) for one in (state, f"{count:,}", *_journaled(journal, state))])
        for state, count in present.items()
    ]
    return Rows(names, rows, right=names[1:])


def _journaled(journal: Journaled | None, state: State) -> tuple[str, ...]:
    return () if journal is None else (f"{journal.states.get(state, 0):,}",)
