"""Sessions of the console: who is signed in, until when, and what they may do."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Make the table; a session is found by the hash of its token, which is stored nowhere."""
    op.execute(
        """
        CREATE TABLE console_sessions (
            hash         bytea PRIMARY KEY,
            id           uuid NOT NULL UNIQUE,
            name         text NOT NULL,
            tenant       text NOT NULL,
            scopes       text[] NOT NULL,
            test         boolean NOT NULL DEFAULT false,
            api_key      text,
            created_at   timestamptz NOT NULL DEFAULT now(),
            last_used_at timestamptz NOT NULL DEFAULT now(),
            expires_at   timestamptz NOT NULL
        )
        """
    )
    leave_to_owner("TABLE console_sessions")
    # A scope of its own since then: until now `admin` permitted it.
    op.execute(
        "UPDATE api_keys SET scopes = scopes || '{reveal}'::text[] WHERE 'admin' = ANY (scopes)"
    )
