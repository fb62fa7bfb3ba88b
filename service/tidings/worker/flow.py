"""One message from its lane to its settlement: read, claim, send, record, settle. The order is the guarantee."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from time import monotonic, perf_counter
from typing import Final

import structlog

from tidings.broker.topology.layout import lane_at
from tidings.delivery.arrival import TimeSource, arrival
from tidings.delivery.attempt import Attempt, read
from tidings.delivery.delay import Delay
from tidings.delivery.doubt import admitted
from tidings.delivery.errors import DeliveryError, MalformedNotification, Misrouted, OutcomeUnknown
from tidings.delivery.lightening import light, whole
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
    RetryLater,
    Scheduled,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.particulars import particulars_of
from tidings.delivery.ports import ClaimRequest, Content, Delivery, Ledger, Record, SendRequest
from tidings.delivery.retry_policy import DeliveryPolicy, RetryPolicy, recipient_spared
from tidings.delivery.value import value
from tidings.runtime.clock import utc_now
from tidings.telemetry.attempt_log import log_attempt
from tidings.telemetry.metrics import ChannelMetrics
from tidings.templates import Templates
from tidings.worker.content import content_of
from tidings.worker.patience import patiently
from tidings.worker.places import NoTurn, Place
from tidings.worker.providers import Providers
from tidings.worker.settle import Settler
from tidings_events.problems import without_values
from tidings_events.routing import Headers

log = structlog.get_logger(__name__)

_handlings: Final = count(1)
"""Numbers what this process handles, so that no two handlings share a token."""

NOT_NOW: Final = Paused(Failure("not_now", "the channel was paused, or its worker stopped"))
"""What was claimed and not begun is given back."""


@value(frozen=True, slots=True)
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
    clock: Callable[[], float] = monotonic
    """That of `Delivery.received`."""

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
            now, not_before = self._times(delivery)
            lane = lane_at(delivery.queue)
            attempt = light(read(delivery.message, lane, now=now, not_before=not_before))
        except Misrouted as error:
            place.release()
            await self._misrouted(delivery, error)
            return None
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
        if claim.accepted_at is not None and claim.accepted_at != attempt.first_seen:
            attempt = replace(attempt, first_seen=claim.accepted_at)
        tried = await self._try(attempt, claim, policy, place)
        if isinstance(tried.outcome, Paused):  # keeps its place: nobody else should try just now
            await self._put_off(delivery, attempt, token, tried.outcome, tried.duration)
            return tried.outcome
        place.release()
        outcome = admitted(tried.outcome, perhaps_sent=claim.possible_duplicate)
        record = Record(
            attempt,
            token,
            outcome,
            tried.started_at,
            tried.duration,
            claim.possible_duplicate,
        )
        if await self._record(delivery, record):
            await self.settler.settle(delivery, attempt, outcome)
        else:  # whoever took over holds a copy, and goes on from what the ledger says
            delivery.ack()
        return outcome if tried.asked else None

    async def park(self, delivery: Delivery, paused: Paused = NOT_NOW) -> None:
        """Let a message wait a turn, or for as long as is said, no attempt spent. Raises like `Settler.park`."""
        said, id_ = delivery.message.published_at, particulars_of(delivery.message.body).id
        seen = arrival(said, id_, *self._times(delivery))
        await self.settler.park(delivery, paused.delay or self.tiers[0], seen, paused.since)

    def _times(self, delivery: Delivery) -> tuple[datetime, datetime | None]:
        """When a message was taken from its lane, and when that was last known to be empty."""
        now = self.now() - timedelta(0, self.clock() - delivery.received)
        if delivery.lane_empty is None or not _new(delivery):
            return now, None
        return now, now - timedelta(0, delivery.received - delivery.lane_empty)

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

    def _claim(
        self, delivery: Delivery, attempt: Attempt, policy: DeliveryPolicy, token: str
    ) -> Awaitable[Claim]:
        request = ClaimRequest(
            attempt,
            token,
            policy.send_timeout * len(self.providers.all) + self.lease_margin,
            policy.expires_at(attempt),
        )
        return patiently(delivery, lambda: self.ledger.claim(request))

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
                await self.park(delivery)
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

    async def _misrouted(self, delivery: Delivery, error: Misrouted) -> None:
        """Send home what is ours and was moved here: its notification waits for it. Anything else is a copy of
        what may lie in its own lane too, and never becomes more than a dead letter."""
        message = delivery.message
        if message.ours and Headers.FORWARDED not in message.headers:
            log.warning("sent to its own lane", queue=delivery.queue, channel=error.channel)
            await self.settler.forward(delivery, error.channel)
        else:
            await self._malformed(delivery, error)

    async def _malformed(self, delivery: Delivery, error: MalformedNotification) -> None:
        self.metrics.malformed()
        said = "; ".join(map(without_values, error.problems))
        log.warning("malformed message", queue=delivery.queue, error=said)
        await self.settler.bury_unread(delivery, error)

    async def _try(
        self, attempt: Attempt, claim: Claimed, policy: DeliveryPolicy, place: Place
    ) -> Try:
        """Send, unless nobody may send it again unasked, or it is too late, or there are no words."""
        attempt, started_at, clock = whole(attempt), self.now(), perf_counter()
        content = self._content(attempt, claim, policy, started_at)
        asked = isinstance(content, Content)
        outcome = (
            await self._send(attempt, content, policy, claim, place)
            if isinstance(content, Content)
            else content
        )
        if claim.recipients:
            outcome = recipient_spared(
                outcome, attempt, claim.recipients, perhaps_sent=claim.possible_duplicate
            )
        return Try(outcome, started_at, perf_counter() - clock, asked)

    def _content(
        self, attempt: Attempt, claim: Claimed, policy: DeliveryPolicy, now: datetime
    ) -> Content | Outcome | Paused:
        """What to send, or why nothing is sent."""
        withheld = policy.withheld(attempt, now, perhaps_sent=claim.possible_duplicate)
        if withheld is not None:
            return withheld
        try:
            return content_of(attempt.notification, self.providers.template_parts, self.templates)
        except DeliveryError as error:
            return policy.decide(error, attempt, now)
        except Exception as surprise:
            log.exception("unexpected error while writing", id=str(attempt.id))
            return policy.decide(surprise, attempt, now)

    async def _send(
        self,
        attempt: Attempt,
        content: Content,
        policy: DeliveryPolicy,
        claim: Claimed,
        place: Place,
    ) -> Outcome | Paused:
        """Send once; whatever is raised becomes an outcome.

        No error outlives its `except`: bound to a name here, it and this frame would hold each other
        until the garbage collector comes, which thousands of failures make a pause that all can feel.
        """
        try:
            earlier, doubt = claim.recipients, claim.possible_duplicate
            request = SendRequest(attempt, content, policy.send_timeout, earlier, place.give_way)
            sent = await self.providers.send(request)
            if not (sent.recipients or earlier):  # taken for everybody, as nearly always
                return sent
            return policy.judge(sent, attempt, earlier, self.now(), perhaps_sent=doubt)
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
        known = record.attempt.time_source is not TimeSource.READ
        since = waited + record.duration if known else None
        again = record.attempt.epoch > 0
        self.metrics.attempt(record.outcome, record.duration, since, replayed=again)
        log_attempt(
            record.attempt,
            record.outcome,
            duration=record.duration,
            possible_duplicate=record.possible_duplicate,
        )
        return ours


def _new(delivery: Delivery) -> bool:
    """Whether a message has come into its lane straight from its producer."""
    message = delivery.message
    return not (delivery.redelivered or message.ours or "x-death" in message.headers)
