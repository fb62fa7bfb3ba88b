"""Finds a notification by any digits of its id, newest first, and says where it did not look."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import MOST_CANDIDATES, IdPrefix, ambiguous, contains_digits_fast
from tidings.ledger.database import Connection
from tidings.ledger.steps import TimeLimit

AT_ONCE: Final = 250_000
"""Ids that one statement looks through, in an index alone."""
UNMISTAKABLE: Final = 12
"""Digits that no two ids share, as good as certainly: those after the last hyphen."""

HAVING: Final = f"""
SELECT min(accepted_at) AS reached, count(*) AS looked, (array_agg(id) FILTER (WHERE {contains_digits_fast("id", 3)}))[1:{MOST_CANDIDATES + 1}] AS ids
  FROM (SELECT accepted_at, id FROM notifications WHERE accepted_at < coalesce($1::timestamptz, 'infinity')
         ORDER BY accepted_at DESC FETCH FIRST ($2::bigint) ROWS WITH TIES) AS newest
"""


async def with_digits(
    connection: Connection, part: IdPrefix, patience: float | None
) -> UUID | None:
    """The one notification that has these digits in a row; None where there is none.

    Args:
        patience: Seconds, about, for which to look; until the end where None.

    Raises:
        Refused: Several have them, and it names them; or not all were looked through.
    """
    clock, found, until = TimeLimit(patience), list[UUID](), None
    while True:
        row = await connection.fetchrow(HAVING, until, AT_ONCE, *part.sought)
        assert row is not None  # noqa: S101  # for the type checker: an aggregate has a row
        found += row["ids"] or ()
        until = row["reached"] if row["looked"] >= AT_ONCE else None
        if until is None or len(found) > MOST_CANDIDATES or clock.over:
            break
    if len(found) > 1:
        raise Refused(ambiguous(part, "notifications", sorted(found)))
    if until is not None and not (found and len(part.digits) >= UNMISTAKABLE):
        raise Refused(_not_all(part, found, until))
    return found[0] if found else None


def _not_all(part: IdPrefix, found: list[UUID], until: datetime) -> str:
    met = f"only {found[0]} has" if found else "none has"
    since = until.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return (
        f"{part.text}: {met} these digits of those accepted since {since}, and older ones were not searched; "
        f"give its first digits or the whole id; `tidings show {part.text} --full-scan` searches all"
    )
