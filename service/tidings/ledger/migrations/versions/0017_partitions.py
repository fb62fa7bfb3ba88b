"""Partitions by notification id: one for each week, and one for every other id.

A UUIDv7 begins with its time, so a week's notifications have ids from one bound to the next, and all that hangs on
them lies likewise: what is over is dropped with its week. The tables as they are become the default partitions of the
new ones: no row is read or moved, however many there are.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

TABLES = {
    "notifications": "id",
    "attempts": "notification_id",
    "tries": "notification_id",
    "recipient_results": "notification_id",
    "transitions": "notification_id",
}
"""And their keys; in the order in which statements lock them."""

PREPARE = f"""
LOCK TABLE {", ".join(TABLES)} IN ACCESS EXCLUSIVE MODE;
ALTER TABLE notifications ADD COLUMN claimed_again boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN notifications.claimed_again IS 'false until a claim finds the row stored already';
CREATE SEQUENCE transitions_ids;
SELECT pg_temp.owned_like('transitions', 'SEQUENCE', 'transitions_ids');
SELECT setval('transitions_ids', nextval(pg_get_serial_sequence('transitions', 'id')));
ALTER TABLE transitions DROP CONSTRAINT transitions_pkey;
ALTER TABLE transitions ADD CONSTRAINT transitions_pkey PRIMARY KEY USING INDEX transitions_key;
ALTER TABLE transitions ALTER COLUMN id DROP IDENTITY;
ALTER TABLE transitions ALTER COLUMN id SET DEFAULT nextval('transitions_ids')
"""
"""`claimed_again` says what `xmax` said, which can't be returned from a partitioned table; and only PostgreSQL 17
has identity columns in one."""

FUNCTIONS = """
CREATE FUNCTION pg_temp.grant_as(old regclass, new regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT a.*, pg_get_userbyid(c.relowner) AS owner
                 FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = old AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s%s', one.privilege_type, new,
                       CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(one.grantee)) END,
                       CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END $$;

CREATE FUNCTION pg_temp.owned_like(old regclass, kind text, new text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER %s %I OWNER TO %I', kind, new, (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = old));
END $$;

CREATE FUNCTION pg_temp.partition(old text, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rest text := old || '_default';
    primary_key text := (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = old::regclass AND contype = 'p');
    indexes text[] := ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = old::regclass AND NOT indisprimary);
    index text;
BEGIN
    FOR index IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = old::regclass LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', index, regexp_replace(index, '^' || old, rest));
    END LOOP;
    EXECUTE format('ALTER TABLE %I RENAME TO %I', old, rest);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE) '
                   'PARTITION BY RANGE (%I)', old, rest, key);
    PERFORM pg_temp.owned_like(rest::regclass, 'TABLE', old);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', old, old || '_pkey', primary_key);
    FOREACH index IN ARRAY indexes LOOP
        EXECUTE index;
    END LOOP;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', old, rest);
    PERFORM pg_temp.grant_as(rest::regclass, old::regclass);
END $$
"""

HISTORY = """
CREATE VIEW history AS
    SELECT id AS notification_id, 0 AS epoch, accepted_at AS at, 0 AS step, NULL AS before,
           CASE WHEN scheduled_at > accepted_at THEN 'scheduled' ELSE 'queued' END AS after,
           coalesce(producer, 'producer') AS actor,
           CASE time_source WHEN 'read' THEN 'published, first read' WHEN 'id' THEN 'accepted, as its id says'
                ELSE 'accepted' END AS reason
      FROM notifications
 UNION ALL
    SELECT notification_id, epoch, started_at, 2 * attempt, CASE attempt WHEN 1 THEN 'queued' ELSE 'retrying' END,
           'sending', worker, 'attempt ' || attempt
      FROM attempts
 UNION ALL
    SELECT notification_id, epoch, started_at + duration_ms * interval '1 millisecond', 2 * attempt + 1,
           'sending', state, worker, coalesce(message, 'accepted by ' || provider)
      FROM attempts
 UNION ALL
    SELECT notification_id, epoch, at, 1, before, after, actor, reason
      FROM transitions;
SELECT pg_temp.owned_like('history_before', 'VIEW', 'history');
SELECT pg_temp.grant_as('history_before', 'history');
DROP VIEW history_before;
ALTER SEQUENCE transitions_ids OWNED BY transitions.id;
GRANT USAGE ON SEQUENCE transitions_ids TO PUBLIC
"""
"""Whoever may insert a row may number it, as with an identity column."""


def upgrade() -> None:
    for function in FUNCTIONS.split(";\n\n"):
        op.execute(function)
    for statement in PREPARE.split(";\n"):
        op.execute(statement)
    op.execute("ALTER VIEW history RENAME TO history_before")
    for table, key in TABLES.items():
        op.execute(f"SELECT pg_temp.partition('{table}', '{key}')")
    for statement in HISTORY.split(";\n"):
        op.execute(statement)
