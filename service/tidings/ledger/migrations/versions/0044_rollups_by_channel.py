"""Outcomes by time and channel alone, so that a plot of a month is read from few rows."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0044"
down_revision = "0043"

TABLE = """
SELECT pg_advisory_xact_lock(7482910235);
CREATE TABLE channel_rollups (
    width          integer NOT NULL,
    since          timestamptz NOT NULL,
    tenant         text NOT NULL,
    channel        text NOT NULL,
    test           boolean NOT NULL,
    outcome        text NOT NULL,
    count          bigint NOT NULL,
    attempts       bigint NOT NULL,
    first_attempts bigint NOT NULL,
    PRIMARY KEY (width, since, tenant, channel, test, outcome)
) WITH (fillfactor = 80);
COMMENT ON TABLE channel_rollups IS 'outcome_rollups added up by tenant, channel and outcome';
INSERT INTO channel_rollups
SELECT width, since, tenant, channel, provider = 'test', outcome, sum(count), sum(attempts), sum(first_attempts)
  FROM outcome_rollups GROUP BY 1, 2, 3, 4, 5, 6
"""
"""Nobody folds meanwhile."""

_ADDED = """
        ON CONFLICT (width, since, tenant, channel, category, outcome, provider, kind, bucket) DO UPDATE
           SET count = r.count + excluded.count, attempts = r.attempts + excluded.attempts,
               first_attempts = r.first_attempts + excluded.first_attempts
    )
"""
_ADDED_BY_CHANNEL = """
        ON CONFLICT (width, since, tenant, channel, category, outcome, provider, kind, bucket) DO UPDATE
           SET count = r.count + excluded.count, attempts = r.attempts + excluded.attempts,
               first_attempts = r.first_attempts + excluded.first_attempts
    ), added_by_channel AS (
        INSERT INTO channel_rollups AS c
        SELECT width, to_timestamp(floor(extract(epoch FROM minute)::float8 / width) * width), tenant, channel, provider = 'test',
               outcome, sum(count), sum(attempts), sum(first_attempts)
          FROM taken, unnest(ARRAY[60, 900, 3600, 14400, 86400]) AS width
         GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (width, since, tenant, channel, test, outcome) DO UPDATE
           SET count = c.count + excluded.count, attempts = c.attempts + excluded.attempts,
               first_attempts = c.first_attempts + excluded.first_attempts
    )
"""
_DELETED = """
    GET DIAGNOSTICS deleted = ROW_COUNT;
"""
_DELETED_BY_CHANNEL = """
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM channel_rollups r USING (VALUES (60, 4), (900, 15), (3600, 32), (14400, 100), (86400, 36525)) AS kept (width, days)
     WHERE r.width = kept.width
       AND r.since < now() - least(kept.days * 86400::float8, greatest(86400, seconds)) * interval '1 second' - r.width * interval '1 second';
"""
CHANGES = {
    "tidings_fold_rollups(integer, integer)": (_ADDED, _ADDED_BY_CHANNEL),
    "tidings_expire_rollups(float8)": (_DELETED, _DELETED_BY_CHANNEL),
}
"""What is different in functions that stay as they are otherwise."""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE channel_rollups")
    bind = op.get_bind()
    for signature, (old, new) in CHANGES.items():
        definition = bind.exec_driver_sql(
            f"SELECT pg_get_functiondef('{signature}'::regprocedure)"
        ).scalar_one()
        if definition.count(old) != 1:
            raise RuntimeError(f"the function {signature} is not the one that Tidings made")
        bind.exec_driver_sql(definition.replace(old, new))
