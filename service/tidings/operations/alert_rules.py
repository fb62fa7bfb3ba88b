"""Rules of alerts: made, changed, tried out, and what they sent."""

import re
from collections.abc import Collection, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from tidings.alerts.destinations import check_destination, send, shown_destination
from tidings.alerts.rule_notice import trial_notice
from tidings.alerts.senders import UnknownService
from tidings.broker.topology.layout import DEAD, lanes_of, topology_of
from tidings.channels.registry import SPECS
from tidings.delivery.alert_rules import EVERY_TENANT, Watch
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.fingerprint import LENGTH
from tidings.delivery.outcome import Reason
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.operations.actor import Actor
from tidings.operations.alert_rule_views import (
    AlertRuleRequest,
    AlertRuleView,
    CreateAlertRuleRequest,
    EditAlertRuleRequest,
    ResealedView,
    SentAlertView,
    SettingsAlertView,
)
from tidings.operations.backend import Backend
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.pages import PageView
from tidings.operations.suggestions import unknown
from tidings.runtime.sealing import is_sealed
from tidings_events.errors import InvalidNotification

__all__ = [
    "AlertRuleRequest",
    "AlertRuleView",
    "CreateAlertRuleRequest",
    "EditAlertRuleRequest",
    "ResealedView",
    "RuleTerms",
    "SentAlertView",
    "SettingsAlertView",
    "Watch",
    "create",
    "delete",
    "disable",
    "edit",
    "enable",
    "history",
    "list_",
    "of_settings",
    "reseal",
    "show",
    "test",
]

MOST_RULES: Final = 100
"""Of a tenant, and in a list of all."""
LONGEST_NAME: Final = 64
LONGEST_URL: Final = 2_048
MOST: Final = 1_000_000
"""Dead letters or messages of a threshold."""
MINUTE: Final = 60
DAY: Final = 86_400
WEEK: Final = 7 * DAY
SHORTEST: Final = {
    Watch.DEAD_LETTERS: MINUTE,
    Watch.PROVIDERS: 0,
    Watch.SCHEDULES: MINUTE,
    Watch.QUEUES: 0,
}
"""Seconds of a window."""


async def create(backend: Backend, actor: Actor, request: CreateAlertRuleRequest) -> AlertRuleView:
    """Make a rule; it reports what comes from now on.

    Raises:
        InvalidRequest: A field is not valid.
        Refused: The tenant has one of this name, or too many.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    if request.tenant != EVERY_TENANT:
        try:
            tenant_name(request.tenant)
        except ValueError as error:
            raise InvalidRequest(f"{error}, or * for all tenants", field="tenant") from None
    if request.caller not in {None, request.tenant}:
        raise InvalidRequest("is not yours; leave it out", field="tenant")
    terms = await _checked(backend, request.name, request.terms, request.tenant)
    _check_receiver(terms, request.caller)
    rules = backend.ledger.alert_rules
    if len(await rules.list(request.tenant, MOST_RULES)) >= MOST_RULES:
        raise Refused(f"there are {MOST_RULES} rules already; delete one")
    audited = {"tenant": request.tenant, **_audited(request.name, terms)}
    made = await rules.create(
        request.tenant, request.name, terms, actor=str(actor), audited=audited
    )
    return AlertRuleView(made)


async def list_(backend: Backend, tenant: str | None = None) -> PageView[AlertRuleView]:
    """The rules by name, in one page; those of a tenant only, if one is given."""
    found = await backend.ledger.alert_rules.list(tenant, 10 * MOST_RULES)
    return PageView(tuple(map(AlertRuleView, found)))


async def of_settings(backend: Backend) -> SettingsAlertView:
    """The alert of the settings, as it stands."""
    wanted = backend.settings.alerting
    terms = RuleTerms(
        url=wanted.url.get_secret_value() or None,
        to_channel=wanted.channel or None,
        recipient=wanted.recipient,
    )
    shown = shown_destination(terms) if terms.url or terms.to_channel else ""
    topics = await backend.ledger.controls.alerts.status()
    return SettingsAlertView(tuple(topics), shown)


async def show(backend: Backend, request: AlertRuleRequest) -> AlertRuleView:
    """One rule.

    Raises:
        NotFound: There is none.
        Refused: Several tenants have one of this name.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    return AlertRuleView(await _find(backend, request))


async def edit(backend: Backend, actor: Actor, request: EditAlertRuleRequest) -> AlertRuleView:
    """Change a rule. If it watches something else then, it reports what comes from now on.

    A receiver that was set stays unless another is given: nobody has to type its secret again.

    Raises:
        InvalidRequest: A field is not valid.
        Refused: The tenant has another rule of this name, or somebody was faster, or as `show`.
    """
    rule = await backend.ledger.alert_rules.find(request.reference, request.tenant)
    if request.based_on not in {None, rule.digest}:
        raise rule.changed_meanwhile()
    changes = dict(request.changes)
    name = str(changes.pop("name", rule.name))
    if unknown_ones := set(changes) - {each.name for each in fields(RuleTerms)}:
        raise InvalidRequest("is no field of a rule", field=min(unknown_ones))
    if changes.get("url") is not None:
        _check_receiver(RuleTerms(url=changes["url"]), request.tenant)
        changes |= {"to_channel": None, "recipient": None}
    elif changes.get("to_channel") is not None:
        changes |= {"url": None}
    terms = await _checked(backend, name, replace(rule.terms, **changes), rule.tenant)
    audited = {**_of(rule), **_audited(name, terms)}
    changed = await backend.ledger.alert_rules.change(
        rule, name, terms, actor=str(actor), audited=audited
    )
    return AlertRuleView(changed)


async def enable(backend: Backend, actor: Actor, request: AlertRuleRequest) -> AlertRuleView:
    """Let a rule alert again, about what comes from now on. Raises like `show`."""
    return await _enable(backend, actor, request, enabled=True)


async def disable(backend: Backend, actor: Actor, request: AlertRuleRequest) -> AlertRuleView:
    """Let a rule alert no more. Raises like `show`."""
    return await _enable(backend, actor, request, enabled=False)


async def delete(backend: Backend, actor: Actor, request: AlertRuleRequest) -> AlertRuleView:
    """Delete a rule with its history. Raises like `show`."""
    rule = await _find(backend, request)
    await backend.ledger.alert_rules.delete(
        rule, actor=str(actor), note=request.note, audited=_of(rule)
    )
    return AlertRuleView(rule)


async def test(backend: Backend, actor: Actor, request: AlertRuleRequest) -> SentAlertView:
    """Send an alert of a rule now, from this process, whatever its state; what the receiver answered.

    A receiver that fails is no error: the view says so.

    Raises:
        NotFound: There is no such rule, or it was deleted meanwhile.
        Refused: As `show`.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    rule = await _find(backend, request)
    notice = trial_notice(rule, str(actor), backend.settings.console.url)
    result = await send(backend.settings, f"tidings {backend.ledger.actor}", rule, notice)
    kept = await backend.ledger.rule_alerts.tested(rule, result, actor=str(actor))
    if kept is None:
        raise NotFound(f"the rule {rule.name!r} was deleted meanwhile")
    return SentAlertView(kept)


async def history(backend: Backend, request: AlertRuleRequest) -> PageView[SentAlertView]:
    """A rule's last 50 alerts, newest first, in one page. Raises like `show`."""
    rule = await _find(backend, request)
    found = await backend.ledger.rule_alerts.history(rule.id)
    return PageView(tuple(map(SentAlertView, found)))


async def reseal(backend: Backend, actor: Actor) -> ResealedView:
    """Seal the URLs of all rules with the first of `TIDINGS_SEALING_KEYS`, those that are stored as they are too.

    Raises:
        Refused: There is no such key.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    if backend.settings.ledger.seals.newest is None:
        raise Refused("TIDINGS_SEALING_KEYS is not set: there is no key to seal with")
    done = await backend.ledger.alert_rules.reseal(actor=str(actor))
    return ResealedView(done.changed, done.unopened)


async def _find(backend: Backend, request: AlertRuleRequest) -> AlertRule:
    return await backend.ledger.alert_rules.find(request.reference, request.tenant)


async def _enable(
    backend: Backend, actor: Actor, request: AlertRuleRequest, *, enabled: bool
) -> AlertRuleView:
    rule = await _find(backend, request)
    changed = await backend.ledger.alert_rules.enable(
        rule, enabled, actor=str(actor), note=request.note, audited=_of(rule)
    )
    return AlertRuleView(changed)


def _check_receiver(terms: RuleTerms, caller: str | None) -> None:
    """Apprise connects to whatever a URL says, from inside of our network: not for one tenant's people to choose."""
    if terms.url is not None and caller is not None:
        raise InvalidRequest(
            "only somebody who acts for all tenants may give a URL; name a channel and a recipient",
            field="url",
        )


async def _checked(backend: Backend, name: str, terms: RuleTerms, tenant: str) -> RuleTerms:
    """The terms as they are stored. Raises InvalidRequest."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"write 1 to {LONGEST_NAME} printable characters on one line", field="name"
        )
    queues = {DEAD, *(lane.queue for lane in lanes_of(topology_of(backend.settings)))}
    for field, problem in _problems(terms, tenant, queues):
        raise InvalidRequest(problem, field=field)
    try:
        await check_destination(terms, tenant)
    except UnknownService as error:
        raise InvalidRequest(str(error), field="url") from None
    except InvalidNotification as invalid:
        raise InvalidRequest("; ".join(map(str, invalid.problems)), field="recipient") from None
    return terms


def _problems(terms: RuleTerms, tenant: str, queues: Collection[str]) -> Iterator[tuple[str, str]]:
    watch = terms.watch
    if watch in {Watch.PROVIDERS, Watch.QUEUES} and tenant != EVERY_TENANT:
        yield "watch", f"{watch} are shared by all tenants: only a rule of all may watch them"
    if terms.queue is not None and watch is not Watch.QUEUES:
        yield "queue", "is a filter of queues; leave it out"
    if terms.queue is not None and terms.queue not in queues:
        yield "queue", unknown(terms.queue, sorted(queues))
    if terms.channel is not None and terms.channel not in SPECS:
        yield "channel", unknown(terms.channel, SPECS)
    for field in ("category", "reason", "fingerprint"):
        if watch is not Watch.DEAD_LETTERS and getattr(terms, field) is not None:
            yield field, "is a filter of dead letters; leave it out"
    yield from _filters(terms)
    yield from _numbers(terms)
    yield from _receiver(terms)


def _filters(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    if terms.category is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", terms.category):
        yield "category", "is none: lower-case letters, digits, - and _, at most 64"
    if terms.reason is not None and terms.reason not in set(Reason):
        yield "reason", unknown(terms.reason, list(Reason))
    if terms.fingerprint is not None and not re.fullmatch(
        rf"[0-9a-f]{{{LENGTH}}}", terms.fingerprint
    ):
        yield "fingerprint", f"is none: {LENGTH} hex digits, as in `tidings dead groups`"


def _receiver(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    if (terms.url is None) == (terms.to_channel is None):
        yield "url", "name the receiver: a URL, or a channel and a recipient"
    if is_sealed(terms.url):
        yield "url", "is sealed with a key that this process doesn't have: give the URL again"
    elif terms.url is not None and (len(terms.url) > LONGEST_URL or "://" not in terms.url):
        yield "url", "write it as Apprise does, like slack://… or mailto://…"
    if terms.to_channel is not None and terms.to_channel not in SPECS:
        yield "to_channel", unknown(terms.to_channel, SPECS)
    if terms.to_channel is not None and not terms.recipient:
        yield "recipient", "is missing"


def _numbers(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    shortest = SHORTEST[terms.watch]
    if not 1 <= terms.threshold <= MOST:
        yield "threshold", f"must be between 1 and {MOST:,}"
    if not shortest <= terms.lasting <= DAY:
        yield "window_seconds", f"must be between {shortest} and {DAY:,} seconds"
    if not MINUTE <= terms.every <= DAY:
        yield "every_seconds", f"must be between {MINUTE} and {DAY:,} seconds"
    if terms.remind and not MINUTE <= terms.remind <= WEEK:
        yield "remind_seconds", f"must be 0, or between {MINUTE} and {WEEK:,} seconds"


def _of(rule: AlertRule) -> dict[str, Any]:
    return {"rule": str(rule.id), "name": rule.name, "tenant": rule.tenant}


def _audited(name: str, terms: RuleTerms) -> dict[str, Any]:
    """What the audit trail keeps: no secret, no person."""
    kept = {
        each.name: getattr(terms, each.name)
        for each in fields(terms)
        if each.name not in {"url", "to_channel", "recipient"}
    }
    return {"name": name, **kept, "destination": shown_destination(terms)}
