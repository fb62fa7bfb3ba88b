"""A function with which a scheduler that may delete nothing removes what is left of deleted messages after a week."""

from tidings.ledger.migrations.owning import define

revision = "0037"
down_revision = "0036"

PURGE = """
CREATE FUNCTION tidings_purge_inboxes(most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    tenants text[];
    users text[];
    ids uuid[];
BEGIN
    SELECT array_agg(o.tenant), array_agg(o.user_id), array_agg(o.id) INTO tenants, users, ids FROM (
        SELECT tenant, user_id, id FROM inbox_messages WHERE deleted_at < now() - interval '7 days' ORDER BY deleted_at LIMIT most
    ) AS o;
    PERFORM FROM inbox_users WHERE (tenant, user_id) IN (SELECT * FROM unnest(tenants, users)) ORDER BY tenant, user_id FOR UPDATE;
    WITH purged AS (
        DELETE FROM inbox_messages m USING unnest(tenants, users, ids) AS o (tenant, user_id, id)
         WHERE m.tenant = o.tenant AND m.user_id = o.user_id AND m.id = o.id AND m.deleted_at < now() - interval '7 days'
        RETURNING m.tenant, m.user_id, m.revision
    )
    UPDATE inbox_users u SET floor = greatest(u.floor, p.revision)
      FROM (SELECT tenant, user_id, max(revision) AS revision FROM purged GROUP BY tenant, user_id) AS p
     WHERE u.tenant = p.tenant AND u.user_id = p.user_id;
    RETURN coalesce(cardinality(ids), 0);
END $$
"""
"""Users are locked in their order, as by everybody who takes several. Whoever knows less than `floor` reads all anew."""


def upgrade() -> None:
    define("tidings_purge_inboxes(integer)", PURGE)
