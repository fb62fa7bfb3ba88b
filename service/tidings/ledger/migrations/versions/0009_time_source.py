"""Who says since when a notification waits."""

from alembic import op

revision = "0009"
down_revision = "0008"

TIME_SOURCE = """
ALTER TABLE notifications ADD COLUMN time_source text;
ALTER TABLE notifications ADD CONSTRAINT notifications_time_source_check
    CHECK (time_source IN ('producer', 'id', 'read')) NOT VALID;
COMMENT ON COLUMN notifications.time_source IS 'who says accepted_at: the message, the id, or nobody (it is when it was first read)'
"""

HISTORY = """
CREATE OR REPLACE VIEW history AS
    SELECT id AS notification_id, 0 AS epoch, accepted_at AS at, 0 AS step, NULL AS before,
           CASE WHEN scheduled_at > accepted_at THEN 'scheduled' ELSE 'queued' END AS after,
           'producer' AS actor,
           CASE time_source WHEN 'read' THEN 'first read' WHEN 'id' THEN 'accepted, as its id says'
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
      FROM transitions
"""


def upgrade() -> None:
    for statement in [*TIME_SOURCE.split(";\n"), HISTORY]:
        op.execute(statement)
