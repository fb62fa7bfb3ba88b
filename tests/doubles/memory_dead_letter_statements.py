"""What the statements about dead letters do, on tables in memory; and all statements together."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tests.doubles.memory_control_statements import CONTROL
from tests.doubles.memory_statements import (
    DELIVERY,
    ever_perhaps_sent,
    is_stranded,
    lacks_copies,
    not_lately,
    overdue_since,
    perhaps_sent,
)
from tests.doubles.memory_statements import reached as has_it
from tests.doubles.memory_tables import INCOMING, Row, Statement, Tables, pick, unnest, unpacked

from tidings.delivery.outcome import OUTCOME_UNKNOWN
from tidings.ledger.dead_letters import replay, rows, storing
from tidings.ledger.notifications import recipients as ledger_recipients
from tidings.ledger.notifications import requeue

DEAD_LETTER: Final = tuple(column.name for column in rows.COLUMNS)
ENDS: Final = ("end_epoch", "after", "end_reason", "kind", "code", "message", "end_provider")


def standing(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """How notifications stand."""
    found = (tables.notifications.get(id) for id in sorted(ids))
    return [
        {
            **row,
            "perhaps_sent": perhaps_sent(row),
            "reached": has_it(tables, row),
            "doubtful": ever_perhaps_sent(tables, row),
            "content": sha256(row["body"]).digest(),
            "now": tables.now(),
        }
        for row in found
        if row is not None
    ]


def known(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """Which dead letters are stored."""
    found = (tables.dead_letters.get(id) for id in ids)
    return [
        {"id": row["id"], "content": sha256(row["body"]).digest()}
        for row in found
        if row is not None
    ]


def store(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Store dead letters."""
    stored = []
    for entry in unnest(DEAD_LETTER, columns):
        if entry["id"] in tables.dead_letters:
            continue
        ends = _ends(tables, entry["notification_id"], entry["epoch"])
        tables.dead_letters[entry["id"]] = {
            **entry,
            "properties": entry["properties"] or "{}",
            "attempts": max(entry["attempts"], len(ends)),
            "first_failed_at": min(ends, default=entry["dead_lettered_at"]),
            "last_failed_at": max(ends, default=entry["dead_lettered_at"]),
            "replay": None,
            "replay_epoch": None,
        }
        tables.tell(f"ledger: dead letter {str(entry['notification_id'])[:5]} {entry['state']}")
        stored.append({"id": entry["id"]})
    return stored


def _ends(tables: Tables, id: UUID | None, epoch: int) -> list[datetime]:
    return [
        row["started_at"] + timedelta(milliseconds=row["duration_ms"])
        for place, row in tables.attempts.items()
        if place[:2] == (id, epoch)
    ]


def introduce(tables: Tables, actor: str, *columns: Sequence[Any]) -> Sequence[Row]:
    """Store notifications that only a dead letter knew of, as ended."""
    for entry in unpacked((*INCOMING, "attempt", *ENDS), columns):
        added = tables.add(
            entry, attempt=entry["attempt"], epoch=entry["end_epoch"], **_ended(tables, entry)
        )
        if added is not None:
            note = f"dead letter: {entry['message']}"
            tables.note(entry["id"], entry["end_epoch"], "queued", entry["after"], actor, note)
    return []


def end(tables: Tables, actor: str, *columns: Sequence[Any]) -> Sequence[Row]:
    """End notifications that stand as they were found."""
    for entry in unnest(("before", "id", *ENDS), columns):
        row = tables.notifications.get(entry["id"])
        found = (entry["end_epoch"], entry["before"])
        if row is None or (row["epoch"], row["state"]) != found:
            continue
        free = {"lease_holder": None, "lease_until": None, "lapses": 0, "dispatch_at": None}
        doubt = row["perhaps_sent"] or entry["end_reason"] == OUTCOME_UNKNOWN
        tables.change(row, **_ended(tables, entry), **free, perhaps_sent=doubt)
        note = f"dead letter: {entry['message']}"
        tables.note(entry["id"], entry["end_epoch"], entry["before"], entry["after"], actor, note)
    return []


def _ended(tables: Tables, entry: Row) -> Row:
    return {
        "state": entry["after"],
        "finished_at": tables.now(),
        "reason": entry["end_reason"],
        "failure_kind": entry["kind"],
        "failure_code": entry["code"],
        "failure_message": entry["message"],
        "provider": entry["end_provider"] or None,
    }


def lock(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """Dead letters that are to be replayed, and what is stored where that is something else."""
    found = (tables.dead_letters.get(id) for id in sorted(ids))
    return [{**row, "stored": _stored_otherwise(tables, row)} for row in found if row is not None]


def _stored_otherwise(tables: Tables, dead_letter: Row) -> object:
    row = tables.notifications.get(dead_letter["notification_id"])
    return None if row is None or row["body"] == dead_letter["body"] else row["body"]


def queue(
    tables: Tables, actor: str, run: UUID, prefix: str, *columns: Sequence[Any]
) -> Sequence[Row]:
    """Begin the next epoch of notifications."""
    queued = []
    for entry in unpacked((*INCOMING, "dead_letter", "before"), columns):
        row = tables.notifications.get(entry["id"])
        if row is None or row["state"] != entry["before"]:
            continue
        row = tables.change(row, **_begun_anew(tables, row, entry))
        dead_letter = tables.dead_letters[entry["dead_letter"]]
        state = "replayed" if row["dispatch_at"] is None else "replaying"
        taken = {"state": state, "replay": run, "replay_epoch": row["epoch"]}
        tables.dead_letters[entry["dead_letter"]] = {
            **dead_letter,
            **taken,
            "notification_id": row["id"],
        }
        text = f"{prefix}replayed from dead letter {entry['dead_letter']}"
        tables.note(row["id"], row["epoch"], entry["before"], "queued", actor, text)
        queued.append({"id": row["id"], "epoch": row["epoch"]})
    return queued


def _begun_anew(tables: Tables, row: Row, entry: Row) -> dict[str, Any]:
    due = entry["scheduled_at"]
    early = due is not None and due > tables.now()
    emptied = (
        *("lease_holder", "lease_until", "finished_at", "provider", "reference", "reason"),
        *("failure_kind", "failure_code", "failure_message", "retry_delay"),
    )
    kept = ("id", "tenant", "accepted_at", "time_source", "traceparent", "producer")
    return {
        **dict.fromkeys(emptied),
        **{name: entry[name] for name in INCOMING if name not in kept},
        "state": "queued",
        "epoch": row["epoch"] + 1,
        "attempt": 0,
        "lapses": 0,
        "perhaps_sent": False,
        "dispatch_at": due if early else None,
    }


def reached(tables: Tables, ids: Sequence[UUID], epochs: Sequence[int]) -> Sequence[Row]:
    """Whoever has the mail is not asked again in the epoch that begins."""
    begun = dict(zip(ids, epochs, strict=True))
    for (id, epoch, address), row in list(tables.results.items()):
        if begun.get(id) == epoch + 1 and row["state"] == "sent":
            tables.results[id, epoch + 1, address] = {**row, "epoch": epoch + 1, "attempt": 0}
    return []


def stored(tables: Tables, ids: Sequence[UUID]) -> Sequence[Row]:
    """Bodies of notifications."""
    found = (tables.notifications.get(id) for id in ids)
    return [pick(row, "id", "body") for row in found if row is not None]


def finish(tables: Tables) -> Sequence[Row]:
    """Dead letters whose notification went on were replayed, whoever published it."""
    for dead_letter in list(tables.dead_letters.values()):
        row = tables.notifications.get(dead_letter["notification_id"])
        if dead_letter["state"] != "replaying" or row is None:
            continue
        on_its_way = row["dispatch_at"] is None or row["state"] != "queued"
        went_on = row["epoch"] == dead_letter["replay_epoch"] and on_its_way
        if went_on or row["epoch"] > dead_letter["replay_epoch"]:
            tables.dead_letters[dead_letter["id"]] = {**dead_letter, "state": "replayed"}
    return []


def introduce_failed(tables: Tables, *columns: Sequence[Any]) -> Sequence[Row]:
    """Store notifications that only a dead letter knew of, so that they can be replayed."""
    for entry in unpacked((*INCOMING, "why", "kind", "message", "dead_lettered_at"), columns):
        ended = {"reason": entry["why"], "failure_kind": entry["kind"], "finished_at": tables.now()}
        note = {"failure_message": entry["message"]}
        if tables.add(entry, state="failed", epoch=0, attempt=0, **ended, **note) is not None:
            why = f"dead letter: {entry['message']}"
            tables.note(entry["id"], 0, "queued", "failed", rows.ARCHIVE, why)
    return []


def pages(_: Tables) -> Sequence[Row]:
    """How many pages the notifications fill."""
    return [{"pages": 1}]


def find_stranded(
    tables: Tables,
    _: object,
    __: object,
    channels: Sequence[str],
    priorities: Sequence[str],
    overdue: Sequence[float],
    dead_overdue: float | None,
    least: float,
    limit: int,
) -> Sequence[Row]:
    """Notifications whose message, or dead letter, is lost for all that can be told."""
    lanes = dict(zip(zip(channels, priorities, strict=True), overdue, strict=True))
    found = []
    for row in tables.notifications.values():
        ended = row["state"] in requeue.ENDED or lacks_copies(row)
        late = dead_overdue if ended else lanes.get((row["channel"], row["priority"]))
        if late is not None and (
            _without_dead_letter(tables, row, late, least)
            if ended
            else is_stranded(tables, row, late, least)
        ):
            found.append(row)
    return sorted(found, key=overdue_since)[:limit]


def select_stranded(
    tables: Tables,
    _: object,
    __: object,
    states: Sequence[str],
    channel: str | None,
    overdue: float,
    limit: int,
    tenant: str | None,
) -> Sequence[Row]:
    """Notifications that have waited too long, whatever may be in their lanes."""
    before = tables.in_(-overdue)
    found = [
        row
        for row in tables.notifications.values()
        if row["state"] in states
        and channel in {None, row["channel"]}
        and tenant in {None, row["tenant"]}
        and row["dispatch_at"] is None
        and overdue_since(row) < before
        and not (row["state"] in requeue.ENDED and _has_dead_letter(tables, row))
    ]
    return sorted(found, key=lambda row: row["id"])[:limit]


def _without_dead_letter(tables: Tables, row: Row, late: float, least: float) -> bool:
    late_by_now = row["updated_at"] < tables.in_(-late)
    return late_by_now and not_lately(tables, row, least) and not _has_dead_letter(tables, row)


def _has_dead_letter(tables: Tables, row: Row) -> bool:
    life = (row["id"], row["epoch"])
    return any(
        (entry["notification_id"], entry["epoch"]) == life
        for entry in tables.dead_letters.values()
        if entry["state"] != "discarded"
    )


STATEMENTS: Final[dict[str, Statement]] = {
    **DELIVERY,
    **CONTROL,
    requeue.PAGES: pages,
    requeue.FIND: find_stranded,
    requeue.SELECT: select_stranded,
    rows.STANDING: standing,
    rows.INTRODUCE_FAILED: introduce_failed,
    storing.KNOWN: known,
    storing.STORE: store,
    storing.INTRODUCE: introduce,
    storing.END: end,
    replay.LOCK: lock,
    replay.STANDING: standing,
    replay.QUEUE: queue,
    ledger_recipients.REACHED: reached,
    replay.STORED: stored,
    replay.FINISH: finish,
}
