"""A rule of alerts as it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tidings.delivery.alert_rules import EVERY_TENANT, Watch
from tidings.delivery.errors import Refused
from tidings.runtime.sealing import Seals


@dataclass(frozen=True, slots=True)
class RuleTerms:
    """What a rule watches, and where its alerts go."""

    watch: Watch = Watch.DEAD_LETTERS
    channel: str | None = None
    """Only of this channel; likewise the next three, of dead letters."""
    category: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    threshold: int = 1
    """Dead letters that are enough."""
    lasting: int = 300
    """Seconds in which so many have to come, or for which anything else has to last."""
    every: int = 900
    """Seconds between two alerts, at least."""
    queue: str | None = None
    """Only of this queue."""
    remind: int = 14_400
    """Seconds after which an alert comes again while nothing has changed; 0: never. As Alertmanager and Grafana do."""
    all_clear: bool = True
    """Whether it is told when something is over."""
    url: str | None = field(default=None, repr=False)
    """Of the receiver, as Apprise writes it; a secret."""
    to_channel: str | None = None
    """In its place: the channel on which alerts are sent, to `recipient`."""
    recipient: str | None = field(default=None, repr=False)

    @property
    def filters(self) -> tuple[str | None, ...]:
        """Which dead letters count: channel, category, reason, fingerprint."""
        return (self.channel, self.category, self.reason, self.fingerprint)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule as it is stored."""

    id: UUID
    tenant: str
    name: str
    enabled: bool
    terms: RuleTerms
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
    not_before: datetime | None
    """When the next alert may be sent, at the earliest."""
    last_alert_at: datetime | None
    error: str | None
    """Why the last alert was not sent; None if it was."""
    failing_since: datetime | None

    @property
    def digest(self) -> str:
        """Another one after each change, for who edits it. SHA-256, in hexadecimal."""
        return sha256(f"{self.id} {self.updated_at.isoformat()}".encode()).hexdigest()

    def changed_meanwhile(self) -> Refused:
        """An edit of this rule was based on an older state of it."""
        by = self.updated_by.partition(" (request ")[0]
        return Refused(f"{by} changed the rule at {self.updated_at:%H:%M:%S} UTC: look at it again")

    @property
    def only(self) -> str | None:
        """The tenant whose dead letters count; None: all."""
        return None if self.tenant == EVERY_TENANT else self.tenant

    @classmethod
    def of(cls, row: Mapping[str, Any], seals: Seals) -> "AlertRule":
        """From its row; its URL stays sealed if its key is not there."""
        row = dict(row)
        if row["url"] is not None:
            row["url"] = seals.open(row["url"], place_of(row["id"]))
        terms = {each.name: row[each.name] for each in fields(RuleTerms)}
        own = {each.name: row[each.name] for each in fields(cls) if each.name != "terms"}
        return cls(**own, terms=RuleTerms(**{**terms, "watch": Watch(terms["watch"])}))


def place_of(rule: UUID) -> str:
    """Where a rule's URL is sealed for."""
    return f"alert rule {rule}"


TERMS: Final = [each.name for each in fields(RuleTerms)]
ROW: Final = ", ".join([*(each.name for each in fields(AlertRule) if each.name != "terms"), *TERMS])
