"""The tenant of notifications, dead letters and idempotency keys; and what is deleted by a tenant's own periods.

All that is stored belongs to `default`, but for malformed dead letters that name a tenant: the columns are added without a
look at the rows. Of a key the tenant is in the digest of its addressee, and for `default` nothing is, so that no stored key
is written again.
"""

from alembic import op

from tidings.delivery.errors import ConfigurationError
from tidings.ledger.migrations.locking import create_index
from tidings.ledger.migrations.owning import define

revision = "0022"
down_revision = "0021"

COLUMNS = """
ALTER TABLE notifications ADD COLUMN IF NOT EXISTS tenant text NOT NULL DEFAULT 'default';
ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS tenant text DEFAULT 'default';
ALTER TABLE idempotency_holders ADD COLUMN IF NOT EXISTS tenant text NOT NULL DEFAULT 'default';
CREATE INDEX IF NOT EXISTS notifications_tenant ON ONLY notifications (tenant, accepted_at) WHERE tenant <> 'default'
"""
"""Each commits by itself, for there is no order in which all roles take these tables."""
UNKNOWN = """
UPDATE dead_letters SET tenant = NULL WHERE reason = 'malformed' AND tenant = 'default' AND position('"tenant"'::bytea IN body) > 0
"""
"""The version before took a message that names a tenant for malformed: its dead letter is not the default tenant's."""
COMMENTS = """
COMMENT ON COLUMN notifications.tenant IS 'the customer or product that it belongs to, as its producer says';
COMMENT ON COLUMN dead_letters.tenant IS 'likewise; null if its message does not tell';
COMMENT ON COLUMN processes.retention IS
    'seconds for which a scheduler keeps finished notifications, by state or tenant:state; 0: for ever';
COMMENT ON COLUMN idempotency_holders.addressee IS
    'SHA-256 of the tenant and a newline (neither for the tenant default), the channel, a newline, and the recipient'
"""
WITHOUT_INDEX = """
SELECT part.inhrelid::regclass::text FROM pg_inherits part
 WHERE part.inhparent = 'notifications'::regclass
   AND NOT EXISTS (SELECT FROM pg_inherits attached JOIN pg_index i ON i.indexrelid = attached.inhrelid
                    WHERE attached.inhparent = 'notifications_tenant'::regclass AND i.indrelid = part.inhrelid)
"""
"""Partitions whose index of tenants is not a part of the whole: one that is made meanwhile has it from its beginning."""

USUAL = "coalesce($1 -> ''*'' ->> n.state, $1 -> ''*'' ->> ''*'')"
OF_TENANT = "coalesce($1 -> n.tenant ->> n.state, $1 -> n.tenant ->> ''*'', $1 -> ''*'' ->> n.state, $1 -> ''*'' ->> ''*'')"
"""Periods are seconds by tenant and state: {"*": {"*": 2592000, "failed": 7776000}, "acme": {"*": 604800}}."""
ADDRESSEE = "sha256(convert_to(n.channel || chr(10) || n.recipient, 'UTF8'))"
OF_ONE_TENANT = """sha256(convert_to(CASE n.tenant WHEN 'default' THEN '' ELSE n.tenant || chr(10) END
                                       || n.channel || chr(10) || n.recipient, 'UTF8'))"""
CHANGES = {
    "tidings_retire_partition(date, jsonb, integer)": (USUAL, OF_TENANT),
    "tidings_erase_keys(uuid[])": (ADDRESSEE, OF_ONE_TENANT),
}
"""What is different in functions that stay as they are otherwise, with the rights to them."""

OPEN = "state NOT IN ('replayed', 'discarded', 'superseded')"
OVER = f"""n.finished_at IS NOT NULL AND n.dispatch_at IS NULL
                           AND greatest(n.finished_at, n.updated_at)
                               < now() - greatest(86400, {OF_TENANT}::float8) * interval ''1 second''
                           AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id AND d.{OPEN.replace("'", "''")})"""
DELETE_OVER = f"""
CREATE OR REPLACE FUNCTION tidings_delete_over(partition text, periods jsonb, troubled boolean, of_tenant text, age float8,
                                               INOUT at timestamptz, INOUT last uuid, most integer, OUT looked integer, OUT deleted integer)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids uuid[];
    gone uuid[];
    child record;
    among text := '';
BEGIN
    PERFORM tidings_check_periods(periods);
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'notifications'::regclass AND inhrelid = to_regclass(quote_ident(partition))) THEN
        RAISE EXCEPTION '% is no partition of notifications', partition;
    END IF;
    IF troubled THEN
        among := ' AND (reason IS NOT NULL OR failure_kind IS NOT NULL)';
    END IF;
    IF of_tenant IS NOT NULL THEN
        among := among || format(' AND tenant = %L', of_tenant);
    END IF;
    IF of_tenant <> 'default' THEN  -- there is an index of these
        among := among || ' AND tenant <> ''default''';
    END IF;
    EXECUTE format('SELECT array_agg(id), max(accepted_at), (array_agg(id ORDER BY accepted_at DESC, id DESC))[1], count(*)
                      FROM (SELECT id, accepted_at FROM %I
                             WHERE (accepted_at, id) > ($1, $2) AND accepted_at < now() - $3 * interval ''1 second'' %s
                             ORDER BY accepted_at, id LIMIT $4) AS oldest', partition, among)
       INTO ids, at, last, looked USING coalesce(at, '-infinity'), coalesce(last, '00000000-0000-0000-0000-000000000000'), age, most;
    EXECUTE format('SELECT ARRAY(SELECT n.id FROM %I n WHERE n.id = ANY($2) AND {OVER} FOR UPDATE SKIP LOCKED)', partition)
       INTO ids USING periods, ids;
    EXECUTE format('WITH gone AS (DELETE FROM %I n WHERE n.id = ANY($2) AND {OVER} RETURNING n.id)
                    SELECT coalesce(array_agg(id), ARRAY[]::uuid[]) FROM gone', partition) INTO gone USING periods, ids;
    deleted := cardinality(gone);
    FOR child IN SELECT name, key FROM tidings_partitioned() WHERE deleted > 0 AND key <> 'id' LOOP
        EXECUTE format('DELETE FROM %I WHERE %I = ANY($1)', child.name, child.key) USING gone;
    END LOOP;
END $$
"""
"""Of all tenants if `of_tenant` is null. What stays is not
locked. What is locked is judged again, by a statement that sees the dead letters of all who had the rows before."""

TIDY = f"""
CREATE OR REPLACE FUNCTION tidings_tidy(periods jsonb, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
    total integer := 0;
BEGIN
    PERFORM tidings_check_periods(periods);
    DELETE FROM dead_letters WHERE id = ANY(ARRAY(
        SELECT id FROM dead_letters d
         WHERE NOT d.{OPEN} AND changed_at < now() - interval '1 second'
                   * greatest(691200, coalesce(periods -> d.tenant ->> '*', periods -> '*' ->> '*')::float8)
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
    DELETE FROM circuits WHERE seen_at < now() - interval '1 day';
    DELETE FROM processes WHERE seen_at < now() - interval '2 days';
    RETURN total + deleted;
END $$
"""
"""Of a dead letter the period of its tenant for any state counts."""

REPLACED = (
    "tidings_delete_over(text, jsonb, boolean, float8, timestamptz, uuid, integer)",
    "tidings_tidy(float8, integer)",
)
"""Without tenants, they would delete by periods that are not a tenant's own."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in (*COLUMNS.split(";\n"), UNKNOWN):
            op.execute(statement)
    bind = op.get_bind()
    for table in bind.exec_driver_sql(WITHOUT_INDEX).scalars().all():
        create_index(f"{table}_tenant", f"{table} (tenant, accepted_at) WHERE tenant <> 'default'")
        op.execute(f"ALTER INDEX notifications_tenant ATTACH PARTITION {table}_tenant")
    for statement in COMMENTS.split(";\n"):
        op.execute(statement)
    for signature, (old, new) in CHANGES.items():
        definition = bind.exec_driver_sql(
            f"SELECT pg_get_functiondef('{signature}'::regprocedure)"
        ).scalar_one()
        if old not in definition:
            raise ConfigurationError(
                f"the function {signature} is not the one of Tidings 0.1: define that again, "
                "and run `tidings migrate` again"
            )
        bind.exec_driver_sql(definition.replace(old, new))
    define(
        "tidings_delete_over(text, jsonb, boolean, text, float8, timestamptz, uuid, integer)",
        DELETE_OVER,
    )
    define("tidings_tidy(jsonb, integer)", TIDY)
    for signature in REPLACED:
        op.execute(f"DROP FUNCTION {signature}")
