"""`tidings replay`: sends dead letters on their way again."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter, ValidationError

from tidings.app import collect_seldom
from tidings.broker.connection import Connection
from tidings.broker.publisher import Publisher
from tidings.cli import letter_options as which
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.letter_views import as_data, letters_table
from tidings.cli.options import AsJson, open_ledger, paper
from tidings.cli.replay_progress import watching
from tidings.cli.replay_report import explain_left_out, left_out, show_summary
from tidings.dead_letters.policies import Policies
from tidings.dead_letters.replay import Plan, Replayer, Summary
from tidings.delivery.letter import LetterState
from tidings.ledger.ledger import Ledger
from tidings.ledger.letter_rows import StoredLetter
from tidings.ledger.letter_search import LetterFilter, Selection
from tidings.settings import Duration, Rate, Settings

SAMPLE: Final = 10
CAREFUL: Final = 0.2
"""The share of canaries that may fail again, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """What would be replayed, and a few of them to look at."""

    wanted: LetterFilter
    selection: Selection
    sample: Sequence[StoredLetter]


def _rate(text: str) -> float:
    return _read(Rate, text, "write it like 50/s, 100/m or 1000/h")


def _duration(text: str) -> float:
    return 0.0 if text in {"0", "0s"} else _read(Duration, text, "write it like 30s or 5m")


def _read(kind: Any, text: str, advice: str) -> float:
    try:
        return float(TypeAdapter(kind).validate_python(text))
    except (ValidationError, ValueError):
        raise typer.BadParameter(f"{text!r}: {advice}") from None


def _waves(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise typer.BadParameter(f"{text!r}: write the sizes of the waves, like 1,10,100")
    return tuple(int(word) for word in words)


def _share(text: str) -> float:
    number, percent, rest = text.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r}: write a share like 20%")
    return share


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
    every: Annotated[bool, typer.Option("--all", help="Every buried letter.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many there are, and show some.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(parser=_rate, metavar="50/s", help="No faster than this.")
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(
            metavar="1,10,100",
            help="Send so many, watch what becomes of them, then so many more, then the rest.",
        ),
    ] = None,
    stop_at: Annotated[
        float | None,
        typer.Option(
            parser=_share,
            metavar="20%",
            help="Stop where this share fails again. 20% with --canary, otherwise never.",
        ),
    ] = None,
    watch: Annotated[
        float,
        typer.Option(
            "--watch-timeout",
            parser=_duration,
            metavar="60s",
            help="How long to wait for what becomes of each wave, and of all; 0 doesn't wait.",
        ),
    ] = "60s",  # type: ignore[assignment]  # the parser reads the default too
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also what was replayed before: it may be sent a second time."
        ),
    ] = False,
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
        states=(LetterState.BURIED, LetterState.REPLAYED) if force else (LetterState.BURIED,),
    )
    if not (ids or wanted.selects or every):
        raise typer.BadParameter("say which letters: ids, filters, or --all for every buried one")
    waves = _waves(canary) if canary else ()
    plan = Plan(force, rate, waves, CAREFUL if waves and stop_at is None else stop_at, watch)
    found = run(_find(wanted, ids or [], limit))
    if dry_run or not found.selection.letters:
        _show_sample(found, as_json=as_json)
        return
    _ask(found, yes=yes or bool(ids))
    summary = run(_replay(found.selection, plan))
    show_summary(summary, found.selection, as_json=as_json)
    if not summary.well:
        raise typer.Exit(FAULT)


async def replay_letters(
    settings: Settings, ledger: Ledger, selection: Selection, plan: Plan
) -> Summary:
    """Replay, with a progress bar where somebody watches.

    Raises:
        BrokerUnavailable: RabbitMQ is away: nothing was begun.
    """
    name = f"tidings replay ({ledger.actor})"
    async with Connection(settings.broker, name) as connection:
        await connection.get()
        with watching(len(selection.letters)) as progress:
            replayer = Replayer(
                ledger,
                Publisher(settings.broker, connection),
                Policies(settings).expires_at,
                progress,
            )
            return await replayer.run(selection.letters, plan)


async def _find(wanted: LetterFilter, ids: Sequence[str], limit: int | None) -> Found:
    async with open_ledger(Settings()) as ledger:
        wanted = await which.with_ids(ledger, wanted, ids)
        selection = await ledger.letters.search.select(wanted, limit)
        first = tuple(one.id for one in selection.letters[:SAMPLE])
        sample = await ledger.letters.search.list(LetterFilter(ids=first), SAMPLE) if first else ()
        return Found(wanted, selection, sample)


async def _replay(selection: Selection, plan: Plan) -> Summary:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        collect_seldom()
        return await replay_letters(settings, ledger, selection, plan)


def _ask(found: Found, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to ask: give --yes, or look first with --dry-run")
    err.print(letters_table(found.sample, datetime.now(UTC), reveal=False, width=err.width))
    typer.confirm(f"Replay {len(found.selection.letters):,} letters?", abort=True, err=True)


def _show_sample(found: Found, *, as_json: bool) -> None:
    selection = found.selection
    if as_json:
        sample = [as_data(one, reveal=False) for one in found.sample]
        print_json(
            {"would_replay": len(selection.letters), **left_out(selection), "sample": sample}
        )
        return
    if found.sample:
        console = paper()
        console.print(
            letters_table(found.sample, datetime.now(UTC), reveal=False, width=console.width)
        )
    count = len(selection.letters)
    out.print(f"{count:,} letters would be replayed." if count else "There is nothing to replay.")
    explain_left_out(selection)
