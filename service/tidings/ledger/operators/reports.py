"""Reads one notification, those that match, and statistics of a period."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from tidings.delivery.archiving import NotificationStatus
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import MOST_CANDIDATES, IdPrefix, ambiguous
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.details import (
    AttemptRow,
    DeadLetterSummary,
    NotificationDetails,
    NotificationSummary,
    ProviderAttemptRow,
    Recipient,
    Transition,
)
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.id_search import with_digits
from tidings.ledger.notifications.idempotency import HOLDER, KeyUse
from tidings.ledger.notifications.search import (
    DEFAULT_BOUNDS,
    Bounds,
    Page,
    page,
    summary,
)
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import (
    EVERYTHING,
    ChannelRates,
    Choice,
    Statistics,
    channel_rates,
    statistics,
)
from tidings.ledger.operators.test_data import Named, is_test
from tidings.ledger.positions import Position
from tidings.ledger.steps import PATIENCE
from tidings_events import CHANNELS


def _columns(kind: type) -> str:
    return ", ".join(field.name for field in fields(kind))


FIND: Final = "SELECT id FROM notifications WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3"
BEGINNING: Final = f"""
SELECT {_columns(NotificationSummary)} FROM (
    SELECT * FROM notifications WHERE id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3
) AS newest WHERE test = $4 AND ($5::text IS NULL OR tenant = $5) ORDER BY id DESC LIMIT $6
"""
NOTIFICATION: Final = (
    f"SELECT {_columns(NotificationSummary)}, body FROM notifications WHERE id = $1"
)
STANDING: Final = (
    "SELECT state, epoch, attempt, reason, tenant, test FROM notifications WHERE id = $1"
)
HISTORY: Final = f"SELECT {_columns(Transition)} FROM history WHERE notification_id = $1 ORDER BY epoch, at, step"
ATTEMPTS: Final = f"SELECT {_columns(AttemptRow)} FROM attempts WHERE notification_id = $1 ORDER BY epoch, attempt"
PROVIDER_ATTEMPTS: Final = f"SELECT {_columns(ProviderAttemptRow)} FROM provider_attempts WHERE notification_id = $1 ORDER BY epoch, attempt, position"
DEAD_LETTERS: Final = f"""
SELECT {_columns(DeadLetterSummary)} FROM dead_letters
 WHERE (notification_id BETWEEN $1 AND $2 OR id BETWEEN $1 AND $2) AND ($4::text IS NULL OR tenant IS NULL OR tenant = $4)
 ORDER BY dead_lettered_at LIMIT $3
"""
RESULTS: Final = f"""
SELECT {_columns(Recipient)} FROM recipient_results WHERE notification_id = $1 ORDER BY epoch, role DESC, address
"""
NO_NOTIFICATION: Final = (Reason.MALFORMED, Reason.UNROUTABLE)
"""Reasons of dead letters that no worker could read."""
LOOKED_AT: Final = 1_000
"""Dead letters of each channel and reason that are looked at to count those without a notification."""
_OLDEST: Final = """
LATERAL (SELECT reason, notification_id FROM dead_letters WHERE state = 'open' AND NOT test AND channel {channel}
            AND (reason, dead_lettered_at) >= (r.reason, '-infinity') AND (reason, dead_lettered_at) <= (r.reason, 'infinity')
          ORDER BY reason, dead_lettered_at LIMIT $3) AS oldest
"""
"""Compared as rows, they are read from the index of open dead letters by channel and reason, and from no other: one by time
alone would be read to its end for what is rare."""
DEAD_LETTERS_ALONE: Final = f"""
SELECT reason, count(*) AS dead_letters FROM (
    SELECT oldest.* FROM unnest($1::text[]) AS c (channel), unnest($2::text[]) AS r (reason), {_OLDEST.format(channel="= c.channel")}
     UNION ALL
    SELECT oldest.* FROM unnest($2::text[]) AS r (reason), {_OLDEST.format(channel="IS NULL")}
) AS looked_at
 WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.id = looked_at.notification_id)
 GROUP BY reason ORDER BY reason
"""

WORDS: Final = """
SELECT array_agg(DISTINCT tenant) AS tenants, array_agg(DISTINCT category) AS categories,
       array_agg(DISTINCT entity_type) AS entity_types FROM (
    (SELECT tenant, category, entity_type FROM notifications ORDER BY accepted_at DESC LIMIT $1)
     UNION ALL
    (SELECT tenant, category, entity_type FROM dead_letters ORDER BY dead_lettered_at DESC LIMIT $1)
) recent
"""
RECENT: Final = 10_000
"""Notifications, and dead letters, whose words are looked at."""


@dataclass(frozen=True, slots=True)
class Words:
    """Categories and entity types that producers use."""

    tenants: frozenset[str]
    categories: frozenset[str]
    entity_types: frozenset[str]


class Reports:
    """Reads, and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, prefix: IdPrefix, *, within: bool = True, patience: float | None = PATIENCE
    ) -> UUID | None:
        """The one notification whose id begins so; or else, the one that has these digits in a row.

        Args:
            within: Whether to look for digits that no id begins with.
            patience: Seconds, about, for which to look for them, newest first; until the end where None.

        Raises:
            Refused: Several do, and it names them; or not all were searched, so it is unknown.
        """
        most = MOST_CANDIDATES + 1
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, prefix.lowest, prefix.highest, most)
            if not rows and within and prefix.findable_within:
                return await with_digits(connection, prefix, patience)
        if len(rows) > 1:
            raise Refused(ambiguous(prefix, "notifications", [row["id"] for row in rows]))
        return rows[0]["id"] if rows else None

    async def beginning(
        self, prefix: IdPrefix, tenant: str | None, limit: int, *, test: bool
    ) -> tuple[NotificationSummary, ...]:
        """The newest notifications whose ids begin so, of `LOOKED_AT` with that beginning.

        Args:
            tenant: Only this one's; None: of all.
            test: Tests, or what is no test.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                BEGINNING, prefix.lowest, prefix.highest, LOOKED_AT, test, tenant, limit
            )
        return tuple(summary(dict(row)) for row in rows)

    async def show(
        self, id: UUID | IdPrefix, *, within: bool = True, patience: float | None = PATIENCE
    ) -> NotificationDetails | None:
        """Everything about one notification; None where there is none. For a part of an id see `find`."""
        if isinstance(id, IdPrefix):
            found = await self.find(id, within=within, patience=patience)
        else:
            found = id
        async with self._database.connection() as connection:
            row = await connection.fetchrow(NOTIFICATION, found) if found else None
            return None if row is None else await self._story(connection, row)

    async def _story(self, connection: Connection, row: Any) -> NotificationDetails:
        values = dict(row)
        id_, body = values["id"], values.pop("body")
        history = await connection.fetch(HISTORY, id_)
        attempts = await connection.fetch(ATTEMPTS, id_)
        dead_letters = await connection.fetch(DEAD_LETTERS, id_, id_, 1_000, values["tenant"])
        provider_attempts = await connection.fetch(PROVIDER_ATTEMPTS, id_)
        results = await connection.fetch(RESULTS, id_)
        return NotificationDetails(
            notification=summary(values),
            body=body,
            history=tuple(Transition(**dict(row)) for row in history),
            attempts=tuple(AttemptRow(**{**row, "state": State(row["state"])}) for row in attempts),
            dead_letters=tuple(DeadLetterSummary(**dict(row)) for row in dead_letters),
            provider_attempts=tuple(ProviderAttemptRow(**dict(row)) for row in provider_attempts),
            recipients=tuple(Recipient(**dict(row)) for row in results),
        )

    async def dead_letters(self, prefix: IdPrefix) -> tuple[DeadLetterSummary, ...]:
        """Dead letters by their own id or their notification's: what never became a notification is there."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                DEAD_LETTERS, prefix.lowest, prefix.highest, MOST_CANDIDATES, None
            )
        return tuple(DeadLetterSummary(**dict(row)) for row in rows)

    async def dead_letters_alone(self) -> Mapping[Reason, int]:
        """How many open dead letters never became a notification, by reason; as far as the oldest of them tell."""
        reasons = [reason.value for reason in NO_NOTIFICATION]
        async with self._database.connection() as connection:
            rows = await connection.fetch(DEAD_LETTERS_ALONE, list(CHANNELS), reasons, LOOKED_AT)
        return {Reason(row["reason"]): row["dead_letters"] for row in rows}

    async def standing(self, id: UUID) -> NotificationStatus | None:
        """How a notification stands, as far as that decides whether it can be replayed; None where there is none."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(STANDING, id)
        if row is None:
            return None
        reason = Reason(row["reason"]) if row["reason"] in set(Reason) else None
        return NotificationStatus(
            State(row["state"]),
            row["epoch"],
            row["attempt"],
            reason=reason,
            tenant=row["tenant"],
            test=row["test"],
        )

    async def is_test(self, named: Named, reference: str, tenant: str | None) -> bool:
        """Whether an id or name means a test; False if it means nothing. See `test_data.is_test`."""
        async with self._database.connection() as connection:
            return await is_test(connection, named, reference, tenant)

    async def holder(self, use: KeyUse) -> UUID | None:
        """The notification that would suppress another with this key; None if there is none."""
        async with self._database.connection() as connection:
            found: UUID | None = await connection.fetchval(HOLDER, use.key, use.addressee)
        return found

    async def recipients(self, id: UUID, epoch: int) -> tuple[Recipient, ...]:
        """What became of each recipient in an epoch; empty where they all fared alike."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(RESULTS, id)
        return tuple(
            recipient for row in rows if (recipient := Recipient(**dict(row))).epoch == epoch
        )

    async def list(
        self,
        filters: Filters,
        limit: int,
        *,
        after: Position | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Page:
        """The newest that match, newest first, behind a position where one is given.

        Args:
            bounds: How far to look; where that is not to the end, the page says how far it got.
        """
        async with self._database.connection() as connection:
            return await page(connection, filters, limit, after, bounds)

    async def words(self) -> Words:
        """Those of late."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(WORDS, RECENT)
        found = dict(row or {})
        return Words(
            *(
                frozenset(filter(None, found[name] or ()))
                for name in ("tenants", "categories", "entity_types")
            )
        )

    async def stats(
        self, window: Window, choice: Choice = EVERYTHING, *, details: bool = False
    ) -> Statistics:
        """What ended in a period, from rollups; `details` as `statistics` has them."""
        async with self._database.connection() as connection:
            return await statistics(connection, window, choice, details=details)

    async def channel_rates(self, window: Window) -> ChannelRates:
        """How channels and providers fared in a period, tests left out."""
        async with self._database.connection() as connection:
            return await channel_rates(connection, window)
