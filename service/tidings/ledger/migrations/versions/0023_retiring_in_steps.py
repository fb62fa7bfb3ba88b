"""A week that ends is read in small steps, and its tables are dropped one index after the other: claims keep their pace."""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0023"
down_revision = "0022"

WEEKS = """
CREATE TABLE retiring_weeks (
    week   date PRIMARY KEY,
    unread uuid
);
COMMENT ON TABLE retiring_weeks IS 'weeks that are read before their partitions are dropped';
COMMENT ON COLUMN retiring_weeks.unread IS 'the first id that is still to be read; null once all of the week was'
"""

OPEN = "state NOT IN ('replayed', 'discarded', 'superseded')"
PERIOD = """coalesce($1 -> n.tenant ->> n.state, $1 -> n.tenant ->> ''*'',
                                              $1 -> ''*'' ->> n.state, $1 -> ''*'' ->> ''*'')"""
TOUCHED = "greatest(n.finished_at, n.updated_at)"
"""When it ended, or a person last decided about it."""

WATCH_PARTITION = """
CREATE OR REPLACE FUNCTION tidings_watch_partition(since date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    watched text := 'notifications' || to_char(since, '_YYYYMMDD');
BEGIN
    PERFORM tidings_end_of_partition(since);
    DELETE FROM retiring_changes WHERE week = since;
    DELETE FROM retiring_weeks WHERE week = since;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = quote_ident(watched)::regclass AND tgname = 'tidings_changed') THEN
        EXECUTE format('CREATE TRIGGER tidings_changed AFTER INSERT OR UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION tidings_note_change(%L)',
                       watched, since);
    END IF;
    INSERT INTO retiring_weeks VALUES (since, tidings_lowest_id(since));
END $$
"""
"""From now on each change to a week's notifications is noted, so that they can be read without a lock, from their first on.
Its transaction ends before that begins."""

READ_PARTITION = f"""
CREATE FUNCTION tidings_read_partition(since date, periods jsonb, most integer, OUT complete boolean, OUT living integer)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part text := 'notifications' || to_char(since, '_YYYYMMDD');
    past uuid := tidings_end_of_partition(since);
    longest float8;
    first uuid;
    next uuid;
BEGIN
    PERFORM tidings_check_periods(periods);
    SELECT unread INTO first FROM retiring_weeks WHERE week = since FOR UPDATE;
    IF first IS NULL THEN
        RAISE EXCEPTION 'the week of % is not watched, or was read already', since;
    END IF;
    EXECUTE format('SELECT id FROM %I WHERE id >= $1 ORDER BY id OFFSET $2 LIMIT 1', part) INTO next USING first, most;
    SELECT max(seconds::float8) INTO longest FROM jsonb_each(periods) AS t (tenant, own), jsonb_each_text(own) AS s (state, seconds);
    EXECUTE format('INSERT INTO retiring_changes
                    SELECT $2, n.id FROM %I n
                     WHERE n.id >= $3 AND n.id < $4
                       AND (n.finished_at IS NULL OR n.dispatch_at IS NOT NULL
                            OR ({TOUCHED} >= now() - greatest(86400, $5) * interval ''1 second''
                                AND {TOUCHED} >= now() - greatest(86400, {PERIOD}::float8) * interval ''1 second''))', part)
      USING periods, since, first, coalesce(next, past), longest;
    GET DIAGNOSTICS living = ROW_COUNT;
    UPDATE retiring_weeks SET unread = next WHERE week = since;
    complete := next IS NULL;
END $$
"""
"""Reads the next `most` notifications of a week that is watched, and notes those that live on, whatever becomes of their
dead letters. What ended before the longest period is over without a look at its own."""

KEPT = f"""ARRAY(SELECT notification_id FROM retiring_changes WHERE week = since
                  UNION SELECT d.notification_id FROM dead_letters d
                         WHERE d.notification_id >= tidings_lowest_id(since) AND d.notification_id < past AND d.{OPEN} LIMIT most + 1)"""
RETIRE_PARTITION = f"""
CREATE FUNCTION tidings_retire_partition(since date, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    suffix text := to_char(since, '_YYYYMMDD');
    past uuid := tidings_end_of_partition(since);
    kept uuid[];
    part record;
BEGIN
    IF NOT EXISTS (SELECT FROM retiring_weeks WHERE week = since AND unread IS NULL) THEN
        RAISE EXCEPTION 'the week of % has not been read to its end', since;
    END IF;
    kept := {KEPT};
    IF cardinality(kept) <= most THEN
        EXECUTE (SELECT 'LOCK TABLE ' || string_agg('ONLY ' || name, ', ') || ' IN ACCESS EXCLUSIVE MODE' FROM tidings_partitioned());
        kept := {KEPT};
    END IF;
    IF cardinality(kept) > most THEN
        RETURN NULL;
    END IF;
    FOR part IN SELECT name, key FROM tidings_partitioned()
                 WHERE EXISTS (SELECT FROM pg_inherits WHERE inhparent = name::regclass AND inhrelid = to_regclass(name || suffix))
    LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', part.name, part.name || suffix);
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY($1)', part.name, part.name || suffix, part.key) USING kept;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part.name || suffix, part.name || suffix || '_retired');
    END LOOP;
    DELETE FROM retiring_changes WHERE week = since;
    DELETE FROM retiring_weeks WHERE week = since;
    RETURN cardinality(kept);
END $$
"""
"""Moves what lives on to the default partition, and takes the week's out; NULL where more than `most` live on. What changed
since it was read, and whose dead letter is open, lives on too. All statements go by way of the partitioned tables: with those
locked, nothing of the week is changed."""

DROP_RETIRED = """
CREATE OR REPLACE FUNCTION tidings_drop_retired() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    retired record;
BEGIN
    SELECT c.relname AS name, i.relname AS index INTO retired
      FROM pg_class c JOIN tidings_partitioned() p ON c.relname ~ ('^' || p.name || '_[0-9]{8}_retired$')
      LEFT JOIN pg_index x ON x.indrelid = c.oid AND NOT x.indisprimary LEFT JOIN pg_class i ON i.oid = x.indexrelid
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
     ORDER BY c.relname, i.relname LIMIT 1;
    IF retired.index IS NOT NULL THEN
        EXECUTE format('DROP INDEX %I', retired.index);
    ELSIF retired.name IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', retired.name);
    END IF;
    RETURN coalesce(retired.index, retired.name);
END $$
"""
"""Drops an index of a table that `tidings_retire_partition` took out, or, once it has no more, the table; its name, NULL where
there is none. Removing gigabytes of files at once would take a core for as long as that takes."""


FUNCTIONS = {
    "tidings_watch_partition(date)": WATCH_PARTITION,
    "tidings_read_partition(date, jsonb, integer)": READ_PARTITION,
    "tidings_retire_partition(date, integer)": RETIRE_PARTITION,
    "tidings_drop_retired()": DROP_RETIRED,
}
REPLACED = "tidings_retire_partition(date, jsonb, integer)"
"""Read the whole week in one statement."""


def upgrade() -> None:
    for statement in WEEKS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE retiring_weeks")
    for signature, body in FUNCTIONS.items():
        define(signature, body)
    op.execute(f"DROP FUNCTION {REPLACED}")
