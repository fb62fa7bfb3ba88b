"""Which processes run, as each of them says."""

from alembic import op

revision = "0010"
down_revision = "0009"

PROCESSES = """
CREATE TABLE processes (
    actor     text PRIMARY KEY,
    roles     text[] NOT NULL,
    host      text NOT NULL,
    pid       integer NOT NULL,
    version   text NOT NULL,
    channels  text[] NOT NULL,
    templates text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    seen_at   timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz
);
CREATE INDEX processes_seen_at ON processes (seen_at);
COMMENT ON TABLE processes IS 'a row of a process that is long gone is used again by a new one';
COMMENT ON COLUMN processes.templates IS 'what the templates come to that it read; empty where it reads none'
"""


def upgrade() -> None:
    for statement in PROCESSES.split(";\n"):
        op.execute(statement)
