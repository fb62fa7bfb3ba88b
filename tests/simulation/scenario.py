"""What a seed stands for: notifications, what their provider does, and how much goes wrong meanwhile."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final
from uuid import UUID

from tidings.delivery.delay import Delay
from tidings.delivery.recipients import RecipientState
from tidings.delivery.retry_policy import Guarantee

EPOCH: Final = (datetime.now(UTC) + timedelta(days=30)).replace(
    hour=12, minute=0, second=0, microsecond=0
)
"""When every simulation begins: ahead of every clock that is not virtual, so that whoever reads one
finds all in the future, and not so far that notifications are refused for it."""


class Reply(StrEnum):
    """What the provider does with one send."""

    SENT = "sent"
    SLOW = "sent, and says so late"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    LOST = "sent, and the reply is lost"
    NOTHING = "not sent, and the reply is lost"
    HANGS = "sent, and never returns"
    BREAKS = "sent, and then our code breaks"
    MISCONFIGURED = "misconfigured"
    DEFERRED = "deferred"


ODD: Final = (Reply.DEFERRED, Reply.UNAVAILABLE, Reply.MISCONFIGURED)
"""The reply to a recipient with a faulty mailbox, each time."""
ANSWERS: Final = frozenset({Reply.SENT, Reply.REJECTED, Reply.DEFERRED, Reply.BREAKS})
"""Replies of a provider that is well, and in time."""
ODDS: Final = {
    Reply.SENT: 50,
    Reply.SLOW: 6,
    Reply.UNAVAILABLE: 14,
    Reply.THROTTLED: 4,
    Reply.REJECTED: 6,
    Reply.LOST: 5,
    Reply.NOTHING: 3,
    Reply.HANGS: 3,
    Reply.BREAKS: 3,
    Reply.MISCONFIGURED: 4,
}

SLOW_ODDS: Final = {Reply.SLOW: 6, Reply.HANGS: 2, Reply.LOST: 1, Reply.UNAVAILABLE: 1}
"""Of a provider so slow that leases run out while it is sending."""

RATES: Final = {
    "slow network": 0.004,
    "connection refused": 0.1,
    "queue full": 0.05,
    "statement lost": 0.03,
    "reply lost": 0.05,
    "slow request": 0.02,
    "slow reply": 0.02,
    "notification lost": 0.2,
    "crash while sending": 0.08,
}


@dataclass(frozen=True, slots=True)
class Order:
    """One notification, and what becomes of its sends."""

    id: UUID
    priority: str
    body: bytes
    at: float
    """Seconds after the beginning at which it is published."""
    copies: int
    replies: tuple[Reply, ...]
    """To its first send, its second …; afterwards everything is sent."""
    key: str | None
    due: datetime | None
    expires_at: datetime | None
    cancel_at: float | None
    mailboxes: tuple[tuple[str, tuple[RecipientState, ...]], ...]
    """What the provider says of each copy, one answer after the other; afterwards it takes it."""
    impostor_at: float | None = None
    """When other content is published under the same id."""

    @property
    def impostor(self) -> bytes:
        """That content."""
        return self.body.replace(b'"Hello"', b'"Something else"')


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is drawn before anything happens; what happens then is drawn as it goes."""

    seed: int
    guarantee: Guarantee
    queue_delays: tuple[Delay, ...]
    orders: tuple[Order, ...]
    workers: int
    concurrency: int
    lease_margin: float
    circuit_failures: int
    shuffle: bool
    delivery_limit: int
    budget: int
    incidents: tuple[tuple[float, str], ...]
    """When what happens to whom: `cut`, `restart`, `consumers cancelled`, `stop`, `crash`, `purge`."""
    replay: bool
    outages: tuple[tuple[float, float], ...] = ()
    """From when until when the provider can't be reached by anybody, in seconds after the beginning."""
    counts_nacks: bool = True
    """What the broker does: see `MemoryBroker`."""

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.guarantee}, retries after "
            f"{' '.join(delay.name for delay in self.queue_delays)}, {self.workers} workers × {self.concurrency}, "
            f"lease margin {self.lease_margin:g} s, "
            f"{self.circuit_failures} failures to an outage, delivery limit {self.delivery_limit}{'' if self.counts_nacks else ' without nacks'}, {self.budget} troubles at most, "
            f"{'any' if self.shuffle else 'first'} callback first{', replayed at the end' if self.replay else ''}",
            *(f"  incident at {at:.3f}: {what}" for at, what in self.incidents),
            *(f"  provider away from {begin:.3f} to {end:.3f}" for begin, end in self.outages),
            *(_told(order) for order in self.orders),
        ]
        return "\n".join(lines)


def draw(seed: int) -> tuple[Scenario, Random]:
    """A seed's scenario, and the dice with which it is played."""
    dice = Random(seed)  # no secret
    keyed, slow = dice.random() < 0.08, dice.random() < 0.12
    count = dice.choice((1, 1, 2, 2, 3, 4))
    budget = dice.choice((0, 2, 3, 4, 5, 6, 8, 10))
    scenario = Scenario(
        seed=seed,
        guarantee=dice.choice(tuple(Guarantee)),
        queue_delays=dice.choice(
            ((Delay(1),), (Delay(1), Delay(3)), (Delay(2), Delay(1), Delay(6)))
        ),
        orders=tuple(_order(dice, seed, number, keyed=keyed, slow=slow) for number in range(count)),
        workers=dice.choice((1, 1, 2)),
        concurrency=dice.choice((1, 2, 10)),
        lease_margin=dice.choice((1.0, 5.0)),
        circuit_failures=dice.choice((1, 3, 10)),
        shuffle=dice.random() < 0.5,
        delivery_limit=dice.choice((1, 2, 20)),
        budget=budget,
        incidents=tuple(sorted([*_incidents(dice, min(budget, 3)), *_purges(seed)])),
        replay=dice.random() < 0.2,
        counts_nacks=Random(f"broker of {seed}").random() < 0.5,  # no secret
    )
    return _with_odd_mailboxes(scenario), dice


def _with_odd_mailboxes(scenario: Scenario) -> Scenario:
    """Some recipients get the same reply each time, some are deferred for themselves, and now and then the
    provider is away from everybody; by dice of their own."""
    dice = Random(f"mailboxes of {scenario.seed}")  # no secret
    orders = tuple(replace(order, replies=_odd(dice, order.replies)) for order in scenario.orders)
    begin = dice.uniform(0, 4)
    outages = ((begin, begin + dice.uniform(0.5, 4)),) if dice.random() < 0.12 else ()
    return replace(scenario, orders=orders, outages=outages)


def _odd(dice: Random, replies: tuple[Reply, ...]) -> tuple[Reply, ...]:
    if dice.random() < 0.15:
        return (dice.choice(ODD),) * dice.randint(2, 6)
    return tuple(
        Reply.DEFERRED if reply is Reply.UNAVAILABLE and dice.random() < 0.4 else reply
        for reply in replies
    )


def _incidents(dice: Random, most: int) -> list[tuple[float, str]]:
    kinds = ("cut", "cut", "restart", "consumers cancelled", "stop", "crash", "crash")
    return sorted((dice.uniform(0, 8), dice.choice(kinds)) for _ in range(dice.randint(0, most)))


def _purges(seed: int) -> list[tuple[float, str]]:
    """When the retry queues are purged; from dice of its own, so that all else stays the same."""
    dice = Random(f"purges of {seed}")  # no secret
    return [(dice.uniform(0, 12), "purge")] if dice.random() < 0.15 else []


def _order(dice: Random, seed: int, number: int, *, keyed: bool, slow: bool) -> Order:
    odds = SLOW_ODDS if slow else ODDS
    id = UUID(int=((number + 1) << 108) | (dice.getrandbits(88) << 16) | (seed & 0xFFFF))
    priority = dice.choice(("normal", "normal", "high", "urgent", "low"))
    key = "the same" if keyed else None
    due = EPOCH + timedelta(seconds=dice.uniform(1, 6)) if dice.random() < 0.12 else None
    expires_at = EPOCH + timedelta(seconds=dice.uniform(7, 15)) if dice.random() < 0.1 else None
    replies = dice.choices(tuple(odds), tuple(odds.values()), k=dice.choice((1, 2, 3, 4)))
    mailboxes = _mailboxes(id)
    return Order(
        id=id,
        priority=priority,
        body=_body(id, key, due, expires_at, [address for address, _ in mailboxes]),
        at=dice.choice((0.0, 0.0, dice.uniform(0, 3))),
        copies=dice.choice((1, 2, 2) if slow else (1, 1, 1, 2)),
        replies=tuple(replies),
        key=key,
        due=due,
        expires_at=expires_at,
        cancel_at=dice.uniform(0, 6) if dice.random() < 0.08 else None,
        mailboxes=mailboxes,
        impostor_at=_impostor(id),
    )


def _impostor(id: UUID) -> float | None:
    """By dice of their own, so that all else stays as it was."""
    dice = Random(f"impostor of {id}")  # no secret
    return dice.uniform(0, 6) if dice.random() < 0.06 else None


def _mailboxes(id: UUID) -> tuple[tuple[str, tuple[RecipientState, ...]], ...]:
    """Copies of some mails, drawn for themselves: a scenario is what it was before there were any."""
    dice = Random(id.int)  # no secret
    if dice.random() < 0.7:
        return ()
    answers = (RecipientState.DEFERRED, RecipientState.DEFERRED, RecipientState.REFUSED)
    return tuple(
        (address, tuple(dice.choices(answers, k=dice.choice((0, 1, 1, 2, 4)))))
        for address in ("bob@example.com", "eve@example.com")[: dice.choice((1, 2))]
    )


def _body(
    id: UUID,
    key: str | None,
    due: datetime | None,
    expires_at: datetime | None,
    copies: Sequence[str],
) -> bytes:
    written: dict[str, Any] = {
        "id": str(id),
        "version": 1,
        "channel": "email",
        "recipient": "ada@example.com",
        "subject": "Hello",
        "body": "How are you?",
        "idempotency_key": key,
        "scheduled_at": due.isoformat() if due is not None else None,
        "expires_at": expires_at.isoformat() if expires_at is not None else None,
        "cc": copies or None,
    }
    return json.dumps(
        {name: value for name, value in written.items() if value is not None}
    ).encode()


def _told(order: Order) -> str:
    words = [
        f"  {str(order.id)[:5]} {order.priority} at {order.at:.3f}",
        f"× {order.copies}" if order.copies > 1 else "",
        f"key {order.key!r}" if order.key else "",
        f"due {(order.due - EPOCH).total_seconds():.3f}" if order.due else "",
        f"expires {(order.expires_at - EPOCH).total_seconds():.3f}" if order.expires_at else "",
        f"impostor at {order.impostor_at:.3f}" if order.impostor_at is not None else "",
        f"cancelled at {order.cancel_at:.3f}" if order.cancel_at is not None else "",
        f"| {', '.join(order.replies)}",
        *(f"| {copy}: {', '.join(answers)}" for copy, answers in order.mailboxes),
    ]
    return " ".join(word for word in words if word)
