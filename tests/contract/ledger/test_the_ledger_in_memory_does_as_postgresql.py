"""The simulation proves something of the real ledger only as far as its own one answers alike."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.contract.ledger.both_sides import InMemory, OnPostgreSQL, Side, roughly
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import FAILURE, RETRY

from tidings.broker.dead_letter_headers import dead_letter_id
from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.dead_letter import DeadLetter, Origin
from tidings.delivery.delay import Delay
from tidings.delivery.errors import Refused
from tidings.delivery.outcome import Failure, Held, Outcome, Reason, RetryLater, Sent, Undeliverable
from tidings.delivery.ports import ClaimRequest, Record
from tidings.delivery.recipients import RecipientResult, RecipientState, Role
from tidings.delivery.states import State
from tidings.ledger.dead_letters.rows import ArchiveRequest
from tidings_events import parse

SEEDS = range(3)
OPERATIONS = 200
NOW = datetime(2026, 3, 1, tzinfo=UTC)

GOT_IT = RecipientResult("ada@example.com", Role.TO, RecipientState.SENT)
PUT_OFF = RecipientResult("bob@example.com", Role.CC, RecipientState.DEFERRED, "deferred", "451")
REFUSED = replace(PUT_OFF, state=RecipientState.REFUSED)

OUTCOMES: tuple[Outcome, ...] = (
    Sent("smtp:relay", "4712", "250", recipients=(replace(PUT_OFF, state=RecipientState.SENT),)),
    RetryLater(replace(FAILURE, reference="4711", recipients=(GOT_IT, PUT_OFF)), Delay(1), 2),
    Undeliverable(
        Reason.COPIES_REFUSED, replace(FAILURE, reference="4713", recipients=(GOT_IT, REFUSED))
    ),
    Sent("smtp:relay", "4711", "250"),
    RETRY,
    RetryLater(Failure("outcome_unknown", "the reply was lost"), Delay(1), 2),
    Undeliverable(Reason.REJECTED, FAILURE),
    Undeliverable(Reason.EXPIRED, FAILURE),
    Undeliverable(Reason.OUTCOME_UNKNOWN, FAILURE),
)

WAITING = (State.QUEUED, State.RETRYING, State.SENDING)
DEAD_LETTERLESS = (State.FAILED, State.EXPIRED, State.UNKNOWN)

Operation = Callable[[Side], Awaitable[object]]


@dataclass(frozen=True)
class Draws:
    """Operations on a handful of notifications, so that they meet in every order."""

    dice: random.Random
    contents: random.Random
    """Decides what is written, and nothing of what is done."""
    attempts: tuple[Attempt, ...]
    run: UUID

    def operation(self) -> tuple[str, Operation | str]:
        """A name for the failure's message, and what to do to both."""
        draws = (
            *(self.claim,) * 6,
            *(self.record,) * 5,
            *(self.make_dead_letter,) * 3,
            *(self.replay,) * 3,
            *(self.take,) * 2,
            *(self.requeue,) * 2,
            *(self.select,) * 2,
            *(self.release, self.cancel, self.next, self.finish),
            *(lambda: ("leases run out", "lease_until"),) * 2,
            lambda: ("all falls due", "dispatch_at"),
        )
        return self.dice.choice(draws)()

    def attempt(self) -> Attempt:
        number, epoch = self.dice.choice((1, 1, 1, 2, 3)), self.dice.choice((0, 0, 0, 1))
        return replace(self.dice.choice(self.attempts), number=number, epoch=epoch)

    def published(self) -> Attempt:
        """Now and then with other content than it had before."""
        attempt = self.attempt()
        text = self.contents.choice((b"Hello", b"Hello", b"Hello", b"Howdy"))
        body = attempt.body.replace(b"Hello", text)
        message = Message(body, attempt.lane.key, further={"app_id": "shop"})
        return replace(attempt, notification=parse(body), body=body, message=message)

    def token(self, attempt: Attempt) -> str:
        """No worker has the same for two attempts."""
        return f"{self.dice.choice('ab')}{attempt.number}"

    def claim(self) -> tuple[str, Operation]:
        requests = [
            ClaimRequest(
                attempt := self.published(),
                self.token(attempt),
                self.dice.choice((-1.0, 3600.0)),
                None,
            )
            for _ in range(self.dice.randint(1, 5))
        ]
        return f"claim {requests}", lambda side: side.claims.claim(requests)

    def record(self) -> tuple[str, Operation]:
        chosen = {(attempt := self.attempt()).id: attempt for _ in range(3)}
        records = [
            Record(
                attempt,
                self.token(attempt),
                self.dice.choice(OUTCOMES),
                NOW,
                0.5,
                self.dice.random() < 0.5,
            )
            for attempt in chosen.values()
        ]
        return f"record {records}", lambda side: side.records.record(records)

    def release(self) -> tuple[str, Operation]:
        attempt = self.attempt()
        token = self.token(attempt)
        return "release", lambda side: side.records.release(attempt, token, "wrong password")

    def take(self) -> tuple[str, Operation]:
        confirmed = self.dice.random() < 0.5

        async def take(side: Side) -> object:
            taken = sorted(await side.outbox.take(100, actor="s"), key=lambda dispatch: dispatch.id)
            if confirmed:
                await side.outbox.dispatched(taken)
            await side.outbox.keep(taken, 600.0)
            return [replace(dispatch, late=0.0) for dispatch in taken]

        return f"take, confirmed: {confirmed}", take

    def next(self) -> tuple[str, Operation]:
        async def look(side: Side) -> object:
            seconds = await side.outbox.seconds_to_next()
            return seconds if seconds is None else roughly(seconds)

        return "next", look

    def cancel(self) -> tuple[str, Operation]:
        id = self.dice.choice(self.attempts).id

        async def cancel(side: Side) -> object:
            try:
                return await side.changes.cancel(id, actor="a person", reason="a mistake")
            except Refused as refused:
                return str(refused)

        return f"cancel {id}", cancel

    def make_dead_letter(self) -> tuple[str, Operation]:
        requests = [
            ArchiveRequest(_dead_letter(self.attempt(), self.dice))
            for _ in range(self.dice.randint(1, 3))
        ]
        return f"store {requests}", lambda side: side.dead_letters.archiving.store(requests)

    def replay(self) -> tuple[str, Operation]:
        ids = [dead_letter_id(self.dice.choice(self.attempts).id, self.dice.choice((0, 1)))]
        force, run = (
            self.dice.random() < 0.3,
            self.dice.choice((self.run, UUID(int=self.dice.getrandbits(128)))),
        )

        fate = self.dice.choice(("held", "lapsed", "all", "one", "none"))

        async def replay(side: Side) -> object:
            replays = side.dead_letters.replays
            begun = await replays.begin(
                ids, run, expires_at=lambda _: None, actor="test", force=force
            )
            if begun.batch is not None:
                left = {"all": begun.dispatches, "one": begun.dispatches[:1]}.get(fate, ())
                match fate:
                    case "held" | "lapsed":
                        # Else its lease would run out amid the operations, on one side before the other.
                        seconds = 600.0 if fate == "held" else -1.0
                        await side.outbox_batches.keep(begun.batch, seconds)
                    case _:
                        await side.outbox_batches.close(begun.batch, left)
            return replace(begun, batch=None)

        return f"replay {ids}, by force: {force}, {fate} left", replay

    def take_over(self) -> tuple[str, Operation]:
        return "take over", lambda side: side.outbox_batches.take_over()

    def requeue(self) -> tuple[str, Operation]:
        lanes = {attempt.lane: -1800.0 for attempt in self.attempts}
        dead = self.dice.choice((None, -1800.0))

        async def requeue(side: Side) -> object:
            found = await side.requeues.find(0, 10_000, lanes, dead, 100)
            by_id = sorted(found, key=lambda notification: notification.id)
            return by_id, await side.requeues.requeue(by_id, actor="scheduler")

        return f"requeue, dead letters: {dead}", requeue

    def select(self) -> tuple[str, Operation]:
        states = self.dice.sample((*WAITING, *DEAD_LETTERLESS), 4)
        channel = self.dice.choice((None, "email", "sms"))
        limit = self.dice.choice((1, 100))

        async def select(side: Side) -> object:
            return await side.requeues.select(states, channel, -1800.0, limit)

        return f"select {states} of {channel}, {limit} at most", select

    def finish(self) -> tuple[str, Operation]:
        return "finish", lambda side: side.dead_letters.replays.finish()


def _dead_letter(attempt: Attempt, dice: random.Random) -> DeadLetter:
    return DeadLetter(
        id=dead_letter_id(attempt.id, attempt.epoch),
        reason=dice.choice(
            (
                *(Reason.REJECTED, Reason.DELIVERY_LIMIT),
                *(Reason.OUTCOME_UNKNOWN, Reason.COPIES_REFUSED),
            )
        ),
        failure=FAILURE,
        body=attempt.body,
        notification=attempt.notification,
        lane=attempt.lane,
        origin=dice.choice((Origin.WORKER, Origin.LANE, Origin.ASTRAY)),
        epoch=attempt.epoch,
        attempt=attempt.number,
        first_seen=attempt.first_seen,
        dead_lettered_at=NOW,
        exchange="tidings.dead",
        routing_key=attempt.lane.key,
        content_type="application/json",
        headers={},
    )


def draws_of(seed: int) -> Draws:
    dice = random.Random(seed)
    due = datetime.now(UTC) + timedelta(hours=1)

    def new(**fields: Any) -> Attempt:
        return attempt_of(id=UUID(int=dice.getrandbits(128)), **fields)

    attempts = (
        *(new(cc=["bob@example.com"]) for _ in range(4)),
        *(new(scheduled_at=due.isoformat()) for _ in range(2)),
        new(scheduled_at="2026-01-01T00:00:00Z", expires_at=due.isoformat()),
        *(new(idempotency_key="the same") for _ in range(2)),
        new(idempotency_key="the same", tenant="acme"),
    )
    return Draws(dice, random.Random(seed), attempts, UUID(int=seed))


def comparable(answer: object) -> object:
    """Without moments: both sides are asked a little later than each other."""
    match answer:
        case Held():
            return "held"
        case datetime():
            return "then"
        case list() | tuple():
            return [comparable(value) for value in answer]
        case Mapping():
            return {name: comparable(value) for name, value in answer.items()}
        case _ if is_dataclass(answer):
            values = {
                field.name: comparable(getattr(answer, field.name)) for field in fields(answer)
            }
            return (type(answer).__name__, values)
        case _:
            return answer


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_done_to_both_they_answer_and_hold_the_same(
    on_postgresql: OnPostgreSQL, seed: int
) -> None:
    in_memory, draws = InMemory(), draws_of(seed)
    sides: Sequence[Any] = (on_postgresql, in_memory)
    done: list[str] = []
    for _ in range(OPERATIONS):
        name, work = draws.operation()
        done.append(name)
        if isinstance(work, str):
            for side in sides:
                await side.past(work)
            continue
        real, simulated = [comparable(await work(side)) for side in sides]
        assert simulated == real, f"operation {len(done)}: {name}"
        assert await in_memory.holds() == await on_postgresql.holds(), (
            f"after operation {len(done)}: {name}"
        )
    reached = {row["state"] for row in (await on_postgresql.holds())["notifications"].values()}
    assert len(reached) > 1, "the operations led somewhere"


async def test_the_operations_reach_every_state_that_a_statement_of_delivery_sets() -> None:
    reached: set[State] = set()
    for seed in range(12):
        side, draws = InMemory(), draws_of(seed)
        for _ in range(OPERATIONS):
            _, work = draws.operation()
            await (side.past(work) if isinstance(work, str) else work(side))
        reached |= {move.after for move in side.tables.moves}
    receipts = {State.DELIVERED, State.BOUNCED}
    assert reached == set(State) - receipts - {State.DISCARDED}
