"""Every statement that sets a state, on a row in every state: moves only along the table."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import FAILURE, HOLDER, RETRY, WEEK, LedgerRig, record_of, request_of

from tidings.delivery.attempt import Attempt
from tidings.delivery.dead_letter import DeadLetter, Origin
from tidings.delivery.errors import Refused
from tidings.delivery.outcome import Outcome, Reason, Sent, Undeliverable
from tidings.delivery.states import State, may_become
from tidings.ledger.dead_letters.dead_letters import DeadLetters
from tidings.ledger.dead_letters.rows import ArchiveRequest
from tidings.ledger.notifications.changes import Changes

S = State
SENT = Sent("smtp:relay", "queued as 4711", "250")

ENDED = (S.FAILED, S.EXPIRED, S.UNKNOWN)

Operation = Callable[[LedgerRig, Attempt], Awaitable[object]]
Moves = dict[State, State]


@dataclass(frozen=True)
class Case:
    """An operation, and from which states it leads where; the others it leaves as they are."""

    name: str
    work: Operation
    moves: Moves


def attempt_number(attempt: Attempt, number: int, epoch: int = 0) -> Attempt:
    return Attempt(
        attempt.notification, attempt.body, attempt.lane, epoch, number, attempt.first_seen
    )


def claiming(number: int, *, epoch: int = 0, token: str | None = None) -> Operation:
    async def work(ledger: LedgerRig, attempt: Attempt) -> None:
        await ledger.claim(request_of(attempt_number(attempt, number, epoch), token))

    return work


def claiming_after_a_lapse(number: int) -> Operation:
    async def work(ledger: LedgerRig, attempt: Attempt) -> None:
        await ledger.execute(
            "UPDATE notifications SET lease_until = now() - interval '1 second' "
            "WHERE id = $1 AND lease_until IS NOT NULL",
            attempt.id,
        )
        await ledger.claim(request_of(attempt_number(attempt, number)))

    return work


def recording(outcome: Outcome, token: str = HOLDER) -> Operation:
    async def work(ledger: LedgerRig, attempt: Attempt) -> None:
        await ledger.records.record([record_of(attempt, token, outcome)])

    return work


async def release(ledger: LedgerRig, attempt: Attempt) -> None:
    await ledger.records.release(attempt, "holder", "wrong password")


async def take(ledger: LedgerRig, attempt: Attempt) -> None:
    await ledger.outbox.take(10_000, actor="scheduler")


async def take_and_confirm(ledger: LedgerRig, attempt: Attempt) -> None:
    await ledger.outbox.dispatched(await ledger.outbox.take(10_000, actor="scheduler"))


async def cancel(ledger: LedgerRig, attempt: Attempt) -> None:
    with suppress(Refused):
        await Changes(ledger.database).cancel(attempt.id, actor="a person", reason="mistake")


async def reschedule(ledger: LedgerRig, attempt: Attempt) -> None:
    with suppress(Refused):
        await Changes(ledger.database).reschedule(
            attempt.id,
            datetime.now(UTC) + timedelta(days=1),
            write=lambda body: body,
            expires_at=lambda _: None,
            actor="a person",
        )


def dead_letter_of(attempt: Attempt, reason: Reason, origin: Origin) -> DeadLetter:
    now = datetime.now(UTC)
    return DeadLetter(
        id=uuid4(),
        reason=reason,
        failure=FAILURE,
        body=attempt.body,
        notification=attempt.notification,
        lane=attempt.lane,
        origin=origin,
        epoch=attempt.epoch,
        attempt=attempt.number,
        first_seen=now,
        dead_lettered_at=now,
        exchange="tidings.dead",
        routing_key=attempt.lane.key,
        content_type="application/json",
        headers={},
    )


def archiving(reason: Reason, origin: Origin) -> Operation:
    async def work(ledger: LedgerRig, attempt: Attempt) -> None:
        dead_letters = DeadLetters(ledger.database, actor="archive", window=WEEK)
        await dead_letters.archiving.store(
            [ArchiveRequest(dead_letter_of(attempt, reason, origin))]
        )

    return work


async def archived(ledger: LedgerRig, attempt: Attempt) -> tuple[DeadLetters, DeadLetter]:
    """A dead letter that lies open whatever its notification's state."""
    dead_letters = DeadLetters(ledger.database, actor="a person", window=WEEK)
    dead_letter = dead_letter_of(attempt, Reason.REJECTED, Origin.ASTRAY)
    await dead_letters.archiving.store([ArchiveRequest(dead_letter)])
    return dead_letters, dead_letter


async def discard(ledger: LedgerRig, attempt: Attempt) -> None:
    dead_letters, dead_letter = await archived(ledger, attempt)
    await dead_letters.closings.discard([dead_letter.id], "not worth it", actor="test")


def replaying(*, force: bool) -> Operation:
    async def work(ledger: LedgerRig, attempt: Attempt) -> None:
        dead_letters, dead_letter = await archived(ledger, attempt)
        await dead_letters.replays.begin(
            [dead_letter.id], uuid4(), expires_at=lambda _: None, actor="test", force=force
        )

    return work


def moves(after: State, *before: State) -> Moves:
    return dict.fromkeys(before, after)


def outcomes() -> Iterator[Case]:
    every: dict[str, tuple[Outcome, State]] = {
        "sent": (SENT, S.SENT),
        "retry": (RETRY, S.RETRYING),
        **{
            reason.value: (Undeliverable(reason, FAILURE), reason.state)
            for reason in Reason
            if reason not in {Reason.MALFORMED, Reason.UNROUTABLE, Reason.DELIVERY_LIMIT}
        },
    }
    for name, (outcome, after) in every.items():
        yield Case(f"record {name}", recording(outcome), moves(after, S.SENDING))
        yield Case(f"record {name} of another claim", recording(outcome, "another"), {})


def archivings() -> Iterator[Case]:
    """The worker's dead letters follow its record; RabbitMQ's tell of what no worker recorded."""
    unfinished = (S.QUEUED, S.RETRYING)
    for reason in Reason:
        by_lane = moves(reason.state, *unfinished)
        yield Case(f"store {reason} of a lane", archiving(reason, Origin.LANE), by_lane)
        by_worker = {before: after for before, after in by_lane.items() if before is S.QUEUED}
        yield Case(f"store {reason} of a worker", archiving(reason, Origin.WORKER), by_worker)
        yield Case(f"store {reason} gone astray", archiving(reason, Origin.ASTRAY), {})


CLAIMS = [
    Case("claim", claiming(1), moves(S.SENDING, S.QUEUED)),
    Case("claim the next attempt", claiming(2), moves(S.SENDING, S.QUEUED, S.RETRYING)),
    Case("claim once more", claiming(1, token="holder"), moves(S.SENDING, S.SENDING, S.QUEUED)),
    Case("claim after a lapse", claiming_after_a_lapse(1), moves(S.SENDING, S.SENDING, S.QUEUED)),
    Case("claim a later epoch", claiming(1, epoch=1), {}),
]
OUTBOX = [
    Case("take", take, moves(S.QUEUED, S.SCHEDULED)),
    Case("take and confirm", take_and_confirm, moves(S.QUEUED, S.SCHEDULED)),
]
PEOPLE = [
    Case("cancel", cancel, moves(S.CANCELLED, S.SCHEDULED, S.QUEUED, S.RETRYING)),
    Case("reschedule", reschedule, {}),
    Case("discard", discard, moves(S.DISCARDED, *ENDED)),
    Case("replay", replaying(force=False), moves(S.QUEUED, *ENDED)),
    Case("replay by force", replaying(force=True), moves(S.QUEUED, *ENDED, S.SENT)),
]
RELEASE = Case("release", release, {S.SENDING: S.QUEUED})
GROUPS = {
    "claims": CLAIMS,
    "records": [*outcomes(), RELEASE],
    "the outbox": OUTBOX,
    "people": PEOPLE,
    "the archive": list(archivings()),
}


@pytest.mark.parametrize("who", GROUPS)
async def test_whoever_moves_a_state_moves_it_along_the_table(ledger: LedgerRig, who: str) -> None:
    for case, before in product(GROUPS[who], State):
        attempt = attempt_of()
        await ledger.put(attempt, before)
        await case.work(ledger, attempt)
        after = await ledger.state(attempt.id)
        assert after is case.moves.get(before, before), f"{case.name} from {before}"
        assert after is before or may_become(before, after), f"{case.name} from {before}"


async def test_giving_back_a_later_attempt_leaves_it_retrying(ledger: LedgerRig) -> None:
    attempt = attempt_of(number=2)
    await ledger.put(attempt_number(attempt, 1), S.RETRYING)
    await ledger.claimed(attempt, "holder")
    await release(ledger, attempt)
    assert await ledger.state(attempt.id) is S.RETRYING


async def test_what_is_stored_first_is_in_a_state_in_which_a_life_may_begin(
    ledger: LedgerRig,
) -> None:
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    plain, scheduled = attempt_of(), attempt_of(scheduled_at=due)
    first, second = attempt_of(idempotency_key="k"), attempt_of(idempotency_key="k")
    await ledger.claim(*map(request_of, (plain, scheduled, first, second)))
    states = [await ledger.state(attempt.id) for attempt in (plain, scheduled, first, second)]
    assert states == [S.SENDING, S.SCHEDULED, S.SENDING, S.SUPPRESSED]
    assert may_become(S.QUEUED, S.SENDING)
    assert may_become(S.QUEUED, S.SUPPRESSED)


async def test_every_change_that_no_attempt_tells_is_in_the_history(ledger: LedgerRig) -> None:
    for case in (RELEASE, *OUTBOX, *PEOPLE, *archivings()):
        for before, after in case.moves.items():
            attempt = attempt_of()
            await ledger.put(attempt, before)
            await case.work(ledger, attempt)
            noted = [(attempt, other) for attempt, other, _ in await ledger.history(attempt.id)]
            assert noted == [(before, after)], f"{case.name} from {before}"
