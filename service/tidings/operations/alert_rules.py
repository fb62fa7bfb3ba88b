"""Rules of alerts: made, changed, tried out, and what they sent."""

from dataclasses import fields, replace
from typing import Any, Final

from tidings.alerts.destinations import send, shown_destination
from tidings.alerts.rule_notice import trial_notice
from tidings.delivery.alert_rules import EVERY_TENANT, Watch
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.operations.actor import Actor
from tidings.operations.alert_rule_checks import checked
from tidings.operations.alert_rule_views import (
    AlertRuleRequest,
    AlertRuleView,
    CreateAlertRuleRequest,
    EditAlertRuleRequest,
    ResealedView,
    SealingView,
    SentAlertView,
    SettingsAlertView,
)
from tidings.operations.backend import Backend
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.pages import PageView

__all__ = [
    "AlertRuleRequest",
    "AlertRuleView",
    "CreateAlertRuleRequest",
    "EditAlertRuleRequest",
    "ResealedView",
    "RuleTerms",
    "SealingView",
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
    "sealing",
    "show",
    "test",
]

MOST_RULES: Final = 100
"""Of a tenant, and in a list of all."""


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
    terms = await checked(backend, request.name, request.terms, request.tenant)
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
    terms = await checked(backend, name, replace(rule.terms, **changes), rule.tenant)
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


async def sealing(backend: Backend) -> SealingView:
    """Whose URLs are not stored as the keys of this process would store them. Raises LedgerUnavailable."""
    return SealingView(await backend.ledger.alert_rules.stored_urls())


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
