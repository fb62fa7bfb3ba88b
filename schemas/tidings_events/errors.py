"""What can go wrong between a producer and the broker, each with its own class.

TidingsEventsError
  InvalidNotification     the notification breaks the contract: correct it
  PublishFailed           the notification is valid, the broker did not accept it
    Unroutable            no queue is bound for it: nothing was stored
    NotConfirmed          refused, or the outcome is unknown: publish again with the same id
    Unreachable           no connection in time: nothing was sent
  SomeNotPublished        `publish_many` published some and failed for others
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidings_events.notifications import Notification


class TidingsEventsError(Exception):
    """The base of all errors of this package."""


class InvalidNotification(TidingsEventsError, ValueError):
    """The notification breaks the contract. Each of `problems` names the field, the fault and the remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "; ".join(self.problems)


class PublishFailed(TidingsEventsError):
    """The broker did not accept the notification."""


class Unroutable(PublishFailed):
    """The exchange is missing, or no queue is bound for the routing key. Nothing was stored.

    Usually Tidings has not declared its topology on this virtual host yet.
    """


class NotConfirmed(PublishFailed):
    """The broker refused the notification (a queue full or still starting), or never confirmed it.

    If it never confirmed it may still arrive. Publish it again **with the same id**: Tidings
    recognises a notification it already has, so nothing is sent twice.
    """


class Unreachable(PublishFailed):
    """No broker could be reached within the timeout. Nothing was sent."""


class SomeNotPublished(PublishFailed):
    """`publish_many` could not publish all. `failures` pairs each that failed with its error.

    Those not listed were confirmed.
    """

    def __init__(
        self, failures: Sequence[tuple[Notification, TidingsEventsError]], attempted: int
    ) -> None:
        self.failures = tuple(failures)
        self.attempted = attempted
        super().__init__(self.failures, attempted)

    def __str__(self) -> str:
        first, error = self.failures[0]
        return (
            f"{len(self.failures)} of {self.attempted} notifications were not published; "
            f"the first, {first.id}: {error}"
        )
