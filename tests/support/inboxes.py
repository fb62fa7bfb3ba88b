"""Messages in the inboxes of users, as a delivery leaves them."""

import json
from typing import Any
from uuid import UUID, uuid4

from tidings.ledger.database import Database
from tidings.ledger.inbox.messages import InboxUser

RAISE = """
INSERT INTO inbox_users (tenant, user_id, revision) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, user_id) DO UPDATE SET revision = inbox_users.revision + $3 RETURNING revision
"""
DELIVER = """
INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity, title, body, data, action_url,
                            actions, entity_type, entity_id, expires_at)
SELECT $1, $2, r.id, $3 + r.place, $3 + r.place, r.category, r.type, r.severity, r.title, r.body, r.data, r.action_url,
       r.actions, r.entity_type, r.entity_id, r.expires_at
  FROM jsonb_to_recordset($4::jsonb) AS r (place bigint, id uuid, category text, type text, severity text, title text, body text,
       data jsonb, action_url text, actions jsonb, entity_type text, entity_id text, expires_at timestamptz)
"""
ACTIONS = [{"id": "approve", "label": "Approve"}, {"id": "reject", "label": "Reject", "url": "/no"}]


async def delivered(database: Database, user: InboxUser, *messages: dict[str, Any]) -> list[UUID]:
    """Put messages into an inbox, oldest first; what one does not say is as a delivery makes it."""
    ids = [message.get("id") or uuid4() for message in messages]
    plain = {"category": "default", "type": "message", "severity": "info", "title": "Hello"}
    rows = [
        {**plain, **message, "place": place, "id": str(id)}
        for place, (id, message) in enumerate(zip(ids, messages, strict=True), 1)
    ]
    async with database.transaction() as connection:
        head = await connection.fetchval(RAISE, user.tenant, user.user_id, len(rows))
        await connection.execute(
            DELIVER, user.tenant, user.user_id, head - len(rows), json.dumps(rows)
        )
    return ids
