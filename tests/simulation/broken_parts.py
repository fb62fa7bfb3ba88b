"""Parts of a simulation with one protection taken out each, to see that it is missed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pamqp.frame
from aiormq.abc import ChannelFrame
from pamqp import commands as spec
from pamqp.base import Frame
from tests.doubles.ledger import ChangedLedger
from tests.doubles.memory_broker import ServerConsumer, Stored
from tests.doubles.memory_channel import MemoryChannel
from tests.doubles.memory_dead_letter_statements import STATEMENTS
from tests.doubles.memory_tables import INCOMING, Row, Statement, Tables
from tests.simulation.provider import SimulatedProvider
from tests.simulation.scenario import Reply
from tests.simulation.world import Parts

from tidings.delivery.errors import DeliveryError
from tidings.delivery.outcome import Claim, Claimed, Reason, Sent, Undeliverable
from tidings.delivery.ports import ClaimRequest, Ledger, Record
from tidings.delivery.retry_policy import Guarantee
from tidings.ledger.notifications import (
    changes,
    claims,
    dispatch,
    idempotency,
    recipients,
    records,
    requeue,
)

NEWEST = 2**63
"""A number that no publish has: an ack for all up to it is one for all that wait."""


@dataclass(frozen=True)
class Broken:
    """What was taken out, and what a seed must report sooner or later."""

    parts: Parts
    missed: str
    """A piece of the report."""
    first: int = 0
    """The seed to begin with: of the earlier ones none saw it when this was written."""


class AcknowledgedAtOnce(MemoryChannel):
    """The broker forgets a message as soon as it has handed it over."""

    def take(self, consumer: ServerConsumer, message: Stored) -> None:
        super().take(consumer, message)
        self._settle(self._tag, multiple=False)

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        """It is done already."""

    async def basic_reject(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        """It is too late."""


class Unconfirmed(MemoryChannel):
    """Whatever is published counts as confirmed as soon as it is written."""

    async def write(self, frame: ChannelFrame) -> None:
        await super().write(frame)
        self._connection.frames.feed(
            pamqp.frame.marshal(spec.Basic.Ack(NEWEST, multiple=True), self.number)
        )

    def answer(self, frame: Frame, before: bytes = b"") -> None:
        """It comes too late."""


async def _recorded_before_it_is_sent(ledger: Ledger, request: ClaimRequest) -> Claim:
    """The attempt is written down as sent when it is claimed."""
    claim = await ledger.claim(request)
    if isinstance(claim, Claimed):
        sent = Sent("simulated", "", "250")
        await ledger.record(Record(request.attempt, request.token, sent, datetime.now(UTC), 0.0))
    return claim


def _denies_what_may_have_been(ledger: Ledger, record: Record) -> Awaitable[bool]:
    """An attempt is written down as its last error has it, whatever came before."""
    outcome = record.outcome
    if isinstance(outcome, Undeliverable) and outcome.reason is Reason.OUTCOME_UNKNOWN:
        reason_text = outcome.failure.message.partition(" after an attempt that may")[0]
        reason = Reason(reason_text) if reason_text in set(Reason) else Reason.OUTCOME_UNKNOWN
        record = replace(record, outcome=Undeliverable(reason, outcome.failure))
    return ledger.record(record)


def _expires_before_it_doubts(ledger: Ledger, record: Record) -> Awaitable[bool]:
    """What may have been sent and has expired meanwhile is written down as expired."""
    now, expires_at = record.started_at, record.attempt.notification.expires_at
    late = expires_at is not None and now >= expires_at
    match record.outcome:
        case Undeliverable(reason=Reason.OUTCOME_UNKNOWN, failure=failure) if late:
            record = replace(record, outcome=Undeliverable(Reason.EXPIRED, failure))
    return ledger.record(record)


def claiming(claim: Callable[[Ledger, ClaimRequest], Awaitable[Claim]]) -> Parts:
    """Everything as it is, but for how workers claim."""
    return Parts(ledger=partial(ChangedLedger, claiming=claim))


def recording(record: Callable[[Ledger, Record], Awaitable[bool]]) -> Parts:
    """Everything as it is, but for how workers record."""
    return Parts(ledger=partial(ChangedLedger, recording=record))


def without(
    statement: str, mutant: Callable[[Statement], Statement], *, looking: bool = True
) -> Parts:
    """Everything as it is, but for one statement.

    Args:
        looking: Whether the scheduler looks for lost messages, and makes up for what loses one.
    """
    statements = {**STATEMENTS, statement: mutant(STATEMENTS[statement])}
    return Parts(
        statements
        if looking
        else {**statements, requeue.FIND: _finds_nothing(STATEMENTS[requeue.FIND])}
    )


def _disguised(what: str, **as_if: Any) -> Callable[[Statement], Statement]:
    """Claims take what they must not: rows in a state look as if they were to be had."""

    def mutant(sound: Statement) -> Statement:
        def claim(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
            for id in columns[0]:
                row = tables.notifications.get(id)
                if row is not None and row["state"] == what:
                    tables.notifications[id] = {**row, **as_if}
            return sound(tables, *columns)

        return claim

    return mutant


def _whoever_holds_it(sound: Statement) -> Statement:
    def record(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        ids, epochs, numbers, tokens, *rest = columns
        for id, token in zip(ids, tokens, strict=True):
            row = tables.notifications.get(id)
            if row is not None:
                tables.notifications[id] = {**row, "lease_holder": token}
        return sound(tables, ids, epochs, numbers, tokens, *rest)

    return record


def _never_doubts(sound: Statement) -> Statement:
    def claim(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        return [{**row, "perhaps_sent": False} for row in sound(tables, *columns)]

    return claim


def _doubts_only_the_last_attempt(sound: Statement) -> Statement:
    def record(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        recorded = sound(tables, *columns)
        for entry in recorded:
            row = tables.notifications[entry["id"]]
            tables.notifications[entry["id"]] = {**row, "perhaps_sent": False}
        return recorded

    return record


def _forgets_what_was_recorded(sound: Statement) -> Statement:
    def look_up(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        return [
            {**row, "state": "sent"} if row["state"] in {"retrying", "failed"} else row
            for row in sound(tables, *columns)
        ]

    return look_up


def _knows_no_lost_reply(sound: Statement) -> Statement:
    def late(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        sound(tables, *columns)
        return []

    return late


def _published_when_taken(sound: Statement) -> Statement:
    def take(tables: Tables, *arguments: Any) -> Sequence[Row]:
        taken = sound(tables, *arguments)
        for entry in taken:
            tables.change(tables.notifications[entry["id"]], dispatch_at=None)
        return taken

    return take


def _nobody_came_first(sound: Statement) -> Statement:
    def remember(tables: Tables, *arguments: Any) -> Sequence[Row]:
        tables.keys.clear()
        return sound(tables, *arguments)

    return remember


def _free_before_its_holder_ends(_: Statement) -> Statement:
    def take_over(
        tables: Tables,
        keys: Sequence[str],
        addressees: Sequence[bytes],
        ids: Sequence[UUID],
        window: float,
    ) -> Sequence[Row]:
        rows = []
        for key, addressee, id in zip(keys, addressees, ids, strict=True):
            tables.keys[key, addressee] = (id, tables.in_(window))
            rows.append({"key": key, "addressee": addressee, "notification_id": id})
        return rows

    return take_over


def _finds_nothing(_: Statement) -> Statement:
    def find(*_: Any) -> Sequence[Row]:
        return []

    return find


def _taken_for_sent_to_all(sound: Statement) -> Statement:
    def look_up(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        return [
            {**row, "reason": None} if row["state"] == "sent" else row
            for row in sound(tables, *columns)
        ]

    return look_up


def _whatever_it_says(sound: Statement) -> Statement:
    def claim(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
        place = INCOMING.index("body")
        came = columns[place] if len(columns[place]) > 1 else [*columns[place]] * len(columns[0])
        known = [tables.notifications.get(id) for id in columns[0]]
        bodies = [
            body if row is None else row["body"] for row, body in zip(known, came, strict=True)
        ]
        return sound(tables, *columns[:place], bodies, *columns[place + 1 :])

    return claim


def _whatever_may_have_been(sound: Statement) -> Statement:
    def cancel(tables: Tables, id: UUID, *rest: Any) -> Sequence[Row]:
        answer = sound(tables, id, *rest)
        row = tables.notifications.get(id)
        if row is not None and row["state"] == "cancelled":
            tables.moves[-1] = replace(tables.moves[-1], row={**row, "perhaps_sent": False})
        return answer

    return cancel


def _whatever_its_state(sound: Statement) -> Statement:
    def cancel(
        tables: Tables, id: UUID, sources: Sequence[str], actor: str, reason: str
    ) -> Sequence[Row]:
        return sound(tables, id, [*sources, "sending", "sent"], actor, reason)

    return cancel


class TakesRecipientsForItself(SimulatedProvider):
    """An adapter that reports a full mailbox as a provider that is down."""

    @staticmethod
    def refusal(reply: Reply) -> DeliveryError | None:
        return SimulatedProvider.refusal(Reply.UNAVAILABLE if reply is Reply.DEFERRED else reply)


BROKEN = {
    "a full mailbox taken for a provider that is down": Broken(
        Parts(provider=TakesRecipientsForItself), "though the provider answered everybody", 21
    ),
    "acknowledged before it is recorded": Broken(Parts(channel=AcknowledgedAtOnce), "C: ", 182),
    "recorded before it is sent": Broken(claiming(_recorded_before_it_is_sent), "it was not"),
    "passed on without a confirm": Broken(Parts(channel=Unconfirmed), "C: ", 31),
    "at_most_once taken for at_least_once": Broken(
        Parts(guarantee=Guarantee.AT_LEAST_ONCE), "under at_most_once"
    ),
    "recorded without its lease": Broken(
        without(records.RECORD, _whoever_holds_it), "under another's lease", 140
    ),
    "claimed although it is sent": Broken(
        without(claims.CLAIM, _disguised("sent", state="queued", attempt=0)), "C: "
    ),
    "claimed although it is retrying": Broken(
        without(claims.CLAIM, _disguised("retrying", attempt=0)), "D: "
    ),
    "claimed under another's lease": Broken(
        without(claims.CLAIM, _disguised("sending", lease_until=datetime(2000, 1, 1, tzinfo=UTC))),
        "under its lease",
    ),
    "never a possible duplicate": Broken(without(claims.CLAIM, _never_doubts), "D: ", 52),
    "a lost reply is forgotten after the next attempt": Broken(
        without(records.RECORD, _doubts_only_the_last_attempt),
        "says the ledger; it was sent",
        427,
    ),
    "what was recorded is not passed on again": Broken(
        without(claims.LOOK_UP, _forgets_what_was_recorded, looking=False), "C: ", 92
    ),
    "a lost reply taken for a lost lease": Broken(
        without(records.LATE, _knows_no_lost_reply), "C: ", 358
    ),
    "taken out of the outbox before it is confirmed": Broken(
        without(dispatch.TAKE, _published_when_taken, looking=False), "is left queued", 397
    ),
    "an idempotency key that is forgotten": Broken(
        without(idempotency.REMEMBER_KEYS, _nobody_came_first), "same idempotency key", 31
    ),
    "an idempotency key that is taken from a holder under way": Broken(
        without(idempotency.TAKE_OVER, _free_before_its_holder_ends), "same idempotency key", 31
    ),
    "a lost message is not looked for": Broken(
        without(requeue.FIND, _finds_nothing), "is left retrying", 13
    ),
    "who has a mail already is forgotten": Broken(
        without(recipients.KEEP, _finds_nothing), "and nothing says so"
    ),
    "who has a mail already is forgotten by a replay": Broken(
        without(recipients.REACHED, _finds_nothing), "to a recipient who had it"
    ),
    "what a copy has missed is not passed on again": Broken(
        without(claims.LOOK_UP, _taken_for_sent_to_all, looking=False),
        "has no dead letter",
        125,
    ),
    "given up as its last error says, whatever came before": Broken(
        recording(_denies_what_may_have_been), "and may have been sent", 84
    ),
    "expired, whatever may have been sent": Broken(
        recording(_expires_before_it_doubts), "and may have been sent", 356
    ),
    "claimed for a message with other content": Broken(
        without(claims.CLAIM, _whatever_it_says), "with other content than the ledger has", 110
    ),
    "called off, whatever may have been sent": Broken(
        without(changes.CANCEL, _whatever_may_have_been), "and may have been sent", 1196
    ),
    "called off while it is sent": Broken(
        without(changes.CANCEL, _whatever_its_state), "to cancelled"
    ),
}
