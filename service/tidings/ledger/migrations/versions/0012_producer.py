"""Who published a notification, kept with it from its first read on."""

from alembic import op

revision = "0012"
down_revision = "0011"

PRODUCER = """
ALTER TABLE notifications ADD COLUMN producer text;
COMMENT ON COLUMN notifications.producer IS 'who published it, by its AMQP app_id and user_id; null where neither was set'
"""

HISTORY = """
CREATE OR REPLACE VIEW history AS
    SELECT id AS notification_id, 0 AS epoch, accepted_at AS at, 0 AS step, NULL AS before,
           CASE WHEN scheduled_at > accepted_at THEN 'scheduled' ELSE 'queued' END AS after,
           coalesce(producer, 'producer') AS actor,
           CASE time_source WHEN 'read' THEN 'published, first read' WHEN 'id' THEN 'accepted, as its id says'
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
    for statement in [*PRODUCER.split(";\n"), HISTORY]:
        op.execute(statement)
