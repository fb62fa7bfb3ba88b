"""Keeps a record of who had people and content shown unmasked."""

from tidings.operations.actor import Actor
from tidings.operations.backend import Backend

REVEALED = "revealed people and content"


async def note_reveal(backend: Backend, actor: Actor, details: object) -> None:
    """Keep that an actor is about to see people and content; before it does.

    Args:
        details: What is shown: an id, or the filters of a list; names no person.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable: nothing may be shown.
    """
    await backend.ledger.actions.note(str(actor), REVEALED, "", details)
