"""Adds up outcomes: rates, attempts, and the time to delivery from its histogram."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger.notifications.counting import NO_TIME, RETRY_LATER

SUCCEEDED: Final = frozenset({State.SENT.value, Reason.COPIES_REFUSED.value})
WITHDRAWN: Final = frozenset({State.CANCELLED.value, State.SUPPRESSED.value})
"""Ended on purpose: neither a success nor a failure."""
UNFINISHED: Final = WITHDRAWN | {RETRY_LATER}
"""Outcomes that count as no end."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Outcomes of a period. A rate is None if there is nothing to divide by."""

    attempted: int = 0
    """Notifications whose first attempt ended, of each epoch."""
    attempts: int = 0
    """Attempts that ended, in which a provider was called."""
    retried: int = 0
    """Of those attempted, those whose first attempt has to be followed by another one."""
    finished: int = 0
    """Ended, but not cancelled or suppressed."""
    succeeded: int = 0
    failed: int = 0
    """Ended otherwise: rejected, exhausted, expired, unknown …"""
    p50: float | None = None
    """Seconds from accepted, or due, to sent: half are faster. What was replayed is left out, for it waited for a person."""
    p95: float | None = None
    p99: float | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Attempts and ends by outcome."""

    @property
    def success_rate(self) -> float | None:
        """Share that succeeded of those that ended."""
        return self.succeeded / self.finished if self.finished else None

    @property
    def attempt_success_rate(self) -> float | None:
        """Share of the attempts that delivered: what a provider did, whatever became of the others later."""
        return self.succeeded / self.attempts if self.attempts else None

    @property
    def failure_rate(self) -> float | None:
        """Share that did not succeed of those that ended."""
        return self.failed / self.finished if self.finished else None

    @property
    def retry_rate(self) -> float | None:
        """Share of those attempted that needed more than one attempt."""
        return self.retried / self.attempted if self.attempted else None

    @property
    def attempts_each(self) -> float | None:
        """Attempts for each notification that was attempted."""
        return self.attempts / self.attempted if self.attempted else None


class OutcomeTally:
    """Adds up rows of rollups."""

    __slots__ = ("attempted", "attempts", "outcomes", "retried", "times")

    def __init__(self) -> None:
        self.attempted = self.attempts = self.retried = 0
        self.outcomes: dict[str, int] = {}
        self.times: dict[int, int] = {}

    def add(
        self, outcome: str, bucket: int, count: int, attempts: int, first_attempts: int
    ) -> None:
        """One row: `count` with an outcome, in a bucket of `tidings_bucket` or `NO_TIME`."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        self.attempts += attempts
        self.attempted += first_attempts
        if outcome == RETRY_LATER:
            self.retried += first_attempts
        if bucket != NO_TIME:
            self.times[bucket] = self.times.get(bucket, 0) + count

    def include(self, other: "OutcomeTally") -> None:
        """Everything that another has."""
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        for bucket, count in other.times.items():
            self.times[bucket] = self.times.get(bucket, 0) + count
        self.attempts += other.attempts
        self.attempted += other.attempted
        self.retried += other.retried

    def rates(self) -> Rates:
        """What it comes to."""
        ended = {name: n for name, n in self.outcomes.items() if name not in UNFINISHED}
        succeeded = sum(n for name, n in ended.items() if name in SUCCEEDED)
        finished = sum(ended.values())
        return Rates(
            self.attempted,
            self.attempts,
            self.retried,
            finished,
            succeeded,
            finished - succeeded,
            percentile(self.times, 0.5),
            percentile(self.times, 0.95),
            percentile(self.times, 0.99),
            MappingProxyType(dict(sorted(self.outcomes.items()))),
        )


def percentile(times: Mapping[int, int], share: float) -> float | None:
    """Seconds within which this share of them lies, from a histogram by `tidings_bucket`: wrong by a fifth at most.

    Within a bucket, values are taken to be spread evenly on a logarithmic scale.
    """
    total = sum(times.values())
    if not total:
        return None
    rank, below = share * total, 0
    for bucket in sorted(times):
        if below + times[bucket] >= rank:
            inside = (rank - below) / times[bucket]
            return float(2 ** ((bucket - 1 + inside) / 2)) / 1000
        below += times[bucket]
    raise AssertionError("a share is at most 1")
