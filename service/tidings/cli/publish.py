"""`tidings publish`: sends a notification from the terminal, as any producer would."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn
from urllib.parse import urlsplit
from uuid import UUID

import typer

from tidings.cli import drafts
from tidings.cli.console import (
    FAULT,
    end_as_unavailable,
    err,
    guarded,
    out,
    print_error,
    print_json,
    print_warning,
    run,
)
from tidings.cli.options import AsJson, actor
from tidings.cli.terminal import escape
from tidings.operations import publishing
from tidings.operations.times import counted
from tidings.settings import BrokerSettings, Settings
from tidings_events import (
    CHANNELS,
    Notification,
    Priority,
    SomeNotPublished,
    TidingsEventsError,
    Unroutable,
)
from tidings_events.routing import routing_key

PATIENCE: Final = 1.5
"""Seconds of silence."""
SHOWN: Final = 5
"""Faults of templates that are told one by one."""


def publish(
    channel: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(CHANNELS)}.", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Address, number or URL.")] = None,
    subject: Annotated[str | None, typer.Option(help="Subject of an email.")] = None,
    body: Annotated[str | None, typer.Option(help="Text to deliver.")] = None,
    html: Annotated[str | None, typer.Option(help="HTML of an email, beside the text.")] = None,
    template: Annotated[str | None, typer.Option(help="Template, instead of the words.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The template's variables.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="Language of the template, e.g. pt-BR.")
    ] = None,
    priority: Annotated[Priority | None, typer.Option(help="How soon it goes out.")] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose it is, if you serve several customers or products.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="E.g. otp, receipt, marketing.")] = None,
    user: Annotated[str | None, typer.Option(help="The recipient's id in your system.")] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="TYPE:ID", help="What it is about, e.g. order:10042.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Not before: in 10m, or a time with offset.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Not later, written alike.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: a second one with it is not sent.")
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option(help="Tries after the first fails.", min=0)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any other field of the channel; JSON where the value reads as such.",
        ),
    ] = None,
    id: Annotated[UUID | None, typer.Option(help="Its id; a new one otherwise.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="PATH",
            help="A JSON object, a list of them, or one a line; - reads standard input.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only check them, and say how many would be published."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a notification and print its id once RabbitMQ has it safely.

    Examples:
      [bold]tidings publish email --to jane@example.com --subject Hello --body "It works."[/]
      [bold]tidings publish sms --to +14155550123 --template otp --data '{"code": "493027"}' --category otp[/]
      [bold]tidings publish --file notifications.json[/]
    """
    flags = {
        "id": id and str(id),
        "recipient": to,
        "subject": subject,
        "body": body,
        "html": html,
        "template": template,
        "data": drafts.json_object("--data", data),
        "locale": locale,
        "priority": priority and str(priority),
        "tenant": tenant,
        "category": category,
        "user_id": user,
        "entity": drafts.entity(entity),
        "scheduled_at": drafts.ahead("--at", at),
        "expires_at": drafts.ahead("--expires", expires),
        "idempotency_key": key,
        "max_retries": max_retries,
        **dict(drafts.pairs(set_ or [])),
    }
    given = {name: value for name, value in flags.items() if value is not None}
    raw = drafts.from_file(file, channel, given) if file else [drafts.from_flags(channel, given)]
    notifications = drafts.validated(raw)
    if dry_run:
        _rehearse(notifications, as_json=as_json, single=not file)
    else:
        _publish(notifications, as_json=as_json, single=not file)


def _publish(notifications: Sequence[Notification], *, as_json: bool, single: bool) -> None:
    settings = guarded(lambda: Settings().broker)
    try:
        run(_send(settings, notifications))
    except SomeNotPublished as error:
        failed = {notification.id for notification, _ in error.failures}
        _print_published(
            [notification for notification in notifications if notification.id not in failed],
            as_json=as_json,
            single=False,
        )
        for notification, why in error.failures:
            err.print(f"[bold red]Not published:[/] {notification.id}: {escape(str(why))}")
        _end(error.failures[0][1])
    except TidingsEventsError as error:
        print_error(str(error))
        _end(error)
    _print_published(notifications, as_json=as_json, single=single)
    _warn_about_templates(notifications)


def _rehearse(notifications: Sequence[Notification], *, as_json: bool, single: bool) -> None:
    if as_json:
        _print_published(notifications, as_json=True, single=single)
    else:
        keys = Counter(map(routing_key, notifications))
        each = ", ".join(f"{count:,} with {key}" for key, count in keys.items())
        out.print(f"{counted(len(notifications), 'notification')} would be published: {each}")
    _warn_about_templates(notifications)


async def _send(settings: BrokerSettings, notifications: Sequence[Notification]) -> None:
    loop = asyncio.get_running_loop()
    waiting = loop.call_later(PATIENCE, _print_wait, settings)
    try:
        await publishing.publish(settings, actor(), notifications)
    finally:
        waiting.cancel()


def _print_wait(settings: BrokerSettings) -> None:
    brokers = ", ".join(urlsplit(url).netloc.rpartition("@")[2] for url in settings.urls)
    text = (
        f"Waiting for RabbitMQ at {brokers}; gives up after {settings.amqp_timeout:g}s without it …"
    )
    err.print(f"[dim]{escape(text)}[/]")


def _print_published(notifications: Sequence[Notification], *, as_json: bool, single: bool) -> None:
    if as_json:
        data = [publishing.published_as_data(notification) for notification in notifications]
        print_json(data[0] if single else data)
        return
    for notification in notifications:
        sys.stdout.write(f"{notification.id}\n")
    if single and sys.stdout.isatty():
        err.print(f"[dim]Follow it: `tidings show {notifications[0].id}`[/]")


def _warn_about_templates(notifications: Sequence[Notification]) -> None:
    """Say what of it can't be written, as far as that can be known here; it is published all the same."""
    if not any(getattr(notification, "template", None) for notification in notifications):
        return
    from tidings.operations.template_check import (
        faults,  # loads the channels: only where there is a template
    )

    found = faults(Settings(), notifications)
    for fault in found[:SHOWN]:
        print_warning(f"with the templates here it becomes a dead letter: {fault}")
    if len(found) > SHOWN:
        print_warning(f"{len(found) - SHOWN} more such faults")


def _end(error: TidingsEventsError) -> NoReturn:
    """An unroutable one needs a person; the others may go through later."""
    if isinstance(error, Unroutable):
        raise typer.Exit(FAULT)
    end_as_unavailable()
