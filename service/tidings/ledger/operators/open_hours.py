"""The first and the last hour from which a group has open dead letters, as SQL.

A replay closes the oldest dead letters first, and PostgreSQL keeps each of them in the index of open ones until a vacuum: to look
for the oldest that is open from the beginning of the index reads all that was closed. Rollups tell in which hour to look.
"""

from typing import Final

UNFOLDED: Final = """
unfolded AS MATERIALIZED (
    SELECT hour, tenant, channel, reason, fingerprint, sum(change) AS change, sum(arrived) AS arrived
      FROM dead_letter_deltas GROUP BY 1, 2, 3, 4, 5
)
""".strip()
"""A common table expression: deltas that are not folded yet."""
CHANGED: Final = """
changed AS MATERIALIZED (
    SELECT hour, tenant, channel, reason, fingerprint, coalesce(h.open, 0) + u.change AS open, coalesce(h.arrived, 0) + u.arrived AS arrived
      FROM unfolded u LEFT JOIN LATERAL (
        SELECT h.open, h.arrived FROM dead_letter_hours h
         WHERE (h.hour, h.tenant, h.channel, h.reason, h.fingerprint) = (u.hour, u.tenant, u.channel, u.reason, u.fingerprint)
         LIMIT 1) AS h ON true
     WHERE {those}
)
""".strip()
"""Another: the hours that these change, as they are with them. `LIMIT` keeps PostgreSQL from reading all hours to join them."""

_OF_CHANGED: Final = """
SELECT DISTINCT ON (tenant, fingerprint) tenant, fingerprint, hour, arrived - open AS closed
          FROM changed WHERE open > 0 ORDER BY tenant, fingerprint, hour {order}
"""
_OF_OTHERS: Final = """
SELECT hour, arrived - open AS closed FROM dead_letter_hours h
         WHERE h.fingerprint = {group}.fingerprint AND h.tenant = {group}.tenant AND h.open > 0
           AND (h.hour, h.tenant, h.fingerprint) NOT IN (SELECT hour, tenant, fingerprint FROM changed)
         ORDER BY hour {order} LIMIT 1
"""
_JOINED: Final = """
LEFT JOIN ({changed}) AS {name}_changed USING (tenant, fingerprint)
      LEFT JOIN LATERAL ({others}) AS {name}_other ON true
"""


def _joined(group: str, name: str, order: str) -> str:
    changed, others = (
        part.format(group=group, order=order).strip() for part in (_OF_CHANGED, _OF_OTHERS)
    )
    return _JOINED.format(changed=changed, others=others, name=name).strip()


def first_hour(group: str) -> str:
    """Joins of a relation with `tenant` and `fingerprint`, for `FIRST` and `CLOSED`."""
    return _joined(group, "first", "ASC")


def last_hour(group: str) -> str:
    """The same for `LAST`."""
    return _joined(group, "last", "DESC")


FIRST: Final = "least(first_changed.hour, first_other.hour)"
"""The first hour from which one is open."""
CLOSED: Final = """
CASE WHEN first_other.hour < first_changed.hour OR first_changed.hour IS NULL THEN first_other.closed ELSE first_changed.closed END
""".strip()
"""How many that came in this hour are closed."""
LAST: Final = "greatest(last_changed.hour, last_other.hour)"
"""The last hour from which one is open."""
