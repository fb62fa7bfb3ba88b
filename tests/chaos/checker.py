"""The conservation checker: was anything lost, promised falsely, sent too often, or left standing?

It shares no code with the service. What it knows: the journal of what producers got confirmed, the
sink's log of what really arrived, the ledger's tables and the broker's queues, and the faults that
were injected with how much was in flight at each. The names of states and the moves between them
are written out again here, from docs/lifecycle.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from tests.chaos.evidence import Evidence
from tests.chaos.verdict import Expectations, Verdict, Violation

ENDS: Final = frozenset(
    [
        "sent",
        "delivered",
        "bounced",
        "failed",
        "cancelled",
        "suppressed",
        "expired",
        "unknown",
        "discarded",
    ]
)
MOVES: Final = frozenset(
    tuple(line.split(">"))
    for line in [
        "scheduled>queued",
        "scheduled>cancelled",
        "scheduled>expired",
        "queued>sending",
        "queued>suppressed",
        "queued>expired",
        "queued>failed",
        "queued>cancelled",
        "sending>sending",
        "sending>queued",
        "sending>sent",
        "sending>retrying",
        "sending>failed",
        "sending>expired",
        "sending>unknown",
        "sending>suppressed",
        "retrying>sending",
        "retrying>failed",
        "retrying>expired",
        "retrying>cancelled",
        "sent>delivered",
        "sent>bounced",
        "sent>queued",
        "delivered>bounced",
        "bounced>delivered",
        "failed>queued",
        "failed>discarded",
        "expired>queued",
        "expired>discarded",
        "unknown>queued",
        "unknown>discarded",
        "unknown>delivered",
        "unknown>bounced",
    ]
)
"""Every move between states that the documents allow."""

MIB: Final = 1024 * 1024
SHOWN: Final = 5
"""Examples named with each violation."""


def check(evidence: Evidence, expected: Expectations) -> Verdict:
    """Hold the evidence against C, F, D, P and M. Pure."""
    confirmed = {id for id, _, _ in evidence.journal}
    ends = Counter(
        evidence.ledger[id]["state"] if id in evidence.ledger else "nowhere" for id in confirmed
    )
    duplicates = sum(times - 1 for times in evidence.taken.values())
    in_flight = sum(fault.in_flight for fault in evidence.faults)
    violations = [
        *_conserved(evidence, expected),
        *_justified(evidence),
        *_sent_as_recorded(evidence),
        *_not_too_often(
            evidence, duplicates, in_flight if expected.duplicates is None else expected.duplicates
        ),
        *_went_on(evidence),
        *_stayed_small(evidence),
    ]
    return Verdict(
        tuple(violations),
        len(confirmed),
        dict(sorted(ends.items())),
        evidence.taken.total(),
        duplicates,
        in_flight,
        sum(row["marked"] for row in evidence.ledger.values()),
        max((recovery.seconds for recovery in evidence.recoveries), default=0.0),
        max((peak for peak, _ in evidence.memory.values()), default=0),
    )


def _violation(invariant: str, what: str, examples: Iterable[str]) -> Iterator[Violation]:
    found = list(examples)
    if found:
        yield Violation(invariant, what, len(found), tuple(sorted(found)[:SHOWN]))


def _conserved(evidence: Evidence, expected: Expectations) -> Iterator[Violation]:
    """C and F: what was confirmed is there and has ended as its kind may; the queues are empty."""
    ledger, journal = evidence.ledger, evidence.journal
    yield from _violation(
        "F",
        "confirmed to its producer, and nowhere to be found",
        (id for id, _, _ in journal if id not in ledger),
    )
    twice = Counter(id for id, _, _ in journal)
    yield from _violation(
        "F", "confirmed twice in the journal", (id for id, n in twice.items() if n > 1)
    )
    yield from _violation(
        "C",
        "not in a terminal state",
        (f"{id} {row['state']}" for id, row in ledger.items() if row["state"] not in ENDS),
    )
    yield from _violation(
        "C",
        "ended as its kind may not",
        (
            f"{id} {kind}: {ledger[id]['state']}"
            for id, kind, _ in journal
            if id in ledger
            and ledger[id]["state"] in ENDS
            and ledger[id]["state"] not in expected.ends[kind]
        ),
    )
    yield from _violation(
        "C",
        "messages left in a queue",
        (f"{name}: {count}" for name, count in evidence.queues.items() if count),
    )
    wrong = {
        reason: evidence.orphans.get(reason, 0) - expected.dead_letters.get(reason, 0)
        for reason in {*evidence.orphans, *expected.dead_letters}
    }
    yield from _violation(
        "C",
        "dead letters of no notification, other than were to be expected",
        (f"{reason}: {count:+d}" for reason, count in wrong.items() if count),
    )


def _justified(evidence: Evidence) -> Iterator[Violation]:
    """C: each end has the history that leads to it, and exactly one."""
    yield from _violation(
        "C",
        "a move that the table of states doesn't allow",
        (
            f"{before} > {after} ({count}, e.g. {example})"
            for before, after, count, example in evidence.edges
            if before is not None and before != after and (before, after) not in MOVES
        ),
    )
    rows = evidence.ledger.items()
    yield from _violation(
        "C",
        "sent, but not by exactly one attempt in each epoch",
        (
            f"{id} {row['sent']} in {row['epoch'] + 1} epochs"
            for id, row in rows
            if row["state"] == "sent" and not 1 <= row["sent"] <= row["epoch"] + 1
        ),
    )
    yield from _violation(
        "C",
        "failed, expired or unknown, without a dead letter for each time",
        (
            f"{id} {row['state']}: {row['dead_letters']} dead letters in {row['epoch'] + 1} epochs"
            for id, row in rows
            if row["state"] in {"failed", "expired", "unknown"}
            and row["dead_letters"] != row["epoch"] + 1
        ),
    )
    firsts = Counter(
        note
        for id, kind, note in evidence.journal
        if kind == "twin" and _state(evidence, id) == "sent"
    )
    yield from _violation(
        "C", "sent twice under one idempotency key", (key for key, n in firsts.items() if n > 1)
    )


def _state(evidence: Evidence, id: str) -> str:
    row = evidence.ledger.get(id)
    return str(row["state"]) if row is not None else "nowhere"


def _sent_as_recorded(evidence: Evidence) -> Iterator[Violation]:
    """C: what the ledger calls sent was received, and what was received the ledger tells of."""
    reached = Counter[str]()
    for key in evidence.taken:
        reached[key.partition(".")[0]] += 1
    yield from _violation(
        "C",
        "sent by the ledger, and never received",
        (id for id, row in evidence.ledger.items() if row["state"] == "sent" and not reached[id]),
    )
    yield from _violation(
        "C",
        "received, and cancelled or suppressed by the ledger",
        (id for id in reached if _state(evidence, id) in {"cancelled", "suppressed", "nowhere"}),
    )
    yield from _violation(
        "C",
        "received, and no attempt says that it may have been sent",
        (
            f"{id} {row['state']}"
            for id in reached
            if (row := evidence.ledger.get(id)) is not None
            and not row["asked"]
            and not row["lapses"]
        ),
    )
    due = {id: float(note) for id, kind, note in evidence.journal if kind == "scheduled"}
    yield from _violation(
        "C",
        "sent before it was due",
        (
            f"{id} {due[id] - at:.2f} s early"
            for key, at in evidence.first_taken.items()
            if (id := key.partition(".")[0]) in due and at < due[id] - 0.05
        ),
    )


def _not_too_often(evidence: Evidence, duplicates: int, allowed: int) -> Iterator[Violation]:
    """D: nothing was sent oftener than its attempts and lapsed leases explain, or than was in flight."""
    if duplicates > allowed:
        again = sorted(key for key, times in evidence.taken.items() if times > 1)
        yield Violation(
            "D",
            f"came more than once, where {allowed} may have",
            duplicates,
            tuple(again[:SHOWN]),
        )
    sends = Counter[str]()
    for key, times in evidence.taken.items():
        sends[key.partition(".")[0]] += times
    yield from _violation(
        "D",
        "sent oftener than the ledger tells of",
        (
            f"{id}: {times} sends, {row['attempts']} attempts, {row['lapses']} notes of a lapse"
            for id, times in sends.items()
            if (row := evidence.ledger.get(id)) is not None
            and times > row["attempts"] + row["lapses"]
        ),
    )
    confirmed = {id for id, _, _ in evidence.journal}
    yield from _violation(
        "D",
        "received, and confirmed to nobody",
        (id for id in sends if id not in confirmed),
    )
    yield from _violation(
        "D",
        "a text message that went out twice",
        (id for id, kind, _ in evidence.journal if kind.startswith("sms") and sends[id] > 1),
    )


def _went_on(evidence: Evidence) -> Iterator[Violation]:
    """P: after each fault something was delivered again within the time it was given."""
    yield from _violation(
        "P",
        "nothing was delivered again in time",
        (
            f"{recovery.after}: {recovery.seconds:.1f} s, allowed {recovery.limit:g} s"
            for recovery in evidence.recoveries
            if recovery.seconds > recovery.limit
        ),
    )


def _stayed_small(evidence: Evidence) -> Iterator[Violation]:
    """M: no process took more memory than is stated for its settings."""
    yield from _violation(
        "M",
        "took more memory than is stated",
        (
            f"{name}: {peak // MIB} MiB, stated {allowed // MIB}"
            for name, (peak, allowed) in evidence.memory.items()
            if peak > allowed
        ),
    )
