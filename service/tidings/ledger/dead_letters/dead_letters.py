"""Facade of dead letters: stored, found, grouped, annotated, owned, closed, edited, replayed, alerted about."""

from tidings.ledger.database import Database
from tidings.ledger.dead_letters.closing import Closings
from tidings.ledger.dead_letters.editing import Editing
from tidings.ledger.dead_letters.groups import DeadLetterGrouping
from tidings.ledger.dead_letters.notes import DeadLetterNotes
from tidings.ledger.dead_letters.owners import DeadLetterOwners
from tidings.ledger.dead_letters.replay import Replays
from tidings.ledger.dead_letters.search import DeadLetterSearch
from tidings.ledger.dead_letters.storing import Archiving
from tidings.ledger.operators.alerts import Alerts


class DeadLetters:
    """Dead letters in PostgreSQL.

    Args:
        actor: Named in dead letters and in the history of their notifications.
        window: Seconds for which an idempotency key is remembered.
    """

    def __init__(self, database: Database, *, actor: str, window: float) -> None:
        self.archiving = Archiving(database, actor=actor)
        self.search = DeadLetterSearch(database)
        self.groups = DeadLetterGrouping(database)
        self.notes = DeadLetterNotes(database)
        self.owners = DeadLetterOwners(database)
        self.closings = Closings(database)
        self.editing = Editing(database)
        self.replays = Replays(database, window=window)
        self.alerts = Alerts(database)
