"""`tidings schedules`: shows, creates and controls what is sent again and again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from tidings.cli import drafts
from tidings.cli.commands import Commands
from tidings.cli.console import Unclear, err, out, print_json
from tidings.cli.files import contents
from tidings.cli.hints import print_next_page
from tidings.cli.options import AsJson, Cursor, Reveal, Tenant, actor, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import escape
from tidings.operations import schedules
from tidings.operations.schedules import ScheduleState, ScheduleView
from tidings.operations.times import ago, counted, distance, exact

STYLES: Final = {
    ScheduleState.ACTIVE: "green",
    ScheduleState.PAUSED: "yellow",
    ScheduleState.ENDED: "",
}

app = Commands(help="Show, create, pause, resume, run and delete schedules.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the schedule.")]
Note = Annotated[str, typer.Option("--note", help="Note for the record, e.g. a ticket.")]
Zone = Annotated[str, typer.Option("--zone", help="Time zone of its times, e.g. Europe/Berlin.")]
To = Annotated[list[str] | None, typer.Option("--to", help="Address of a recipient. Repeatable.")]
Recipients = Annotated[
    str | None,
    typer.Option(
        "--recipients",
        metavar="PATH",
        help="Read recipients from a file: a JSON array of addresses, or of objects with recipient and data; - is "
        "standard input.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="JSON", help="Variables of the template, as a JSON object."),
]
MOST: Final = 1_000


@app.command("list")
def list_(
    tenant: Tenant = None,
    state: Annotated[
        list[ScheduleState] | None,
        typer.Option("--state", "-s", help="Only in this state; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MOST, help="Maximum number to list.")
    ] = 25,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List schedules, newest first.

    Example: [bold]tidings schedules list --state active[/]
    """
    request = schedules.ListSchedulesRequest(tenant, tuple(state or ()), limit, cursor)
    view = ask(lambda backend: schedules.list_(backend, request))
    if as_json:
        print_json(view)
    elif view.data:
        out.print(table(view.data))
        print_next_page(view)
    else:
        err.print("There is no such schedule; `tidings schedules create` makes one.")


@app.command()
def show(
    name: Reference, tenant: Tenant = None, reveal: Reveal = False, as_json: AsJson = False
) -> None:
    """Show a schedule, its last run and its next five times.

    Example: [bold]tidings schedules show weekly-report[/]
    """
    request = schedules.ChangeScheduleRequest(name, tenant, reveal=reveal)
    view = ask(lambda backend: schedules.show(backend, request))
    if as_json:
        print_json(view.as_data())
    else:
        _print(view)


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name: lower-case letters, digits, - and _.")
    ],
    channel: Annotated[
        str | None, typer.Argument(metavar="[CHANNEL]", help="Channel, e.g. email.")
    ] = None,
    to: To = None,
    recipients: Recipients = None,
    cron: Annotated[
        str | None,
        typer.Option(
            "--cron",
            help="Minute, hour, day, month and weekday, e.g. '30 9 * * MON-FRI', or @daily; without it, it runs by hand "
            "only.",
        ),
    ] = None,
    zone: Zone = "UTC",
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Don't run before this time.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="Don't run after this time.")
    ] = None,
    max_runs: Annotated[
        int | None, typer.Option("--max-runs", min=1, help="End after this number of runs.")
    ] = None,
    misfire: Annotated[
        schedules.Misfire,
        typer.Option("--misfire", help="Missed runs: send one, late, or skip them all."),
    ] = schedules.Misfire.SEND_ONCE,
    subject: Annotated[str | None, typer.Option(help="Subject of an email.")] = None,
    body: Annotated[str | None, typer.Option(help="Text of the message.")] = None,
    template: Annotated[
        str | None, typer.Option(help="Name of a template, instead of a body.")
    ] = None,
    data: Data = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Set any other field; the value is JSON, or else text. Repeatable.",
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="PATH",
            help="Read the notification's fields from a file: a JSON object; - is standard input.",
        ),
    ] = None,
    tenant: Tenant = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Validate and show the next times only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a schedule: one content, one or many recipients, and its times.

    Without --cron it is a template: `tidings schedules run` sends it, with recipients and data of that run.

    Examples:
      [bold]tidings schedules create standup email --to team@example.com --cron "0 9 * * MON-FRI" --zone Europe/Berlin --subject Standup --body Now.[/]
      [bold]tidings schedules create welcome email --template welcome[/]
    """
    flags = {
        "channel": channel,
        "subject": subject,
        "body": body,
        "template": template,
        "data": drafts.json_object("--data", data),
        **dict(drafts.pairs(set_ or [])),
    }
    given = {field: value for field, value in flags.items() if value is not None}
    if file is not None and given:
        raise Unclear("give --file, or a channel with its fields, not both")
    content = (drafts.json_object("--file", contents("--file", file)) or {}) if file else given
    request = schedules.CreateScheduleRequest(
        name=name,
        content=content,
        recipients=_recipients(to, recipients) or (),
        cron=cron,
        timezone=zone,
        starts_at=start,
        ends_at=end,
        max_runs=max_runs,
        misfire=misfire,
        tenant=tenant or "default",
        dry_run=dry_run,
    )
    view = ask(lambda backend: schedules.create(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
        return
    out.print(f"Would create {name}." if dry_run else f"Created {name} ({view.schedule.id}).")
    _print_times(view)


@app.command()
def pause(name: Reference, tenant: Tenant = None, note: Note = "", as_json: AsJson = False) -> None:
    """Pause a schedule: its times pass, and none is made up for.

    Example: [bold]tidings schedules pause weekly-report --note "until the numbers are right"[/]
    """
    request = schedules.ChangeScheduleRequest(name, tenant, note)
    view = ask(lambda backend: schedules.pause(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
    else:
        out.print(f"{view.schedule.name} is paused.")


@app.command()
def resume(
    name: Reference, tenant: Tenant = None, note: Note = "", as_json: AsJson = False
) -> None:
    """Resume a paused schedule with its next time.

    Example: [bold]tidings schedules resume weekly-report[/]
    """
    request = schedules.ChangeScheduleRequest(name, tenant, note)
    view = ask(lambda backend: schedules.resume(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
        return
    out.print(f"{view.schedule.name} is {view.schedule.state}.")
    _print_times(view)


@app.command()
def run(
    name: Reference,
    to: To = None,
    recipients: Recipients = None,
    data: Data = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Send a schedule's notifications once, now; its times stay as they are. Prints their ids.

    Example: [bold]tidings schedules run welcome --to jane@example.com --data '{"first_name": "Jane"}'[/]
    """
    request = schedules.RunScheduleRequest(
        name, _recipients(to, recipients), drafts.json_object("--data", data), tenant=tenant
    )
    view = ask(lambda backend: schedules.run(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
        return
    for id_ in view.ids:
        out.print(str(id_))


@app.command()
def delete(name: Reference, tenant: Tenant = None, note: Note = "") -> None:
    """Delete a schedule with its recipients and content; its notifications stay.

    Example: [bold]tidings schedules delete weekly-report[/]
    """
    request = schedules.ChangeScheduleRequest(name, tenant, note)
    deleted = ask(lambda backend: schedules.delete(backend, actor(), request))
    out.print(f"Deleted {deleted.name}.")


def _recipients(to: Sequence[str] | None, file: str | None) -> list[Any] | None:
    if file is None:
        return list(to) if to else None
    if to:
        raise Unclear("give --to or --recipients, not both")
    try:
        found = drafts.read_json(contents("--recipients", file))
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--recipients") from None
    if not isinstance(found, list):
        raise typer.BadParameter("write a JSON array", param_hint="--recipients")
    return found


def table(found: Sequence[ScheduleView]) -> Rows:
    """A row for each schedule."""
    now = datetime.now(UTC)
    return Rows(
        ("Name", "State", "Cron", "Zone", "Next", "Recipients", "Runs", "Tenant"),
        [
            Row(
                [
                    cell(schedule.name),
                    cell(schedule.state, STYLES[schedule.state]),
                    cell(schedule.cron or "by hand"),
                    cell(schedule.timezone),
                    cell(distance(schedule.next_run_at, now) if schedule.next_run_at else ""),
                    cell(f"{len(schedule.recipients):,}"),
                    cell(f"{schedule.runs:,}"),
                    cell(schedule.tenant),
                ],
                str((schedule.last_run or {}).get("error") or ""),
            )
            for schedule in (view.schedule for view in found)
        ],
        right=("Recipients", "Runs"),
    )


def _print(view: ScheduleView) -> None:
    schedule, now = view.schedule, datetime.now(UTC)
    out.print(
        f"[bold]{escape(schedule.name)}[/] is [{STYLES[schedule.state] or 'dim'}]{schedule.state}[/]"
    )
    channel, template = schedule.content.get("channel"), schedule.content.get("template")
    lines = [
        ("Id", str(schedule.id)),
        ("Tenant", schedule.tenant),
        ("Cron", f"{schedule.cron or 'by hand only'} ({schedule.timezone})"),
        ("Starts", exact(schedule.starts_at) if schedule.starts_at else ""),
        ("Ends", exact(schedule.ends_at) if schedule.ends_at else ""),
        ("Missed", "one is sent, late" if schedule.misfire == "send_once" else "skipped"),
        ("Sends", f"{channel}{f', template {template}' if template else ''}"),
        ("To", counted(len(schedule.recipients), "recipient")),
        ("Runs", f"{schedule.runs:,}{_limit(schedule.max_runs)}; {schedule.skipped:,} skipped"),
        ("Last run", _last_run(view, now)),
        ("Created", f"{ago(schedule.created_at, now)} by {schedule.created_by}"),
    ]
    for label, text in lines:
        if text:
            out.print(f"  [dim]{label:<9}[/]{escape(text)}")
    _print_times(view)


def _limit(most: int | None) -> str:
    return "" if most is None else f" of {most:,}"


def _last_run(view: ScheduleView, now: datetime) -> str:
    last, at = view.schedule.last_run, view.schedule.last_run_at
    if last is None or at is None:
        return "never"
    how = "by hand" if last["by_hand"] else "late" if last["late"] else "on time"
    result = last["error"] or counted(last["notifications"], "notification")
    return f"{ago(at, now)}, {how}: {result}"


def _print_times(view: ScheduleView) -> None:
    for place, due in enumerate(view.next_times):
        label = "Next" if place == 0 else ""
        out.print(f"  [dim]{label:<9}[/]{due:%a %Y-%m-%d %H:%M %z}")
