"""Schedules: what is sent again and again, and orders to pause the dispatching of all that is due."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0028"
down_revision = "0027"

SCHEDULES = """
CREATE TABLE schedules (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    name        text NOT NULL,
    cron        text,
    timezone    text NOT NULL,
    starts_at   timestamptz,
    ends_at     timestamptz,
    max_runs    integer CHECK (max_runs > 0),
    misfire     text NOT NULL CHECK (misfire IN ('send_once', 'skip')),
    content     jsonb NOT NULL,
    recipients  jsonb NOT NULL,
    state       text NOT NULL CHECK (state IN ('active', 'paused', 'ended', 'deleted')),
    next_run_at timestamptz,
    runs        integer NOT NULL DEFAULT 0,
    skipped     integer NOT NULL DEFAULT 0,
    last_run_at timestamptz,
    last_run    jsonb,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (next_run_at IS NULL OR state = 'active')
);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE UNIQUE INDEX schedules_name ON schedules (tenant, name) WHERE state <> 'deleted';
COMMENT ON TABLE schedules IS 'notifications that are sent again and again, and templates of those that are sent by hand';
COMMENT ON COLUMN schedules.cron IS 'null: it runs by hand only';
COMMENT ON COLUMN schedules.content IS 'what all its notifications have in common, as the contract has it';
COMMENT ON COLUMN schedules.recipients IS 'addresses, or objects with what each recipient has of its own; empty once it is deleted';
COMMENT ON COLUMN schedules.max_runs IS 'runs after which it ends; skipped ones and those by hand do not count';
COMMENT ON COLUMN schedules.last_run IS 'due time, whether it was late or by hand, notifications, runs skipped before it, or its error';
CREATE TABLE dispatching_orders (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    paused boolean NOT NULL,
    actor  text NOT NULL,
    note   text NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dispatching_orders IS 'the last one says whether schedulers publish what is due'
"""


def upgrade() -> None:
    for statement in SCHEDULES.split(";\n"):
        op.execute(statement)
    for table in ("schedules", "dispatching_orders"):
        leave_to_owner(f"TABLE {table}")
