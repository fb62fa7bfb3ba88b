"""Alerts: the rules by which people are alerted, whether their receivers take what is sent, and a test."""

from collections.abc import Mapping
from typing import Any, Final

from tidings.console.equivalents import command, curl
from tidings.console.forms import Form
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.delivery.delay import seconds
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.outcome import Reason
from tidings.operations import alert_rules
from tidings.operations.alert_rules import (
    AlertRuleRequest,
    AlertRuleView,
    CreateAlertRuleRequest,
    EditAlertRuleRequest,
    RuleTerms,
    Watch,
)
from tidings.operations.scopes import EVERY_TENANT, Scope
from tidings.operations.times import counted, span
from tidings_events import CHANNELS

WATCHES: Final = {
    Watch.DEAD_LETTERS: "Dead letters",
    Watch.PROVIDERS: "Providers that are down",
    Watch.SCHEDULES: "Schedules that are overdue",
    Watch.QUEUES: "Queues in which messages wait",
}
FILTERS: Final = ("channel", "category", "reason", "fingerprint", "queue")
OF_DEAD_LETTERS: Final = ("category", "reason", "fingerprint")
LENGTHS: Final = {"window_seconds": "window", "every_seconds": "every", "remind_seconds": "remind"}
"""The operation's names of fields, and the form's."""
DONE: Final = {
    "enable": "The rule is enabled: it reports what comes from now on.",
    "disable": "The rule is disabled: it alerts nobody until it is enabled.",
}


async def _list(visit: Visit) -> Html:
    page = await alert_rules.list_(visit.backend, visit.tenant)
    of_settings = await alert_rules.of_settings(visit.backend) if visit.tenant is None else None
    values = {
        "page": page,
        "of_settings": of_settings,
        "sealing": await alert_rules.sealing(visit.backend) if visit.tenant is None else None,
        "reseal_cli": command("alerts", "reseal"),
        "reseal_curl": curl(visit, "POST", "/v1/alert-rules/reseal"),
        "cli": command("alerts", "list", tenant=visit.tenant),
        "curl": curl(visit, "GET", "/v1/alert-rules"),
    }
    return Html("alerts/list.html", values)


async def _new(visit: Visit) -> Html:
    given = {name: visit.query(name) for name in FILTERS}
    numbers = {"threshold": "1", "window": "5m", "every": "15m", "remind": "4h"}
    return _form(visit, {**numbers, "all_clear": "yes", **given})


def _form(
    visit: Visit,
    given: Mapping[str, str],
    *,
    rule: AlertRuleView | None = None,
    problem: InvalidRequest | Refused | None = None,
) -> Html:
    """The form of a rule, with what was typed and what is wrong with it."""
    field = problem.field if isinstance(problem, InvalidRequest) else ""
    values = {
        "given": given,
        "rule": rule,
        "field_at_fault": LENGTHS.get(field, field),
        "problem": str(problem or ""),
        "watches": WATCHES,
        "channels": [(name, name) for name in CHANNELS],
        "reasons": [(reason.value, reason.replace("_", " ")) for reason in Reason],
        "why_no_url": ""
        if visit.tenant is None
        else "only somebody who acts for all tenants may set one",
        "cli": command("alerts", "create", "NAME", count=10, window="5m", url="URL"),
        "curl": curl(visit, "POST", "/v1/alert-rules", body={"name": "NAME", "url": "URL"}),
    }
    return Html("alerts/edit.html", values, 422 if problem else 200)


def _changes(form: Form) -> dict[str, Any]:
    """The fields of a form as terms of a rule; an empty receiver says nothing.

    Raises:
        InvalidRequest: One of them can't be read.
    """
    try:
        watch = Watch(form.text("watch"))
    except ValueError:
        raise InvalidRequest("choose what is watched", field="watch") from None
    changes: dict[str, Any] = {
        "watch": watch,
        **{name: form.text(name) or None for name in FILTERS},
        "threshold": _number(form.text("threshold") or "1"),
        "lasting": _length(form.text("window"), "window_seconds"),
        "every": _length(form.text("every"), "every_seconds"),
        "remind": _length(form.text("remind") or "0s", "remind_seconds"),
        "all_clear": bool(form.text("all_clear")),
    }
    if watch is not Watch.DEAD_LETTERS:
        changes |= dict.fromkeys(OF_DEAD_LETTERS)
    if watch is not Watch.QUEUES:
        changes |= {"queue": None}
    if watch in {Watch.PROVIDERS, Watch.SCHEDULES}:
        changes |= {"threshold": 1}
    if url := form.text("url"):
        changes["url"] = url
    if form.text("to_channel"):
        changes |= {"to_channel": form.text("to_channel"), "recipient": form.text("recipient")}
    return changes


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest("write a whole number", field="threshold") from None


def _length(text: str, field: str) -> int:
    try:
        return round(seconds(text))
    except ValueError as error:
        raise InvalidRequest(str(error), field=field) from None


async def _create(visit: Visit) -> Html | SeeOther:
    form = visit.form
    tenant = form.text("tenant") or visit.tenant or EVERY_TENANT
    try:
        terms = RuleTerms(**_changes(form))
        request = CreateAlertRuleRequest(form.text("name"), terms, tenant, visit.tenant)
        made = await alert_rules.create(visit.backend, visit.actor, request)
    except (InvalidRequest, Refused) as problem:
        return _form(visit, dict(form), problem=problem)
    return SeeOther(
        f"/alerts/{made.rule.id}", "The rule was made. Send a test to see that it arrives."
    )


def _reference(visit: Visit) -> AlertRuleRequest:
    return AlertRuleRequest(visit.path["id"], visit.tenant, visit.form.text("note"))


async def _show(visit: Visit) -> Html:
    view = await alert_rules.show(visit.backend, _reference(visit))
    history = await alert_rules.history(visit.backend, _reference(visit))
    tested = visit.query("tested")
    id_ = str(view.rule.id)
    verbs = ("test", "disable" if view.rule.enabled else "enable")
    values = {
        "view": view,
        "history": history.data,
        "tested": next((each for each in history.data if str(each.alert.id) == tested), None),
        "cli": "\n".join(command("alerts", verb, id_) for verb in (*verbs, "history", "delete")),
        "curl": "\n".join(
            [
                *(curl(visit, "POST", f"/v1/alert-rules/{{}}/{verb}", id_) for verb in verbs),
                curl(visit, "GET", "/v1/alert-rules/{}/history", id_),
                curl(visit, "DELETE", "/v1/alert-rules/{}", id_),
            ]
        ),
    }
    return Html("alerts/rule.html", values)


async def _edit(visit: Visit) -> Html:
    view = await alert_rules.show(visit.backend, _reference(visit))
    terms = view.rule.terms
    given = {
        "name": view.rule.name,
        "watch": terms.watch,
        **{name: getattr(terms, name) or "" for name in FILTERS},
        "threshold": str(terms.threshold),
        "window": span(terms.lasting) if terms.lasting else "0s",
        "every": span(terms.every),
        "remind": span(terms.remind) if terms.remind else "0s",
        "all_clear": "yes" if terms.all_clear else "",
        "based_on": view.rule.digest,
    }
    return _form(visit, given, rule=view)


async def _save(visit: Visit) -> Html | SeeOther:
    view = await alert_rules.show(visit.backend, _reference(visit))
    try:
        changes = {"name": visit.form.text("name"), **_changes(visit.form)}
        based_on = visit.form.text("based_on") or None
        request = EditAlertRuleRequest(str(view.rule.id), changes, visit.tenant, based_on)
        await alert_rules.edit(visit.backend, visit.actor, request)
    except (InvalidRequest, Refused) as problem:
        return _form(visit, dict(visit.form), rule=view, problem=problem)
    return SeeOther(f"/alerts/{view.rule.id}", "The rule was changed.")


async def _test(visit: Visit) -> SeeOther:
    sent = await alert_rules.test(visit.backend, visit.actor, _reference(visit))
    return SeeOther(f"/alerts/{sent.alert.rule}?tested={sent.alert.id}")


async def _enable(visit: Visit) -> SeeOther:
    view = await alert_rules.enable(visit.backend, visit.actor, _reference(visit))
    return SeeOther(f"/alerts/{view.rule.id}", DONE["enable"])


async def _disable(visit: Visit) -> SeeOther:
    view = await alert_rules.disable(visit.backend, visit.actor, _reference(visit))
    return SeeOther(f"/alerts/{view.rule.id}", DONE["disable"])


async def _reseal(visit: Visit) -> SeeOther:
    view = await alert_rules.reseal(visit.backend, visit.actor)
    left = (
        f" {counted(view.unopened_count, 'URL')} could not be opened."
        if view.unopened_count
        else ""
    )
    return SeeOther("/alerts", f"{counted(view.resealed_count, 'URL')} sealed anew.{left}")


async def _delete(visit: Visit) -> SeeOther:
    view = await alert_rules.delete(visit.backend, visit.actor, _reference(visit))
    return SeeOther("/alerts", f"The rule {view.rule.name} was deleted.")


PAGES: Final = (
    ConsolePage("GET", "/alerts", _list, live_only=True),
    ConsolePage("GET", "/alerts/new", _new, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/new", _create, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/reseal", _reseal, Scope.ADMIN, all_tenants=True, live_only=True),
    ConsolePage("GET", "/alerts/{id}", _show, live_only=True),
    ConsolePage("GET", "/alerts/{id}/edit", _edit, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/{id}/edit", _save, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/{id}/test", _test, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/{id}/enable", _enable, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/{id}/disable", _disable, Scope.ADMIN, live_only=True),
    ConsolePage("POST", "/alerts/{id}/delete", _delete, Scope.ADMIN, live_only=True),
)
