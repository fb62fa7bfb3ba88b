"""Dead letters counted by category and hour, so that the groups of a category are read without reading its dead letters."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0052"
down_revision = "0051"

TABLE = """
SELECT pg_advisory_xact_lock(7482910235);
LOCK TABLE dead_letters IN SHARE ROW EXCLUSIVE MODE;
SELECT tidings_fold_rollups(2147483647, 200);
CREATE TABLE dead_letter_categories (
    category    text NOT NULL,
    hour        timestamptz NOT NULL,
    tenant      text NOT NULL,
    channel     text NOT NULL,
    reason      text NOT NULL,
    fingerprint text NOT NULL,
    open        bigint NOT NULL,
    arrived     bigint NOT NULL,
    PRIMARY KEY (category, hour, tenant, channel, reason, fingerprint)
) WITH (fillfactor = 80);
COMMENT ON TABLE dead_letter_categories IS 'dead_letter_hours by category too';
INSERT INTO dead_letter_categories
SELECT * FROM (SELECT coalesce(category, ''), date_trunc('hour', dead_lettered_at, 'UTC'), coalesce(tenant, ''), coalesce(channel, ''), reason,
                      fingerprint, count(*) FILTER (WHERE state = 'open') AS open,
                      count(*) FILTER (WHERE supersedes IS NULL AND NOT (state = 'discarded' AND actor IS NULL)
                                         AND dead_lettered_at > now() - interval '35 days') AS arrived
                 FROM dead_letters WHERE NOT test GROUP BY 1, 2, 3, 4, 5, 6) AS counted
 WHERE open > 0 OR arrived > 0
"""
"""Whoever writes dead letters, or folds, waits while they are counted. Deltas that are there already have no category."""

_DELETED = """
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               -count(*), 0
          FROM before WHERE state = 'open' AND NOT test GROUP BY 1, 2, 3, 4, 5;
"""
_DELETED_OF_CATEGORY = """
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived, category)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               -count(*), 0, coalesce(category, '')
          FROM before WHERE state = 'open' AND NOT test GROUP BY 1, 2, 3, 4, 5, 8;
"""
_CHANGED = """
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               sum(change), 0
          FROM (SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, 1 AS change FROM after WHERE NOT test
                 UNION ALL SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, -1 FROM before WHERE NOT test) AS changed
         WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0;
"""
_CHANGED_OF_CATEGORY = """
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived, category)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               sum(change), 0, coalesce(category, '')
          FROM (SELECT tenant, channel, reason, fingerprint, dead_lettered_at, category, 1 AS change FROM after
                 WHERE state = 'open' AND NOT test
                 UNION ALL
                SELECT tenant, channel, reason, fingerprint, dead_lettered_at, category, -1 FROM before
                 WHERE state = 'open' AND NOT test) AS changed
         GROUP BY 1, 2, 3, 4, 5, 8 HAVING sum(change) <> 0;
"""
_BY_MINUTE = """
    ), by_minute AS (
"""
_BY_CATEGORY = """
    ), by_category AS (
        INSERT INTO dead_letter_categories AS k
        SELECT category, hour, tenant, channel, reason, fingerprint, sum(change), sum(arrived) FROM taken GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (category, hour, tenant, channel, reason, fingerprint) DO UPDATE
           SET open = k.open + excluded.open, arrived = k.arrived + excluded.arrived
    ), by_minute AS (
"""
_OLD_HOURS = (
    "    DELETE FROM dead_letter_hours WHERE open = 0 AND hour < now() - interval '35 days';\n"
)
_OLD_CATEGORIES = f"{_OLD_HOURS}    DELETE FROM dead_letter_categories WHERE open = 0 AND hour < now() - interval '35 days';\n"
CHANGES = {
    "tidings_count_open()": ((_DELETED, _DELETED_OF_CATEGORY), (_CHANGED, _CHANGED_OF_CATEGORY)),
    "tidings_fold_rollups(integer, integer)": ((_BY_MINUTE, _BY_CATEGORY),),
    "tidings_expire_rollups(float8)": ((_OLD_HOURS, _OLD_CATEGORIES),),
}
"""What is different in functions that stay as they are otherwise."""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE dead_letter_categories")
    op.execute("ALTER TABLE dead_letter_deltas ALTER COLUMN category SET NOT NULL")
    bind = op.get_bind()
    for signature, changes in CHANGES.items():
        definition = bind.exec_driver_sql(
            f"SELECT pg_get_functiondef('{signature}'::regprocedure)"
        ).scalar_one()
        for old, new in changes:
            if definition.count(old) != 1:
                raise RuntimeError(f"the function {signature} is not the one that Tidings made")
            definition = definition.replace(old, new)
        bind.exec_driver_sql(definition)
