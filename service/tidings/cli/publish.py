"""`tidings publish`: sends a notification from the terminal, as any producer would."""

import sys
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from tidings.certificates import verifying
from tidings.cli import drafts
from tidings.cli.console import FAULT, UNAVAILABLE, err, guarded, print_json, run
from tidings.cli.options import AsJson
from tidings.settings import BrokerSettings, Settings
from tidings_events import (
    CHANNELS,
    Notification,
    Priority,
    Producer,
    SomeNotPublished,
    TidingsEventsError,
    Unroutable,
)
from tidings_events.routing import routing_key


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
    as_json: AsJson = False,
) -> None:
    """Publish a notification and print its id once RabbitMQ has it safely.

    Examples:

    [bold]tidings publish email --to jane@example.com --subject Hello --body "It works."[/]

    [bold]tidings publish sms --to +14155550123 --template code --data '{"code": "4711"}' --category otp[/]

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
    _publish(drafts.validated(raw), as_json=as_json, single=not file)


def _publish(notifications: Sequence[Notification], *, as_json: bool, single: bool) -> None:
    settings = guarded(lambda: Settings().broker)
    try:
        run(_send(settings, notifications))
    except SomeNotPublished as error:
        failed = {notification.id for notification, _ in error.failures}
        _tell([one for one in notifications if one.id not in failed], as_json=as_json, single=False)
        for notification, why in error.failures:
            err.print(
                f"[bold red]Not published:[/] {notification.id}: {escape(str(why))}", soft_wrap=True
            )
        raise typer.Exit(_exit_code(error.failures[0][1])) from None
    except TidingsEventsError as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(_exit_code(error)) from None
    _tell(notifications, as_json=as_json, single=single)


async def _send(settings: BrokerSettings, notifications: Sequence[Notification]) -> None:
    tls = verifying(settings.amqp_ca_file, "TIDINGS_AMQP_CA_FILE")
    producer = Producer(
        settings.urls, timeout=settings.amqp_timeout, ssl_context=tls, name="tidings publish"
    )
    async with producer:
        if len(notifications) == 1:
            await producer.publish(notifications[0])
        else:
            await producer.publish_many(notifications)


def _tell(notifications: Sequence[Notification], *, as_json: bool, single: bool) -> None:
    told = [{"id": one.id, "routing_key": routing_key(one)} for one in notifications]
    if as_json:
        print_json(told[0] if single else told)
        return
    for one in notifications:
        sys.stdout.write(f"{one.id}\n")
    if single and sys.stdout.isatty():
        err.print(f"[dim]Follow it: tidings show {notifications[0].id}[/]")


def _exit_code(error: TidingsEventsError) -> int:
    """An unroutable one needs a person; the others may go through later."""
    return FAULT if isinstance(error, Unroutable) else UNAVAILABLE
