"""Parts of a simulation with one protection taken out each, to see that it is missed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.delivery.outcome import Claim, Claimed, Sent
from tidings.delivery.retry_policy import Guarantee
from tidings.ledger import Ledger, changes, claims, dispatch, records
from tidings.ledger.ledger import ClaimRequest, Record
from tidings.testing.memory_broker import ServerConsumer, Stored
from tidings.testing.memory_channel import MemoryChannel
from tidings.testing.memory_letter_statements import STATEMENTS
from tidings.testing.memory_tables import Row, Statement, Tables
from tidings.testing.simulation.world import Parts


@dataclass(frozen=True)
class Broken:
    """What was taken out, and what a seed must report sooner or later."""

    parts: Parts
    missed: str
    """A piece of the report."""
    first: int = 0
    """The seed to begin with: the earlier ones see nothing, as far as is known."""


class AcknowledgedAtOnce(MemoryChannel):
    """The broker forgets a message as soon as it has handed it over."""

    def take(self, consumer: ServerConsumer, message: Stored) -> None:
        super().take(consumer, message)
        self._settle(self._tag, multiple=False)

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        """It is done already."""

    async def basic_nack(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        """It is too late."""


class Unconfirmed(MemoryChannel):
    """Publishing returns before the broker has answered."""

    async def basic_publish(self, body: bytes, **fields: Any) -> None:
        self._usable()
        properties = fields["properties"]
        message = Stored(
            body,
            fields["exchange"],
            fields["routing_key"],
            dict(properties.headers),
            properties.content_type,
            properties.message_id,
        )
        self._connection.to_server.send(lambda: self._take_in(message) and None)


class RecordedBeforeSent(Ledger):
    """The attempt is written down as sent when it is claimed."""

    async def claim(self, request: ClaimRequest) -> Claim:
        claim = await super().claim(request)
        if isinstance(claim, Claimed):
            sent = Sent("simulated", "", "250")
            await self.record(Record(request.attempt, request.token, sent, datetime.now(UTC), 0.0))
        return claim


def without(statement: str, mutant: Callable[[Statement], Statement]) -> Parts:
    """Everything as it is, but for one statement."""
    return Parts(statements={**STATEMENTS, statement: mutant(STATEMENTS[statement])})


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
        for one in taken:
            tables.change(tables.notifications[one["id"]], dispatch_at=None)
        return taken

    return take


def _nobody_came_first(sound: Statement) -> Statement:
    def remember(
        tables: Tables, keys: Sequence[str], ids: Sequence[UUID], window: float
    ) -> Sequence[Row]:
        tables.keys.clear()
        return sound(tables, keys, ids, window)

    return remember


def _whatever_its_state(sound: Statement) -> Statement:
    def cancel(
        tables: Tables, id: UUID, sources: Sequence[str], actor: str, reason: str
    ) -> Sequence[Row]:
        return sound(tables, id, [*sources, "sending", "sent"], actor, reason)

    return cancel


BROKEN = {
    "acknowledged before it is recorded": Broken(Parts(channel=AcknowledgedAtOnce), "C: "),
    "recorded before it is sent": Broken(Parts(ledger=RecordedBeforeSent), "it was not"),
    "passed on without a confirm": Broken(Parts(channel=Unconfirmed), "C: "),
    "at_most_once taken for at_least_once": Broken(
        Parts(guarantee=Guarantee.AT_LEAST_ONCE), "under at_most_once"
    ),
    "recorded whoever holds the lease": Broken(
        without(records.RECORD, _whoever_holds_it), "under another's lease", 50
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
    "never a possible duplicate": Broken(without(claims.CLAIM, _never_doubts), "D: "),
    "what was recorded is not passed on again": Broken(
        without(claims.LOOK_UP, _forgets_what_was_recorded), "C: ", 40
    ),
    "a lost reply taken for a lost lease": Broken(
        without(records.LATE, _knows_no_lost_reply), "C: ", 250
    ),
    "taken out of the outbox before it is confirmed": Broken(
        without(dispatch.TAKE, _published_when_taken), "is left queued", 100
    ),
    "an idempotency key that is forgotten": Broken(
        without(claims.REMEMBER_KEYS, _nobody_came_first), "same idempotency key", 25
    ),
    "called off while it is sent": Broken(
        without(changes.CANCEL, _whatever_its_state), "to cancelled"
    ),
}
