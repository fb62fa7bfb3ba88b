"""What people and programs say about rules of alerts, and how rules and their alerts are shown: without secrets and people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidings.alerts.destinations import shown_destination
from tidings.delivery.alert_rules import EVERY_TENANT, Watch
from tidings.ledger.operators.alert_rules import StoredUrls
from tidings.ledger.operators.alerts import TopicStatus
from tidings.ledger.operators.rule_alerts import SentAlert
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.operations.times import counted, span


@dataclass(frozen=True, slots=True)
class CreateAlertRuleRequest:
    """A rule to be made."""

    name: str
    terms: RuleTerms
    tenant: str
    """Whose dead letters it watches; `*`: those of all tenants."""
    caller: str | None = None
    """The tenant to which the caller is limited; None: no limit."""


@dataclass(frozen=True, slots=True)
class AlertRuleRequest:
    """A rule, by its id or name."""

    reference: str
    tenant: str | None = None
    """Only if it is this tenant's."""
    note: str = ""
    """Kept in the audit trail."""


@dataclass(frozen=True, slots=True)
class EditAlertRuleRequest:
    """A rule to be changed."""

    reference: str
    changes: Mapping[str, Any]
    """Its new `name` and fields of `RuleTerms`; what is not here stays."""
    tenant: str | None = None
    """The tenant to which the caller is limited; None: no limit."""
    based_on: str | None = None
    """Its digest as the caller saw it: refused if it was changed since. None: whatever it is."""


@dataclass(frozen=True, slots=True)
class AlertRuleView:
    """A rule."""

    rule: AlertRule

    @property
    def state(self) -> str:
        """`enabled`, `disabled`, or `failing`: its last alert could not be sent."""
        if not self.rule.enabled:
            return "disabled"
        return "enabled" if self.rule.failing_since is None else "failing"

    @property
    def destination(self) -> str:
        """Where its alerts go: `slack://…`, `email to o…@example.com`."""
        return shown_destination(self.rule.terms)

    @property
    def condition(self) -> str:
        """When it alerts, in words: `10 dead letters in 5m: channel email, category otp`."""
        return condition_of(self.rule.terms)

    @property
    def waits_until(self) -> datetime | None:
        """When it may alert again, if not now."""
        until = self.rule.not_before
        return until if until is not None and until > datetime.now(UTC) else None

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        rule, terms = self.rule, self.rule.terms
        return {
            "id": rule.id,
            "tenant": rule.tenant,
            "name": rule.name,
            "state": self.state,
            "watch": terms.watch,
            "channel": terms.channel,
            "category": terms.category,
            "reason": terms.reason,
            "fingerprint": terms.fingerprint,
            "queue": terms.queue,
            "threshold": terms.threshold,
            "window_seconds": terms.lasting,
            "every_seconds": terms.every,
            "remind_seconds": terms.remind,
            "all_clear": terms.all_clear,
            "destination": self.destination,
            "created_by": rule.created_by,
            "created_at": rule.created_at,
            "updated_by": rule.updated_by,
            "updated_at": rule.updated_at,
            "last_alert_at": rule.last_alert_at,
            "waits_until": self.waits_until,
            "error": rule.error,
            "failing_since": rule.failing_since,
            "sha256": rule.digest,
        }


@dataclass(frozen=True, slots=True)
class SentAlertView:
    """An alert that a rule sent, or tried to."""

    alert: SentAlert

    @property
    def state(self) -> str:
        """`sent` or `failed`."""
        return "sent" if self.alert.error is None else "failed"

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        alert = self.alert
        return {
            "id": alert.id,
            "at": alert.at,
            "state": self.state,
            "test": alert.test,
            "actor": alert.actor,
            "title": alert.title,
            "text": alert.text,
            "answer": alert.answer or None,
            "error": alert.error,
            "duration_seconds": alert.seconds,
        }


@dataclass(frozen=True, slots=True)
class ResealedView:
    """URLs of rules that were sealed anew."""

    resealed_count: int
    unopened_count: int
    """Those whose key is not there: they stay as they are, and send nothing."""


@dataclass(frozen=True, slots=True)
class SealingView:
    """URLs of receivers that are not stored as the keys of this process would store them."""

    urls: StoredUrls

    @property
    def stale(self) -> str:
        """The rules whose URLs `reseal` would seal, in words; empty if there are none."""
        named = [
            *(f"{_whose(rule)} (not at all)" for rule in self.urls.unsealed),
            *(f"{_whose(rule)} (with an older one)" for rule in self.urls.older),
        ]
        return ", ".join(named)

    @property
    def unopened(self) -> str:
        """The rules whose URLs no key of this process opens, in words; empty if there are none."""
        return ", ".join(map(_whose, self.urls.unopened))

    @property
    def keyed(self) -> bool:
        """Whether this process has a key: without one it can't know that no process opens what it doesn't."""
        return self.urls.keyed


def _whose(rule: tuple[str, str]) -> str:
    name, tenant = rule
    return name if tenant == EVERY_TENANT else f"{name} of {tenant}"


@dataclass(frozen=True, slots=True)
class SettingsAlertView:
    """The alert that the settings of archivers configure, as it stands."""

    topics: tuple[TopicStatus, ...]
    """About dead letters, and about providers; empty if there was never one."""
    destination: str
    """By the settings of this process; empty if it has none."""

    @property
    def failing(self) -> TopicStatus | None:
        """The topic whose last alert could not be sent."""
        return next((topic for topic in self.topics if topic.failing_since is not None), None)

    @property
    def last_alert_at(self) -> datetime | None:
        """Of any topic."""
        return max((topic.sent_at for topic in self.topics if topic.sent_at), default=None)


def condition_of(terms: RuleTerms) -> str:
    """When a rule alerts, in words."""
    match terms.watch:
        case Watch.DEAD_LETTERS:
            words = f"{counted(terms.threshold, 'dead letter')} in {span(terms.lasting)}"
        case Watch.PROVIDERS:
            words = (
                f"a provider down for {span(terms.lasting)}" if terms.lasting else "a provider down"
            )
        case Watch.SCHEDULES:
            words = f"a schedule overdue by {span(terms.lasting)}"
        case Watch.QUEUES:
            many = counted(terms.threshold, "message") if terms.threshold > 1 else "a message"
            words = f"{many} in a queue" + (
                f", the oldest for {span(terms.lasting)}" if terms.lasting else ""
            )
    filters = [
        f"{name} {value}"
        for name, value in (
            ("channel", terms.channel),
            ("category", terms.category),
            ("reason", terms.reason),
            ("fault", terms.fingerprint),
            ("queue", terms.queue),
        )
        if value is not None
    ]
    return f"{words}: {', '.join(filters)}" if filters else words
