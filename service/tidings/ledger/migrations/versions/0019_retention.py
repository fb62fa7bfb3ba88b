"""Functions with which a scheduler that may delete nothing deletes what is over, and nothing else.

What is unfinished, what has an open dead letter, and what ended within a day is left alone by all of them, whatever
periods they are given. Periods are seconds by tenant and state, `*` for any: {"*": {"*": 2592000, "failed": 7776000}}.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

OPEN = "state NOT IN ('replayed', 'discarded', 'superseded')"
ENDED_BEFORE = "now() - greatest(86400, coalesce($1 -> '*' ->> n.state, $1 -> '*' ->> '*')::float8) * interval '1 second'"
LIVES = f"""
    n.finished_at IS NULL OR n.finished_at >= {ENDED_BEFORE}
    OR n.id IN (SELECT d.notification_id FROM dead_letters d WHERE d.notification_id IS NOT NULL AND d.{OPEN})
"""
OVER = f"""
    n.finished_at < {ENDED_BEFORE}
    AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id AND d.{OPEN})
"""

CLOSE_PARTITION = """
CREATE FUNCTION tidings_close_partition(since date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS tidings_moving, ADD CONSTRAINT tidings_moving CHECK (false) NOT VALID',
                   (SELECT name FROM tidings_partitioned() LIMIT 1) || to_char(since, '_YYYYMMDD'));
END $$
"""
"""No row of that week is added or changed until `tidings_retire_partition` has ended: it waits."""

RETIRE_PARTITION = f"""
CREATE FUNCTION tidings_retire_partition(since date, periods jsonb, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    week text := to_char(since, '_YYYYMMDD');
    notifications text := (SELECT name FROM tidings_partitioned() LIMIT 1);
    kept uuid[];
    part record;
BEGIN
    EXECUTE format('SELECT ARRAY(SELECT n.id FROM %I n WHERE {LIVES.replace("'", "''")} LIMIT $2)', notifications || week)
       INTO kept USING periods, most + 1;
    IF cardinality(kept) > most THEN
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS tidings_moving', notifications || week);
        RETURN NULL;
    END IF;
    EXECUTE (SELECT 'LOCK TABLE ' || string_agg(quote_ident(name), ', ') || ' IN ACCESS EXCLUSIVE MODE' FROM tidings_partitioned());
    FOR part IN SELECT name, key FROM tidings_partitioned()
                 WHERE EXISTS (SELECT FROM pg_inherits WHERE inhparent = quote_ident(name)::regclass
                                  AND inhrelid = to_regclass(quote_ident(name || week)))
    LOOP
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', part.name, part.name || week);
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I = ANY($1)', part.name, part.name || week, part.key) USING kept;
    END LOOP;
    RETURN cardinality(kept);
END $$
"""
"""Moves what lives on to the default partition, and takes the week's out; NULL where more than `most` live on.
The rows are looked through before anything is locked."""

DROP_RETIRED = """
CREATE FUNCTION tidings_drop_retired() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    retired text;
BEGIN
    SELECT c.relname INTO retired
      FROM pg_class c JOIN tidings_partitioned() p ON c.relname ~ ('^' || p.name || '_[0-9]{8}$')
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition LIMIT 1;
    IF retired IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', retired);
    END IF;
    RETURN retired;
END $$
"""
"""Drops one table that is a partition no more; its name, NULL where there is none."""

DELETE_OVER = f"""
CREATE FUNCTION tidings_delete_over(partition text, periods jsonb, troubled boolean, age float8, INOUT at timestamptz, INOUT last uuid,
                                    most integer, OUT looked integer, OUT deleted integer) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    notifications text := (SELECT name FROM tidings_partitioned() LIMIT 1);
    ids uuid[];
    gone uuid[];
    child record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = notifications::regclass AND inhrelid = to_regclass(quote_ident(partition))) THEN
        RAISE EXCEPTION '% is no partition of %', partition, notifications;
    END IF;
    EXECUTE format('SELECT array_agg(id), max(accepted_at), (array_agg(id ORDER BY accepted_at DESC, id DESC))[1], count(*)
                      FROM (SELECT id, accepted_at FROM %I
                             WHERE (accepted_at, id) > ($1, $2) AND accepted_at < now() - $3 * interval ''1 second'' %s
                             ORDER BY accepted_at, id LIMIT $4) AS oldest',
                   partition, CASE WHEN troubled THEN 'AND (reason IS NOT NULL OR failure_kind IS NOT NULL)' ELSE '' END)
       INTO ids, at, last, looked USING coalesce(at, '-infinity'), coalesce(last, '00000000-0000-0000-0000-000000000000'), age, most;
    EXECUTE format('WITH gone AS (DELETE FROM %I n WHERE n.id = ANY($2) AND {OVER.replace("'", "''")} RETURNING n.id)
                    SELECT coalesce(array_agg(id), ARRAY[]::uuid[]) FROM gone', partition) INTO gone USING periods, ids;
    deleted := cardinality(gone);
    FOR child IN SELECT name, key FROM tidings_partitioned() WHERE deleted > 0 AND key <> 'id' LOOP
        EXECUTE format('DELETE FROM %I WHERE %I = ANY($1)', child.name, child.key) USING gone;
    END LOOP;
END $$
"""
"""Of a partition's notifications, accepted so many seconds ago, those that are over, with all that hangs on them: of the next
`most` after (at, last), of all or of those that fared badly. Says where to go on; looked is less than `most` at the end."""

TIDY = f"""
CREATE FUNCTION tidings_tidy(period float8, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
    total integer := 0;
BEGIN
    DELETE FROM dead_letters WHERE id = ANY(ARRAY(
        SELECT id FROM dead_letters d WHERE NOT d.{OPEN} AND changed_at < now() - greatest(86400, period) * interval '1 second'
           AND NOT EXISTS (SELECT FROM dead_letters newer WHERE newer.supersedes = d.id)
         ORDER BY buried_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    DELETE FROM idempotency_holders WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_holders WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_keys WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    DELETE FROM circuits WHERE seen_at < now() - interval '1 day';
    DELETE FROM processes WHERE seen_at < now() - interval '2 days';
    RETURN total;
END $$
"""
"""Deletes what is of no use any more beside notifications: closed dead letters, the newest edit first, for an edited one
refers to the one it stands for; keys; circuits and processes of workers that are gone. How many of the first three."""

FUNCTIONS = {
    "tidings_close_partition(date)": CLOSE_PARTITION,
    "tidings_retire_partition(date, jsonb, integer)": RETIRE_PARTITION,
    "tidings_drop_retired()": DROP_RETIRED,
    "tidings_delete_over(text, jsonb, boolean, float8, timestamptz, uuid, integer)": DELETE_OVER,
    "tidings_tidy(float8, integer)": TIDY,
}


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
    for signature, body in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"ALTER FUNCTION {signature} SET search_path = {schema}, pg_temp")
        op.execute(f"ALTER FUNCTION {signature} SET lock_timeout = '2s'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC")
