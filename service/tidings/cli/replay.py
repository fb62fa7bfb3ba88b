"""`tidings replay`: sends dead letters on their way again."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import typer

from tidings.app import collect_seldom
from tidings.broker.connection import Connection
from tidings.broker.publisher import Publisher
from tidings.cli import letter_options as which
from tidings.cli import replay_options as how
from tidings.cli.commands import Unclear
from tidings.cli.console import FAULT, STOPPED, err, interruptible, run
from tidings.cli.hints import say_what_is_near
from tidings.cli.letter_views import letters_table
from tidings.cli.options import AsJson, open_ledger
from tidings.cli.replay_progress import watching
from tidings.cli.replay_report import show_nothing, show_rehearsal, show_summary, warn_of_doubt
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import LetterState
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.ledger.dead_letters.search import Chosen, LetterFilter, Selection
from tidings.ledger.ledger import Ledger
from tidings.ledger.steps import PATIENCE, UNHURRIED, Clock
from tidings.operations.dead_letters.replayer import (
    INTERRUPTED,
    Plan,
    Rehearsal,
    Replayer,
    Summary,
    doubtful,
    rehearse,
)
from tidings.operations.times import counted
from tidings.settings import Settings

SAMPLE: Final = 10
LOOKED_AT: Final = 1_000
"""Letters of which it is known whether they can be replayed when it is asked."""
CAREFUL: Final = 0.2
"""The share of canaries that may fail again, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was chosen, a few of them to look at, and what would become of them."""

    selection: Selection
    sample: Sequence[StoredLetter]
    rehearsal: Rehearsal | None
    """Only where it is asked for."""
    doubtful: int = 0
    """How many may have been delivered before."""
    refused: int = 0
    """Of the first `LOOKED_AT`, those that can't be replayed; only where somebody is to be asked."""


def replay(
    ids: which.Ids = None,
    channel: which.Channel = None,
    reason: which.Why = None,
    fingerprint: which.Fingerprint = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    user: which.User = None,
    entity: which.Entity = None,
    category: which.Category = None,
    to: which.Recipient = None,
    id_prefix: which.WithId = None,
    every: how.Every = False,
    limit: how.Limit = None,
    dry_run: how.DryRun = False,
    whole: how.Whole = False,
    rate: how.PerSecond = None,
    canary: how.Canary = None,
    stop_at: how.StopAt = None,
    watch: how.Watch = "60s",  # type: ignore[assignment]  # the parser reads the default too
    force: how.Force = False,
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters on their way again: by id, by filters, or --all.

    Each notification begins a new epoch, with a full set of attempts.
    What was perhaps delivered (outcome_unknown) and what would expire again
    is left out unless it is asked for by its id or its --reason.

    Safe to kill: what was begun is finished by the scheduler.
    Safe to run twice at once: no letter is sent by both.

    Exits with 1 where letters failed again, could not be replayed,
    or the replay stopped early.

    Examples:
      [bold]tidings replay 1f0c52a6[/]
      [bold]tidings replay --fingerprint 6b1f03 --canary 1,10,100 --stop-at 20%[/]
      [bold]tidings replay --channel email --reason exhausted --max-age 24h --rate 50/s[/]
      [bold]tidings replay --all --dry-run[/]
    """
    wanted = which.letter_filter(
        channel=channel,
        reason=reason,
        fingerprint=fingerprint,
        since=since,
        until=until,
        max_age=max_age,
        user=user,
        entity=entity,
        category=category,
        recipient=to,
        id_prefix=id_prefix,
        states=_states(named=bool(ids), force=force),
    )
    if not (ids or wanted.selects or every):
        raise Unclear("say which letters: ids, filters, or --all for every buried one")
    plan = _plan(canary, rate, stop_at, watch, force=force)
    asks = not (yes or ids or dry_run) and sys.stdin.isatty()
    patience = None if whole else PATIENCE
    found = run(
        _find(wanted, ids or [], limit, patience, rehearsed=dry_run, asks=asks, force=force)
    )
    if _ends_here(found, as_json=as_json):
        if not found.selection.letters:
            say_what_is_near(category, wanted.entity_type)
        return
    warn_of_doubt(found.doubtful)
    _ask(found, yes=yes or bool(ids))
    end(run(_replay(found.selection, plan)), found.selection, as_json=as_json)


def _plan(
    canary: str | None, rate: float | None, stop_at: float | None, watch: float, *, force: bool
) -> Plan:
    waves = how.waves_of(canary) if canary else ()
    return Plan(force, rate, waves, CAREFUL if waves and stop_at is None else stop_at, watch)


def _ends_here(found: Found, *, as_json: bool) -> bool:
    """Whether nothing is to be sent, which is told: it is only rehearsed, or nothing was chosen."""
    if found.rehearsal is not None:
        show_rehearsal(found.rehearsal, found.selection, found.sample, as_json=as_json)
        return True
    if not found.selection.letters:
        show_nothing(found.selection, as_json=as_json)
        return True
    return False


def _states(*, named: bool, force: bool) -> tuple[LetterState, ...]:
    """Which letters are chosen; of those named by their ids it is told why they are not replayed."""
    if named:
        return ()
    return (LetterState.BURIED, LetterState.REPLAYED) if force else (LetterState.BURIED,)


def end(
    summary: Summary,
    selection: Selection,
    *,
    as_json: bool = False,
    edited: dict[str, Any] | None = None,
) -> None:
    """Say what a replay did, and exit with what that means.

    Args:
        edited: What was done to the letters before, for other programs.
    """
    show_summary(summary, selection, as_json=as_json, edited=edited)
    if summary.stopped == INTERRUPTED:
        raise typer.Exit(STOPPED)
    if not summary.well:
        raise typer.Exit(FAULT)


async def replay_letters(
    settings: Settings, ledger: Ledger, selection: Selection, plan: Plan
) -> Summary:
    """Replay, with a progress bar where somebody watches. Ctrl-C lets what is under way end.

    Raises:
        BrokerUnavailable: RabbitMQ is away: nothing was begun.
    """
    name = f"tidings replay ({ledger.actor})"
    async with Connection(settings.broker, name) as connection:
        await connection.get()
        with watching(len(selection.letters), len(plan.canary)) as progress:
            replayer = Replayer(
                ledger,
                Publisher(settings.broker, connection),
                Policies(settings).expires_at,
                actor=ledger.actor,
                progress=progress,
            )
            with interruptible(replayer.interrupt):
                return await replayer.run(selection.letters, plan)


async def _find(
    wanted: LetterFilter,
    ids: Sequence[IdPrefix],
    limit: int | None,
    patience: float | None,
    *,
    rehearsed: bool,
    asks: bool,
    force: bool,
) -> Found:
    settings, clock = Settings(), Clock(patience)
    async with open_ledger(settings) as ledger:
        wanted = await which.with_ids(ledger, wanted, ids)
        selection = await ledger.letters.search.select(wanted, limit)
        count = 0 if rehearsed else await doubtful(ledger, selection.letters, force=force)
        if not (rehearsed or asks):
            return Found(selection, (), None, count)
        first = selection.letters if rehearsed else selection.letters[:LOOKED_AT]
        expires_at = Policies(settings).expires_at
        done = await rehearse(
            ledger, first, expires_at, force=force, clock=clock if rehearsed else UNHURRIED
        )
        sample = await _sample(ledger, first[: done.looked_at], done)
        if rehearsed:
            return Found(selection, sample, done)
        return Found(selection, sample, None, count, len(done.not_replayed))


async def _sample(
    ledger: Ledger, letters: Sequence[Chosen], done: Rehearsal
) -> Sequence[StoredLetter]:
    """A few of those that will go, to be shown."""
    refused = {one.letter for one in done.not_replayed}
    first = tuple(islice((one.id for one in letters if one.id not in refused), SAMPLE))
    return await ledger.letters.search.list(LetterFilter(ids=first), SAMPLE) if first else ()


async def _replay(selection: Selection, plan: Plan) -> Summary:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        collect_seldom()
        return await replay_letters(settings, ledger, selection, plan)


def _ask(found: Found, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Unclear("nobody is there to ask: give --yes, or look first with --dry-run")
    count = len(found.selection.letters) - found.refused
    if not count:
        return  # it will be told why
    err.print(letters_table(found.sample, datetime.now(UTC), reveal=False))
    if found.refused:
        err.print(f"{counted(found.refused, 'letter')} can't be replayed: `--dry-run` tells why.")
    typer.confirm(f"Replay {counted(count, 'letter')}?", abort=True, err=True)
