"""One message from its lane to its settlement: read, claim, send, record, settle. The order is the guarantee."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from time import perf_counter
from typing import Final

import structlog

from tidings.broker.consumer import Delivery
from tidings.broker.surroundings import utc_now
from tidings.delivery.attempt import Attempt, read
from tidings.delivery.delay import Delay
from tidings.delivery.errors import DeliveryError, MalformedNotification, OutcomeUnknown
from tidings.delivery.outcome import (
    Claim,
    Claimed,
    DuplicateOf,
    Failure,
    Finished,
    Held,
    NeverIssued,
    Outcome,
    Paused,
    Reason,
    RetryLater,
    Scheduled,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.ports import Content, SendRequest
from tidings.delivery.retry_policy import DeliveryPolicy, Guarantee, RetryPolicy
from tidings.ledger.ledger import ClaimRequest, Ledger, Record
from tidings.telemetry.attempt_log import log_attempt
from tidings.telemetry.metrics import ChannelMetrics
from tidings.templates import Templates
from tidings.worker.content import content_of
from tidings.worker.patience import patiently
from tidings.worker.places import NoTurn, Place
from tidings.worker.providers import Providers
from tidings.worker.settle import Settler

log = structlog.get_logger(__name__)

_handlings: Final = count(1)
"""Numbers what this process handles, so that no two handlings share a token."""

NOT_NOW: Final = Paused(Failure("not_now", "the channel was paused, or its worker stopped"))
"""What was claimed and not begun is given back."""


@dataclass(frozen=True, slots=True)
class Try:
    """What came of sending once."""

    outcome: Outcome | Paused
    started_at: datetime
    duration: float
    """Seconds."""
    asked: bool
    """Whether the provider was asked at all."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Sees messages of one channel through.

    Args:
        policy: Gives the policy for a category.
        tiers: Every delay there is a queue for, shortest first; in the shortest one waits what another
            worker holds.
        lease_margin: Seconds that a lease outlasts its send.
    """

    providers: Providers
    policy: Callable[[str], DeliveryPolicy]
    tiers: tuple[Delay, ...]
    lease_margin: float
    ledger: Ledger
    settler: Settler
    templates: Templates
    metrics: ChannelMetrics
    now: Callable[[], datetime] = utc_now

    async def handle(self, delivery: Delivery, place: Place) -> Outcome | Paused | None:
        """Take one message from here to its ack.

        Args:
            place: Taken for the send, and released as soon as it is over.

        Returns:
            What came of sending; None where nobody was asked to send. `Paused` means that the provider
            is at fault, or nothing is sent just now: nothing was spent, and the message is still in hand.

        Raises:
            Abandoned: The broker took the message back; the ledger knows how far it came.
        """
        try:
            attempt = read(delivery.message, now=self.now())
        except MalformedNotification as error:
            place.release()
            await self._malformed(delivery, error)
            return None
        policy = self.policy(attempt.notification.category)
        # Tags start again with every channel: what comes again may have the tag it had, while the
        # send that began before the loss goes on.
        token = f"{self.ledger.actor}/{delivery.queue}/{delivery.tag}.{next(_handlings)}"
        try:
            claim = await self._turn(delivery, attempt, policy, token, place)
        except NoTurn:
            return NOT_NOW
        if not isinstance(claim, Claimed):
            place.release()
            await self._unclaimed(delivery, attempt, claim)
            return None
        if claim.accepted_at not in {None, attempt.first_seen}:
            attempt = replace(attempt, first_seen=claim.accepted_at)
        tried = await self._try(attempt, claim, policy)
        if isinstance(tried.outcome, Paused):  # keeps its place: nobody else should try just now
            await self._put_off(delivery, attempt, token, tried.outcome, tried.duration)
            return tried.outcome
        place.release()
        record = Record(
            attempt,
            token,
            tried.outcome,
            tried.started_at,
            tried.duration,
            claim.possible_duplicate,
        )
        if await self._record(delivery, record):
            await self.settler.settle(delivery, attempt, tried.outcome)
        else:  # whoever took over holds a copy, and goes on from what the ledger says
            delivery.ack()
        return tried.outcome if tried.asked else None

    async def _turn(
        self, delivery: Delivery, attempt: Attempt, policy: DeliveryPolicy, token: str, place: Place
    ) -> Claim:
        """Claim, and wait for the place; a claim whose lease might not last for the send is made again.

        Raises:
            NoTurn: Nothing is sent just now.
        """
        claim = await self._claim(delivery, attempt, policy, token)
        if not isinstance(claim, Claimed):
            return claim
        try:
            if await place.take() <= self.lease_margin / 2:
                return claim
            return await self._claim(delivery, attempt, policy, token)
        except BaseException:  # nobody has been asked: not to be taken for sent
            with suppress(Exception):
                await self.ledger.release(attempt, token, NOT_NOW.failure.message)
            raise

    async def _claim(
        self, delivery: Delivery, attempt: Attempt, policy: DeliveryPolicy, token: str
    ) -> Claim:
        request = ClaimRequest(
            attempt,
            token,
            policy.send_timeout * len(self.providers.all) + self.lease_margin,
            policy.expires_at(attempt),
        )
        return await patiently(delivery, lambda: self.ledger.claim(request))

    async def _put_off(
        self, delivery: Delivery, attempt: Attempt, token: str, paused: Paused, duration: float
    ) -> None:
        """Give the claim back, no attempt spent."""
        self.metrics.attempt(paused, duration, 0)
        why = paused.failure.message
        await patiently(delivery, lambda: self.ledger.release(attempt, token, why), insist=True)

    async def _unclaimed(self, delivery: Delivery, attempt: Attempt, claim: Claim) -> None:
        """Settle a message that is not to be sent."""
        match claim:
            case Finished() | DuplicateOf():
                self.metrics.duplicate()
                delivery.ack()
            case Scheduled() | Claimed():
                delivery.ack()
            case Held():
                self.metrics.parked()
                await self.settler.park(delivery, self.tiers[0])
            case Unsettled(outcome=outcome):
                await self.settler.settle(delivery, attempt, self._still_possible(outcome))
            case NeverIssued(epoch=epoch):
                forged = MalformedNotification(
                    f"header x-tidings-epoch: no replay ever began epoch {epoch}; leave x-tidings- headers out"
                )
                await self._malformed(delivery, forged)

    def _still_possible(self, outcome: RetryLater | Undeliverable) -> RetryLater | Undeliverable:
        """What was recorded under settings that may have changed: its tier may be gone."""
        match outcome:
            case RetryLater(delay=delay):
                return replace(outcome, delay=RetryPolicy(self.tiers).at_least(delay.seconds))
            case Undeliverable():
                return outcome

    async def _malformed(self, delivery: Delivery, error: MalformedNotification) -> None:
        self.metrics.malformed()
        log.warning("malformed message", queue=delivery.queue, error=str(error))
        await self.settler.bury_unread(delivery, error)

    async def _try(self, attempt: Attempt, claim: Claimed, policy: DeliveryPolicy) -> Try:
        """Send, unless it is too late, or nobody may send it again unasked, or there are no words."""
        started_at, clock = self.now(), perf_counter()
        content = self._content(attempt, claim, policy, started_at)
        asked = isinstance(content, Content)
        outcome = (
            await self._send(attempt, content, policy) if isinstance(content, Content) else content
        )
        return Try(outcome, started_at, perf_counter() - clock, asked)

    def _content(
        self, attempt: Attempt, claim: Claimed, policy: DeliveryPolicy, now: datetime
    ) -> Content | Outcome | Paused:
        """What to send, or why nothing is sent."""
        if (late := policy.expired(attempt, now)) is not None:
            return late
        if claim.possible_duplicate and policy.guarantee is Guarantee.AT_MOST_ONCE:
            return _interrupted()
        try:
            return content_of(attempt.notification, self.providers.template_parts, self.templates)
        except DeliveryError as error:
            return policy.decide(error, attempt, now)
        except Exception as surprise:
            log.exception("unexpected error while writing", id=str(attempt.id))
            return policy.decide(surprise, attempt, now)

    async def _send(
        self, attempt: Attempt, content: Content, policy: DeliveryPolicy
    ) -> Outcome | Paused:
        """Send once; whatever is raised becomes an outcome.

        No error outlives its `except`: bound to a name here, it and this frame would hold each other
        until the garbage collector comes, which thousands of failures make a pause that all can feel.
        """
        try:
            return await self.providers.send(SendRequest(attempt, content, policy.send_timeout))
        except DeliveryError as failure:
            return policy.decide(failure, attempt, self.now())
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            unknown = "the channel was cut off by something of its own"
        except Exception as surprise:
            # Nobody knows how far it came: the guarantee decides, as after a lost reply.
            log.exception(
                "unexpected error while sending", id=str(attempt.id), channel=self.providers.name
            )
            unknown = f"{type(surprise).__name__} in our own code while sending; the log has its traceback"
        return policy.decide(OutcomeUnknown(unknown), attempt, self.now())

    async def _record(self, delivery: Delivery, record: Record) -> bool:
        """Whether the attempt counts: its lease was still ours."""
        ours = await patiently(delivery, lambda: self.ledger.record(record), insist=True)
        if not ours:
            log.warning("recorded after its lease ran out", id=str(record.attempt.id))
        waited = (record.started_at - record.attempt.wanted_since).total_seconds()
        self.metrics.attempt(record.outcome, record.duration, waited + record.duration)
        log_attempt(
            record.attempt,
            record.outcome,
            duration=record.duration,
            possible_duplicate=record.possible_duplicate,
        )
        return ours


def _interrupted() -> Undeliverable:
    return Undeliverable(
        Reason.OUTCOME_UNKNOWN,
        Failure(
            "outcome_unknown",
            "the worker that was sending it is gone, and this channel sends at most once",
        ),
    )
