"""Says who was faster with a dead letter: what another person did with it, and when."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Refused
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.operations.backend import Backend
from tidings.operations.times import ago

DID: Final = {
    DeadLetterState.REPLAYING: "began to replay",
    DeadLetterState.REPLAYED: "replayed",
    DeadLetterState.DISCARDED: "discarded",
    DeadLetterState.SUPERSEDED: "edited",
}


def overtaken(dead_letter: StoredDeadLetter) -> Refused:
    """Why nothing can be done with a dead letter that is no longer open: `cli jane@desk discarded it 12s ago`."""
    who, when = dead_letter.actor or "somebody", ago(dead_letter.changed_at, datetime.now(UTC))
    did = DID.get(dead_letter.state, "changed")
    return Refused(f"dead letter {dead_letter.id} is {dead_letter.state}: {who} {did} it {when}")


async def why_refused(backend: Backend, id: UUID, otherwise: Refused) -> Refused:
    """What another did with a dead letter meanwhile, or the refusal as it is if it is still open."""
    found = await backend.ledger.dead_letters.search.get(id)
    if found is None or found[0].state is DeadLetterState.OPEN:
        return otherwise
    return overtaken(found[0])
