"""The first and the last hour from which a group has open dead letters, as SQL.

A replay closes the oldest dead letters first, and PostgreSQL keeps each of them in the index of open ones until a vacuum: to look
for the oldest that is open from the beginning of the index reads all that was closed. Rollups tell in which hour to look.
"""

from collections.abc import Sequence
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

_OF_HOUR: Final = """
CASE WHEN h.arrived >= h.open THEN h.arrived - h.open ELSE (
            SELECT coalesce(sum(every.arrived), 0)::bigint FROM dead_letter_hours every
             WHERE (every.hour, every.tenant, every.fingerprint) = (h.hour, h.tenant, h.fingerprint)) END
""".strip()
"""How many of an hour are closed. An edit to another channel moves what is open, and not what arrived: then all of the group's hour."""
_OF_CHANGED: Final = """
SELECT DISTINCT ON ({key}) {key}, hour, {of_hour} AS closed
          FROM changed h WHERE open > 0 AND {matching} ORDER BY {key}, hour {order}
"""
_OF_OTHERS: Final = """
SELECT hour, {of_hour} AS closed FROM dead_letter_hours h
         WHERE {same} AND h.open > 0 AND {matching}
           AND (h.hour, h.tenant, h.channel, h.reason, h.fingerprint) NOT IN (SELECT hour, tenant, channel, reason, fingerprint FROM changed)
         ORDER BY hour {order} LIMIT 1
"""
_JOINED: Final = """
LEFT JOIN ({changed}) AS {name}_changed USING ({key})
      LEFT JOIN LATERAL ({others}) AS {name}_other ON true
"""


def _joined(group: str, key: Sequence[str], matching: str, name: str, order: str) -> str:
    same = " AND ".join(f"h.{column} = {group}.{column}" for column in key)
    changed, others = (
        part.format(
            key=", ".join(key), of_hour=_OF_HOUR, matching=matching, same=same, order=order
        ).strip()
        for part in (_OF_CHANGED, _OF_OTHERS)
    )
    return _JOINED.format(changed=changed, others=others, name=name, key=", ".join(key)).strip()


def first_hour(group: str, key: Sequence[str], matching: str = "true") -> str:
    """Joins of a relation, for `FIRST` and `CLOSED`.

    Args:
        group: The relation.
        key: Its columns that say which dead letters a row is about: `tenant` and `fingerprint`, and others of the rollups' key.
        matching: Which of these count, by columns of the rollups' key. Edits put dead letters of one fingerprint into several channels.
    """
    return _joined(group, key, matching, "first", "ASC")


def last_hour(group: str, key: Sequence[str], matching: str = "true") -> str:
    """The same for `LAST`."""
    return _joined(group, key, matching, "last", "DESC")


FIRST: Final = "least(first_changed.hour, first_other.hour)"
"""The first hour from which one is open."""
CLOSED: Final = """
CASE WHEN first_other.hour < first_changed.hour OR first_changed.hour IS NULL THEN first_other.closed ELSE first_changed.closed END
""".strip()
"""How many that came in this hour are closed."""
LAST: Final = "greatest(last_changed.hour, last_other.hour)"
"""The last hour from which one is open."""
