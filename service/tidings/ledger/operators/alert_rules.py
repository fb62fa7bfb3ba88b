"""Stores the rules of alerts, each change with its entry in the audit trail, which has no receiver's secrets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from tidings.delivery.errors import NotFound, Refused
from tidings.ledger.database import Connection, Database
from tidings.ledger.operators.actions import NOTE
from tidings.ledger.operators.rule_counts import counted_so_far
from tidings.ledger.operators.rule_rows import ROW, TERMS, AlertRule, RuleTerms, place_of
from tidings.runtime.sealing import Seals, is_sealed
from tidings_events.notifications.base import new_id

CREATE: Final = f"""
INSERT INTO alert_rules (id, tenant, name, created_by, updated_by, counted_from, {", ".join(TERMS)})
VALUES ($1, $2, $3, $4, $4, now(), {", ".join(f"${place}" for place in range(5, 5 + len(TERMS)))})
ON CONFLICT (tenant, name) DO NOTHING RETURNING {ROW}
"""
CHANGE: Final = f"""
UPDATE alert_rules SET name = $2, updated_by = $3, updated_at = now(),
       {", ".join(f"{name} = ${place}" for place, name in enumerate(TERMS, 5))}
 WHERE id = $1 AND updated_at = $4
   AND NOT EXISTS (SELECT FROM alert_rules o WHERE o.tenant = alert_rules.tenant AND o.name = $2 AND o.id <> $1)
RETURNING {ROW}
"""
BY_ID: Final = f"SELECT {ROW} FROM alert_rules WHERE id = $1"
BEGIN: Final = """
UPDATE alert_rules SET counted_from = date_trunc('minute', now(), 'UTC'), counted = $2::jsonb, known = '{}',
       not_before = NULL, error = NULL, failing_since = NULL
 WHERE id = $1
"""
"""Counting begins now: what came before is not reported."""
ENABLE: Final = f"""
UPDATE alert_rules SET enabled = $2, updated_by = $3, updated_at = now() WHERE id = $1 RETURNING {ROW}
"""
DELETE: Final = "DELETE FROM alert_rules WHERE id = $1"
FIND: Final = f"""
SELECT {ROW} FROM alert_rules WHERE (id = $1 OR name = $2) AND ($3::text IS NULL OR tenant = $3)
 ORDER BY (id = $1) IS TRUE DESC, tenant
"""
ALL: Final = f"""
SELECT {ROW} FROM alert_rules WHERE $1::text IS NULL OR tenant = $1 ORDER BY name, tenant LIMIT $2
"""
STORED_URLS: Final = (
    "SELECT id, tenant, name, url FROM alert_rules WHERE url IS NOT NULL ORDER BY name, tenant"
)
URLS: Final = "SELECT id, url FROM alert_rules WHERE url IS NOT NULL ORDER BY id FOR UPDATE"
RESEAL: Final = "UPDATE alert_rules SET url = $2 WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Resealed:
    """URLs of rules that were sealed anew."""

    changed: int
    unopened: int
    """Those whose key is not there: they stay as they are, and send nothing."""


@dataclass(frozen=True, slots=True)
class StoredUrls:
    """Rules whose receivers' URLs are not stored as the keys of this process would store them, each by its name and tenant."""

    unsealed: Sequence[tuple[str, str]] = ()
    """As they are, though there is a key."""
    older: Sequence[tuple[str, str]] = ()
    """Sealed with a key that is not the first."""
    unopened: Sequence[tuple[str, str]] = ()
    """Sealed with a key that is not there."""
    keyed: bool = True
    """Whether there is a key at all: a process that neither sends alerts nor changes rules needs none."""


class AlertRules:
    """The rules of all tenants. All methods raise `LedgerUnavailable` if PostgreSQL is unavailable."""

    def __init__(self, database: Database, seals: Seals) -> None:
        self._database = database
        self._seals = seals

    async def create(
        self, tenant: str, name: str, terms: RuleTerms, *, actor: str, audited: object
    ) -> AlertRule:
        """Store a rule.

        Args:
            tenant: Whose dead letters it watches; `*`: those of all.
            name: Unlike those of the tenant's other rules.
            terms: What it watches, and where its alerts go.
            actor: Who makes it.
            audited: What the audit trail keeps of it.

        Raises:
            Refused: The tenant has one of this name.
            LedgerRefused: It has a value that can't be stored.
        """
        async with self._database.transaction() as connection:
            id_ = new_id()
            values = (id_, tenant, name, actor, *self._values(id_, terms))
            row = await connection.fetchrow(CREATE, *values)
            if row is None:
                raise _taken(name)
            await _begin(connection, AlertRule.of(dict(row), self._seals))
            await connection.execute(NOTE, actor, "create alert rule", "", json.dumps(audited))
        return AlertRule.of(dict(row), self._seals)

    async def find(self, reference: str, tenant: str | None) -> AlertRule:
        """A rule by its id or name.

        Args:
            reference: Either.
            tenant: Only if it is this tenant's.

        Raises:
            NotFound: There is none.
            Refused: Several tenants have one of this name.
        """
        try:
            id_: UUID | None = UUID(reference)
        except ValueError:
            id_ = None
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, id_, reference, tenant)
        if not rows:
            raise NotFound(f"there is no rule {reference!r}")
        if len(rows) > 1 and rows[0]["id"] != id_:
            raise Refused(f"several tenants have a rule {reference!r}: give its id")
        return AlertRule.of(dict(rows[0]), self._seals)

    async def list(self, tenant: str | None, limit: int) -> Sequence[AlertRule]:
        """The rules by name; of this tenant only, if one is given."""
        async with self._database.connection() as connection:
            return [
                AlertRule.of(dict(row), self._seals)
                for row in await connection.fetch(ALL, tenant, limit)
            ]

    async def change(
        self, rule: AlertRule, name: str, terms: RuleTerms, *, actor: str, audited: object
    ) -> AlertRule:
        """Store a rule with other terms; if it watches something else, counting begins now.

        Raises:
            NotFound: It was deleted meanwhile.
            Refused: It was changed meanwhile, or the tenant has another one of this name.
            LedgerRefused: It has a value that can't be stored.
        """
        values = (rule.id, name, actor, rule.updated_at, *self._values(rule.id, terms))
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(CHANGE, *values)
            if row is None:
                now = await connection.fetchrow(BY_ID, rule.id)
                raise _refused(
                    rule, name, None if now is None else AlertRule.of(dict(now), self._seals)
                )
            if _watched(terms) != _watched(rule.terms):
                await _begin(connection, AlertRule.of(dict(row), self._seals))
            await connection.execute(NOTE, actor, "edit alert rule", "", json.dumps(audited))
        return AlertRule.of(dict(row), self._seals)

    async def enable(
        self, rule: AlertRule, enabled: bool, *, actor: str, note: str, audited: object
    ) -> AlertRule:
        """Let a rule alert again, about what comes from now on; or no more."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(ENABLE, rule.id, enabled, actor)
            if row is None:
                raise NotFound(f"there is no rule {rule.name!r}")
            changed = AlertRule.of(dict(row), self._seals)
            if enabled and not rule.enabled:
                await _begin(connection, changed)
            verb = "enable" if enabled else "disable"
            await connection.execute(NOTE, actor, f"{verb} alert rule", note, json.dumps(audited))
        return changed

    async def delete(self, rule: AlertRule, *, actor: str, note: str, audited: object) -> None:
        """Delete a rule, with the history of its alerts."""
        async with self._database.transaction() as connection:
            await connection.execute(DELETE, rule.id)
            await connection.execute(NOTE, actor, "delete alert rule", note, json.dumps(audited))

    async def stored_urls(self) -> StoredUrls:
        """How the URLs of all rules are stored, where it is not as it should be."""
        unsealed: list[tuple[str, str]] = []
        older: list[tuple[str, str]] = []
        unopened: list[tuple[str, str]] = []
        async with self._database.connection() as connection:
            rows = await connection.fetch(STORED_URLS)
        for row in rows:
            whose = (row["name"], row["tenant"])
            if is_sealed(self._seals.open(row["url"], place_of(row["id"]))):
                unopened.append(whose)
            elif not self._seals.is_newest(row["url"]):
                (older if is_sealed(row["url"]) else unsealed).append(whose)
        return StoredUrls(unsealed, older, unopened, keyed=self._seals.newest is not None)

    async def reseal(self, *, actor: str) -> Resealed:
        """Seal the URLs of all rules with the newest key."""
        changed = unopened = 0
        async with self._database.transaction() as connection:
            for row in await connection.fetch(URLS):
                place, stored = place_of(row["id"]), row["url"]
                if self._seals.is_newest(stored):
                    continue
                if is_sealed(url := self._seals.open(stored, place)):
                    unopened += 1
                    continue
                await connection.execute(RESEAL, row["id"], self._seals.seal(url, place))
                changed += 1
            details = json.dumps({"rules": changed, "without_key": unopened})
            await connection.execute(NOTE, actor, "reseal alert rules", "", details)
        return Resealed(changed, unopened)

    def _values(self, id: UUID, terms: RuleTerms) -> Sequence[object]:
        sealed = None if terms.url is None else self._seals.seal(terms.url, place_of(id))
        return [getattr(replace(terms, url=sealed), name) for name in TERMS]


def _refused(rule: AlertRule, name: str, now: AlertRule | None) -> NotFound | Refused:
    """Why a rule was not changed, as it is now."""
    if now is None:
        return NotFound(f"there is no rule {rule.name!r}")
    return _taken(name) if now.updated_at == rule.updated_at else now.changed_meanwhile()


def _taken(name: str) -> Refused:
    return Refused(f"there is a rule {name!r} already; choose another name")


async def _begin(connection: Connection, rule: AlertRule) -> None:
    counted = await counted_so_far(connection, rule)
    await connection.execute(BEGIN, rule.id, counted.what)


def _watched(terms: RuleTerms) -> tuple[object, ...]:
    return (terms.watch, terms.queue, *terms.filters)
