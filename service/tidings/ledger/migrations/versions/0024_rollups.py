"""Counts of outcomes by minute, and of open dead letters by fingerprint, so that no statistic counts the ledger's rows.

Counting begins now: nothing is read of what is stored, but for the open dead letters.
"""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0024"
down_revision = "0023"

TABLES = """
CREATE TABLE outcome_deltas (
    minute         timestamptz NOT NULL,
    tenant         text NOT NULL,
    channel        text NOT NULL,
    category       text NOT NULL,
    outcome        text NOT NULL,
    provider       text NOT NULL,
    kind           text NOT NULL,
    bucket         smallint NOT NULL,
    count          integer NOT NULL,
    attempts       integer NOT NULL,
    first_attempts integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE outcome_deltas IS 'outcomes of each transaction, added up and not yet folded into outcome_rollups';
COMMENT ON COLUMN outcome_deltas.bucket IS 'time to delivery: at most 2^(bucket/2) ms; -1: none';
COMMENT ON COLUMN outcome_deltas.attempts IS 'of count, those that were attempts in which a provider was called';
COMMENT ON COLUMN outcome_deltas.first_attempts IS 'of attempts, those that were the first of their epoch';
CREATE TABLE outcome_rollups (
    width          integer NOT NULL,
    since          timestamptz NOT NULL,
    tenant         text NOT NULL,
    channel        text NOT NULL,
    category       text NOT NULL,
    outcome        text NOT NULL,
    provider       text NOT NULL,
    kind           text NOT NULL,
    bucket         smallint NOT NULL,
    count          bigint NOT NULL,
    attempts       bigint NOT NULL,
    first_attempts bigint NOT NULL,
    PRIMARY KEY (width, since, tenant, channel, category, outcome, provider, kind, bucket)
) WITH (fillfactor = 80);
COMMENT ON TABLE outcome_rollups IS 'outcomes by time, each counted once for every width';
COMMENT ON COLUMN outcome_rollups.width IS 'seconds that a row covers';
CREATE TABLE rollup_categories (
    tenant   text NOT NULL,
    category text NOT NULL,
    PRIMARY KEY (tenant, category)
);
COMMENT ON TABLE rollup_categories IS 'categories that are counted by themselves; the rest of a tenant''s are counted as other';
CREATE TABLE dead_letter_deltas (
    tenant      text NOT NULL,
    channel     text NOT NULL,
    reason      text NOT NULL,
    fingerprint text NOT NULL,
    change      integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON TABLE dead_letter_deltas IS 'changes of open_dead_letters, not yet folded into it';
CREATE TABLE open_dead_letters (
    tenant      text NOT NULL,
    channel     text NOT NULL,
    reason      text NOT NULL,
    fingerprint text NOT NULL,
    count       bigint NOT NULL,
    PRIMARY KEY (tenant, channel, reason, fingerprint)
) WITH (fillfactor = 80);
COMMENT ON TABLE open_dead_letters IS 'open dead letters by group; tenant and channel are empty where unknown'
"""
OWNED = (
    "outcome_deltas",
    "outcome_rollups",
    "rollup_categories",
    "dead_letter_deltas",
    "open_dead_letters",
)

BUCKET = """
CREATE FUNCTION tidings_bucket(seconds float8) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(70, ceil(2 * log(greatest(seconds, 0.001) * 1000) / log(2::float8)))::smallint
$$
"""
"""The bucket of a time to delivery: two for each doubling, from a millisecond to more than a year."""

FOLD = """
CREATE FUNCTION tidings_fold_rollups(most integer, categories integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
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
CREATE FUNCTION tidings_expire_rollups(seconds float8) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
BEGIN
    DELETE FROM outcome_rollups r USING (VALUES (60, 4), (900, 15), (3600, 32), (14400, 100), (86400, 36525)) AS kept (width, days)
     WHERE r.width = kept.width
       AND r.since < now() - least(kept.days * 86400::float8, greatest(86400, seconds)) * interval '1 second' - r.width * interval '1 second';
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM rollup_categories c
     WHERE NOT EXISTS (SELECT FROM outcome_rollups r WHERE r.width = 86400 AND (r.tenant, r.category) = (c.tenant, c.category))
       AND NOT EXISTS (SELECT FROM outcome_deltas d WHERE (d.tenant, d.category) = (c.tenant, c.category));
    RETURN deleted;
END $$
"""
"""Deletes what is older than so many seconds, and narrow rollups sooner: no statistic reads those any more."""

COUNT_OPEN = """
CREATE FUNCTION tidings_count_open() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dead_letter_deltas
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, count(*) FROM after
         WHERE state = 'open' GROUP BY 1, 2, 3, 4;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO dead_letter_deltas
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, -count(*) FROM before
         WHERE state = 'open' GROUP BY 1, 2, 3, 4;
    ELSE
        INSERT INTO dead_letter_deltas
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, sum(change)
          FROM (SELECT tenant, channel, reason, fingerprint, state, 1 AS change FROM after
                 UNION ALL SELECT tenant, channel, reason, fingerprint, state, -1 FROM before) AS changed
         WHERE state = 'open' GROUP BY 1, 2, 3, 4 HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE TRIGGER open_added AFTER INSERT ON dead_letters REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tidings_count_open();
CREATE TRIGGER open_changed AFTER UPDATE ON dead_letters REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tidings_count_open();
CREATE TRIGGER open_deleted AFTER DELETE ON dead_letters REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION tidings_count_open();
INSERT INTO open_dead_letters
SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, count(*) FROM dead_letters
 WHERE state = 'open' GROUP BY 1, 2, 3, 4
"""
"""A trigger locks out who writes dead letters, not who reads them, while the open ones are counted."""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in OWNED:
        leave_to_owner(f"TABLE {table}")
    define("tidings_bucket(float8)", BUCKET, privileged=False)
    define("tidings_fold_rollups(integer, integer)", FOLD)
    define("tidings_expire_rollups(float8)", EXPIRE)
    define("tidings_count_open()", COUNT_OPEN)
    for statement in TRIGGERS.split(";\n"):
        op.execute(statement)
