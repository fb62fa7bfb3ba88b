"""Erases a person's data."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final
from urllib.parse import unquote
from uuid import UUID

import structlog

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.masking import mask
from tidings.ledger.erasure import Person, PersonalRecords, normal
from tidings.ledger.operators.rule_rows import RuleTerms
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.masks import PEOPLE

log = structlog.get_logger(__name__)

MOST_RULES: Final = 10_000
EXAMPLES: Final = 5
"""Ids that are named with a refusal, and recipients before a confirmation."""


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """The person to erase: by recipient or by user."""

    recipient: str | None
    user: str | None
    note: str | None
    """Why. Needed unless it is a dry run; kept, so it must not name the person."""
    dry_run: bool = False
    tenant: str | None = None
    """Only what is this one's; of all if None."""


@dataclass(frozen=True, slots=True)
class ErasureView:
    """Rows that were erased, or would be."""

    notifications: int
    dead_letters: int
    discarded: int
    """Dead letters that were open: they are discarded first."""
    unfinished: int
    """Notifications or replays that must end first."""
    keys: int
    """Idempotency keys that were deleted; not counted by a dry run."""
    recipients: Sequence[str]
    """Some of those whom all this is for, masked: others too, if the address is in a copy's field or a text."""
    dry_run: bool
    without_tenant: int = 0
    """Dead letters that match and stay, because they name no tenant and only one tenant's data is erased."""
    schedules: int = 0
    """Schedules that had the person among their recipients; one without any other was deleted."""
    alert_rules: tuple[str, ...] = ()
    """Names of rules whose alerts go to the person: nothing is erased before those go elsewhere."""
    jobs: tuple[UUID, ...] = ()
    """Edits of many dead letters that have not ended and would write of them: nothing is erased before they have."""
    inbox_messages: int = 0
    """Messages of inboxes: the person's, and others' that the same notifications became."""


async def erase(backend: Backend, actor: Actor, request: EraseRequest) -> ErasureView:
    """Erase a person from what has ended, from schedules, and from their dead letters, of which open ones are discarded.

    It may be asked for again after it was interrupted: what is left is found again.

    Raises:
        InvalidRequest: It names neither or both, or has no note.
        Refused: Something of theirs is unfinished, or operators are alerted through them, and nothing was erased.
    """
    person, why = _read(request)
    found = await backend.ledger.erasures.find(person)
    schedules = await backend.ledger.schedules.erasures.find(person)
    rules = await backend.ledger.alert_rules.list(person.tenant, MOST_RULES)
    alerted = tuple(sorted(rule.name for rule in rules if _is_receiver(person, rule.terms)))
    view = ErasureView(
        len(found.ended),
        len(found.closed) + len(found.open),
        len(found.open),
        len(found.unfinished) + len(found.replaying),
        0,
        sorted({mask(recipient) for recipient in found.recipients - {""}})[:EXAMPLES],
        request.dry_run,
        len(found.without_tenant),
        len(schedules.as_recipient),
        alerted,
        await _naming_jobs(backend, person),
        await backend.ledger.inbox_purging.find(person.ids, found.ended, person.tenant),
    )
    if request.dry_run:
        return view
    _check_that_all_has_ended(found)
    _check_that_no_content_names(schedules.in_content)
    _check_that_no_alert_goes_to(alerted)
    _check_that_no_edit_names(view.jobs)
    await backend.ledger.erasures.check()
    by = {"by": "recipient" if person.user_id is None else "user"}
    if person.tenant is not None:
        by["tenant"] = person.tenant
    found_so_far = {
        **by,
        "notifications": view.notifications,
        "dead_letters": view.dead_letters,
    }
    await backend.ledger.actions.note(str(actor), "erase", why, {"began": found_so_far})
    changed = await backend.ledger.schedules.erasures.erase(
        person, schedules.as_recipient, actor=str(actor), why=why
    )  # first: they make notifications
    if changed:  # one of them may have run since
        found = await backend.ledger.erasures.find(person)
    emptied = await _empty_inboxes(backend, person, found.ended)
    view = replace(view, schedules=changed, inbox_messages=emptied)
    view = await _erase(backend, actor, person, why, found, view)
    done = {
        name: value
        for name, value in asdict(view).items()
        if name not in {"recipients", "alert_rules", "jobs", "dry_run"}
    }
    await backend.ledger.actions.note(str(actor), "erase", why, {"ended": {**by, **done}})
    log.warning("person erased", actor=str(actor), why=why, **by, **done)
    return view


async def _naming_jobs(backend: Backend, person: Person) -> tuple[UUID, ...]:
    """Jobs that have not ended and write of a person into dead letters."""
    changes = await backend.ledger.jobs.changes(person.tenant)
    named = (id for id, change in changes.items() if person.is_in(FieldChange.read(change)(b"{}")))
    return tuple(sorted(named))


async def _empty_inboxes(backend: Backend, person: Person, ids: Sequence[UUID]) -> int:
    """Before the notifications: with them, their ids are known no more."""
    emptied = 0
    async for step in backend.ledger.inbox_purging.erase(person.ids, ids, person.tenant):
        backend.inbox_hints.announce(step.changes)
        emptied += step.emptied
    return emptied


async def _erase(
    backend: Backend,
    actor: Actor,
    person: Person,
    why: str,
    found: PersonalRecords,
    view: ErasureView,
) -> ErasureView:
    """Until nothing is found any more: something may have been under way when it was looked for."""
    ledger = backend.ledger
    view = replace(view, notifications=0, dead_letters=0, discarded=0)
    while found.ended or found.closed or found.open:
        discarded = await ledger.dead_letters.closings.discard(found.open, why, actor=str(actor))
        erased = await ledger.erasures.erase(found, actor=str(actor), why=why)
        view = replace(
            view,
            notifications=view.notifications + erased.notifications,
            dead_letters=view.dead_letters + erased.dead_letters,
            discarded=view.discarded + len(discarded),
            keys=view.keys + erased.keys,
        )
        if not (erased.notifications or erased.dead_letters):
            break
        found = await ledger.erasures.find(person)
        emptied = await _empty_inboxes(backend, person, found.ended)
        view = replace(view, inbox_messages=view.inbox_messages + emptied)
    return replace(view, unfinished=len(found.unfinished) + len(found.replaying))


def _read(request: EraseRequest) -> tuple[Person, str]:
    if (request.recipient is None) == (request.user is None):
        raise InvalidRequest("name either a recipient or a user")
    name, value = (
        ("recipient", request.recipient) if request.user is None else ("user", request.user)
    )
    value = (value or "").strip()
    if not value:
        raise InvalidRequest("is empty; write it in full", field=name)
    why = (request.note or "").strip()
    if not why and not request.dry_run:
        raise InvalidRequest("give a reason that doesn't name the person", field="note")
    if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", why, re.IGNORECASE):
        raise InvalidRequest("it is stored, so it must not name the person", field="note")
    if name == "user":
        return Person(user_id=value, tenant=request.tenant), why
    return Person(value, fields=PEOPLE, tenant=request.tenant), why


def _check_that_all_has_ended(found: PersonalRecords) -> None:
    if found.unfinished:
        raise Refused(
            f"{_named(found.unfinished)} unfinished: cancel each with `tidings cancel ID --note …`, or wait until "
            "it has ended; nothing was erased"
        )
    if found.replaying:
        raise Refused(
            f"{_named(found.replaying)} being replayed: wait until the replay has ended; nothing was erased"
        )


def _check_that_no_content_names(schedules: Sequence[str]) -> None:
    if schedules:
        names = ", ".join(map(repr, schedules[:EXAMPLES]))
        raise Refused(
            f"the content of the schedule {names} names them: delete it (`tidings schedules delete NAME`) and "
            "create it anew; nothing was erased"
        )


def _check_that_no_alert_goes_to(rules: Sequence[str]) -> None:
    """Only people can say who is to be alerted instead: a rule without a receiver would alert nobody."""
    if rules:
        names = ", ".join(map(repr, rules[:EXAMPLES]))
        raise Refused(
            f"alerts of the rule {names} go to them: give it another receiver (`tidings alerts edit NAME …`) or delete it; "
            "nothing was erased"
        )


def _check_that_no_edit_names(jobs: Sequence[UUID]) -> None:
    if jobs:
        raise Refused(
            f"an edit of dead letters names them, job {', '.join(map(str, jobs[:EXAMPLES]))}: wait until it has ended, or "
            "cancel it with `tidings jobs cancel ID`; nothing was erased"
        )


def _is_receiver(person: Person, terms: RuleTerms) -> bool:
    """Whether the alerts of a rule go to a person, by a channel or in a receiver's URL."""
    if terms.url is None:
        return (terms.recipient or "") in person.ids or (
            person.recipient is not None and normal(terms.recipient or "") == person.recipient
        )
    if person.recipient is None:
        return False
    url = unquote(terms.url)
    return person.is_named_in(url) or person.is_named_in(_sender(url))


def _sender(url: str) -> str:
    """`mailto://jane:password@example.com` sends from jane@example.com, to herself unless it says otherwise."""
    credentials, _, host = url.partition("://")[2].rpartition("@")
    return f"{credentials.partition(':')[0]}@{re.split('[/?:]', host)[0]}"


def _named(ids: Sequence[object]) -> str:
    shown = ", ".join(map(str, ids[:EXAMPLES]))
    more = f" and {len(ids) - EXAMPLES:,} more" if len(ids) > EXAMPLES else ""
    return f"{shown}{more} {'is' if len(ids) == 1 else 'are'}"
