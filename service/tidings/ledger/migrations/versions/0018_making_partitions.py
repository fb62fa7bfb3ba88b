"""Functions with which a scheduler that may define nothing makes the partitions of the weeks ahead."""

from datetime import UTC, datetime, timedelta

from alembic import op

from tidings.ledger.migrations.owning import define

revision = "0018"
down_revision = "0017"

LOWEST_ID = """
CREATE FUNCTION tidings_lowest_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""
"""The UUIDv7 ids of a day begin here (UTC)."""

PARTITIONED = """
CREATE FUNCTION tidings_partitioned() RETURNS TABLE (name text, key text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('notifications', 'id'), ('attempts', 'notification_id'), ('tries', 'notification_id'),
           ('recipient_results', 'notification_id'), ('transitions', 'notification_id')
$$
"""
"""Ours alone: a schema may hold partitioned tables of others. The notifications first, then what hangs on them."""

MAKE_ROOM = """
CREATE FUNCTION tidings_make_room(relation text, since date, until date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    key text;
BEGIN
    IF since <= (now() AT TIME ZONE 'UTC')::date OR until > (now() AT TIME ZONE 'UTC')::date + 420 THEN
        RAISE EXCEPTION 'room is made for weeks ahead alone, not for % to %', since, until;
    END IF;
    SELECT p.key INTO STRICT key FROM tidings_partitioned() p WHERE p.name = relation;
    EXECUTE format('ALTER TABLE %1$I DROP CONSTRAINT IF EXISTS tidings_moving, ADD CONSTRAINT tidings_moving '
                   'CHECK (%2$I < %3$L OR %2$I >= %4$L) NOT VALID',
                   relation || '_default', key, tidings_lowest_id(since), tidings_lowest_id(until));
END $$
"""
"""No row of these days comes to the default partition from now on: a claim of one waits for their own. Days that have
begun are refused: their claims are those of now."""

ADD_PARTITION = """
CREATE FUNCTION tidings_add_partition(relation text, since date, until date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    key text;
    rest text := relation || '_default';
    added text := relation || to_char(since, '_YYYYMMDD');
    options text;
BEGIN
    SELECT p.key INTO STRICT key FROM tidings_partitioned() p WHERE p.name = relation;
    IF to_regclass(quote_ident(added)) IS NULL THEN
        IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = rest::regclass AND conname = 'tidings_moving') THEN
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
        END IF;
        SELECT 'WITH (' || array_to_string(reloptions, ', ') || ')' INTO options FROM pg_class WHERE oid = rest::regclass;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) %s', added, relation, coalesce(options, ''));
        EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING *) INSERT INTO %5$I SELECT * FROM moved',
                       rest, key, tidings_lowest_id(since), tidings_lowest_id(until), added);
        IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = rest::regclass AND conname = 'tidings_moving') THEN
            EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT tidings_moving', rest);
        END IF;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       relation, added, tidings_lowest_id(since), tidings_lowest_id(until));
    END IF;
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS tidings_moving', rest);
END $$
"""
"""A constraint that `tidings_make_room` has added is proved before the default partition is locked, however large it is:
attached without it, the partition would have that lock for as long as reading all of it takes."""

FUNCTIONS = {
    "tidings_make_room(text, date, date)": MAKE_ROOM,
    "tidings_add_partition(text, date, date)": ADD_PARTITION,
}


def upgrade() -> None:
    define("tidings_lowest_id(date)", LOWEST_ID, privileged=False)
    define("tidings_partitioned()", PARTITIONED, privileged=False)
    for signature, body in FUNCTIONS.items():
        define(signature, body)
    _begin_with_this_week()


def _begin_with_this_week() -> None:
    """Where nothing is stored yet. Else this week's rows stay in the default partition, and the next begins its own."""
    if op.get_bind().exec_driver_sql("SELECT EXISTS (SELECT FROM notifications)").scalar():
        return
    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday())
    for week in range(3):
        since, until = (monday + timedelta(weeks=week + more) for more in (0, 1))
        op.execute(
            f"SELECT tidings_add_partition(name, '{since}', '{until}') FROM tidings_partitioned()"
        )
