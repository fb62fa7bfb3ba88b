"""Dead letters counted by hour, so that groups, periods and trends are read without reading the dead letters."""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0031"
down_revision = "0030"

TABLE = """
SELECT pg_advisory_xact_lock(7482910235);
LOCK TABLE dead_letters IN SHARE ROW EXCLUSIVE MODE;
CREATE TABLE dead_letter_hours (
    hour        timestamptz NOT NULL,
    tenant      text NOT NULL,
    channel     text NOT NULL,
    reason      text NOT NULL,
    fingerprint text NOT NULL,
    open        bigint NOT NULL,
    arrived     bigint NOT NULL,
    PRIMARY KEY (hour, tenant, channel, reason, fingerprint)
) WITH (fillfactor = 80);
COMMENT ON TABLE dead_letter_hours IS 'dead letters by group and by the hour in which they were dead-lettered';
COMMENT ON COLUMN dead_letter_hours.arrived IS 'all that came, whatever became of them; forgotten after 35 days if none is open';
INSERT INTO dead_letter_hours
SELECT * FROM (SELECT date_trunc('hour', dead_lettered_at, 'UTC'), coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint,
                      count(*) FILTER (WHERE state = 'open') AS open,
                      count(*) FILTER (WHERE supersedes IS NULL AND NOT (state = 'discarded' AND actor IS NULL)
                                         AND dead_lettered_at > now() - interval '35 days') AS arrived
                 FROM dead_letters GROUP BY 1, 2, 3, 4, 5) AS counted
 WHERE open > 0 OR arrived > 0;
DELETE FROM open_dead_letters;
INSERT INTO open_dead_letters
SELECT tenant, channel, reason, fingerprint, sum(open) FROM dead_letter_hours GROUP BY 1, 2, 3, 4 HAVING sum(open) > 0;
TRUNCATE dead_letter_deltas;
ALTER TABLE dead_letter_deltas ADD COLUMN hour timestamptz NOT NULL, ADD COLUMN arrived integer NOT NULL
"""
"""Whoever writes dead letters, or folds, waits while they are counted; statistics are locked out only at the end."""

COUNT_OPEN = """
CREATE OR REPLACE FUNCTION tidings_count_open() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               count(*), count(*) FILTER (WHERE supersedes IS NULL)
          FROM after WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               -count(*), 0
          FROM before WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5;
    ELSE
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               sum(change), 0
          FROM (SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, 1 AS change FROM after
                 UNION ALL SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, -1 FROM before) AS changed
         WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$
"""
"""What is edited, or was closed when it came, is no arrival."""

FOLD = """
CREATE OR REPLACE FUNCTION tidings_fold_rollups(most integer, categories integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    folded integer;
    dead_letters integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7482910235) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        DELETE FROM outcome_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM outcome_deltas LIMIT most)) RETURNING *
    ), fresh AS (
        SELECT tenant, category FROM taken EXCEPT SELECT tenant, category FROM rollup_categories
    ), admitted AS (
        INSERT INTO rollup_categories
        SELECT tenant, category FROM (SELECT *, row_number() OVER (PARTITION BY tenant ORDER BY category) AS place FROM fresh) AS f
         WHERE place + (SELECT count(*) FROM rollup_categories c WHERE c.tenant = f.tenant) <= categories
        RETURNING tenant, category
    ), refused AS (
        SELECT tenant, category FROM fresh EXCEPT SELECT tenant, category FROM admitted
    ), added AS (
        INSERT INTO outcome_rollups AS r
        SELECT width, to_timestamp(floor(extract(epoch FROM minute)::float8 / width) * width), tenant, channel,
               CASE WHEN (tenant, category) IN (SELECT tenant, category FROM refused) THEN 'other' ELSE category END AS category,
               outcome, provider, kind, bucket, sum(count), sum(attempts), sum(first_attempts)
          FROM taken, unnest(ARRAY[60, 900, 3600, 14400, 86400]) AS width
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        ON CONFLICT (width, since, tenant, channel, category, outcome, provider, kind, bucket) DO UPDATE
           SET count = r.count + excluded.count, attempts = r.attempts + excluded.attempts,
               first_attempts = r.first_attempts + excluded.first_attempts
    )
    SELECT count(*) INTO folded FROM taken;
    WITH taken AS (
        DELETE FROM dead_letter_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM dead_letter_deltas LIMIT most)) RETURNING *
    ), added AS (
        INSERT INTO open_dead_letters AS o
        SELECT tenant, channel, reason, fingerprint, sum(change) FROM taken GROUP BY 1, 2, 3, 4
        ON CONFLICT (tenant, channel, reason, fingerprint) DO UPDATE SET count = o.count + excluded.count
    ), by_hour AS (
        INSERT INTO dead_letter_hours AS h
        SELECT hour, tenant, channel, reason, fingerprint, sum(change), sum(arrived) FROM taken GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (hour, tenant, channel, reason, fingerprint) DO UPDATE
           SET open = h.open + excluded.open, arrived = h.arrived + excluded.arrived
    )
    SELECT count(*) INTO dead_letters FROM taken;
    IF dead_letters > 0 THEN
        DELETE FROM open_dead_letters WHERE count = 0;
    END IF;
    RETURN folded + dead_letters;
END $$
"""
"""Folds at most so many rows of each kind. `categories`: how many of a tenant's are counted by themselves."""

EXPIRE = """
CREATE OR REPLACE FUNCTION tidings_expire_rollups(seconds float8) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM outcome_rollups r USING (VALUES (60, 4), (900, 15), (3600, 32), (14400, 100), (86400, 36525)) AS kept (width, days)
     WHERE r.width = kept.width
       AND r.since < now() - least(kept.days * 86400::float8, greatest(86400, seconds)) * interval '1 second' - r.width * interval '1 second';
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM dead_letter_hours WHERE open = 0 AND hour < now() - interval '35 days';
    DELETE FROM rollup_categories c
     WHERE NOT EXISTS (SELECT FROM outcome_rollups r WHERE r.width = 86400 AND (r.tenant, r.category) = (c.tenant, c.category))
       AND NOT EXISTS (SELECT FROM outcome_deltas d WHERE (d.tenant, d.category) = (c.tenant, c.category));
    RETURN deleted;
END $$
"""
"""Deletes what is older than so many seconds, and narrow rollups sooner: no statistic reads those any more. Hours with
open dead letters stay: periods are counted by them."""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE dead_letter_hours")
    define("tidings_count_open()", COUNT_OPEN)
    define("tidings_fold_rollups(integer, integer)", FOLD)
    define("tidings_expire_rollups(float8)", EXPIRE)
