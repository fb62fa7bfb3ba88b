"""A ledger with some answers of a test's own: it stands where the worker expects one, and asks the real one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Claim
from tidings.delivery.ports import ClaimRequest, Controls, Ledger, Record


@dataclass(frozen=True)
class ChangedLedger:
    """Does what a test says in place of one step or another; everything else is the ledger's own.

    Args:
        claiming: In place of `claim`; asks the ledger itself, if it wants to.
        recording: In place of `record`.
        releasing: Before `release`.
        watched: In place of its controls.
    """

    ledger: Ledger
    claiming: Callable[[Ledger, ClaimRequest], Awaitable[Claim]] | None = None
    recording: Callable[[Ledger, Record], Awaitable[bool]] | None = None
    releasing: Callable[[Attempt], None] | None = None
    watched: Controls | None = None

    @property
    def actor(self) -> str:
        return self.ledger.actor

    @property
    def controls(self) -> Controls:
        return self.watched or self.ledger.controls

    def claim(self, request: ClaimRequest) -> Awaitable[Claim]:
        if self.claiming is None:
            return self.ledger.claim(request)
        return self.claiming(self.ledger, request)

    def record(self, record: Record) -> Awaitable[bool]:
        if self.recording is None:
            return self.ledger.record(record)
        return self.recording(self.ledger, record)

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        if self.releasing is not None:
            self.releasing(attempt)
        await self.ledger.release(attempt, token, why)


def unchanged(ledger: Ledger) -> Ledger:
    """The ledger itself."""
    return ledger
