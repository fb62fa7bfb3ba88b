"""`tidings dead edit`: edits the body of one or many dead letters."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli import replay_options as how
from tidings.cli.console import (
    FAULT,
    STOPPED,
    Unclear,
    err,
    fail,
    guarded,
    interruptible,
    out,
    print_json,
)
from tidings.cli.dead_edit_many import edit_by_job
from tidings.cli.edit_report import show_changes, show_edits
from tidings.cli.editor import edit_text
from tidings.cli.files import contents
from tidings.cli.hints import print_suggestions
from tidings.cli.options import AsJson, Reveal, StartsIn, actor, ask
from tidings.cli.replay import end, send_again
from tidings.cli.replay_report import warn_of_doubt
from tidings.cli.terminal import escape
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import edits, replays
from tidings.operations.dead_letters.body import MalformedEdit, NoFields, changes, checked, readable
from tidings.operations.dead_letters.edits import (
    EditRequest,
    EditView,
    SupersedeRequest,
)
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.dead_letters.pacing import INTERRUPTED
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.remedies import not_text
from tidings.operations.dead_letters.replays import ReplayRequest, ReplayView
from tidings.operations.jobs.control import JobEdit
from tidings.operations.masks import discreet

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Set a field, e.g. recipient=ada@example.com or entity.id=7; repeatable. "
        "The value is JSON, or else text; quote a number to keep it text: user_id='\"42\"'.",
        show_default=False,
    ),
]
Unset = Annotated[
    list[str] | None,
    typer.Option(
        "--unset",
        metavar="FIELD",
        help="Remove a field, e.g. expires_at; repeatable.",
        show_default=False,
    ),
]


@which.about_dead_letters(ids=True)
def edit(
    *,
    assignments: Set = None,
    unset: Unset = None,
    file: Annotated[
        str | None,
        typer.Option("--file", help="Read the whole body from this file; - is standard input."),
    ] = None,
    query: DeadLetterQuery,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes and counts, and change nothing.")
    ] = False,
    full_scan: Annotated[
        bool,
        typer.Option(
            "--full-scan",
            help="With --dry-run: check every dead letter; by default only the oldest, for a short time.",
        ),
    ] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Replay them after the edit.")] = False,
    note: Annotated[
        str | None,
        typer.Option(
            "--note",
            help="Note for the dead letters and their notifications' history; required with filters, except with --dry-run.",
        ),
    ] = None,
    rate: how.PerSecond = None,
    canary: how.Canary = None,
    stop_at: how.StopAt = None,
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    yes: which.Yes = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Edit dead letters: one in an editor or from a file, any number with --set and --unset.

    The edited dead letter replaces the old one, which stays readable as superseded. The result must be a valid
    notification with the same id. The diff is masked unless --reveal is given.

    Those that are named by their ids are edited at once. With filters it is a job (`tidings jobs`) of the dead letters that
    are open now; later ones are not included. A scheduler runs it, and this command watches: Ctrl-C ends the watch, and the
    job goes on. If no scheduler is running, this command runs the job itself, and Ctrl-C pauses it. With --replay each is
    replayed with its edit: at the --rate, in the --canary waves, until too many fail again (--stop-at).

    Exit code 1 if a dead letter can't be edited, or failed again after --replay.

    Examples:
      [bold]tidings dead edit 1f0c52a6[/]
      [bold]tidings dead edit 1f0c52a6 --set recipient=ada@example.com --replay[/]
      [bold]tidings dead edit 1f0c52a6 --file corrected.json[/]
      [bold]tidings dead edit --fingerprint 6b1f03 --set locale=de --unset expires_at --dry-run[/]
      [bold]tidings dead edit --fingerprint 6b1f03 --set locale=de --note "wrong language" --replay --canary 1,10[/]
    """
    if not query.selects:
        raise Unclear("give ids or filters")
    change = FieldChange(tuple(assignments or ()), tuple(unset or ()))
    if change and file is not None:
        raise Unclear("give --set and --unset, or --file, not both")
    guarded(change.check)  # a wrong option is wrong for every dead letter
    if len(query.ids) == 1 and not (query.narrowed.selects or as_json):
        _edit_one(query.ids[0], change if change else None, file, dry_run, replay, reveal)
        return
    if not change:
        raise Unclear("give --set or --unset to edit more than one dead letter, or with --json")
    if not (dry_run or query.ids):
        if (canary or stop_at is not None) and not replay:
            raise Unclear("--canary and --stop-at are for --replay")
        plan = how.plan_of(canary, rate, stop_at, how.WATCH, force=False)
        _check_note(note)
        edit_by_job(
            *(query, JobEdit(change, replay), note or "", plan, starts_in),
            yes=yes,
            as_json=as_json,
            reveal=reveal,
        )
        return
    if rate or canary or stop_at or starts_in:
        raise Unclear("--rate, --canary, --stop-at and --starts-in are for filters")
    dead_letters = ask(lambda backend: edits.choose(backend, query))
    if not dead_letters:
        print_suggestions(query.narrowed)
    request = EditRequest(dead_letters, change, dry_run=dry_run, full_scan=full_scan, reveal=reveal)
    _edit_many(request, replay, as_json=as_json)


def _edit_one(
    id: IdPrefix,
    change: FieldChange | None,
    file: str | None,
    dry_run: bool,
    replay: bool,
    reveal: bool,
) -> None:
    dead_letter = ask(lambda backend: edits.open_dead_letter(backend, id))
    after = _edited(dead_letter.body, change, file, reveal=reveal)
    lines = changes(dead_letter.body, after, reveal=reveal)
    if lines is None:
        out.print("Nothing changed.")
        return
    show_changes(lines)
    if dry_run:
        out.print("It would replace the dead letter.")
        return
    request = SupersedeRequest(dead_letter.id, after)
    new = ask(lambda backend: edits.supersede(backend, actor(), request))
    out.print(f"Dead letter {new} replaces {dead_letter.id}.")
    if dead_letter.notification_id != (id_ := checked(after).id):
        out.print(f"It had no notification id; the new one is {id_}: [bold]tidings show {id_}[/]")
    if replay:
        end(_sent_again([new]))
    else:
        err.print(f"[dim]Replay it: `tidings replay {new}`[/]")


def _check_note(note: str | None) -> None:
    if note is None:
        raise Unclear("Missing option '--note'.")
    if not note.strip():
        raise typer.BadParameter("it is empty: give a reason in a few words", param_hint="--note")


def _edit_many(request: EditRequest, replay: bool, *, as_json: bool) -> None:
    async def interruptibly(backend: Backend) -> EditView:
        interrupted = asyncio.Event()
        with interruptible(interrupted.set):
            return await edits.edit(backend, actor(), request, interrupted)

    done = ask(interruptibly)
    ready = [*done.new, *done.unchanged] if replay and not (done.dry_run or done.stopped) else []
    if as_json and not ready:
        print_json(done.as_data())
    elif not as_json:
        show_edits(done)
        if done.new and not (done.dry_run or replay):
            err.print(f"[dim]Replay them: `tidings replay {' '.join(map(str, done.new))}`[/]")
    if done.stopped == INTERRUPTED:
        raise typer.Exit(STOPPED)
    if ready:
        end(_sent_again(ready), as_json=as_json, edited=done.as_data() if as_json else None)
    if not done.well:
        raise typer.Exit(FAULT)


def _edited(before: bytes, change: FieldChange | None, file: str | None, *, reveal: bool) -> bytes:
    try:
        if file is not None:
            after = contents("--file", file)
        elif change is not None:
            after = change(before)
        else:
            return _in_the_editor(before, reveal=reveal)
        checked(after)
    except NoFields as refused:
        fail(Refused(f"{refused}: replace the whole body with --file or in the editor"))
    except MalformedEdit as unreadable:
        _explain(unreadable, reveal=reveal)
        raise typer.Exit(FAULT) from None
    except Refused as refused:
        fail(refused)
    return after


def _in_the_editor(before: bytes, *, reveal: bool) -> bytes:
    """Edit until the body is valid, or the user stops."""
    if not_text(before):
        fail(Refused("its body is not text: replace it with --file"))
    first = text = readable(before)
    while True:
        text = guarded(partial(edit_text, text, "dead-letter.json"))
        if text == first:
            return before
        after = text.encode("utf-8", "surrogateescape")
        try:
            checked(after)
        except MalformedEdit as unreadable:
            _explain(unreadable, reveal=reveal)
            typer.confirm("Edit it again?", default=True, abort=True, err=True)
        else:
            return after


def _explain(unreadable: MalformedEdit, *, reveal: bool) -> None:
    err.print("[bold red]Not a valid notification:[/]")
    for problem in unreadable.problems:
        err.print(f"  · {escape(problem if reveal else discreet(problem))}")


def _sent_again(dead_letters: Sequence[UUID]) -> ReplayView:
    request = ReplayRequest(DeadLetterQuery.of(dead_letters))
    plan = Plan()
    choice = ask(lambda backend: replays.choose(backend, actor(), request, plan, preview=False))
    warn_of_doubt(choice.doubtful)
    return send_again(choice, plan)
