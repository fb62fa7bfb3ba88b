"""Template and subject of a notification in columns, to be searched; null of what is stored already."""

from alembic import op

revision = "0026"
down_revision = "0025"

COLUMNS = """
ALTER TABLE notifications ADD COLUMN template text, ADD COLUMN subject text;
COMMENT ON COLUMN notifications.subject IS 'as its producer wrote it; null if its template has it'
"""


def upgrade() -> None:
    for statement in COLUMNS.split(";\n"):
        op.execute(statement)
