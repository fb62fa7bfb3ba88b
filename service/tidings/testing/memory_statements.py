"""What the ledger's statements do, on tables in memory. One contract suite holds them to PostgreSQL's answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import LedgerRefused
from tidings.ledger import changes, claims, dispatch, records
from tidings.testing.memory_tables import INCOMING, Row, Statement, Tables, pick, unpacked

NOTIFY: Final = "SELECT pg_notify($1, '')"

RECORDED: Final = (
    *("id", "epoch", "attempt", "token", "started_at", "duration_ms", "state"),
    *("possible_duplicate", "provider", "reference", "code", "kind", "message"),
    *("retry_delay", "reason"),
)


def claim(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Step three: the notifications that are the callers' to send."""
    asked = unpacked((*INCOMING, "number_epoch", "number", "lease", "token"), columns)
    return [
        {
            **pick(row, "id", "accepted_at"),
            "perhaps_sent": row["lapses"] > 0 or row["failure_kind"] == "outcome_unknown",
        }
        for one in asked
        if (row := _claim(tables, one)) is not None
    ]


def _claim(tables: Tables, one: Row) -> Row | None:
    taken = {
        "state": "sending",
        "epoch": one["number_epoch"],
        "attempt": one["number"],
        "lease_holder": one["token"],
        "lease_until": tables.in_(one["lease"]),
    }
    row = tables.notifications.get(one["id"])
    if row is None:
        _note_unheard_of(tables, one)
        return tables.add(one, **taken)
    if not _may_claim(row, one, tables.now()):
        return None
    lapsed = row["state"] == "sending" and row["lease_holder"] != one["token"]
    row = tables.change(row, **taken, lapses=row["lapses"] + lapsed, dispatch_at=None)
    _note_lapses(tables, row)
    return row


def _may_claim(row: Row, one: Row, now: datetime) -> bool:
    if row["epoch"] != one["number_epoch"]:
        return False
    if row["state"] in {"queued", "retrying"}:
        return bool(row["attempt"] < one["number"])
    if row["state"] != "sending":
        return False
    lapsed = row["lease_until"] < now and row["attempt"] <= one["number"]
    return lapsed or bool(row["lease_holder"] == one["token"])


def _note_unheard_of(tables: Tables, one: Row) -> None:
    place = (one["number_epoch"], one["number"])
    if place != (0, 1):
        said = (
            f"first seen as attempt {place[1]} of epoch {place[0]}, as its headers say: what came before "
            "is not known here, because the database was restored, or because its producer made it up"
        )
        tables.note(one["id"], place[0], "queued", "sending", one["token"], said)


def _note_lapses(tables: Tables, row: Row) -> None:
    said = (
        f"the lease of attempt {row['attempt']} ran out: "
        "its worker is gone, and it may have been sent"
    )
    named = (row["id"], row["epoch"], said)
    before = sum(1 for one in tables.transitions if (one.id, one.epoch, one.reason) == named)
    if row["lapses"] > before:
        tables.note(row["id"], row["epoch"], "sending", "sending", row["lease_holder"], said)


def look_up(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """How notifications stand that were not claimed."""
    now = tables.now()
    return [
        {**row, "lapsed": row["lease_until"] is not None and row["lease_until"] < now}
        for id in dict.fromkeys(ids)
        if (row := tables.notifications.get(id)) is not None
    ]


def schedule(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Store what is not due."""
    return [
        pick(one, "id")
        for one in unpacked(INCOMING, columns)
        if tables.add(one, state="scheduled", epoch=0, attempt=0, dispatch_at=one["scheduled_at"])
    ]


def remember_keys(
    tables: Tables, keys: Sequence[str], ids: Sequence[UUID], window: float
) -> Sequence[Row]:
    """Who used an idempotency key first."""
    incoming = dict(reversed(list(zip(keys, ids, strict=True))))  # the first of each
    for key, id in incoming.items():
        held = tables.keys.get(key)
        if held is None or held[1] < tables.now():
            tables.keys[key] = (id, tables.in_(window))
    return [{"key": key, "notification_id": tables.keys[key][0]} for key in incoming]


def suppress(tables: Tables, *arguments: Any) -> Sequence[Row]:
    """Store duplicates by key."""
    *columns, actor = arguments
    stored = []
    for one in unpacked((*INCOMING, "first"), columns):
        first = one["first"]
        ended = {"duplicate_of": first, "reason": "duplicate", "finished_at": tables.now()}
        if tables.add(one, state="suppressed", epoch=0, attempt=0, **ended):
            said = f"same idempotency key as {first}"
            tables.note(one["id"], 0, "queued", "suppressed", actor, said)
            stored.append({"id": one["id"], "duplicate_of": first})
    return stored


def record(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Step five: attempts whose lease is still their recorder's."""
    return [pick(one, "id", "token") for one in unpacked(RECORDED, columns) if _record(tables, one)]


def _record(tables: Tables, one: Row) -> bool:
    row = tables.notifications.get(one["id"])
    ours = ("sending", one["epoch"], one["attempt"], one["token"])
    names = ("state", "epoch", "attempt", "lease_holder")
    if row is None or tuple(row[name] for name in names) != ours:
        return False
    place = (one["id"], one["epoch"], one["attempt"])
    if place in tables.attempts:
        raise LedgerRefused(f"duplicate key: attempt {place}")
    tables.change(
        row,
        state=one["state"],
        lease_holder=None,
        lease_until=None,
        lapses=0,
        finished_at=None if one["state"] == "retrying" else tables.now(),
        failure_kind=one["kind"],
        failure_code=one["code"],
        failure_message=one["message"],
        **pick(one, "provider", "reference", "reason", "retry_delay"),
    )
    tables.attempts[place] = {**one, "worker": one["token"]}
    return True


def late(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Of those that could not be recorded, those that had been before; the others are noted."""
    recorded = []
    for one in unpacked(("id", "epoch", "attempt", "token", "state"), columns):
        tried = tables.attempts.get((one["id"], one["epoch"], one["attempt"]))
        row = tables.notifications.get(one["id"])
        if tried is not None and tried["worker"] == one["token"]:
            recorded.append(pick(one, "id", "token"))
        elif row is not None:
            said = (
                f"attempt {one['attempt']} ended as {one['state']} after its lease had run out "
                "and another worker had taken over"
            )
            tables.note(one["id"], one["epoch"], row["state"], row["state"], one["token"], said)
    return recorded


def release(
    tables: Tables, token: str, id: UUID, epoch: int, number: int, why: str
) -> Sequence[Row]:
    """Give a claim back."""
    row = tables.notifications.get(id)
    ours = (token, epoch, number, "sending")
    names = ("lease_holder", "epoch", "attempt", "state")
    if row is not None and tuple(row[name] for name in names) == ours:
        after = "retrying" if number > 1 else "queued"
        free = {"lease_holder": None, "lease_until": None, "failure_message": why}
        tables.change(row, state=after, attempt=number - 1, **free)
        said = f"not sent, no attempt spent: {why}"
        tables.note(id, epoch, "sending", after, token, said)
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
    return [{**one, "late": (now - one["dispatch_at_before"]).total_seconds()} for one in taken]


def _taken(tables: Tables, row: Row, lease: float, actor: str) -> Row:
    if row["state"] == "scheduled":
        tables.note(row["id"], row["epoch"], "scheduled", "queued", actor, "due")
    before = row["dispatch_at"]
    fields = {"dispatch_at": tables.in_(lease)}
    if row["state"] == "scheduled":
        fields["state"] = "queued"  # type: ignore[assignment]  # a row of anything
    return {**tables.change(row, **fields), "dispatch_at_before": before}


def dispatched(tables: Tables, ids: Sequence[UUID], epochs: Sequence[int]) -> Sequence[Row]:
    """These were confirmed."""
    for id, epoch in zip(ids, epochs, strict=True):
        row = tables.notifications.get(id)
        if row is not None and (row["epoch"], row["state"]) == (epoch, "queued"):
            tables.change(row, dispatch_at=None)
        for letter in list(tables.letters.values()):
            named = (letter["notification_id"], letter["replay_epoch"], letter["state"])
            if named == (id, epoch, "replaying"):
                tables.letters[letter["id"]] = {**letter, "state": "replayed"}
    return []


def seconds_to_next(tables: Tables) -> Sequence[Row]:
    """Until something has to be published."""
    due = [row["dispatch_at"] for row in _dispatchable(tables)]
    return [{"seconds": (min(due) - tables.now()).total_seconds() if due else None}]


def _dispatchable(tables: Tables) -> list[Row]:
    return [
        row
        for row in tables.notifications.values()
        if row["dispatch_at"] is not None and row["state"] in {"scheduled", "queued"}
    ]


def cancel(
    tables: Tables, id: UUID, sources: Sequence[str], actor: str, reason: str
) -> Sequence[Row]:
    """Call a notification off."""
    row = tables.notifications.get(id)
    if row is None:
        return []
    cancelled = row["state"] in sources
    if cancelled:
        ended = {"reason": "cancelled", "dispatch_at": None, "finished_at": tables.now()}
        tables.change(row, state="cancelled", **ended)
        tables.note(id, row["epoch"], row["state"], "cancelled", actor, reason)
    return [{"state": row["state"], "cancelled": cancelled}]


def notify(tables: Tables, channel: str) -> Sequence[Row]:
    """Wake whoever listens, once the transaction is committed."""
    tables.notified.append(channel)
    return []


DELIVERY: Final[dict[str, Statement]] = {
    claims.CLAIM: claim,
    claims.LOOK_UP: look_up,
    claims.SCHEDULE: schedule,
    claims.REMEMBER_KEYS: remember_keys,
    claims.SUPPRESS: suppress,
    records.RECORD: record,
    records.LATE: late,
    records.RELEASE: release,
    dispatch.TAKE: take,
    dispatch.DISPATCHED: dispatched,
    dispatch.NEXT: seconds_to_next,
    changes.CANCEL: cancel,
    NOTIFY: notify,
}
