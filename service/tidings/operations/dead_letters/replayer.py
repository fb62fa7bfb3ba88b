"""Publishes dead letters to their lanes: a few first, then more, stopping if too many fail again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Final, TypeAlias, TypeVar
from uuid import UUID, uuid4

from tidings.broker.dispatching import publish_dispatches
from tidings.delivery.errors import LedgerUnavailable, TidingsError
from tidings.delivery.ports import Publisher
from tidings.ledger.dead_letters.choice import NotReplayed
from tidings.ledger.dead_letters.rows import ExpiresAt
from tidings.ledger.dead_letters.search import Chosen
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications.dispatch import OutboxEntry
from tidings.ledger.notifications.outbox_lease import keep_leased
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.dead_letters.pacing import INTERRUPTED, LOOK, Pace, batches
from tidings.operations.dead_letters.plan import Plan
from tidings.runtime.backoff import Backoff

Result = TypeVar("Result")

LANES: Final = 3
"""Batches under way at once: one is written down while the others are published and noted."""
TRIES: Final = 5
NAMED: Final = 20
"""Notifications that a summary names."""
ENOUGH: Final = 20
"""Outcomes from which a share is judged once the canaries are through."""


@dataclass(slots=True)
class ReplaySummary:
    """What a replay did."""

    run: UUID
    chosen: int
    replayed: int = 0
    """Back in their lanes, or about to be: a scheduler publishes what was not confirmed."""
    later: int = 0
    """Of these, stored until their `scheduled_at`."""
    doubtful: int = 0
    """Of these, those that may have been delivered before, and now a second time."""
    notifications: list[UUID] = field(default_factory=list)
    """The first few that were published."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    waves: list[Outcomes] = field(default_factory=list)
    """Of the first ones, each as it stood when the next was decided on."""
    not_replayed: list[NotReplayed] = field(default_factory=list)
    stopped: str | None = None
    """Why the rest was left alone."""

    def stop(self, why: str | None) -> None:
        """Leave the rest alone, unless there is no reason to; the first one is kept."""
        self.stopped = self.stopped or why

    @property
    def refused(self) -> list[NotReplayed]:
        """Dead letters that can't be replayed as they are."""
        return [refusal for refusal in self.not_replayed if not refusal.taken]

    @property
    def taken(self) -> int:
        """Dead letters that another replay had taken."""
        return len(self.not_replayed) - len(self.refused)

    @property
    def left(self) -> int:
        """Dead letters that were not tried because the replay stopped."""
        return self.chosen - self.replayed - len(self.not_replayed)

    @property
    def well(self) -> bool:
        """Whether nothing needs a person's attention."""
        return not (self.outcomes.failed or self.refused or self.stopped)


Progress: TypeAlias = Callable[[ReplaySummary], None]
"""Called with the summary so far, whenever it changed."""


def unwatched(_: ReplaySummary) -> None:
    """Ignores progress."""


class Replayer:
    """Replays dead letters.

    Args:
        actor: Named in the history of what is replayed.
        progress: Called with the summary so far.
        interrupted: Ends it: what is under way is finished, and `run` returns its summary.
    """

    def __init__(
        self,
        ledger: PostgresLedger,
        publisher: Publisher,
        expires_at: ExpiresAt,
        *,
        actor: str,
        progress: Progress = unwatched,
        interrupted: asyncio.Event | None = None,
    ) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._expires_at = expires_at
        self._actor = actor
        self._progress = progress
        self._interrupted = interrupted or asyncio.Event()

    async def run(self, dead_letters: Sequence[Chosen], plan: Plan) -> ReplaySummary:
        """Replay dead letters, in this order. Safe to kill, and to run twice at once.

        Whatever goes wrong on the way is in the summary: what was taken is published, by a
        scheduler if need be; the rest is as it was.
        """
        summary = ReplaySummary(uuid4(), len(dead_letters))
        pace = Pace(plan.rate)
        waiting = iter(dead_letters)
        for size in plan.canary:
            wave = list(islice(waiting, size))
            await self._send(wave, plan, pace, summary)
            if wave and summary.stopped is None:
                summary.stop(await self._judge(wave, plan, summary))
        await self._send(list(waiting), plan, pace, summary)
        await self._watch_all(plan, summary)
        if self._interrupted.is_set():
            summary.stop(INTERRUPTED)
        return summary

    async def _send(
        self, dead_letters: Sequence[Chosen], plan: Plan, pace: Pace, summary: ReplaySummary
    ) -> None:
        waiting = batches(dead_letters, plan.rate)

        async def lane() -> None:
            for batch in waiting:
                await self._pause(pace.turn(len(batch)))
                if self._interrupted.is_set():
                    summary.stop(INTERRUPTED)
                if summary.stopped is not None:
                    return
                try:
                    await self._replay(batch, plan, summary)
                    summary.stop(await self._look(plan, pace, summary))
                except TidingsError as error:
                    summary.stop(str(error))
                self._progress(summary)

        await asyncio.gather(*(lane() for _ in range(LANES)))

    async def _replay(self, batch: Sequence[Chosen], plan: Plan, summary: ReplaySummary) -> None:
        """Write down what is to be published, publish it, note that it is."""
        ids = [dead_letter.id for dead_letter in batch]
        begun = await _persistently(
            lambda: self._ledger.dead_letters.replays.begin(
                ids,
                summary.run,
                expires_at=self._expires_at,
                actor=self._actor,
                force=plan.force,
            )
        )
        summary.replayed += len(begun.dispatches) + begun.later
        summary.later += begun.later
        summary.doubtful += begun.doubtful
        summary.not_replayed += begun.not_replayed
        named = [entry.id for entry in begun.dispatches]
        summary.notifications += named[: NAMED - len(summary.notifications)]
        if begun.dispatches:
            async with keep_leased(self._ledger.outbox, begun.dispatches):
                confirmed: list[OutboxEntry] = await publish_dispatches(
                    self._publisher, begun.dispatches
                )
            await _persistently(lambda: self._ledger.outbox.dispatched(confirmed))

    async def _look(self, plan: Plan, pace: Pace, summary: ReplaySummary) -> str | None:
        """Why to stop in the middle of a wave; None to continue."""
        if plan.stop_at is None or not pace.time_to_look():
            return None
        now = await self._outcomes(summary)
        if now.settled < ENOUGH or now.trouble < plan.stop_at * now.settled:
            return None
        return _too_many(now.trouble, now.settled, plan.stop_at)

    async def _judge(
        self, wave: Sequence[Chosen], plan: Plan, summary: ReplaySummary
    ) -> str | None:
        """Wait for a wave's outcomes; why to stop, None to continue."""
        ids = [dead_letter.id for dead_letter in wave]
        limit = plan.stop_at
        try:
            now = await self._watch(
                summary, plan.watch, ids, lambda now: _exceeds(now, limit, now.total)
            )
        except LedgerUnavailable as error:
            return str(error)
        summary.waves.append(now)
        if limit is not None and _exceeds(now, limit, now.total):
            return _too_many(now.trouble, now.total, limit)
        if self._interrupted.is_set():
            return INTERRUPTED
        if now.waiting:
            return (
                f"{now.waiting} of {now.total} were not attempted within {plan.watch:g}s: check that "
                "a worker is running and its lanes are not full"
            )
        return None

    async def _watch_all(self, plan: Plan, summary: ReplaySummary) -> None:
        """See what became of everything; where PostgreSQL is away by now, the summary says less."""
        if not summary.replayed:
            return
        try:
            await self._watch(summary, plan.watch)
            await self._ledger.dead_letters.replays.finish()
        except LedgerUnavailable as error:
            summary.stop(str(error))

    async def _watch(
        self,
        summary: ReplaySummary,
        seconds: float,
        dead_letters: Sequence[UUID] | None = None,
        enough: Callable[[Outcomes], bool] = lambda _: False,
    ) -> Outcomes:
        """Look until every dead letter was tried, it is enough, or time is up."""
        deadline = monotonic() + seconds
        while True:
            now = await self._outcomes(summary, dead_letters)
            self._progress(summary)
            left = deadline - monotonic()
            if not now.waiting or enough(now) or left <= 0 or self._interrupted.is_set():
                return now
            await self._pause(min(LOOK, left))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless interrupted."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._interrupted.wait()

    async def _outcomes(
        self, summary: ReplaySummary, dead_letters: Sequence[UUID] | None = None
    ) -> Outcomes:
        replays = self._ledger.dead_letters.replays
        summary.outcomes = Outcomes.of(await _persistently(lambda: replays.outcomes(summary.run)))
        if dead_letters is None:
            return summary.outcomes
        return Outcomes.of(await _persistently(lambda: replays.outcomes(summary.run, dead_letters)))


def _exceeds(now: Outcomes, limit: float | None, total: int) -> bool:
    return limit is not None and now.trouble > 0 and now.trouble >= limit * total


def _too_many(failed: int, total: int, limit: float) -> str:
    return f"{failed} of {total} failed again ({failed / total:.0%}; the limit is {limit:.0%})"


async def _persistently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Try a few times before an outage ends the replay.

    Raises:
        LedgerUnavailable: It lasts.
    """
    backoff = Backoff(longest=5)
    for _ in range(TRIES - 1):
        try:
            return await work()
        except LedgerUnavailable:
            await asyncio.sleep(backoff.next())
    return await work()
