"""What the settings say about the notifications in dead letters."""

from datetime import datetime
from functools import lru_cache

from tidings.delivery.attempt import Attempt
from tidings.delivery.dead_letter import DeadLetter
from tidings.delivery.retry_policy import DeliveryPolicy
from tidings.ledger.dead_letters.rows import ArchiveRequest
from tidings.settings import Settings


class Policies:
    """Looks up how channels treat categories."""

    def __init__(self, settings: Settings) -> None:
        self._policy = lru_cache(maxsize=1000)(settings.policy)

    def expires_at(self, attempt: Attempt) -> datetime | None:
        """When a notification stops being worth delivering, if ever."""
        return self._of(attempt).expires_at(attempt)

    def request(self, dead_letter: DeadLetter) -> ArchiveRequest:
        """A dead letter with what is to be known to store it."""
        bare = ArchiveRequest(dead_letter)
        if dead_letter.notification is None:
            return bare
        attempt = bare.attempt
        policy = self._of(attempt)
        return ArchiveRequest(dead_letter, policy.expires_at(attempt))

    def _of(self, attempt: Attempt) -> DeliveryPolicy:
        return self._policy(attempt.lane.channel, attempt.notification.category)
