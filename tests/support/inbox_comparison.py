"""What clients know at the end, held against what is stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import asyncpg
from tests.support.inbox_copy import Message
from tests.support.inbox_facts import Owner
from tests.support.inbox_followers import Follower
from tests.support.inbox_installation import comparable, shown
from tests.support.inbox_operations import Operations

HEADS: Final = "SELECT tenant, user_id, revision FROM inbox_users"
STORED: Final = "SELECT * FROM inbox_messages"

Heads = Mapping[Owner, int]


def heads(rows: Iterable["asyncpg.Record"]) -> Heads:
    """The revision of each inbox, from the rows of `HEADS`."""
    return {Owner(row["tenant"], row["user_id"]): row["revision"] for row in rows}


def behind(followers: Sequence[Follower], known: Heads) -> Sequence[str]:
    """Clients that do not know everything up to these revisions."""
    return [
        f"{it.name} of {it.owner} at {it.copy.revision}, head {known.get(it.owner, 0)}"
        for it in followers
        if not it.copy.complete or (it.copy.revision or 0) < known.get(it.owner, 0)
    ]


def differences(
    rows: Iterable["asyncpg.Record"], followers: Sequence[Follower], operations: Operations
) -> Iterator[str]:
    """What any client has otherwise than it is stored, and what was lost or is in another's inbox.

    Args:
        rows: Of `STORED`.
    """
    stored: dict[Owner, dict[str, Message]] = {it.owner: {} for it in followers}
    for row in rows:
        owner, message = Owner(row["tenant"], row["user_id"]), shown(row)
        stored[owner][message["id"]] = message
        if operations.facts.owners.get(message["id"]) != owner:
            yield f"a message of somebody else in the inbox of {owner}: {message}"
    for follower in followers:
        copy = follower.copy
        copy.messages = {id: comparable(it) for id, it in copy.messages.items()}
        kept = {id: it for id, it in stored[follower.owner].items() if not it["deleted_at"]}
        for difference in copy.differences(kept):
            yield f"{follower.name} of {follower.owner}: {difference}"
    for id, owner in operations.expected.items():
        if (found := stored[owner].get(id)) is None:
            yield f"{id} of {owner} was published, and is not in the inbox"
        elif found["deleted_at"] is not None:
            yield f"{id} of {owner} was deleted by nobody: {found}"
