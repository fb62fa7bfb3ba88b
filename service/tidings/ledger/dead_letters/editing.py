"""Edits dead letters: each is superseded by another one, which replaces it with another body."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

from asyncpg import Record

from tidings.delivery.archiving import NotificationStatus
from tidings.delivery.attempt import Attempt
from tidings.delivery.dead_letter import DeadLetterState, lane_of
from tidings.delivery.errors import Refused
from tidings.delivery.outcome import Reason
from tidings.delivery.search_fields import SearchFields, read_search_fields
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.edit_notes import edited_fields, faults_of
from tidings.ledger.dead_letters.rows import (
    FAILURE_COLUMNS,
    INTRODUCE_FAILED,
    STANDING,
    ExpiresAt,
    Introduced,
    first_attempt,
    status,
)
from tidings.ledger.notifications import rows
from tidings_events import InvalidNotification, Notification, parse

Change: TypeAlias = Callable[[bytes], bytes]
"""Makes one body of another; may raise `Refused`, which quotes nothing of the body: jobs keep what it says."""

LOCK: Final = """
SELECT id, state, notification_id, epoch, reason, kind, message, routing_key, dead_lettered_at, supersedes,
       headers, properties, body
  FROM dead_letters WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

REWRITE: Final = f"""
UPDATE notifications n
   SET channel = i.channel, priority = i.priority, category = i.category, recipient = i.recipient,
       user_id = i.user_id, entity_type = i.entity_type, entity_id = i.entity_id, body = i.body,
           template = i.template, subject = i.subject,
       idempotency_key = i.idempotency_key, scheduled_at = i.scheduled_at, expires_at = i.expires_at,
       updated_at = now()
  FROM unnest({rows.COLUMNS.parameters()}) AS i ({rows.COLUMNS.names})
 WHERE n.id = i.id
"""

SUPERSEDE: Final = """
WITH i AS (
    SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[],
                         $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[])
        AS i (dead_letter, new, notification_id, epoch, channel, priority, tenant, category, recipient,
              user_id, entity_type, entity_id, routing_key, body)
), noted AS (
    SELECT d.id, d.note, d.noted_by, d.noted_at FROM dead_letters d JOIN i ON i.dead_letter = d.id WHERE d.noted_by IS NOT NULL
), old AS (
    UPDATE dead_letters d SET state = 'superseded', note = 'edited: replaced by ' || i.new, noted_by = NULL, noted_at = NULL,
           actor = $1, changed_at = now()
      FROM i WHERE d.id = i.dead_letter
    RETURNING d.*
)
INSERT INTO dead_letters (id, notification_id, epoch, state, reason, kind, code, message, provider, fingerprint,
                          channel, priority, tenant, test, category, recipient, user_id, entity_type, entity_id, attempts,
                          first_failed_at, last_failed_at, dead_lettered_at, exchange, routing_key, content_type, headers,
                          properties, body, actor, note, noted_by, noted_at, supersedes)
SELECT i.new, i.notification_id, i.epoch, 'open', old.reason, old.kind, old.code, old.message, old.provider,
       old.fingerprint, i.channel, i.priority, i.tenant, old.test, i.category, i.recipient, i.user_id, i.entity_type, i.entity_id,
       old.attempts, old.first_failed_at, old.last_failed_at, old.dead_lettered_at, old.exchange, i.routing_key,
       'application/json', old.headers, old.properties, i.body, $1, coalesce(nullif($16::text, ''), noted.note, 'edited'),
       CASE WHEN $16 <> '' THEN $1 ELSE noted.noted_by END, CASE WHEN $16 <> '' THEN now() ELSE noted.noted_at END, old.id
  FROM old JOIN i ON i.dead_letter = old.id LEFT JOIN noted ON noted.id = old.id
"""
"""The note of a person goes over to the edited one, unless there is another."""

NOTE: Final = """
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, state, state, $1, concat_ws(': ', 'dead letter ' || dead_letter || ' edited', fields, nullif($7, ''))
  FROM unnest($2::uuid[], $3::int[], $4::text[], $5::uuid[], $6::text[]) AS i (id, epoch, state, dead_letter, fields)
"""


AUDIT: Final = """
INSERT INTO operator_actions (actor, action, note, details)
VALUES ($1, 'edit dead letter', $2, jsonb_build_object('dead_letter', $3::uuid, 'superseded_by', $4::uuid))
"""


class NoEdit(StrEnum):
    """Why a dead letter stays as it is, as edits count it."""

    UNCHANGED = "unchanged"
    NOT_OPEN = "not_open"
    """It is no longer open."""
    MALFORMED = "malformed"
    """What would stand in its place can't be read, or it can't be changed so."""
    OTHER_ID = "other_id"
    OTHER_TENANT = "other_tenant"
    """What would stand in its place, or its notification, is another tenant's."""
    TEST = "test"
    """A test would become one that is sent, or the other way round."""
    MOVED_ON = "moved_on"
    """Its notification has not failed, or was replayed since."""
    NO_SUCH_DEAD_LETTER = "no_such_dead_letter"


@dataclass(frozen=True, slots=True)
class NotEdited:
    """A dead letter that stays as it is."""

    dead_letter: UUID
    reason: NoEdit
    message: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A dead letter, the one in its place, and what is different."""

    dead_letter: UUID
    new: UUID
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Edits:
    """What became of dead letters."""

    edited: tuple[Edited, ...]
    not_edited: tuple[NotEdited, ...]

    @property
    def unchanged(self) -> Sequence[UUID]:
        """Those that were so already."""
        return [it.dead_letter for it in self.not_edited if it.reason is NoEdit.UNCHANGED]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A dead letter with its new body, which can be read."""

    old: Record
    body: bytes
    notification: Notification
    new: UUID

    def attempt(self, row: Record | None) -> Attempt:
        """As its notification is stored."""
        lane = lane_of(self.notification, self.old["routing_key"], ())
        assert lane is not None  # noqa: S101  # for the type checker: what can be read has a lane
        if row is None:
            return first_attempt(self.old, self.notification, self.body, lane)
        return Attempt(self.notification, self.body, lane, 0, 0, row["accepted_at"])

    @property
    def fields(self) -> str:
        """The names of those that are different."""
        return edited_fields(self.old["body"], self.body)

    def columns(self, epoch: int) -> tuple[Any, ...]:
        """What `SUPERSEDE` takes."""
        notification, entity, lane = (
            self.notification,
            self.notification.entity,
            self.attempt(None).lane,
        )
        about = (entity.type, entity.id) if entity else (None, None)
        return (
            *(
                self.old["id"],
                self.new,
                notification.id,
                epoch,
                lane.channel,
                lane.priority,
                notification.tenant,
            ),
            *(
                notification.category,
                notification.recipient,
                notification.user_id,
                *about,
                lane.key,
                self.body,
            ),
        )


class Editing:
    """Edits dead letters, each by compare-and-set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def edit(
        self,
        dead_letters: Sequence[UUID],
        change: Change,
        *,
        expires_at: ExpiresAt,
        actor: str,
        dry_run: bool = False,
    ) -> Edits:
        """Store edited dead letters in the place of these, in one transaction.

        Args:
            change: What is to be different. The notification keeps its id, where that could be read.
            actor: Named in the dead letters and in the history of their notifications.
            dry_run: Take everything back at the end.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing has changed.
        """
        async with self._database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                done = await self.edit_in(
                    connection, dead_letters, change, expires_at=expires_at, actor=actor
                )
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if dry_run else transaction.commit())
        return done

    async def supersede(
        self,
        dead_letter: UUID,
        body: bytes,
        *,
        expires_at: ExpiresAt,
        actor: str,
        based_on: str | None = None,
        note: str = "",
    ) -> UUID:
        """Store a dead letter with this body in the place of one; the new dead letter's id.

        Args:
            dead_letter: The one that is edited.
            body: Of the new one.
            expires_at: As for `edit`.
            actor: As for `edit`.
            based_on: SHA-256 of the body that it must still have, in hexadecimal.
            note: As for `edit_in`; kept in the audit trail too.

        Raises:
            InvalidNotification: The body can't be read.
            Refused: The dead letter is not open any more, or its notification has moved on.
        """
        parse(body)

        def change(before: bytes) -> bytes:
            if based_on not in {None, sha256(before).hexdigest()}:
                raise Refused(f"dead letter {dead_letter} has another body by now: read it again")
            return body

        async with self._database.transaction() as connection:
            done = await self.edit_in(
                connection, [dead_letter], change, expires_at=expires_at, actor=actor, note=note
            )
            if note and done.edited:
                await connection.execute(AUDIT, actor, note, dead_letter, done.edited[0].new)
        for refusal in done.not_edited:
            raise Refused(refusal.message)
        return done.edited[0].new

    async def edit_in(
        self,
        connection: Connection,
        dead_letters: Sequence[UUID],
        change: Change,
        *,
        expires_at: ExpiresAt,
        actor: str,
        note: str = "",
    ) -> Edits:
        """The same as `edit`, as a part of a transaction.

        Args:
            connection: In a transaction.
            dead_letters: Those to be edited.
            change: As for `edit`.
            expires_at: As for `edit`.
            actor: As for `edit`.
            note: Kept with the new dead letters and in the history of their notifications.
        """
        locked = await connection.fetch(LOCK, sorted(set(dead_letters)))
        known = {row["id"] for row in locked}
        not_edited = [
            NotEdited(
                dead_letter, NoEdit.NO_SUCH_DEAD_LETTER, f"there is no dead letter {dead_letter}"
            )
            for dead_letter in dead_letters
            if dead_letter not in known
        ]
        made = [_draft(row, change) for row in locked]
        drafts = [result for result in made if isinstance(result, _Draft)]
        not_edited += [result for result in made if isinstance(result, NotEdited)]
        ids = sorted({draft.notification.id for draft in drafts})
        found = {row["id"]: row for row in await connection.fetch(STANDING, ids)}
        kept, refused = _fitting(drafts, found)
        await self._write(connection, kept, found, expires_at, actor, note)
        done = (Edited(draft.old["id"], draft.new, draft.old["body"], draft.body) for draft in kept)
        return Edits(tuple(done), (*not_edited, *refused))

    async def _write(
        self,
        connection: Connection,
        drafts: Sequence[_Draft],
        found: dict[UUID, Record],
        expires_at: ExpiresAt,
        actor: str,
        note: str,
    ) -> None:
        """Give the notifications their new bodies, and the dead letters others in their place."""
        if not drafts:
            return
        latest = {draft.notification.id: draft for draft in drafts}
        old = [draft for id_, draft in latest.items() if id_ in found]
        new = [draft for id_, draft in latest.items() if id_ not in found]
        if old:
            await connection.execute(REWRITE, *_stored(old, found, expires_at))
        if new:
            failures = ([draft.old[name] for draft in new] for name in FAILURE_COLUMNS)
            await connection.execute(INTRODUCE_FAILED, *_stored(new, found, expires_at), *failures)
        epochs = {id_: row["epoch"] for id_, row in found.items()}
        values = [draft.columns(epochs.get(draft.notification.id, 0)) for draft in drafts]
        await connection.execute(SUPERSEDE, actor, *map(list, zip(*values, strict=True)), note)
        await connection.execute(NOTE, actor, *_notes(drafts, found), note)


def _draft(old: Record, change: Change) -> _Draft | NotEdited:
    dead_letter = old["id"]
    if old["state"] != DeadLetterState.OPEN:
        why = f"dead letter {dead_letter} is {old['state']}: only an open one can be edited"
        return NotEdited(dead_letter, NoEdit.NOT_OPEN, why)
    try:
        body = change(old["body"])
        notification = parse(body)
    except (Refused, InvalidNotification) as fault:
        why = str(fault) if isinstance(fault, Refused) else faults_of(fault)
        return NotEdited(dead_letter, NoEdit.MALFORMED, why)
    if body == old["body"]:
        return NotEdited(dead_letter, NoEdit.UNCHANGED, "nothing would change")
    unread = old["reason"] == Reason.MALFORMED and old["supersedes"] is None
    if old["notification_id"] not in {None, notification.id} and not unread:
        return NotEdited(
            dead_letter,
            NoEdit.OTHER_ID,
            f"the id must stay {old['notification_id']}: to send another notification, publish it",
        )
    if (changed := _kept(read_search_fields(old["body"]), notification)) is not None:
        return NotEdited(dead_letter, *changed)
    return _Draft(old, body, notification, uuid4())


def _kept(before: SearchFields, notification: Notification) -> tuple[NoEdit, str] | None:
    """Why an edit can't be: it would change what nobody may."""
    if before.tenant not in {None, notification.tenant}:
        why = f"the tenant has to stay {before.tenant}: for another tenant, publish it"
        return NoEdit.OTHER_TENANT, why
    if before.test is not notification.test:
        stays = "a test: to send it, publish it" if before.test else "no test: publish a test"
        return NoEdit.TEST, f"it has to stay {stays}"
    return None


def _fitting(
    drafts: Sequence[_Draft], found: dict[UUID, Record]
) -> tuple[list[_Draft], list[NotEdited]]:
    """Those whose notification is still where the dead letter left it."""
    kept, refused, introduced = [], [], set[UUID]()
    for draft in drafts:
        row, id_ = found.get(draft.notification.id), draft.notification.id
        now = status(row) if row is not None else None
        if id_ in introduced:
            why: tuple[NoEdit, str] | None = (NoEdit.OTHER_ID, f"another dead letter becomes {id_}")
        elif row is not None and row["tenant"] != draft.notification.tenant:
            why = (NoEdit.OTHER_TENANT, f"notification {id_} is another tenant's")
        else:
            why = next(_objections(draft, now), None)
        if why is not None:
            refused.append(NotEdited(draft.old["id"], *why))
            continue
        if now is None:
            introduced.add(id_)
        kept.append(draft)
    return kept, refused


def _objections(draft: _Draft, now: NotificationStatus | None) -> Iterator[tuple[NoEdit, str]]:
    if now is None:
        return
    id_ = draft.notification.id
    if draft.old["notification_id"] != id_:
        yield (
            NoEdit.OTHER_ID,
            f"notification {id_} already exists and is {now.state}: "
            "give this one another id, or discard its dead letter",
        )
    if not now.replayable or now.epoch != draft.old["epoch"]:
        yield (
            NoEdit.MOVED_ON,
            f"notification {id_} is {now.state} in epoch {now.epoch}: "
            "a dead letter can be edited while its notification, or a copy of it, has failed and was not "
            "replayed since",
        )


def _notes(drafts: Sequence[_Draft], found: dict[UUID, Record]) -> list[list[Any]]:
    """What `NOTE` takes: also of notifications that were stored only just now."""
    stand = [found.get(draft.notification.id) for draft in drafts]
    return [
        [draft.notification.id for draft in drafts],
        [row["epoch"] if row is not None else 0 for row in stand],
        [row["state"] if row is not None else State.FAILED.value for row in stand],
        [draft.old["id"] for draft in drafts],
        [draft.fields for draft in drafts],
    ]


def _stored(
    drafts: Sequence[_Draft], found: dict[UUID, Record], expires_at: ExpiresAt
) -> list[list[object]]:
    attempts = [draft.attempt(found.get(draft.notification.id)) for draft in drafts]
    return rows.columns([Introduced(attempt, expires_at(attempt)) for attempt in attempts])
