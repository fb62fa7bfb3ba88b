"""Dead letters put straight into the ledger: for pages and routes, which don't care how they came there."""

import json
from typing import Any, Protocol
from uuid import UUID, uuid4

INSERT = """
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, tenant, test,
                          category, recipient, attempts, first_failed_at, last_failed_at, exchange, routing_key, body)
VALUES ($1, $2, $7, 'rejected', '550', $6, $3, 'email', 'normal', $4, $8, 'receipt', 'ada@example.com', 1,
        now(), now(), 'tidings.notifications', 'email.normal', $5)
"""


class Database(Protocol):
    """Where they go: `ApiRig` is one."""

    async def execute(self, statement: str, *arguments: object) -> None:
        """Change something."""
        ...


async def store_dead_letter(
    database: Database,
    group: str,
    tenant: str = "shop",
    *,
    message: str = "no such mailbox",
    reason: str = "rejected",
    test: bool = False,
    **fields: Any,
) -> UUID:
    """Store one.

    Args:
        database: Where.
        group: Its fingerprint, hexadecimal.
        tenant: Its tenant.
        message: Of its error.
        reason: Why it is one.
        test: Whether it is a test's.
        fields: Of its body.
    """
    id_, about = uuid4(), uuid4()
    body = {
        "id": str(about),
        "version": 1,
        "channel": "email",
        "tenant": tenant,
        "recipient": "ada@example.com",
        "subject": "Hello",
        "body": "How are you?",
        **({"test": True} if test else {}),
        **fields,
    }
    written = json.dumps({name: value for name, value in body.items() if value is not None})
    await database.execute(
        INSERT, id_, about, group, tenant, written.encode(), message, reason, test
    )
    return id_
