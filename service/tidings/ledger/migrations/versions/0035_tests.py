"""Which notifications, dead letters and jobs are tests; what is stored already is none. A test has idempotency keys of its own,
and its dead letters are not counted among those that wait for an operator.
"""

from alembic import op

from tidings.delivery.errors import ConfigurationError
from tidings.ledger.migrations.locking import create_index, drop_index

revision = "0035"
down_revision = "0034"

COLUMNS = """
ALTER TABLE notifications ADD COLUMN IF NOT EXISTS test boolean NOT NULL DEFAULT false;
ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS test boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS test boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS notifications_test ON ONLY notifications (accepted_at) WHERE test
"""
"""Each commits by itself, for there is no order in which all roles take these tables."""
COMMENTS = """
COMMENT ON COLUMN notifications.test IS 'whether it is delivered to the sink only, as its body says';
COMMENT ON COLUMN dead_letters.test IS 'likewise';
COMMENT ON COLUMN jobs.test IS 'whether its items are tests';
COMMENT ON COLUMN idempotency_holders.addressee IS
    'SHA-256 of TEST and a newline (of a test), the tenant and a newline (neither for the tenant default), the channel, a newline, and the recipient'
"""
WITHOUT_INDEX = """
SELECT part.inhrelid::regclass::text FROM pg_inherits part
 WHERE part.inhparent = 'notifications'::regclass
   AND NOT EXISTS (SELECT FROM pg_inherits attached JOIN pg_index i ON i.indexrelid = attached.inhrelid
                    WHERE attached.inhparent = 'notifications_test'::regclass AND i.indrelid = part.inhrelid)
"""
"""Partitions whose index of tests is not a part of the whole: one that is made meanwhile has it from its beginning."""
OPEN = (
    ("dead_letters_waiting", "channel, reason, dead_lettered_at", "dead_letters_standing"),
    (
        "dead_letters_of_group",
        "fingerprint, (coalesce(tenant, '')), dead_lettered_at",
        "dead_letters_open_of_group",
    ),
)
"""Indexes of the dead letters that wait for an operator, in the place of those that had tests too: nobody discards these, so
there may be any number before the oldest that waits."""
CHANGES = {
    "tidings_erase_keys(uuid[])": (
        (
            "convert_to(CASE n.tenant",
            "convert_to(CASE WHEN n.test THEN 'TEST' || chr(10) ELSE '' END || CASE n.tenant",
        ),
    ),
    "tidings_count_open()": (
        ("FROM after", "FROM (SELECT * FROM after WHERE NOT test) AS after"),
        ("FROM before", "FROM (SELECT * FROM before WHERE NOT test) AS before"),
    ),
}
"""What is different in functions that stay as they are otherwise, with the rights to them."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in COLUMNS.split(";\n"):
            op.execute(statement)
    bind = op.get_bind()
    for table in bind.exec_driver_sql(WITHOUT_INDEX).scalars().all():
        create_index(f"{table}_test", f"{table} (accepted_at) WHERE test")
        op.execute(f"ALTER INDEX notifications_test ATTACH PARTITION {table}_test")
    create_index("dead_letters_test", "dead_letters (dead_lettered_at, id) WHERE test")
    for name, columns, former in OPEN:
        create_index(name, f"dead_letters ({columns}) WHERE state = 'open' AND NOT test")
        drop_index(former)
    for statement in COMMENTS.split(";\n"):
        op.execute(statement)
    for signature, replacements in CHANGES.items():
        definition = bind.exec_driver_sql(
            f"SELECT pg_get_functiondef('{signature}'::regprocedure)"
        ).scalar_one()
        for old, new in replacements:
            if old not in definition:
                raise ConfigurationError(
                    f"the function {signature} is not the one that Tidings made: define that again, "
                    "and run `tidings migrate` again"
                )
            definition = definition.replace(old, new)
        bind.exec_driver_sql(definition)
