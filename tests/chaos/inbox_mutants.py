"""Protections of inboxes, and `tidings` without each of them."""

import asyncio
import os
from dataclasses import replace
from typing import Any
from uuid import uuid5

from tests.chaos.mutants import mutant, replace_in, set_on


@mutant
def resumes_at_head() -> None:
    """Take a client that connects again for one that knows all."""
    from tidings.inbox.pump import Pump

    usual = Pump._answer

    def answer(self: Any, connection: Any, state: Any, began: float) -> None:
        if not connection.greeted and state.changes:
            state = replace(state, changes=[])
        usual(self, connection, state, began)

    set_on(Pump, "_answer", answer)


@mutant
def looks_never() -> None:
    """Rely on hints."""
    from tidings.inbox import hub

    set_on(hub, "LOOK", 3600.0)
    set_on(hub, "LOOK_WITHOUT_HINTS", 3600.0)


@mutant
def counted_by_deltas() -> None:
    """Keep the badge in memory, and add what changes."""
    from tidings.ledger.inbox.following import Following

    usual = Following.read
    badges: dict[Any, int] = {}

    async def read(self: Any, readers: Any) -> Any:
        states = await usual(self, readers)
        return [
            replace(it, unread=badge(reader, it))
            for reader, it in zip(readers, states, strict=True)
        ]

    def badge(reader: Any, state: Any) -> int:
        key = (reader.user, reader.revision)
        if state.changes is None or key not in badges:
            badges[reader.user, state.revision] = state.unread
            return int(state.unread)
        new = sum(it.position == it.revision and it.read_at is None for it in state.changes)
        read = sum(it.position != it.revision and it.read_at is not None for it in state.changes)
        badges[reader.user, state.revision] = max(0, badges[key] + new - read)
        return badges[reader.user, state.revision]

    set_on(Following, "read", read)


@mutant
def counted_apart() -> None:
    """Count in a statement of its own, after the changes were read."""
    from tidings.ledger.inbox.following import Following, Known

    usual = Following.read

    async def read(self: Any, readers: Any) -> Any:
        states = await usual(self, readers)
        await asyncio.sleep(0.01)
        later = await usual(self, [Known(reader.user, None) for reader in readers])
        return [
            replace(it, unread=its.unread, unseen=its.unseen)
            for it, its in zip(states, later, strict=True)
        ]

    set_on(Following, "read", read)


@mutant
def counted_by_another_rule() -> None:
    """Count what is snoozed as unread, which the list does not show."""
    from tidings.ledger.inbox import following

    replace_in(following, "READ", "AND snoozed_until IS NULL", "")


@mutant
def revision_before_change() -> None:
    """Raise the revision first, and change the messages in the next transaction."""
    from tidings.ledger.inbox import marking

    raised = "UPDATE inbox_users SET revision = revision + 1000 WHERE tenant = $1 AND user_id = $2 RETURNING revision - 1000"
    usual = marking._change
    replace_in(
        marking,
        "CHANGE",
        "SET revision = revision + (SELECT count(*) FROM changed)",
        "SET revision = revision",
    )
    replace_in(
        marking, "CHANGE", "RETURNING revision", "RETURNING $3 + (SELECT count(*) FROM changed)"
    )
    assert "FOR UPDATE" in marking.LOCK
    set_on(marking, "LOCK", raised)

    async def change(connection: Any, *rest: Any) -> Any:
        await connection.execute("COMMIT")
        await asyncio.sleep(0.02)
        await connection.execute("BEGIN")
        return await usual(connection, *rest)

    set_on(marking, "_change", change)


@mutant
def known_is_sent_again() -> None:
    """Send what has changed since a revision, and what changed with it."""
    from tidings.ledger.inbox import following, reading

    replace_in(following, "READ", "revision > known.since", "revision >= known.since")
    replace_in(reading, "CHANGES", "revision > $3", "revision >= $3")


@mutant
def expires_when_read() -> None:
    """Leave out what has expired, whenever it is read."""
    from tidings.ledger.inbox import filters, following, reading

    late = "AND coalesce(expires_at > now(), true)"
    for module, name in ((filters, "FEED"), (reading, "COUNTED"), (following, "READ")):
        replace_in(module, name, "AND deleted_at IS NULL", f"AND deleted_at IS NULL {late}")
    replace_in(reading, "PAGE", "AND deleted_at IS NULL", f"AND deleted_at IS NULL {late}")


@mutant
def tenant_left_out() -> None:
    """Read the inbox of the user's id, in whatever tenant."""
    from tidings.ledger.inbox import reading

    replace_in(
        reading,
        "PAGE",
        "WHERE tenant = $1 AND user_id = $2 AND position",
        "WHERE $1::text IS NOT NULL AND user_id = $2 AND position",
    )


@mutant
def delivered_under_new_ids() -> None:
    """Give a message an id of its own each time that it is delivered."""
    from tidings.ledger.inbox.delivering import InboxDeliveries

    usual = InboxDeliveries.deliver

    async def deliver(self: Any, message: Any, timeout: float) -> None:
        key = f"{os.getpid()} {message.id}"
        await usual(self, replace(message, id=uuid5(message.id, key)), timeout)

    set_on(InboxDeliveries, "deliver", deliver)


@mutant
def wakes_without_revision() -> None:
    """End snoozes and expire messages without a new revision of the message."""
    from tidings.ledger.inbox import changing

    replace_in(changing, "CHANGE", f"SET revision = {changing.REVISION}, ", "SET ")


@mutant
def redelivered_as_new() -> None:
    """Take a message that is delivered again for a new one: it is unread."""
    from tidings.ledger.inbox import delivering

    known = "WHERE NOT EXISTS (SELECT FROM inbox_messages m WHERE m.tenant = i.tenant AND m.user_id = i.user_id AND m.id = i.id)"
    replace_in(delivering, "DELIVER", known, "")
    replace_in(delivering, "DELIVER", "DO NOTHING", "DO UPDATE SET read_at = NULL, seen_at = NULL")
