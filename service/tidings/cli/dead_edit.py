"""`tidings dead edit`: mends letters, one or many alike, and keeps those they were."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from tidings.cli import letter_options as which
from tidings.cli.commands import Unclear
from tidings.cli.console import (
    FAULT,
    STOPPED,
    err,
    fail,
    guarded,
    interruptible,
    out,
    print_json,
    run,
)
from tidings.cli.edit_report import mended_as_data, show_difference, show_mended
from tidings.cli.editor import edit_text
from tidings.cli.files import contents
from tidings.cli.harmless import escape
from tidings.cli.hints import say_what_is_near
from tidings.cli.options import AsJson, Reveal, actor, open_ledger
from tidings.cli.replay import end, replay_letters
from tidings.cli.replay_report import warn_of_doubt
from tidings.cli.ways_on import not_text
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import LetterState
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.search import Chosen, LetterFilter, Selection
from tidings.ledger.steps import PATIENCE, Clock
from tidings.operations.dead_letters.body import Unreadable, checked, readable, with_fields
from tidings.operations.dead_letters.edits import Mended, mend
from tidings.operations.dead_letters.replayer import INTERRUPTED, Plan, Summary, doubtful
from tidings.operations.masks import discreet
from tidings.operations.times import counted
from tidings.settings import Settings

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Set one field, e.g. recipient=ada@example.com or entity.id=7; may be given several times. "
        "A value is JSON, or else text; a number as text: user_id='\"42\"'.",
        show_default=False,
    ),
]
Unset = Annotated[
    list[str] | None,
    typer.Option(
        "--unset",
        metavar="FIELD",
        help="Take one field out, e.g. expires_at; may be given several times.",
        show_default=False,
    ),
]


def edit(
    ids: which.Ids = None,
    assignments: Set = None,
    unset: Unset = None,
    file: Annotated[
        str | None,
        typer.Option("--file", help="Take the whole body from this file; - is standard input."),
    ] = None,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be different, and of how many.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="With --dry-run: try it on every letter, not only for a moment on the oldest.",
        ),
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Send them on their way right after.")
    ] = False,
    yes: which.Yes = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Mend a dead letter in your editor, field by field, or from a file; or many alike, field by field.

    The edited letter stands in the place of the old one, which stays
    readable as superseded. It has to be a notification that can be read,
    with the id it had. The difference is shown without what is said to
    whom; --reveal shows it whole.

    Exits with 1 where a letter could not be edited, or failed again.

    Examples:
      [bold]tidings dead edit 1f0c52a6[/]
      [bold]tidings dead edit 1f0c52a6 --set recipient=ada@example.com --replay[/]
      [bold]tidings dead edit 1f0c52a6 --file mended.json[/]
      [bold]tidings dead edit --fingerprint 6b1f03 --set locale=de --unset expires_at --dry-run[/]
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
        states=(LetterState.BURIED,),
    )
    if not (ids or wanted.selects):
        raise Unclear("say which letters: ids or filters")
    fields = bool(assignments or unset)
    if fields and file is not None:
        raise Unclear("give --set and --unset, or --file, not both")
    change = partial(with_fields, assignments=assignments or [], unset=unset or [])
    try:
        change(b"{}")  # what is typed wrongly is wrong for every letter
    except Refused as refused:
        raise typer.BadParameter(str(refused)) from None
    if len(ids or []) == 1 and not (wanted.selects or as_json):
        _one((ids or [])[0], change if fields else None, file, dry_run, replay, reveal)
        return
    if not fields:
        raise Unclear("for more than one letter, and for --json, give --set or --unset")
    patience = PATIENCE if dry_run and not whole else None
    _many(wanted, ids or [], change, patience, dry_run, replay, yes, as_json, reveal)


def _one(
    id: IdPrefix,
    change: Callable[[bytes], bytes] | None,
    file: str | None,
    dry_run: bool,
    replay: bool,
    reveal: bool,
) -> None:
    letter, before = run(which.find(id))
    if letter.state is not LetterState.BURIED:
        fail(Refused(f"letter {letter.id} is {letter.state}: only a buried one can be edited"))
    after = _edited(before, change, file, reveal=reveal)
    if not show_difference(before, after, reveal=reveal):
        out.print("Nothing changed.")
        return
    if dry_run:
        out.print("It would stand in the place of the letter.")
        return
    new = run(_supersede(letter.id, after))
    out.print(f"Letter {new} stands in the place of {letter.id}.")
    if letter.notification_id != (id_ := checked(after).id):
        out.print(f"It had no id of a notification; it is {id_} now: [bold]tidings show {id_}[/]")
    if replay:
        end(*run(_sent_again([new])))
    else:
        err.print(f"[dim]Send it: `tidings replay {new}`[/]")


def _many(
    wanted: LetterFilter,
    ids: Sequence[IdPrefix],
    change: Callable[[bytes], bytes],
    patience: float | None,
    dry_run: bool,
    replay: bool,
    yes: bool,
    as_json: bool,
    reveal: bool,
) -> None:
    letters = run(_chosen(wanted, ids))
    if not letters:
        say_what_is_near(wanted.category, wanted.entity_type)
    if letters and not (dry_run or yes or ids):
        if not sys.stdin.isatty():
            raise Unclear(
                f"{counted(len(letters), 'letter')} would be edited and nobody is there to ask: give --yes, or look first "
                "with --dry-run"
            )
        typer.confirm(f"Edit {counted(len(letters), 'letter')}?", abort=True, err=True)
    done = run(_mended(letters, change, patience, rehearsed=dry_run))
    ready = [*done.new, *done.unchanged] if replay and not (dry_run or done.stopped) else []
    if as_json and not ready:
        print_json(mended_as_data(done, rehearsed=dry_run))
    elif not as_json:
        show_mended(done, rehearsed=dry_run, reveal=reveal)
        if done.new and not (dry_run or replay):
            which_ = f"`tidings replay {' '.join(map(str, done.new))}`"
            err.print(f"[dim]Send them: {which_ if ids else 'the same command with `--replay`'}[/]")
    if done.stopped == INTERRUPTED:
        raise typer.Exit(STOPPED)
    if ready:
        edited = mended_as_data(done, rehearsed=False) if as_json else None
        end(*run(_sent_again(ready)), as_json=as_json, edited=edited)
    if not done.well:
        raise typer.Exit(FAULT)


async def _chosen(wanted: LetterFilter, ids: Sequence[IdPrefix]) -> Sequence[Chosen]:
    async with open_ledger(Settings()) as ledger:
        return await ledger.letters.search.chosen(await which.with_ids(ledger, wanted, ids))


async def _mended(
    letters: Sequence[Chosen],
    change: Callable[[bytes], bytes],
    patience: float | None,
    *,
    rehearsed: bool,
) -> Mended:
    settings, interrupted = Settings(), asyncio.Event()
    async with open_ledger(settings) as ledger:
        with interruptible(interrupted.set):
            return await mend(
                ledger,
                letters,
                change,
                Policies(settings).expires_at,
                actor=str(actor()),
                rehearsed=rehearsed,
                interrupted=interrupted,
                clock=Clock(patience),
            )


def _edited(
    before: bytes, change: Callable[[bytes], bytes] | None, file: str | None, *, reveal: bool
) -> bytes:
    try:
        if file is not None:
            after = contents("--file", file)
        elif change is not None:
            after = guarded(lambda: change(before))
        else:
            return _in_the_editor(before, reveal=reveal)
        checked(after)
    except Unreadable as unreadable:
        _explain(unreadable, reveal=reveal)
        raise typer.Exit(FAULT) from None
    return after


def _in_the_editor(before: bytes, *, reveal: bool) -> bytes:
    """Until it can be read, or its editor gives up."""
    if not_text(before):
        fail(
            Refused("its body is no text that an editor could mend: write a whole one with --file")
        )
    first = text = readable(before)
    while True:
        text = guarded(partial(edit_text, text, "letter.json"))
        if text == first:
            return before
        after = text.encode("utf-8", "surrogateescape")
        try:
            checked(after)
        except Unreadable as unreadable:
            _explain(unreadable, reveal=reveal)
            typer.confirm("Edit it again?", default=True, abort=True, err=True)
        else:
            return after


def _explain(unreadable: Unreadable, *, reveal: bool) -> None:
    err.print("[bold red]This can't be read as a notification:[/]")
    for problem in unreadable.problems:
        err.print(f"  · {escape(problem if reveal else discreet(problem))}")


async def _supersede(letter: UUID, body: bytes) -> UUID:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        return await ledger.letters.editing.supersede(
            letter, body, expires_at=Policies(settings).expires_at, actor=str(actor())
        )


async def _sent_again(letters: Sequence[UUID]) -> tuple[Summary, Selection]:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        selection = await ledger.letters.search.select(LetterFilter(ids=tuple(letters)))
        warn_of_doubt(await doubtful(ledger, selection.letters, force=False))
        return await replay_letters(settings, ledger, selection, Plan()), selection
