"""Rules of alerts, what they sent, and dead letters counted by minute, by which the rules are judged."""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0041"
down_revision = "0040"

TABLES = """
CREATE TABLE alert_rules (
    id            uuid PRIMARY KEY,
    tenant        text NOT NULL,
    name          text NOT NULL,
    enabled       boolean NOT NULL DEFAULT true,
    watch         text NOT NULL,
    channel       text,
    category      text,
    reason        text,
    fingerprint   text,
    threshold     integer NOT NULL,
    lasting       integer NOT NULL,
    every         integer NOT NULL,
    url           text,
    to_channel    text,
    recipient     text,
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_by    text NOT NULL,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    counted_from  timestamptz NOT NULL,
    counted       jsonb NOT NULL DEFAULT '[]',
    known         text[] NOT NULL DEFAULT '{}',
    not_before    timestamptz,
    leased_until  timestamptz,
    last_alert_at timestamptz,
    error         text,
    failing_since timestamptz,
    UNIQUE (tenant, name)
);
COMMENT ON TABLE alert_rules IS 'what operators are alerted about, when, and where';
COMMENT ON COLUMN alert_rules.tenant IS 'whose it is, and whose dead letters it watches; *: all tenants';
COMMENT ON COLUMN alert_rules.lasting IS 'seconds in which so many have to come, or for which it has to last';
COMMENT ON COLUMN alert_rules.every IS 'seconds between two alerts, at least';
COMMENT ON COLUMN alert_rules.url IS 'of the receiver, as Apprise writes it; a secret';
COMMENT ON COLUMN alert_rules.counted_from IS 'the first minute whose dead letters count';
COMMENT ON COLUMN alert_rules.counted IS 'of its first minutes, what an alert has reported already';
COMMENT ON COLUMN alert_rules.known IS 'providers, schedules and queues that an alert has reported, and that have not recovered';
COMMENT ON COLUMN alert_rules.leased_until IS 'until then one process sends its alert';
CREATE TABLE sent_alerts (
    id         uuid PRIMARY KEY,
    rule       uuid NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT now(),
    test       boolean NOT NULL,
    actor      text NOT NULL,
    title      text NOT NULL,
    text       text NOT NULL,
    answer     text NOT NULL,
    error      text,
    seconds    float8 NOT NULL
);
COMMENT ON TABLE sent_alerts IS 'what rules of alerts sent, and what their receivers answered; the last 50 of each rule';
CREATE INDEX sent_alerts_of_rule ON sent_alerts (rule, at);
CREATE TABLE dead_letter_minutes (
    minute      timestamptz NOT NULL,
    tenant      text NOT NULL,
    channel     text NOT NULL,
    category    text NOT NULL,
    reason      text NOT NULL,
    fingerprint text NOT NULL,
    arrived     bigint NOT NULL,
    PRIMARY KEY (minute, tenant, channel, category, reason, fingerprint)
) WITH (fillfactor = 80);
COMMENT ON TABLE dead_letter_minutes IS 'dead letters by group and category and by the minute in which they were stored; kept for three days';
ALTER TABLE dead_letter_deltas ADD COLUMN minute timestamptz, ADD COLUMN category text;
COMMENT ON COLUMN dead_letter_deltas.minute IS 'when they were stored; null: nobody is alerted about them';
ALTER TABLE alerts ADD COLUMN leased_until timestamptz, ADD COLUMN error text, ADD COLUMN failing_since timestamptz;
COMMENT ON COLUMN alerts.leased_until IS 'until then one process sends it'
"""

COUNT_OPEN = """
CREATE OR REPLACE FUNCTION tidings_count_open() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived, minute, category)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               count(*), count(*) FILTER (WHERE supersedes IS NULL),
               CASE WHEN entity_type IS DISTINCT FROM 'tidings_alert' THEN date_trunc('minute', clock_timestamp(), 'UTC') END,
               coalesce(category, '')
          FROM after WHERE state = 'open' AND NOT test GROUP BY 1, 2, 3, 4, 5, 8, 9;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               -count(*), 0
          FROM before WHERE state = 'open' AND NOT test GROUP BY 1, 2, 3, 4, 5;
    ELSE
        INSERT INTO dead_letter_deltas (tenant, channel, reason, fingerprint, hour, change, arrived)
        SELECT coalesce(tenant, ''), coalesce(channel, ''), reason, fingerprint, date_trunc('hour', dead_lettered_at, 'UTC'),
               sum(change), 0
          FROM (SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, 1 AS change FROM after WHERE NOT test
                 UNION ALL SELECT tenant, channel, reason, fingerprint, dead_lettered_at, state, -1 FROM before WHERE NOT test) AS changed
         WHERE state = 'open' GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$
"""
"""What is edited, or was closed when it came, is no arrival. By the minute it counts from when it is stored, not from when it
failed: an archive that was away must not let a rule's time pass unseen."""

_BY_HOUR = """
        ON CONFLICT (hour, tenant, channel, reason, fingerprint) DO UPDATE
           SET open = h.open + excluded.open, arrived = h.arrived + excluded.arrived
    )
"""
_BY_MINUTE = """
        ON CONFLICT (hour, tenant, channel, reason, fingerprint) DO UPDATE
           SET open = h.open + excluded.open, arrived = h.arrived + excluded.arrived
    ), by_minute AS (
        INSERT INTO dead_letter_minutes AS m
        SELECT minute, tenant, channel, category, reason, fingerprint, sum(arrived) FROM taken
         WHERE minute IS NOT NULL AND arrived > 0 GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (minute, tenant, channel, category, reason, fingerprint) DO UPDATE SET arrived = m.arrived + excluded.arrived
    )
"""
_OLD_HOURS = (
    "    DELETE FROM dead_letter_hours WHERE open = 0 AND hour < now() - interval '35 days';\n"
)
_OLD_MINUTES = (
    f"{_OLD_HOURS}    DELETE FROM dead_letter_minutes WHERE minute < now() - interval '3 days';\n"
)
CHANGES = {
    "tidings_fold_rollups(integer, integer)": (_BY_HOUR, _BY_MINUTE),
    "tidings_expire_rollups(float8)": (_OLD_HOURS, _OLD_MINUTES),
}
"""What is different in functions that stay as they are otherwise."""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in ("alert_rules", "sent_alerts", "dead_letter_minutes"):
        leave_to_owner(f"TABLE {table}")
    define("tidings_count_open()", COUNT_OPEN)
    bind = op.get_bind()
    for signature, (old, new) in CHANGES.items():
        definition = bind.exec_driver_sql(
            f"SELECT pg_get_functiondef('{signature}'::regprocedure)"
        ).scalar_one()
        if old not in definition:
            raise RuntimeError(f"the function {signature} is not the one that Tidings made")
        bind.exec_driver_sql(definition.replace(old, new))
