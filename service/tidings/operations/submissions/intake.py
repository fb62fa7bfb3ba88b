"""The engine of accepting: stores what is submitted, publishes it, and knows at once which of the two can't be done.

Both servers work: stored, then published and confirmed. RabbitMQ is away: stored for the outbox, which the scheduler
empties. PostgreSQL is away: published alone, and the worker stores it. Neither: not accepted. A process killed in
between leaves a row without a message, of which nobody was told that it is accepted: sent again it is published, and
otherwise found by the search for lost messages.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from typing import Final, Self
from uuid import UUID

import structlog

from tidings.broker.connection import BrokerConnection
from tidings.broker.publisher import BrokerPublisher, LaneMissing, LaneRefused, Publication
from tidings.broker.topology.layout import topology_of
from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import (
    ConfigurationError,
    LedgerUnavailable,
    RowsMoving,
    TidingsError,
)
from tidings.delivery.retry_policy import DeliveryPolicy
from tidings.ledger import PostgresLedger
from tidings.ledger.batcher import Batcher
from tidings.ledger.notifications.accepting import (
    NEW,
    Accepting,
    Answered,
    Stored,
    Submission,
)
from tidings.ledger.operators.api_keys import ApiKeys
from tidings.ledger.operators.token_revocations import TokenRevocations
from tidings.operations.submissions.errors import IdempotencyKeyInUse
from tidings.runtime.background import BackgroundTask
from tidings.settings import Settings

log = structlog.get_logger(__name__)

STORED_WITHIN: Final = 2.0
"""Seconds after which PostgreSQL counts as away."""
CONFIRMED_WITHIN: Final = 2.0
"""Seconds after which the outbox publishes what RabbitMQ has not confirmed."""
LOOKS: Final = 0.25
"""Seconds between two looks whether a server is back."""
STUCK: Final = 30.0
"""Seconds for which the outbox may show no progress before it is overtaken: no scheduler runs."""
NEITHER: Final = "neither RabbitMQ nor PostgreSQL accepts notifications now"
UNTOLD: Final = (
    "a time in it has passed, and PostgreSQL, which knows whether it was accepted before, is away"
)
OUTRUN: Final = 8
"""Times in a row that the outbox is found empty beside stores for it, after which the scheduler counts as keeping up: under
a steady load there is always a store under way, and the outbox would never be left."""
PAUSE: Final = 0.001
"""Seconds between two group commits under load."""

_ONE_LANE: Final = (LaneMissing, LaneRefused)
"""Failures that say nothing about other lanes."""


class Intake:
    """Accepts notifications for one process.

    Args:
        settings: The process's.
        ledger: Open.
    """

    def __init__(self, settings: Settings, ledger: PostgresLedger) -> None:
        self._ledger = ledger
        self._accepting: Accepting = ledger.accepting
        self._connection = BrokerConnection(
            settings.broker, f"tidings {ledger.actor} (publish)", topology=topology_of(settings)
        )
        self._publisher = BrokerPublisher(settings.broker, self._connection)
        self._batches: Batcher[Submission, Stored | None] = Batcher(
            self._accept,
            size=settings.ledger.batch_size,
            pause=PAUSE,
            weigh=lambda submission: len(submission.attempt.body),
        )
        self._watching: BackgroundTask | None = None
        self._under_way: set[tuple[str, str]] = set()
        self._ledger_away = False
        self._outbox_first = False
        """Whether the outbox has something that must not be overtaken."""
        self._storing_for_outbox = 0
        """Stores for the outbox that are under way."""
        self._stored_for_outbox = 0
        """Those that have ended since the process began."""
        self._outrun = 0
        """Answers in a row that nothing waits, each outrun by a store."""
        self._oldest: tuple[datetime | None, float] = None, 0.0
        """What waits the longest in the outbox, and since when it is that."""
        self.policy: Callable[[str, str], DeliveryPolicy] = lru_cache(maxsize=1024)(settings.policy)
        """The delivery policy of a channel and category."""

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        self._watching = BackgroundTask("watch what accepts", self._watch_for_ever)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._batches.__aexit__(*error)
        if self._watching is not None:
            await self._watching.end()
        await self._connection.__aexit__(*error)

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._connection.up

    @property
    def api_keys(self) -> ApiKeys:
        """The API keys, over its connections: no reader keeps them from being read in time."""
        return self._ledger.api_keys

    @property
    def token_revocations(self) -> TokenRevocations:
        """The revocations of end users' tokens, likewise."""
        return self._ledger.token_revocations

    @property
    def accepts(self) -> bool:
        """Whether anything can be accepted now."""
        return self._connection.up or not self._ledger_away

    @contextmanager
    def under_way(self, key: str, idempotency_key: str | None) -> Iterator[None]:
        """A request with an Idempotency-Key, as long as it lasts.

        Of requests in two processes neither knows of the other: their ids are the same, so one is accepted and the
        other recognised.

        Raises:
            IdempotencyKeyInUse: Another one is under way here.
        """
        if idempotency_key is None:
            yield
            return
        place = (key, idempotency_key)
        if place in self._under_way:
            raise IdempotencyKeyInUse
        self._under_way.add(place)
        try:
            yield
        finally:
            self._under_way.discard(place)

    async def accept(self, submission: Submission) -> Stored:
        """Accept one, with what others submit at the moment.

        Raises:
            LedgerUnavailable: Neither server accepts it; it may be accepted all the same.
            LedgerRefused: PostgreSQL can't store a value: nothing is accepted.
        """
        return surely(await self._batches.submit(submission))

    async def accept_several(
        self,
        submissions: Sequence[Submission],
        *,
        together: bool = False,
        request: Answered | None = None,
    ) -> list[Stored | None]:
        """Accept several; None stands for one that neither server accepts, but may have all the same.

        Args:
            together: All or none: PostgreSQL decides, in one transaction.
            request: Remember the request that they came with, if PostgreSQL is there.

        Raises:
            SomeConflict: `together`, and ids of some belong to other content.
            RequestedBefore: The request came before.
            LedgerUnavailable: `together`, and PostgreSQL is unavailable.
            LedgerRefused: PostgreSQL can't store a value: nothing is accepted.
        """
        return await self._accept(submissions, together=together, request=request)

    async def accepted_before(self, ids: Sequence[UUID]) -> frozenset[UUID]:
        """Those of these ids that belong to notifications.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nobody can tell.
        """
        if not self._ledger_away:
            with suppress(TimeoutError):
                async with asyncio.timeout(STORED_WITHIN):
                    return await self._accepting.stored(ids)
        raise LedgerUnavailable(UNTOLD)

    async def _accept(
        self,
        submissions: Sequence[Submission],
        *,
        together: bool = False,
        request: Answered | None = None,
    ) -> list[Stored | None]:
        publishes = self._connection.up and not self._outbox_first
        if publishes:
            stored = await self._stored(
                submissions, outbox=False, together=together, request=request
            )
        else:
            self._outbox_first = True
            with self._for_the_outbox():
                stored = await self._stored(
                    submissions, outbox=True, together=together, request=request
                )
        if stored is None:
            return await self._publish_alone(submissions)
        waiting = [place for place, answer in enumerate(stored) if answer.unpublished]
        answers: list[Stored | None] = list(stored)
        if waiting and publishes:
            failed = await self._published([submissions[place] for place in waiting])
            waiting = [waiting[at] for at in failed]
        if waiting and not await self._left_to_outbox([submissions[at] for at in waiting]):
            for place in waiting:
                answers[place] = None
        return answers

    async def _stored(
        self,
        submissions: Sequence[Submission],
        *,
        outbox: bool,
        together: bool,
        request: Answered | None,
    ) -> Sequence[Stored] | None:
        """What the ledger says; None if it is away, and nothing is to be done together."""
        if not self._ledger_away:
            try:
                async with asyncio.timeout(STORED_WITHIN):
                    return await self._accepting.store(
                        submissions, outbox=outbox, together=together, request=request
                    )
            except (LedgerUnavailable, ConfigurationError, TimeoutError) as error:
                self._lost_ledger(error)
        if together:
            raise LedgerUnavailable("PostgreSQL is away: nothing can be stored together")
        return None

    async def _publish_alone(self, submissions: Sequence[Submission]) -> list[Stored | None]:
        if not self._connection.up:
            return [None] * len(submissions)
        failed = set(await self._published(submissions))
        return [None if place in failed else NEW for place in range(len(submissions))]

    async def _published(self, submissions: Sequence[Submission]) -> list[int]:
        """Publish these; the places of those that are not confirmed."""
        failures = await self._publisher.publish_all(
            [_publication(submission.attempt) for submission in submissions],
            within=CONFIRMED_WITHIN,
        )
        failed = [place for place, failure in enumerate(failures) if failure is not None]
        if failed:
            failure = failures[failed[0]]
            log.warning("not confirmed", error=str(failure), notifications=len(failed))
            if not all(isinstance(failures[place], _ONE_LANE) for place in failed):
                self._outbox_first = True
        return failed

    async def _left_to_outbox(self, submissions: Sequence[Submission]) -> bool:
        """Whether the outbox has these now."""
        ids = [submission.attempt.id for submission in submissions]
        try:
            with self._for_the_outbox():
                async with asyncio.timeout(STORED_WITHIN):
                    await self._accepting.leave_to_outbox(ids)
        except (LedgerUnavailable, ConfigurationError, TimeoutError) as error:
            self._lost_ledger(error)
            return False
        return True

    @contextmanager
    def _for_the_outbox(self) -> Iterator[None]:
        """Something is stored that the outbox publishes: an answer of the ledger from before does not know of it."""
        self._storing_for_outbox += 1
        try:
            yield
        finally:
            self._storing_for_outbox -= 1
            self._stored_for_outbox += 1

    def _lost_ledger(self, error: Exception) -> None:
        if isinstance(error, RowsMoving):
            return
        if not self._ledger_away:
            log.warning("PostgreSQL is away: publishing without storing", error=str(error))
        self._ledger_away = True

    async def _watch_for_ever(self) -> None:
        """Look whether PostgreSQL is back, and whether the outbox is empty."""
        while True:
            await asyncio.sleep(LOOKS)
            if self._ledger_away or (self._outbox_first and self._connection.up):
                try:
                    await self._look_at_outbox()
                    if self._ledger_away:
                        log.info("PostgreSQL is back")
                    self._ledger_away = False
                except TidingsError as error:
                    log.debug("PostgreSQL is still away", error=str(error))

    async def _look_at_outbox(self) -> None:
        """Let new ones be published at once when nothing waits there."""
        before = self._stored_for_outbox
        quiet = not self._storing_for_outbox
        oldest = await self._accepting.oldest_waiting()
        must_wait = self._must_wait(oldest)
        if must_wait or (
            quiet and not self._storing_for_outbox and before == self._stored_for_outbox
        ):
            self._outbox_first, self._outrun = must_wait, 0
        elif (outrun := self._outrun + 1) < OUTRUN:
            self._outrun = outrun
        else:
            self._outbox_first, self._outrun = False, 0

    def _must_wait(self, oldest: datetime | None) -> bool:
        """Whether new notifications must not overtake those in the outbox."""
        if not self._outbox_first or not self._connection.up:
            return self._outbox_first
        now = asyncio.get_running_loop().time()
        if oldest != self._oldest[0]:
            self._oldest = oldest, now
        return oldest is not None and now - self._oldest[1] < STUCK


def surely(answer: Stored | None) -> Stored:
    """The answer of the server that accepted it.

    Raises:
        LedgerUnavailable: Neither did.
    """
    if answer is None:
        raise LedgerUnavailable(NEITHER)
    return answer


def _publication(attempt: Attempt) -> Publication:
    return Publication(
        str(attempt.id),
        attempt.lane.key,
        attempt.body,
        attempt.first_seen,
        attempt.producer or "",
        attempt.traceparent,
    )
