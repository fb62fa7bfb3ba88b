"""`tidings alerts`: rules by which operators are alerted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from tidings.cli.alert_options import (
    AllClear,
    Category,
    Channel,
    Count,
    Every,
    Fingerprint,
    Note,
    Queue,
    Reason,
    Reference,
    Remind,
    To,
    ToChannel,
    Url,
    WatchOption,
    Window,
    Without,
)
from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_json
from tidings.cli.files import STDIN, contents
from tidings.cli.options import AsJson, Tenant, actor, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.delay import seconds
from tidings.operations import alert_rules
from tidings.operations.alert_rules import (
    AlertRuleRequest,
    AlertRuleView,
    RuleTerms,
    SentAlertView,
    SettingsAlertView,
)
from tidings.operations.times import ago, counted, span

STYLES: Final = {"enabled": "green", "disabled": "yellow", "failing": "red"}
RESULTS: Final = {"sent": "green", "failed": "red"}

app = Commands(
    help="List, create, edit, test and delete rules of alerts to operators.", no_args_is_help=True
)


def _terms(**given: Any) -> dict[str, Any]:
    """The fields that were given."""
    for name, option in (("lasting", "--window"), ("every", "--every"), ("remind", "--remind")):
        if given[name] is not None:
            given[name] = round(parsed(seconds, given[name], option))
    if given["url"] == STDIN:  # other users of this machine see what is typed in a command
        given["url"] = contents("--url", STDIN).decode("utf-8", "replace").strip()
    return {name: value for name, value in given.items() if value is not None}


@app.command("list")
def list_(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the rules by name, with their state and last alert.

    Example: [bold]tidings alerts list[/]
    """
    view = ask(lambda backend: alert_rules.list_(backend, tenant))
    if as_json:
        print_json(view)
        return
    if view.data:
        out.print(_table(view.data, datetime.now(UTC)))
    else:
        err.print("There is no rule; `tidings alerts create` makes one.")
    if tenant is None:
        _print_of_settings(ask(alert_rules.of_settings))


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    watch: WatchOption = None,
    channel: Channel = None,
    category: Category = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    queue: Queue = None,
    count: Count = None,
    window: Window = None,
    every: Every = None,
    remind: Remind = None,
    all_clear: AllClear = None,
    url: Url = None,
    to_channel: ToChannel = None,
    to: To = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Create a rule: what is watched, how many in how long, and where its alerts go.

    It reports what comes from now on: 1 dead letter in 5m, at most once in 15m, unless you say otherwise. What is down, overdue
    or waiting is reported once, again every 4h, and when it is over. Without --tenant it watches all tenants. A URL is
    sealed with TIDINGS_SEALING_KEYS if there is one, and shown masked.

    Examples:
      [bold]tidings alerts create otp-fails --category otp --count 10 --window 5m --url slack://T1/B2/token[/]
      [bold]tidings alerts create relay --watch providers --window 2m --to-channel sms --to +14155550123[/]
      [bold]tidings alerts create backlog --watch queues --channel email --window 10m --url slack://T1/B2/token[/]
    """
    terms = _terms(
        watch=watch,
        channel=channel,
        category=category,
        reason=reason,
        fingerprint=fingerprint,
        queue=queue,
        threshold=count,
        lasting=window,
        every=every,
        remind=remind,
        all_clear=all_clear,
        url=url,
        to_channel=to_channel,
        recipient=to,
    )
    request = alert_rules.CreateAlertRuleRequest(name, RuleTerms(**terms), tenant or "*")
    view = ask(lambda backend: alert_rules.create(backend, actor(), request))
    if as_json:
        print_json(view)
        return
    out.print(f"{view.rule.name}: {view.condition}, to {view.destination}.")
    err.print(f"[dim]`tidings alerts test {view.rule.name}` sends one now.[/]")


@app.command()
def edit(
    rule: Reference,
    name: Annotated[str | None, typer.Option("--name", help="Give it this name.")] = None,
    watch: WatchOption = None,
    channel: Channel = None,
    category: Category = None,
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    queue: Queue = None,
    count: Count = None,
    window: Window = None,
    every: Every = None,
    remind: Remind = None,
    all_clear: AllClear = None,
    url: Url = None,
    to_channel: ToChannel = None,
    to: To = None,
    without: Without = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Change a rule: what is not given stays.

    Example: [bold]tidings alerts edit otp-fails --count 20 --without category[/]
    """
    changes = _terms(
        watch=watch,
        channel=channel,
        category=category,
        reason=reason,
        fingerprint=fingerprint,
        queue=queue,
        threshold=count,
        lasting=window,
        every=every,
        remind=remind,
        all_clear=all_clear,
        url=url,
        to_channel=to_channel,
        recipient=to,
    )
    removed = dict.fromkeys(map(str, without or ()))
    named = {} if name is None else {"name": name}
    request = alert_rules.EditAlertRuleRequest(rule, {**removed, **changes, **named}, tenant)
    view = ask(lambda backend: alert_rules.edit(backend, actor(), request))
    if as_json:
        print_json(view)
    else:
        out.print(f"{view.rule.name}: {view.condition}, to {view.destination}.")


@app.command()
def enable(
    rule: Reference, tenant: Tenant = None, note: Note = "", as_json: AsJson = False
) -> None:
    """Let a rule alert again, about what comes from now on.

    Example: [bold]tidings alerts enable otp-fails[/]
    """
    request = AlertRuleRequest(rule, tenant, note)
    _print_state(ask(lambda backend: alert_rules.enable(backend, actor(), request)), as_json)


@app.command()
def disable(
    rule: Reference, tenant: Tenant = None, note: Note = "", as_json: AsJson = False
) -> None:
    """Let a rule alert no more, until it is enabled.

    Example: [bold]tidings alerts disable otp-fails --note "provider moves tonight"[/]
    """
    request = AlertRuleRequest(rule, tenant, note)
    _print_state(ask(lambda backend: alert_rules.disable(backend, actor(), request)), as_json)


@app.command()
def delete(rule: Reference, tenant: Tenant = None, note: Note = "") -> None:
    """Delete a rule with the history of its alerts.

    Example: [bold]tidings alerts delete otp-fails[/]
    """
    request = AlertRuleRequest(rule, tenant, note)
    deleted = ask(lambda backend: alert_rules.delete(backend, actor(), request))
    out.print(f"Deleted {deleted.rule.name}.")


@app.command("test")
def try_out(rule: Reference, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Send an alert of a rule now, and show what the receiver answered.

    It is sent from this machine. Exit code 1 if it could not be sent.

    Example: [bold]tidings alerts test otp-fails[/]
    """
    request = AlertRuleRequest(rule, tenant)
    view = ask(lambda backend: alert_rules.test(backend, actor(), request))
    if as_json:
        print_json(view)
    else:
        out.print(f"{view.state.capitalize()} in {span(view.alert.seconds)}. {_answer(view)}")
    if view.alert.error is not None:
        raise typer.Exit(1)


@app.command()
def history(rule: Reference, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the last 50 alerts of a rule, newest first, with what the receiver answered.

    Example: [bold]tidings alerts history otp-fails[/]
    """
    view = ask(lambda backend: alert_rules.history(backend, AlertRuleRequest(rule, tenant)))
    if as_json:
        print_json(view)
    elif view.data:
        out.print(_history(view.data, datetime.now(UTC)))
    else:
        err.print("It has sent none.")


@app.command()
def reseal(as_json: AsJson = False) -> None:
    """Seal the URLs of all rules with the first key of TIDINGS_SEALING_KEYS.

    After a key was put before the others, or the first one was set; then the others can be removed. Exit code 1 if the key
    of a URL is not there.

    Example: [bold]tidings alerts reseal[/]
    """
    view = ask(lambda backend: alert_rules.reseal(backend, actor()))
    if as_json:
        print_json(view)
    else:
        out.print(f"Sealed {counted(view.resealed_count, 'URL')} anew.")
        if view.unopened_count:
            missing = counted(view.unopened_count, "URL")
            err.print(f"{missing} could not be opened: add the key, or give the URL again.")
    if view.unopened_count:
        raise typer.Exit(1)


def _print_state(view: AlertRuleView, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        out.print(f"{view.rule.name} is {view.state}.")


def _answer(view: SentAlertView) -> str:
    return view.alert.answer if view.alert.error is None else view.alert.error


def _history(found: Sequence[SentAlertView], now: datetime) -> Rows:
    names = ("At", "Alert", "State", "By")
    return Rows(names, [_sent(each, now) for each in found], reason="Answer")


def _table(found: Sequence[AlertRuleView], now: datetime) -> Rows:
    names = ("Name", "Tenant", "State", "Alerts at", "To", "Every", "Last alert")
    return Rows(names, [_row(view, now) for view in found])


def _row(view: AlertRuleView, now: datetime) -> Row:
    rule = view.rule
    return Row(
        [
            cell(rule.name),
            cell(rule.tenant),
            cell(view.state, STYLES[view.state]),
            cell(view.condition),
            cell(view.destination),
            cell(span(rule.terms.every)),
            cell(ago(rule.last_alert_at, now) if rule.last_alert_at else "never"),
        ],
        _failing(rule.error, rule.failing_since, now),
    )


def _sent(view: SentAlertView, now: datetime) -> Row:
    alert = view.alert
    title = f"{alert.title} (test)" if alert.test else alert.title
    cells = [
        cell(ago(alert.at, now)),
        cell(title),
        cell(view.state, RESULTS[view.state]),
        cell(alert.actor),
    ]
    return Row(cells, _answer(view))


def _failing(error: str | None, since: datetime | None, now: datetime) -> str:
    return "" if since is None else f"failing since {ago(since, now)}: {error}"


def _print_of_settings(view: SettingsAlertView) -> None:
    """The alert that `TIDINGS_ALERT_URL` or `TIDINGS_ALERT_CHANNEL` configure."""
    now, failing = datetime.now(UTC), view.failing
    if not view.destination and not view.topics:
        return
    last = f"last alert {ago(view.last_alert_at, now)}" if view.last_alert_at else "no alert yet"
    broken = "" if failing is None else f"; {_failing(failing.error, failing.failing_since, now)}"
    to = f" to {view.destination}" if view.destination else ""
    err.print(f"[dim]The settings' own alert{to}: {last}{broken}.[/]")
