"""Works on a job: a few items first, then more, stopping if too many fail again.

It may be killed at any time, and run twice: each batch stores its results in the transaction in which it acts, and
what is to be published is in the outbox by then.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from tidings.broker.dispatching import publish_dispatches
from tidings.broker.publisher import BrokerPublisher
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable, TidingsError
from tidings.delivery.jobs import JobKind, JobState
from tidings.delivery.ports import Publisher
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.replay import Begun
from tidings.ledger.jobs.actions import REPLAYED, SCHEDULED
from tidings.ledger.jobs.jobs import LEASE
from tidings.ledger.jobs.rows import Job, OpenItem
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications.outbox_lease import keep_leased
from tidings.ledger.steps import TimeLimit
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.dead_letters.pacing import LOOK, Pace
from tidings.operations.jobs.batches import Batches
from tidings.operations.jobs.shared_templates import SharedTemplates
from tidings.operations.jobs.tally import Tally, is_final
from tidings.runtime.background import BackgroundTask
from tidings.runtime.backoff import Backoff

if TYPE_CHECKING:
    from tidings.broker.connection import BrokerConnection

Result = TypeVar("Result")
Step = Callable[[Sequence[OpenItem]], Awaitable[Mapping[str, int] | None]]
"""Does a batch; how many items got which result, or None if the job is no longer to be worked on."""

Action = Callable[[Job, str, Sequence[OpenItem]], Awaitable[Mapping[str, int] | None]]
"""What the ledger does with a batch, for whoever works on the job."""

LANES: Final = 3
"""Batches under way at once: one is written down while the others are published and noted."""
TRIES: Final = 5
ENOUGH: Final = 20
"""Outcomes from which a share is judged once the canaries are through."""
JUDGED: Final = 20_000
"""The last items by which that share is judged."""
COUNTING: Final = 0.05
"""Share of its time in which outcomes are counted while items are done: there are as many to be read as there are to be done."""


class JobRunner:
    """Works on one job until it has ended, or is no longer this process's.

    Args:
        backend: The connections.
        job: As it was taken.
        holder: The name under which it was taken.
        progress: Called whenever it got on.
        connection: To RabbitMQ; one of its own if not given.
    """

    def __init__(
        self,
        backend: Backend,
        job: Job,
        holder: str,
        *,
        progress: Callable[[], Awaitable[None]] | None = None,
        connection: "BrokerConnection | None" = None,
    ) -> None:
        self._backend = backend
        self._ledger: PostgresLedger = backend.ledger
        self._job = job
        self._holder = holder
        self._progress = progress
        self._halt = asyncio.Event()
        self._lost = False
        self._connection = connection
        self._pace = Pace(job.plan.rate)
        self._results: Counter[str] = Counter()
        self._reached = 0
        """The position of the last item that was done."""
        self._under_way: set[int] = set()
        """The positions with which the batches begin that are not done, or failed."""
        self._tally = Tally(
            lambda after, upto: self._ledger.job_items.outcomes(job.id, after, upto)
        )
        self._count_again = 0.0
        """When outcomes are counted next."""
        self._order_again = 0.0
        """When it is looked again whether dispatching is paused."""
        self._order_is_pause = False
        self._failure: TidingsError | None = None
        self._stopped: str | None = None

    async def run(self) -> None:
        """Work on it. Safe to kill.

        Raises:
            TidingsError: RabbitMQ or PostgreSQL is unavailable; whoever takes the job goes on with it.
        """
        keeping = BackgroundTask("keep the lease of a job", self._keep_for_ever)
        try:
            async with self._step() as step:
                await self._work(step)
        finally:
            await keeping.end()
            with suppress(TidingsError):
                await self._ledger.jobs.release(self._job.id, self._holder)

    def halt(self) -> None:
        """End it: what is under way is finished."""
        self._halt.set()

    async def _work(self, step: Step) -> None:
        job, items = self._job, self._ledger.job_items
        if not job.untouched:
            await self._recount()
            first = await _persistently(lambda: items.waiting(job.id, 0, job.items, 1))
            self._reached = first[0].position - 1 if first else job.items
        waves = list(job.plan.waves(job.items))
        for begin, end in waves[len(job.waves) :]:
            await self._send(step, begin, end)
            if self._over:
                break
            self._stopped = await self._judge(begin, end)
            if self._over:
                break
        while not self._over and await self._waits():
            done = self._results.total()
            await self._send(step, 0, job.items)
            if self._results.total() == done:  # another process has them
                await self._pause(LOOK)
        if not self._over:
            self._reached = job.items  # also what was done before, by whoever was killed at it
        if self._failure is not None:
            await self._count()
            raise self._failure
        if not self._over:
            await self._watch_all()
        await self._end()

    @property
    def _complete(self) -> int:
        """The position up to which every item has a result."""
        return min(self._under_way) - 1 if self._under_way else self._reached

    @property
    def _over(self) -> bool:
        return self._halt.is_set() or self._failure is not None or self._stopped is not None

    async def _waits(self) -> bool:
        """Whether an item has no result; one may have been another process's meanwhile."""
        items = self._ledger.job_items
        return bool(await _persistently(lambda: items.waiting(self._job.id, 0, self._job.items, 1)))

    async def _send(self, step: Step, after: int, upto: int) -> None:
        items, job = self._ledger.job_items, self._job
        waiting = Batches(
            lambda behind, limit: _persistently(lambda: items.waiting(job.id, behind, upto, limit)),
            after,
            job.plan.rate,
        )
        await asyncio.gather(*(self._lane(step, waiting) for _ in range(LANES)))

    async def _lane(self, step: Step, waiting: Batches) -> None:
        while not self._over:
            try:
                if self._job.replays and await self._dispatching_is_paused():
                    await self._pause(LOOK)
                    continue
                if (batch := await waiting.next()) is None:
                    return
                self._under_way.add(batch[0].position)
                await self._pause(self._pace.turn(len(batch)))
                if self._over:
                    return
                counts = await step(batch)
                if counts is None:
                    self._lose()
                    return
                self._under_way.remove(batch[0].position)
                self._reached = max(self._reached, batch[-1].position)
                if self._pace.time_to_look():
                    await self._look()
            except TidingsError as error:
                self._failure = self._failure or error

    async def _dispatching_is_paused(self) -> bool:
        """A replay publishes too, so it waits like the schedulers."""
        if monotonic() >= self._order_again:
            self._order_is_pause = await _persistently(self._ledger.dispatching.paused)
            self._order_again = monotonic() + LOOK
        return self._order_is_pause

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[Step]:
        match self._job.kind:
            case JobKind.REPLAY if self._connection is not None:
                yield self._replaying(self._connection)
            case JobKind.REPLAY:
                async with self._backend.broker("replay") as connection:
                    yield self._replaying(connection)
            case JobKind.EDIT if not self._job.then_replay or self._connection is not None:
                yield self._editing(self._connection)
            case JobKind.EDIT:
                async with self._backend.broker("replay") as connection:
                    yield self._editing(connection)
            case JobKind.DISCARD:
                yield self._counting(self._ledger.job_actions.discard)
            case JobKind.CANCEL:
                yield self._counting(self._ledger.job_actions.cancel)
            case JobKind.RETRY | JobKind.MARK_PENDING | JobKind.MARK_FAILED:
                yield self._counting(self._ledger.job_actions.decide)

    def _replaying(self, connection: "BrokerConnection") -> Step:
        publisher = BrokerPublisher(self._backend.settings.broker, connection)
        expires_at = Policies(self._backend.settings).expires_at
        actions, job, templates = (
            self._ledger.job_actions,
            self._job,
            SharedTemplates(self._backend),
        )

        async def replay(batch: Sequence[OpenItem]) -> Mapping[str, int] | None:
            objection = await templates.objection()
            done = await _persistently(
                lambda: actions.replay(job, self._holder, batch, expires_at, objection)
            )
            if done is None:
                return None
            begun, counts = done
            self._results.update(counts)
            await publish_begun(self._ledger, publisher, begun)
            return counts

        return replay

    def _editing(self, connection: "BrokerConnection | None") -> Step:
        """Edits a batch, and publishes it where there is a connection for that."""
        change = FieldChange.read(self._job.change or "null")
        expires_at = Policies(self._backend.settings).expires_at
        actions, job, templates = (
            self._ledger.job_actions,
            self._job,
            SharedTemplates(self._backend),
        )

        async def edit(batch: Sequence[OpenItem]) -> Mapping[str, int] | None:
            objection = await templates.objection()
            done = await _persistently(
                lambda: actions.edit(job, self._holder, batch, change, expires_at, objection)
            )
            if done is None:
                return None
            begun, counts = done
            self._results.update(counts)
            if connection is not None:
                publisher = BrokerPublisher(self._backend.settings.broker, connection)
                await publish_begun(self._ledger, publisher, begun)
            return counts

        return edit

    def _counting(self, action: Action) -> Step:
        async def act(batch: Sequence[OpenItem]) -> Mapping[str, int] | None:
            counts = await _persistently(lambda: action(self._job, self._holder, batch))
            self._results.update(counts or {})
            return counts

        return act

    async def _look(self) -> None:
        """Count, store how far it is, and stop in the middle of a wave if too many fail."""
        job = self._job
        if job.replays and monotonic() >= self._count_again:
            began = monotonic()
            await self._tally.look(self._complete, TimeLimit(0))
            self._count_again = monotonic() + (monotonic() - began) / COUNTING
        await self._keep()
        if (limit := job.plan.stop_at) is None:
            return
        after = max(job.judged_from, self._reached - JUDGED)
        now = Outcomes.of(await self._ledger.job_items.outcomes(job.id, after, self._reached))
        if now.settled >= ENOUGH and now.trouble >= limit * now.settled:
            self._stopped = self._stopped or _too_many(now.trouble, now.settled, limit)

    async def _judge(self, after: int, upto: int) -> str | None:
        """Wait for a wave's outcomes; why to stop, None to continue."""
        plan, items = self._job.plan, self._ledger.job_items
        deadline = monotonic() + plan.watch
        while True:
            counts = await _persistently(lambda: items.outcomes(self._job.id, after, upto))
            now = Outcomes.of(counts)
            await self._count()
            left = deadline - monotonic()
            if not now.waiting or _exceeds(now, plan.stop_at) or left <= 0 or self._over:
                break
            await self._pause(min(LOOK, left))
        if self._over:
            return None
        await self._ledger.jobs.judged(self._job.id, self._holder, counts)
        if plan.stop_at is not None and _exceeds(now, plan.stop_at):
            return _too_many(now.trouble, now.total, plan.stop_at)
        if now.waiting:
            return (
                f"{now.waiting} of {now.total} were not attempted within {plan.watch:g}s: check that "
                "a worker is running and its lanes are not full"
            )
        return None

    async def _watch_all(self) -> None:
        """See what became of everything, also of a batch whose reply was lost."""
        await self._recount()
        if not self._results[REPLAYED] + self._results[SCHEDULED]:
            return
        deadline = monotonic() + self._job.plan.watch
        while True:
            began = monotonic()
            await self._count()
            now = monotonic()
            left = deadline - now
            if not Outcomes.of(self._tally.counts).waiting or left <= 0 or self._over:
                break
            await self._pause(min(max(LOOK, now - began), left))
        await _persistently(self._ledger.dead_letters.replays.finish)

    async def _recount(self) -> None:
        items, job = self._ledger.job_items, self._job
        self._results = Counter(await _persistently(lambda: items.results(job.id)))

    async def _count(self) -> None:
        if self._job.replays:
            await _persistently(lambda: self._tally.look(self._complete))
        await self._keep()

    async def _end(self) -> None:
        """Store that it is finished, or why it stopped."""
        job, jobs = self._job, self._ledger.jobs
        await self._recount()
        if job.replays and (self._lost or self._stopped or self._halt.is_set()):
            await self._tally.look(job.items)
        if not self._lost:
            await self._keep()
        if not self._halt.is_set():
            state = JobState.STOPPED if self._stopped else JobState.FINISHED
            await _persistently(lambda: jobs.end(job.id, self._holder, state, self._stopped or ""))
        outcomes = self._tally.counts
        await _persistently(
            lambda: jobs.settle(job.id, self._results, outcomes, final=is_final(outcomes))
        )
        await self._report()

    async def _keep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            with suppress(LedgerUnavailable):  # the next one may succeed before the lease is over
                await self._keep()

    async def _keep(self) -> None:
        job, outcomes = self._job, self._tally.counts
        jobs = self._ledger.jobs
        if not await _persistently(
            lambda: jobs.keep(job.id, self._holder, self._results, outcomes)
        ):
            self._lose()
        await self._report()

    def _lose(self) -> None:
        """A person paused or cancelled it, or another process has it."""
        self._lost = True
        self._halt.set()

    async def _report(self) -> None:
        if self._progress is not None:
            await self._progress()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless it is over."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._halt.wait()


async def publish_begun(ledger: PostgresLedger, publisher: Publisher, begun: Begun) -> None:
    """Publish what a replay began, and note that it is; the outbox has what is not confirmed.

    Raises:
        BrokerUnavailable: Nothing was confirmed.
        LedgerUnavailable: It could not be noted.
    """
    if (batch := begun.batch) is None:
        return
    batches, entries = ledger.outbox_batches, begun.dispatches
    try:
        async with keep_leased(lambda: batches.keep(batch)):
            confirmed = await publish_dispatches(publisher, entries)
    except BrokerUnavailable:
        await _persistently(lambda: batches.close(batch, entries))
        raise
    done = {entry.id for entry in confirmed}
    left = [entry for entry in entries if entry.id not in done]
    await _persistently(lambda: batches.close(batch, left))


def _exceeds(now: Outcomes, limit: float | None) -> bool:
    return limit is not None and now.trouble > 0 and now.trouble >= limit * now.total


def _too_many(failed: int, total: int, limit: float) -> str:
    return f"{failed} of {total} failed again ({failed / total:.0%}; the limit is {limit:.0%})"


async def _persistently(work: Callable[[], Awaitable[Result]]) -> Result:
    """Try a few times before an outage ends the work.

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
