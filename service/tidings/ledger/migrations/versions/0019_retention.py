"""Functions with which a scheduler that may delete nothing deletes what is over, and nothing else.

What is unfinished, what has an open dead letter, and what ended within a day is left alone by all of them, whatever
periods they are given; a closed dead letter for eight days, for without it the scheduler would miss it. Periods are seconds by tenant and state, `*` for any: {"*": {"*": 2592000, "failed": 7776000}}.
"""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0019"
down_revision = "0018"

OPEN = "state NOT IN ('replayed', 'discarded', 'superseded')"
ENDED_BEFORE = "now() - greatest(86400, coalesce($1 -> '*' ->> n.state, $1 -> '*' ->> '*')::float8) * interval '1 second'"
TOUCHED = "greatest(n.finished_at, n.updated_at)"
"""When it ended, or a person last decided about it."""
LIVES = f"""
    n.finished_at IS NULL OR n.dispatch_at IS NOT NULL OR {TOUCHED} >= {ENDED_BEFORE}
    OR n.id IN (SELECT d.notification_id FROM dead_letters d WHERE d.notification_id IS NOT NULL AND d.{OPEN})
"""
OVER = f"""
    n.finished_at IS NOT NULL AND n.dispatch_at IS NULL AND {TOUCHED} < {ENDED_BEFORE}
    AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id AND d.{OPEN})
"""

CHANGES = """
CREATE TABLE retiring_changes (week date NOT NULL, notification_id uuid NOT NULL)
"""
CHECK_PERIODS = """
CREATE FUNCTION tidings_check_periods(periods jsonb) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF ((periods -> '*' ->> '*')::float8 > 0) IS NOT TRUE THEN
        RAISE EXCEPTION 'periods are seconds by tenant and state, with one for any, not %', periods;
    END IF;
END $$
"""
END_OF_PARTITION = """
CREATE FUNCTION tidings_end_of_partition(since date) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
DECLARE
    past uuid := (SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([0-9a-f-]+)''\\)')
                    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = 'notifications'::regclass AND c.relname = 'notifications' || to_char(since, '_YYYYMMDD'));
BEGIN
    IF (past <= tidings_lowest_id((now() AT TIME ZONE 'UTC')::date)) IS NOT TRUE THEN
        RAISE EXCEPTION 'no partition that has ended begins with %', since;
    END IF;
    RETURN past;
END $$
"""
"""The first id after it."""

NOTE_CHANGE = """
CREATE FUNCTION tidings_note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO retiring_changes VALUES (TG_ARGV[0]::date, NEW.id);
    RETURN NULL;
END $$
"""
WATCH_PARTITION = """
CREATE FUNCTION tidings_watch_partition(since date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    watched text := 'notifications' || to_char(since, '_YYYYMMDD');
BEGIN
    PERFORM tidings_end_of_partition(since);
    DELETE FROM retiring_changes WHERE week = since;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = quote_ident(watched)::regclass AND tgname = 'tidings_changed') THEN
        EXECUTE format('CREATE TRIGGER tidings_changed AFTER INSERT OR UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION tidings_note_change(%L)',
                       watched, since);
    END IF;
END $$
"""
"""From now on each change to a week's notifications is noted, for `tidings_retire_partition`, which reads them without a lock.
Its transaction ends before that begins."""

RETIRE_PARTITION = f"""
CREATE FUNCTION tidings_retire_partition(since date, periods jsonb, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    suffix text := to_char(since, '_YYYYMMDD');
    past uuid := tidings_end_of_partition(since);
    kept uuid[];
    part record;
BEGIN
    PERFORM tidings_check_periods(periods);
    EXECUTE format('SELECT ARRAY(SELECT n.id FROM %I n WHERE {LIVES.replace("'", "''")} LIMIT $2)', 'notifications' || suffix)
       INTO kept USING periods, most + 1;
    IF cardinality(kept) <= most THEN
        EXECUTE (SELECT 'LOCK TABLE ' || string_agg('ONLY ' || name, ', ') || ' IN ACCESS EXCLUSIVE MODE' FROM tidings_partitioned());
        kept := ARRAY(SELECT unnest(kept) UNION SELECT notification_id FROM retiring_changes WHERE week = since
                UNION SELECT d.notification_id FROM dead_letters d
                       WHERE d.notification_id >= tidings_lowest_id(since) AND d.notification_id < past AND d.{OPEN} LIMIT most + 1);
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
    RETURN cardinality(kept);
END $$
"""
"""Moves what lives on to the default partition, and takes the week's out; NULL where more than `most` live on. The rows are
looked through before anything is locked; what changed meanwhile, and whose dead letter came meanwhile, lives on too. All
statements go by way of the partitioned tables: with those locked, nothing of the week is changed."""

DROP_RETIRED = """
CREATE FUNCTION tidings_drop_retired() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    retired text;
BEGIN
    SELECT c.relname INTO retired
      FROM pg_class c JOIN tidings_partitioned() p ON c.relname ~ ('^' || p.name || '_[0-9]{8}_retired$')
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relispartition LIMIT 1;
    IF retired IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', retired);
    END IF;
    RETURN retired;
END $$
"""
"""Drops one table that `tidings_retire_partition` took out; its name, NULL where there is none."""

DELETE_OVER = f"""
CREATE FUNCTION tidings_delete_over(partition text, periods jsonb, troubled boolean, age float8, INOUT at timestamptz, INOUT last uuid,
                                    most integer, OUT looked integer, OUT deleted integer) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids uuid[];
    gone uuid[];
    child record;
BEGIN
    PERFORM tidings_check_periods(periods);
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'notifications'::regclass AND inhrelid = to_regclass(quote_ident(partition))) THEN
        RAISE EXCEPTION '% is no partition of notifications', partition;
    END IF;
    EXECUTE format('SELECT array_agg(id), max(accepted_at), (array_agg(id ORDER BY accepted_at DESC, id DESC))[1], count(*)
                      FROM (SELECT id, accepted_at FROM %I
                             WHERE (accepted_at, id) > ($1, $2) AND accepted_at < now() - $3 * interval ''1 second'' %s
                             ORDER BY accepted_at, id LIMIT $4) AS oldest',
                   partition, CASE WHEN troubled THEN 'AND (reason IS NOT NULL OR failure_kind IS NOT NULL)' ELSE '' END)
       INTO ids, at, last, looked USING coalesce(at, '-infinity'), coalesce(last, '00000000-0000-0000-0000-000000000000'), age, most;
    EXECUTE format('SELECT ARRAY(SELECT id FROM %I WHERE id = ANY($1) FOR UPDATE SKIP LOCKED)', partition) INTO ids USING ids;
    EXECUTE format('WITH gone AS (DELETE FROM %I n WHERE n.id = ANY($2) AND {OVER.replace("'", "''")} RETURNING n.id)
                    SELECT coalesce(array_agg(id), ARRAY[]::uuid[]) FROM gone', partition) INTO gone USING periods, ids;
    deleted := cardinality(gone);
    FOR child IN SELECT name, key FROM tidings_partitioned() WHERE deleted > 0 AND key <> 'id' LOOP
        EXECUTE format('DELETE FROM %I WHERE %I = ANY($1)', child.name, child.key) USING gone;
    END LOOP;
END $$
"""
"""Of a partition's notifications, accepted so many seconds ago, those that are over, with all that hangs on them: of the next
`most` after (at, last), of all or of those that fared badly. They are
locked by a statement of their own, so that the next sees the dead letters of all who had them before. Says where to go on; looked is less than `most` at the end."""

TIDY = f"""
CREATE FUNCTION tidings_tidy(period float8, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
    total integer := 0;
BEGIN
    DELETE FROM dead_letters WHERE id = ANY(ARRAY(
        SELECT id FROM dead_letters d WHERE NOT d.{OPEN} AND changed_at < now() - greatest(691200, period) * interval '1 second'
           AND NOT EXISTS (SELECT FROM dead_letters newer WHERE newer.supersedes = d.id)
         ORDER BY changed_at LIMIT most FOR UPDATE SKIP LOCKED));
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
    "tidings_note_change()": NOTE_CHANGE,
    "tidings_watch_partition(date)": WATCH_PARTITION,
    "tidings_retire_partition(date, jsonb, integer)": RETIRE_PARTITION,
    "tidings_drop_retired()": DROP_RETIRED,
    "tidings_delete_over(text, jsonb, boolean, float8, timestamptz, uuid, integer)": DELETE_OVER,
    "tidings_tidy(float8, integer)": TIDY,
}


def upgrade() -> None:
    op.execute(CHANGES)
    leave_to_owner("TABLE retiring_changes")
    define("tidings_check_periods(jsonb)", CHECK_PERIODS, privileged=False)
    define("tidings_end_of_partition(date)", END_OF_PARTITION, privileged=False)
    for signature, body in FUNCTIONS.items():
        define(signature, body)
