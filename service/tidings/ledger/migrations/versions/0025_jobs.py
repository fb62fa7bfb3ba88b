"""Jobs: one action on many dead letters or notifications, with the items that it was looked at with and the result of each."""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0025"
down_revision = "0024"

JOBS = """
CREATE TABLE jobs (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('replay', 'discard', 'cancel')),
    tenant      text,
    state       text NOT NULL DEFAULT 'preview'
                CHECK (state IN ('preview', 'running', 'paused', 'stopped', 'finished', 'cancelled')),
    selection   jsonb NOT NULL,
    note        text NOT NULL DEFAULT '',
    actor       text NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now(),
    items       integer NOT NULL DEFAULT 0,
    uncertain   integer NOT NULL DEFAULT 0,
    too_late    integer NOT NULL DEFAULT 0,
    doubtful    integer NOT NULL DEFAULT 0,
    forced      boolean NOT NULL DEFAULT false,
    rate        float8,
    canary      integer[] NOT NULL DEFAULT '{}',
    stop_at     float8,
    watch       float8 NOT NULL DEFAULT 60,
    started_at  timestamptz,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    changed_by  text NOT NULL,
    ended_at    timestamptz,
    reason      text NOT NULL DEFAULT '',
    waves       jsonb NOT NULL DEFAULT '[]',
    judged_from integer NOT NULL DEFAULT 0,
    results     jsonb NOT NULL DEFAULT '{}',
    outcomes    jsonb NOT NULL DEFAULT '{}',
    settled     boolean NOT NULL DEFAULT false,
    holder      text,
    lease_until timestamptz
);
CREATE INDEX jobs_seen_at ON jobs (seen_at, id);
CREATE INDEX jobs_unfinished ON jobs (started_at) WHERE state = 'running' OR NOT settled;
CREATE TABLE job_items (
    job      uuid NOT NULL,
    position integer NOT NULL,
    item     uuid NOT NULL,
    result   text,
    outcome  text,
    detail   text,
    PRIMARY KEY (job, position)
) WITH (fillfactor = 45);
COMMENT ON TABLE jobs IS 'one action on many dead letters or notifications; `tidings jobs` shows them';
COMMENT ON COLUMN jobs.tenant IS 'whose items it has; null: of all tenants';
COMMENT ON COLUMN jobs.selection IS 'how its items were chosen, for people: the items themselves are in job_items';
COMMENT ON COLUMN jobs.seen_at IS 'when its items were chosen: what arrived later is not among them';
COMMENT ON COLUMN jobs.judged_from IS 'the share of failures counts from the item after this one';
COMMENT ON COLUMN jobs.settled IS 'whether the outcomes of all its items are final';
COMMENT ON TABLE job_items IS 'the dead letters or notifications of a job, in its order';
COMMENT ON COLUMN job_items.result IS 'what the job did with it; null: not its turn yet';
COMMENT ON COLUMN job_items.outcome IS 'of a replay: the final state that its notification reached'
"""

TIDY = """
CREATE FUNCTION tidings_tidy_jobs(age float8, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    over uuid;
    deleted integer;
BEGIN
    SELECT id INTO over FROM jobs
     WHERE ended_at < now() - greatest(86400, age) * interval '1 second'
        OR started_at IS NULL AND seen_at < now() - interval '1 day'
     ORDER BY seen_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF over IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE jobs SET state = 'cancelled', reason = 'nobody started it within a day', changed_at = now(), ended_at = now()
     WHERE id = over AND state = 'preview';
    DELETE FROM job_items i
     WHERE i.job = over AND i.position IN (SELECT position FROM job_items WHERE job = over ORDER BY position LIMIT most);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted < most THEN
        DELETE FROM jobs WHERE id = over;
        deleted := deleted + 1;
    END IF;
    RETURN deleted;
END $$
"""
"""Deletes some of the oldest job that is to go: what was never started after a day, others some time after their end.
A preview is cancelled with its first item: it can't be started with some of them missing."""


def upgrade() -> None:
    for statement in JOBS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE jobs")
    leave_to_owner("TABLE job_items")
    define("tidings_tidy_jobs(float8, integer)", TIDY)
