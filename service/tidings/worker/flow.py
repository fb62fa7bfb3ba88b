"""The steps of one message: read, claim, send, record, settle. Their order is the delivery guarantee."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from time import perf_counter
from typing import Final, Protocol

import structlog

from tidings.broker.topology.layout import lane_at
from tidings.delivery.arrival import TimeSource, arrival
from tidings.delivery.attempt import Attempt, read
from tidings.delivery.delay import Delay
from tidings.delivery.errors import DeliveryError, MalformedNotification, Misrouted, OutcomeUnknown
from tidings.delivery.large_content import with_large_content, without_large_content
from tidings.delivery.outcome import (
    Claim,
    Claimed,
    DuplicateOf,
    Failure,
    Finished,
    Held,
    NeverIssued,
    Outcome,
    Released,
    RetryLater,
    Scheduled,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.ports import (
    ClaimRequest,
    Clock,
    Content,
    Delivery,
    Ledger,
    Record,
    SendRequest,
    keep_slot,
)
from tidings.delivery.retry_policy import DeliveryPolicy, RetryPolicy, decide_copies
from tidings.delivery.search_fields import read_search_fields
from tidings.delivery.unknown_outcome import final_outcome
from tidings.delivery.value import value
from tidings.runtime.clock import CLOCK
from tidings.telemetry.attempt_log import log_attempt
from tidings.telemetry.metrics import ChannelMetrics
from tidings.templates import Templates
from tidings.worker.content import content_of
from tidings.worker.outages import retry_outages
from tidings.worker.providers import Providers
from tidings.worker.settle import Settler
from tidings_events.problems import without_values
from tidings_events.routing import Headers

log = structlog.get_logger(__name__)

_handlings: Final = count(1)
"""Numbers the handlings of messages in this process, so that each has its own token."""

NOT_NOW: Final = Released(Failure("not_now", "the channel was paused, or its worker stopped"))
"""The outcome of a message that was claimed and not begun: its claim is released."""


@value(frozen=True, slots=True)
class SendResult:
    """The result of one send."""

    outcome: Outcome | Released
    started_at: datetime
    duration: float
    """Seconds."""
    called: bool
    """Whether a provider was called at all."""


@value(frozen=True, slots=True)
class Work:
    """One message that was read, with its attempt, policy and claim token."""

    delivery: Delivery
    attempt: Attempt
    policy: DeliveryPolicy
    token: str
    """Identifies its claim."""


class Steps(Protocol):
    """The steps of a flow that may have to wait for a slot."""

    async def dead_letter_unread(
        self, delivery: Delivery, error: MalformedNotification
    ) -> None: ...
    def claim(self, work: Work) -> Awaitable[Claim]: ...
    async def send(self, work: Work, claim: Claimed) -> SendResult: ...


@dataclass(frozen=True, slots=True)
class Flow:
    """Processes messages of one channel.

    Args:
        policy: Returns the policy of a category.
        queue_delays: The delays of the retry queues, shortest first; a message that another worker has claimed
            waits in the shortest.
        lease_margin: Seconds that a lease outlasts its send.
    """

    providers: Providers
    policy: Callable[[str], DeliveryPolicy]
    queue_delays: tuple[Delay, ...]
    lease_margin: float
    ledger: Ledger
    settler: Settler
    templates: Templates
    metrics: ChannelMetrics
    clock: Clock = CLOCK
    """The clock of `Delivery.received`."""

    async def handle(self, delivery: Delivery, steps: Steps) -> Outcome | Released | None:
        """Process one message up to its ack: read, claim, send, record, settle.

        Args:
            steps: Those of this flow, or a wrapper that makes them wait for a slot.

        Returns:
            The outcome of the send; None if no provider was called. `Released` means that the provider
            is at fault, or nothing is sent now: no attempt was spent, and the message is not settled.

        Raises:
            DeliveryLost: RabbitMQ delivers the message again; the ledger has its state.
        """
        try:
            work = self._read(delivery)
        except MalformedNotification as error:
            await steps.dead_letter_unread(delivery, error)
            return None
        claim = await steps.claim(work)
        if not isinstance(claim, Claimed):
            await self._unclaimed(work, claim)
            return None
        if claim.accepted_at is not None and claim.accepted_at != work.attempt.first_seen:
            work = replace(work, attempt=replace(work.attempt, first_seen=claim.accepted_at))
        result = await steps.send(work, claim)
        if isinstance(result.outcome, Released):
            self.metrics.attempt(result.outcome, result.duration, 0)
            await self.release(work, result.outcome)
            return result.outcome
        outcome = final_outcome(result.outcome, perhaps_sent=claim.possible_duplicate)
        if await self._record(work, result, outcome, possible_duplicate=claim.possible_duplicate):
            await self.settler.settle(delivery, work.attempt, outcome)
        else:  # the worker that took over has a copy, and continues from the ledger
            delivery.ack()
        return outcome if result.called else None

    async def postpone(self, delivery: Delivery, released: Released = NOT_NOW) -> None:
        """Postpone a message, by the shortest delay unless `released` names one; no attempt is spent. Raises like `Settler.postpone`."""
        published_at, id_ = (
            delivery.message.published_at,
            read_search_fields(delivery.message.body).id,
        )
        seen = arrival(published_at, id_, *self._times(delivery))
        await self.settler.postpone(
            delivery, released.delay or self.queue_delays[0], seen, released.since
        )

    def _times(self, delivery: Delivery) -> tuple[datetime, datetime | None]:
        """When a message was consumed, and when its lane was last known to be empty."""
        now = self.clock.now() - timedelta(0, self.clock.seconds() - delivery.received)
        if delivery.lane_empty is None or not _from_producer(delivery):
            return now, None
        return now, now - timedelta(0, delivery.received - delivery.lane_empty)

    def _read(self, delivery: Delivery) -> Work:
        """Raises `MalformedNotification`."""
        now, not_before = self._times(delivery)
        lane = lane_at(delivery.queue)
        attempt = without_large_content(
            read(delivery.message, lane, now=now, not_before=not_before)
        )
        # Tags start again with every AMQP channel: a redelivered message may have its old tag, while the
        # send that began before the loss continues.
        token = f"{self.ledger.actor}/{delivery.queue}/{delivery.tag}.{next(_handlings)}"
        return Work(delivery, attempt, self.policy(attempt.notification.category), token)

    def claim(self, work: Work) -> Awaitable[Claim]:
        """Claim the notification under a lease that lasts for its send."""
        policy, attempt = work.policy, work.attempt
        request = ClaimRequest(
            attempt,
            work.token,
            policy.send_timeout * len(self.providers.all) + self.lease_margin,
            policy.expires_at(attempt),
        )
        return retry_outages(work.delivery, lambda: self.ledger.claim(request))

    async def release(self, work: Work, released: Released) -> None:
        """Release the claim; no attempt is spent."""
        why = released.failure.message
        await retry_outages(
            work.delivery, lambda: self.ledger.release(work.attempt, work.token, why), insist=True
        )

    async def _unclaimed(self, work: Work, claim: Claim) -> None:
        """Settle a message that is not to be sent."""
        delivery = work.delivery
        match claim:
            case Finished() | DuplicateOf():
                self.metrics.duplicate()
                delivery.ack()
            case Scheduled() | Claimed():
                delivery.ack()
            case Held():
                self.metrics.claim_conflict()
                await self.postpone(delivery)
            case Unsettled(outcome=outcome):
                await self.settler.settle(
                    delivery, work.attempt, self._with_existing_queue(outcome)
                )
            case NeverIssued(epoch=epoch):
                forged = MalformedNotification(
                    f"header x-tidings-epoch: no replay ever began epoch {epoch}; leave x-tidings- headers out"
                )
                await self._malformed(delivery, forged)

    def _with_existing_queue(
        self, outcome: RetryLater | Undeliverable
    ) -> RetryLater | Undeliverable:
        """The recorded outcome with a retry queue that exists: settings may have changed since."""
        match outcome:
            case RetryLater(delay=delay):
                return replace(
                    outcome, delay=RetryPolicy(self.queue_delays).at_least(delay.seconds)
                )
            case Undeliverable():
                return outcome

    async def dead_letter_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """Settle a message that can't be read.

        A message that Tidings published and that was moved here by hand is forwarded to its own lane: its notification
        depends on it. Any other is a copy of one that may be in its own lane too, and becomes a dead letter only.
        """
        message = delivery.message
        ours = message.ours and Headers.FORWARDED not in message.headers
        if isinstance(error, Misrouted) and ours:
            log.warning(
                "message forwarded to its own lane", queue=delivery.queue, channel=error.channel
            )
            await self.settler.forward(delivery, error.channel)
        else:
            await self._malformed(delivery, error)

    async def _malformed(self, delivery: Delivery, error: MalformedNotification) -> None:
        self.metrics.malformed()
        problems = "; ".join(map(without_values, error.problems))
        log.warning("malformed message", queue=delivery.queue, error=problems)
        await self.settler.dead_letter_unread(delivery, error)

    async def send(
        self, work: Work, claim: Claimed, release_slot: Callable[[], None] = keep_slot
    ) -> SendResult:
        """Send, unless it may have been sent on a channel that sends at most once, has expired, or has no content.

        Args:
            release_slot: See `SendRequest`.
        """
        attempt, policy = with_large_content(work.attempt), work.policy
        started_at, clock = self.clock.now(), perf_counter()
        content = self._content(attempt, claim, policy, started_at)
        called = isinstance(content, Content) and not attempt.notification.test
        outcome = (
            await self._call_providers(attempt, content, policy, claim, release_slot)
            if isinstance(content, Content)
            else content
        )
        if claim.recipients:
            outcome = decide_copies(
                outcome, attempt, claim.recipients, perhaps_sent=claim.possible_duplicate
            )
        return SendResult(outcome, started_at, perf_counter() - clock, called)

    def _content(
        self, attempt: Attempt, claim: Claimed, policy: DeliveryPolicy, now: datetime
    ) -> Content | Outcome | Released:
        """The content to send, or the outcome if nothing is sent."""
        withheld = policy.withheld(attempt, now, perhaps_sent=claim.possible_duplicate)
        if withheld is not None:
            return withheld
        try:
            return content_of(attempt.notification, self.providers.template_parts, self.templates)
        except DeliveryError as error:
            return policy.decide(error, attempt, now)
        except Exception as unexpected:
            log.exception("unexpected error while rendering content", id=str(attempt.id))
            return policy.decide(unexpected, attempt, now)

    async def _call_providers(
        self,
        attempt: Attempt,
        content: Content,
        policy: DeliveryPolicy,
        claim: Claimed,
        release_slot: Callable[[], None],
    ) -> Outcome | Released:
        """Call the providers once; every error becomes an outcome.

        No error outlives its `except`: bound to a name here, it and this frame would reference each other
        until the garbage collector runs, which after thousands of failures is a noticeable pause.
        """
        try:
            earlier, doubt = claim.recipients, claim.possible_duplicate
            request = SendRequest(attempt, content, policy.send_timeout, earlier, release_slot)
            sent = await self.providers.send(request)
            if not (sent.recipients or earlier):  # accepted for all recipients, as nearly always
                return sent
            return policy.decide_sent(sent, attempt, earlier, self.clock.now(), perhaps_sent=doubt)
        except DeliveryError as failure:
            return policy.decide(failure, attempt, self.clock.now())
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            unknown = "the channel's own code cancelled the send"
        except Exception as unexpected:
            # The outcome is unknown: the guarantee decides, as after a lost reply.
            log.exception(
                "unexpected error while sending", id=str(attempt.id), channel=self.providers.name
            )
            unknown = f"{type(unexpected).__name__} in our own code while sending; the log has its traceback"
        return policy.decide(OutcomeUnknown(unknown), attempt, self.clock.now())

    async def _record(
        self, work: Work, result: SendResult, outcome: Outcome, *, possible_duplicate: bool
    ) -> bool:
        """Record the attempt; returns whether it counts: its lease was still held."""
        attempt, duration = work.attempt, result.duration
        record = Record(
            attempt, work.token, outcome, result.started_at, duration, possible_duplicate
        )
        ours = await retry_outages(work.delivery, lambda: self.ledger.record(record), insist=True)
        if not ours:
            log.warning("attempt recorded after its lease expired", id=str(attempt.id))
        waited = (result.started_at - attempt.wanted_since).total_seconds()
        known = attempt.time_source is not TimeSource.READ
        if attempt.notification.test:
            self.metrics.test(outcome)
        else:
            self.metrics.attempt(
                outcome, duration, waited + duration if known else None, replayed=attempt.epoch > 0
            )
        log_attempt(attempt, outcome, duration=duration, possible_duplicate=possible_duplicate)
        return ours


def _from_producer(delivery: Delivery) -> bool:
    """Whether a message came into its lane straight from its producer."""
    message = delivery.message
    return not (delivery.redelivered or message.ours or "x-death" in message.headers)
