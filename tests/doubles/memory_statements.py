"""What the ledger's statements do, on tables in memory. One contract suite holds them to PostgreSQL's answers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tests.doubles.memory_tables import (
    INCOMING,
    Row,
    Statement,
    Tables,
    Transition,
    pick,
    unnest,
    unpacked,
)

from tidings.delivery.errors import LedgerRefused
from tidings.delivery.outcome import OUTCOME_UNKNOWN, Reason
from tidings.ledger.notifications import (
    changes,
    claims,
    conflicts,
    dispatch,
    idempotency,
    outbox_batches,
    outbox_entries,
    records,
)
from tidings.ledger.notifications import recipients as ledger_recipients
from tidings.ledger.notifications import requeue as requeue_

RECORDED: Final = (
    *("id", "epoch", "attempt", "token", "started_at", "duration_ms", "state"),
    *("possible_duplicate", "provider", "reference", "code", "kind", "message"),
    *("retry_delay", "reason"),
)

RESULT: Final = (
    *("notification_id", "epoch", "attempt", "address", "role", "state"),
    *("kind", "code", "message"),
)


def claim(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Step three: the notifications that are the callers' to send."""
    requests = unpacked((*INCOMING, "number_epoch", "number", "lease", "token"), columns)
    return [
        {
            "id": row["id"],
            "accepted_at": row["accepted_at"] if known else None,
            "perhaps_sent": perhaps_sent(row),
        }
        for entry in requests
        for known in (entry["id"] in tables.notifications,)
        if (row := _claim(tables, entry)) is not None
    ]


def _claim(tables: Tables, entry: Row) -> Row | None:
    taken = {
        "state": "sending",
        "epoch": entry["number_epoch"],
        "attempt": entry["number"],
        "priority": entry["priority"],
        "lease_holder": entry["token"],
        "lease_until": tables.in_(entry["lease"]),
    }
    row = tables.notifications.get(entry["id"])
    if row is None:
        _note_unheard_of(tables, entry)
        return tables.add(entry, **taken, perhaps_sent=entry["number"] > 1)
    if not _may_claim(row, entry, tables.now()):
        return None
    lapsed = row["state"] == "sending" and row["lease_holder"] != entry["token"]
    doubt = row["perhaps_sent"] or entry["number"] > row["attempt"] + 1
    lapses = row["lapses"] + lapsed
    row = tables.change(row, **taken, lapses=lapses, perhaps_sent=doubt, dispatch_at=None)
    _note_lapses(tables, row)
    return row


def _may_claim(row: Row, entry: Row, now: datetime) -> bool:
    if (row["epoch"], row["body"]) != (entry["number_epoch"], entry["body"]):
        return False
    if row["state"] in {"queued", "retrying"}:
        return bool(row["attempt"] < entry["number"])
    if row["state"] != "sending":
        return False
    lapsed = row["lease_until"] < now and row["attempt"] <= entry["number"]
    return lapsed or bool(row["lease_holder"] == entry["token"])


def _note_unheard_of(tables: Tables, entry: Row) -> None:
    place = (entry["number_epoch"], entry["number"])
    if place != (0, 1):
        note = (
            f"first seen as attempt {place[1]} of epoch {place[0]}, from its headers: earlier attempts "
            "are unknown, because the database was restored or its producer set these headers"
        )
        tables.note(entry["id"], place[0], "queued", "sending", entry["token"], note)


def _note_lapses(tables: Tables, row: Row) -> None:
    note = (
        f"the lease of attempt {row['attempt']} ran out: "
        "its worker stopped, and it may have been sent"
    )
    named = (row["id"], row["epoch"], note)
    before = sum(
        1
        for transition in tables.transitions
        if (transition.id, transition.epoch, transition.reason) == named
    )
    if row["lapses"] > before:
        tables.note(row["id"], row["epoch"], "sending", "sending", row["lease_holder"], note)


def perhaps_sent(row: Row) -> bool:
    """Whether an attempt of this epoch may have been delivered, as far as its row tells."""
    unknown = row["failure_kind"] == OUTCOME_UNKNOWN
    return bool(row["perhaps_sent"] or row["lapses"] > 0 or unknown)


def look_up(tables: Tables, ids: Sequence[UUID], patience: float) -> Sequence[Row]:
    """How notifications stand that were not claimed."""
    now = tables.now()
    return [
        {
            **row,
            "content": sha256(row["body"]).digest(),
            "lapsed": row["lease_until"] is not None and row["lease_until"] < now,
            "stranded": is_stranded(tables, row, patience, patience),
        }
        for id in dict.fromkeys(ids)
        if (row := tables.notifications.get(id)) is not None
    ]


def is_stranded(tables: Tables, row: Row, overdue: float, least: float) -> bool:
    """Whether a message of a notification that is under way seems to be lost."""
    if row["state"] not in {"queued", "retrying", "sending"}:
        return False
    return not_lately(tables, row, least) and overdue_since(row) < tables.in_(-overdue)


def overdue_since(row: Row) -> datetime:
    """When its message should have come at the latest."""
    match row["state"]:
        case "sending":
            since: datetime = row["lease_until"]
        case "retrying":
            since = row["updated_at"] + timedelta(seconds=row["retry_delay"] or 0)
        case _:
            since = row["updated_at"]
    return since


def not_lately(tables: Tables, row: Row, least: float) -> bool:
    """Whether the last guess at a loss, if any, is long enough ago."""
    last, changed = row["requeued_at"], row["updated_at"]
    if row["dispatch_at"] is not None:
        return False
    if last is None or last < changed:
        return True
    return bool(tables.now() - last >= max(timedelta(seconds=least), last - changed))


def requeue(
    tables: Tables,
    ids: Sequence[UUID],
    epochs: Sequence[int],
    attempts: Sequence[int],
    states: Sequence[str],
    actor: str,
    why: str,
) -> Sequence[Row]:
    """Have notifications published again that stand as they were found."""
    requeued = []
    for id, *found in zip(ids, epochs, attempts, states, strict=True):
        row = tables.notifications.get(id)
        if row is None or [row[name] for name in ("epoch", "attempt", "state")] != found:
            continue
        held = row["state"] == "sending" and row["lease_until"] >= tables.now()
        if row["dispatch_at"] is None and not held:
            now = tables.now()
            row = tables.change(row, dispatch_at=now, requeued_at=now)
            note = f"{_lost(row)}: published again{why}"
            tables.note(id, row["epoch"], row["state"], row["state"], actor, note)
            requeued.append(pick(row, "id", "channel", "state"))
    return requeued


def _lost(row: Row) -> str:
    match row["state"]:
        case "sending":
            attempt = row["attempt"]
            return f"its message was lost, and the worker of attempt {attempt} stopped"
        case "queued" | "retrying":
            return "its message was lost"
        case _:
            return "its dead letter was lost"


def schedule(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Store what is not due."""
    return [
        pick(entry, "id")
        for entry in unpacked((*INCOMING, "properties"), columns)
        if tables.add(
            entry, state="scheduled", epoch=0, attempt=0, dispatch_at=entry["scheduled_at"]
        )
    ]


def remember_keys(
    tables: Tables,
    keys: Sequence[str],
    addressees: Sequence[bytes],
    ids: Sequence[UUID],
    _: Sequence[str],
    window: float,
) -> Sequence[Row]:
    """Who used an idempotency key first."""
    for place, id in zip(zip(keys, addressees, strict=True), ids, strict=True):
        held = tables.keys.get(place)
        if held is None or held[1] < tables.now():
            tables.keys[place] = (id, tables.in_(window))
    return [_held(tables, place) for place in zip(keys, addressees, strict=True)]


def take_over_keys(
    tables: Tables,
    keys: Sequence[str],
    addressees: Sequence[bytes],
    ids: Sequence[UUID],
    window: float,
) -> Sequence[Row]:
    """Keys whose holder ended and was not sent are the next one's."""
    taken = []
    for place, id in zip(zip(keys, addressees, strict=True), ids, strict=True):
        holder = tables.notifications.get(tables.keys[place][0])
        if holder is not None and _ended_unsent(tables, holder):
            tables.keys[place] = (id, tables.in_(window))
            taken.append(_held(tables, place))
    return taken


def forget_keys(
    tables: Tables, keys: Sequence[str], addressees: Sequence[bytes], ids: Sequence[UUID]
) -> Sequence[Row]:
    """Let go of keys."""
    for place, id in zip(zip(keys, addressees, strict=True), ids, strict=True):
        if place in tables.keys and tables.keys[place][0] == id:
            del tables.keys[place]
    return []


def _ended_unsent(tables: Tables, row: Row) -> bool:
    ended = row["state"] in {"failed", "expired", "cancelled", "suppressed", "discarded"}
    return ended and not ever_perhaps_sent(tables, row)


def ever_perhaps_sent(tables: Tables, row: Row) -> bool:
    """Whether an attempt of any epoch may have been delivered."""
    return (
        row["state"] == "unknown"
        or perhaps_sent(row)
        or any(
            transition.id == row["id"] and transition.after == "queued" and _had_it(transition)
            for transition in tables.transitions
        )
    )


def _had_it(replay: Transition) -> bool:
    forced = replay.reason.startswith("forced: ")
    sent = replay.before in {"sent", "delivered", "bounced"}
    return replay.before == "unknown" or (sent and forced)


def _held(tables: Tables, place: tuple[str, bytes]) -> Row:
    return {"key": place[0], "addressee": place[1], "notification_id": tables.keys[place][0]}


def suppress(tables: Tables, *arguments: Any) -> Sequence[Row]:
    """Store duplicates by key."""
    *columns, actor = arguments
    stored = []
    for entry in unpacked((*INCOMING, "first"), columns):
        first = entry["first"]
        ended = {"duplicate_of": first, "reason": "duplicate", "finished_at": tables.now()}
        if tables.add(entry, state="suppressed", epoch=0, attempt=0, **ended):
            note = f"same idempotency key as {first}"
            tables.note(entry["id"], 0, "queued", "suppressed", actor, note)
            stored.append({"id": entry["id"], "duplicate_of": first})
    return stored


def record(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Step five: attempts whose lease is still their recorder's."""
    return [
        pick(entry, "id", "token")
        for entry in unpacked(RECORDED, columns)
        if _record(tables, entry)
    ]


def _record(tables: Tables, entry: Row) -> bool:
    row = tables.notifications.get(entry["id"])
    ours = ("sending", entry["epoch"], entry["attempt"], entry["token"])
    names = ("state", "epoch", "attempt", "lease_holder")
    if row is None or tuple(row[name] for name in names) != ours:
        return False
    place = (entry["id"], entry["epoch"], entry["attempt"])
    if place in tables.attempts:
        raise LedgerRefused(f"duplicate key: attempt {place}")
    tables.change(
        row,
        state=entry["state"],
        lease_holder=None,
        lease_until=None,
        lapses=0,
        dispatch_at=None,
        perhaps_sent=perhaps_sent(row) or entry["kind"] == OUTCOME_UNKNOWN,
        finished_at=None if entry["state"] == "retrying" else tables.now(),
        failure_kind=entry["kind"],
        failure_code=entry["code"],
        failure_message=entry["message"],
        provider=entry["provider"] if row["reference"] is None else row["provider"],
        reference=row["reference"] or entry["reference"],
        **pick(entry, "reason", "retry_delay"),
    )
    started_at = datetime.fromtimestamp(entry["started_at"], UTC)
    tables.attempts[place] = {**entry, "started_at": started_at, "worker": entry["token"]}
    return True


def keep_recipients(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """What an attempt settled of each recipient."""
    for result in unnest(RESULT, columns):
        place = (result["notification_id"], result["epoch"], result["address"])
        before = tables.results.get(place)
        if before is None or before["attempt"] <= result["attempt"]:
            tables.results[place] = result
    return []


def results(tables: Tables, ids: Sequence[UUID], epochs: Sequence[int]) -> Sequence[Row]:
    """What earlier attempts settled of each recipient."""
    wanted = set(zip(ids, epochs, strict=True))
    return [row for place, row in tables.results.items() if place[:2] in wanted]


def late(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Of those that could not be recorded, those that had been before; the others are noted."""
    recorded = []
    for entry in unpacked(("id", "epoch", "attempt", "token", "state"), columns):
        tried = tables.attempts.get((entry["id"], entry["epoch"], entry["attempt"]))
        row = tables.notifications.get(entry["id"])
        if tried is not None and tried["worker"] == entry["token"]:
            recorded.append(pick(entry, "id", "token"))
        elif row is not None:
            note = (
                f"attempt {entry['attempt']} ended as {entry['state']} after its lease had run out "
                "and another worker had taken over"
            )
            tables.note(
                entry["id"], entry["epoch"], row["state"], row["state"], entry["token"], note
            )
    return recorded


def release(
    tables: Tables, token: str, id: UUID, epoch: int, number: int, why: str
) -> Sequence[Row]:
    """Give a claim back."""
    row = tables.notifications.get(id)
    ours = (token, epoch, number, "sending")
    names = ("lease_holder", "epoch", "attempt", "state")
    if row is not None and tuple(row[name] for name in names) == ours:
        after = "retrying" if number > 1 and row["retry_delay"] is not None else "queued"
        free = {"lease_holder": None, "lease_until": None, "failure_message": why}
        tables.change(row, state=after, attempt=number - 1, **free)
        note = f"not sent, no attempt spent: {why}"
        tables.note(id, epoch, "sending", after, token, note)
    return []


def take(tables: Tables, limit: int, lease: float, actor: str, heaviest: int) -> Sequence[Row]:
    """What is due to be published."""
    now = tables.now()
    due = sorted(_dispatchable(tables), key=lambda row: row["dispatch_at"])
    due = [row for row in due if row["dispatch_at"] <= now][:limit]
    taken, weight = [], 0
    for row in sorted(due, key=lambda row: (row["dispatch_at"], row["id"])):
        if weight < heaviest:
            taken.append({**_taken(tables, row, lease, actor), "was": row["state"]})
        weight += len(row["body"])
    return [
        {**taken_row, "late": (now - taken_row["dispatch_at_before"]).total_seconds()}
        for taken_row in taken
    ]


def _taken(tables: Tables, row: Row, lease: float, actor: str) -> Row:
    if row["state"] == "scheduled":
        tables.note(row["id"], row["epoch"], "scheduled", "queued", actor, "due")
    before = row["dispatch_at"]
    fields: dict[str, Any] = {"dispatch_at": tables.in_(lease)}
    if row["state"] == "scheduled":
        fields["state"] = "queued"
    return {**tables.change(row, **fields), "dispatch_at_before": before}


def keep(tables: Tables, ids: Sequence[UUID], epochs: Sequence[int], lease: float) -> Sequence[Row]:
    """Hold what is being published."""
    for id, epoch in zip(ids, epochs, strict=True):
        row = tables.notifications.get(id)
        if row is None or row["epoch"] != epoch or row["dispatch_at"] is None:
            continue
        if row["dispatch_at"] > tables.now():
            tables.change(row, dispatch_at=tables.in_(lease))
    return []


def dispatched(tables: Tables, ids: Sequence[UUID], epochs: Sequence[int]) -> Sequence[Row]:
    """These were confirmed."""
    for id, epoch in zip(ids, epochs, strict=True):
        row = tables.notifications.get(id)
        if row is not None and row["epoch"] == epoch and row["state"] != "scheduled":
            tables.change(row, dispatch_at=None)
        for dead_letter in list(tables.dead_letters.values()):
            named = (
                dead_letter["notification_id"],
                dead_letter["replay_epoch"],
                dead_letter["state"],
            )
            if named == (id, epoch, "replaying"):
                tables.dead_letters[dead_letter["id"]] = {**dead_letter, "state": "replayed"}
    return []


def begin_batch(
    tables: Tables, batch: UUID, ids: Sequence[UUID], epochs: Sequence[int], lease: float
) -> Sequence[Row]:
    """Enter notifications that are published together."""
    others = sum(until > tables.now() for _, until in tables.batches.values())
    tables.batches[batch] = tuple(zip(ids, epochs, strict=True)), tables.in_(lease)
    return [{"others": others}]


def keep_batch(tables: Tables, batch: UUID, lease: float) -> Sequence[Row]:
    """Hold a batch that is being published."""
    if batch in tables.batches and tables.batches[batch][1] > tables.now():
        tables.batches[batch] = tables.batches[batch][0], tables.in_(lease)
    return []


def delete_batch(tables: Tables, batch: UUID) -> Sequence[Row]:
    """All of it was confirmed."""
    tables.batches.pop(batch, None)
    return []


def leave_batch(
    tables: Tables, batch: UUID, ids: Sequence[UUID], epochs: Sequence[int]
) -> Sequence[Row]:
    """These were not confirmed."""
    if batch in tables.batches:
        tables.batches[batch] = tuple(zip(ids, epochs, strict=True)), tables.now()
    return []


def take_over_batches(tables: Tables, limit: int) -> Sequence[Row]:
    """Publish one by one what nobody publishes any more."""
    lapsed = [id for id, (_, until) in tables.batches.items() if until <= tables.now()][:limit]
    left = [entry for id in lapsed for entry in tables.batches.pop(id)[0]]
    entered = []
    for id, epoch in left:
        row = tables.notifications.get(id)
        if row is None or row["epoch"] != epoch or row["dispatch_at"] is not None:
            continue
        if (row["state"], row["attempt"]) != ("queued", 0):
            continue
        tables.change(row, dispatch_at=tables.now())
        entered.append({"id": id})
        for dead_letter in list(tables.dead_letters.values()):
            named = [dead_letter[name] for name in ("notification_id", "replay_epoch", "state")]
            if named == [id, epoch, "replayed"]:
                tables.dead_letters[dead_letter["id"]] = {**dead_letter, "state": "replaying"}
    return entered


def not_published(tables: Tables, ids: Sequence[UUID], error: str) -> Sequence[Row]:
    """None of these has an entry: nothing is accepted over HTTP here."""
    assert error
    assert all(id in tables.notifications for id in ids)
    return []


def seconds_to_next(tables: Tables) -> Sequence[Row]:
    """Until something has to be published."""
    due = [row["dispatch_at"] for row in _dispatchable(tables)]
    due += [until for _, until in tables.batches.values()]
    return [{"seconds": (min(due) - tables.now()).total_seconds() if due else None}]


def _dispatchable(tables: Tables) -> list[Row]:
    return [
        row
        for row in tables.notifications.values()
        if row["dispatch_at"] is not None and _publishable(tables, row)
    ]


def _publishable(tables: Tables, row: Row) -> bool:
    if row["state"] == "sending":
        return bool(row["lease_until"] < tables.now())
    states = {"scheduled", "queued", "retrying", "failed", "expired", "unknown"}
    return row["state"] in states or lacks_copies(row)


def lacks_copies(row: Row) -> bool:
    """Whether it was sent, and a dead letter names who has not got it."""
    return bool(row["state"] == "sent" and row["reason"] == Reason.COPIES_REFUSED)


def cancel(
    tables: Tables, id: UUID, sources: Sequence[str], actor: str, reason: str
) -> Sequence[Row]:
    """Call a notification off."""
    row = tables.notifications.get(id)
    if row is None:
        return []
    has_it, doubt = reached(tables, row), perhaps_sent(row)
    cancelled = row["state"] in sources and not has_it
    if cancelled:
        ended = {"reason": "cancelled", "dispatch_at": None, "finished_at": tables.now()}
        tables.change(row, state="cancelled", perhaps_sent=doubt, **ended)
        note = f"{reason}; an earlier attempt may have been delivered" if doubt else reason
        tables.note(id, row["epoch"], row["state"], "cancelled", actor, note)
    more = {"perhaps_sent": doubt, "reached": has_it, "cancelled": cancelled}
    return [{"state": row["state"], **more}]


def reached(tables: Tables, row: Row) -> bool:
    """Whether its recipient has it, and it is only for copies."""
    result = tables.results.get((row["id"], row["epoch"], row["recipient"]))
    return result is not None and result["state"] == "sent"


def bodies(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """What is stored of notifications."""
    found = (tables.notifications.get(id) for id in dict.fromkeys(ids))
    return [{**pick(row, "id", "body"), "rescheduled": False} for row in found if row is not None]


def note_conflicts(
    tables: Tables, actor: str, ids: Sequence[UUID], notes: Sequence[str]
) -> Sequence[Row]:
    """What was published again with other content."""
    for id, note in zip(ids, notes, strict=True):
        row = tables.notifications[id]
        before = [transition.reason for transition in tables.transitions if transition.id == id]
        alike = sum(reason.startswith(conflicts.PUBLISHED_AGAIN) for reason in before)
        if note not in before and alike < conflicts.MOST:
            tables.note(id, row["epoch"], row["state"], row["state"], actor, note)
    return []


def notify(tables: Tables, channel: str) -> Sequence[Row]:
    """Wake the listeners, once the transaction is committed."""
    tables.notified.append(channel)
    return []


DELIVERY: Final[dict[str, Statement]] = {
    claims.CLAIM: claim,
    claims.LOOK_UP: look_up,
    ledger_recipients.RESULTS: results,
    claims.SCHEDULE: schedule,
    idempotency.REMEMBER_KEYS: remember_keys,
    idempotency.TAKE_OVER: take_over_keys,
    idempotency.FORGET: forget_keys,
    requeue_.REQUEUE: requeue,
    claims.SUPPRESS: suppress,
    records.RECORD: record,
    records.LATE: late,
    ledger_recipients.KEEP: keep_recipients,
    records.RELEASE: release,
    dispatch.TAKE: take,
    dispatch.KEEP: keep,
    dispatch.DISPATCHED: dispatched,
    dispatch.NEXT: seconds_to_next,
    outbox_batches.BEGIN: begin_batch,
    outbox_batches.KEEP: keep_batch,
    outbox_batches.DELETE: delete_batch,
    outbox_batches.LEAVE: leave_batch,
    outbox_batches.TAKE_OVER: take_over_batches,
    outbox_entries.NOT_PUBLISHED: not_published,
    changes.CANCEL: cancel,
    conflicts.BODIES: bodies,
    conflicts.NOTE: note_conflicts,
    dispatch.NOTIFY: notify,
}
