"""Accepts several notifications of one request: one content for many recipients, or many that differ."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic_core import from_json, to_json

from tidings.delivery.local_time import LocalTime
from tidings.ledger.notifications.accepting import (
    Answered,
    RequestedBefore,
    SomeConflict,
    Standing,
    Stored,
    Submission,
)
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller, submission_of
from tidings.operations.submissions.errors import IdConflict, IdempotencyKeyReused
from tidings.operations.submissions.intake import NEITHER, Intake, surely
from tidings.operations.submissions.listing import (
    AT_ONCE,
    RequestPart,
    parts_of_batch,
    parts_of_recipients,
)
from tidings.operations.submissions.reading import (
    ReadSubmission,
    UntimelyNotification,
    read_submission,
)
from tidings_events import InvalidNotification
from tidings_events.problems import ContractProblem

STATUSES: Final = ("accepted", "duplicate", "invalid", "unavailable")
"""What becomes of each; `unavailable`: neither server accepts it now, but may have all the same."""


@dataclass(frozen=True, slots=True)
class SubmitSeveralRequest:
    """Several notifications to accept."""

    caller: Caller
    body: bytes
    """JSON, as it was sent."""
    atomic: bool = False
    """All or none; always so with one content for several recipients."""
    parts: Sequence[RequestPart] | None = None
    """Those of the body, if it is for several recipients and has been taken apart already."""


@dataclass(frozen=True, slots=True)
class SeveralView:
    """What became of each, in their order."""

    items: tuple[Mapping[str, Any], ...]
    replayed: bool = False
    """Whether this repeats the answer to an earlier request with the same Idempotency-Key."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        statuses = [item["status"] for item in self.items]
        counts = {it: statuses.count(it) for it in STATUSES}
        return {**counts, "notifications": list(self.items)}


@dataclass(frozen=True, slots=True)
class _Read:
    """The parts of a request: those to accept by their index, and the problems of the others."""

    submissions: Mapping[int, Submission]
    problems: Mapping[int, Sequence[ContractProblem]]
    derived: frozenset[UUID]
    """The ids that follow from the Idempotency-Key: one that is known comes from this request."""
    chosen: Mapping[int, LocalTime]
    """The instants of due times that were given as local times."""

    def view(self, answers: Sequence[Stored | None]) -> SeveralView:
        """What became of each."""
        stored = dict(zip(self.submissions, answers, strict=True))
        items = [
            _refused(index, self.problems[index])
            if index in self.problems
            else self._item(index, self.submissions[index].attempt.id, stored[index])
            for index in range(len(self.submissions) + len(self.problems))
        ]
        return SeveralView(tuple(items))

    def replay(
        self, items: list[Mapping[str, Any]], repeated: Sequence[Stored | None]
    ) -> SeveralView:
        """The first answer, but for those of which neither server has the message now."""
        for (index, submission), stored in zip(self.submissions.items(), repeated, strict=True):
            if stored is None:
                items[index] = self._item(index, submission.attempt.id, stored)
        return SeveralView(tuple(items), replayed=True)

    def _item(self, index: int, id: UUID, stored: Stored | None) -> dict[str, Any]:
        if stored is None:
            problem = ContractProblem(NEITHER, ("notifications", index), "unavailable")
            return _refused(index, [problem], "unavailable") | {"id": str(id)}
        standing = stored.standing
        if standing is Standing.CONFLICT:
            sentence, location = str(IdConflict(id)), ("notifications", index, "id")
            return _refused(index, [ContractProblem(sentence, location, "id_conflict")])
        if stored.known and stored.duplicate_of is None and id in self.derived:
            standing = Standing.ACCEPTED
        item: dict[str, Any] = {
            "index": index,
            "status": standing.value,
            "id": str(id),
            "links": {"self": f"/v1/notifications/{id}"},
        }
        if stored.duplicate_of is not None:
            item["duplicate_of"] = str(stored.duplicate_of)
        return item | (self.chosen[index].as_data() if index in self.chosen else {})


async def submit_to_recipients(
    backend: Backend, actor: Actor, request: SubmitSeveralRequest
) -> SeveralView:
    """Accept one content for several recipients, all or none. Raises like `submit_batch`."""
    parts = request.parts or parts_of_recipients(request.body)
    return await _submit(backend, actor, request, "recipients", parts, atomic=True)


async def submit_batch(
    backend: Backend, actor: Actor, request: SubmitSeveralRequest
) -> SeveralView:
    """Accept several that differ, each by itself, or all or none if that is requested.

    Raises:
        InvalidNotification: None is valid; or one is not, of all or none.
        IdConflict: Of all or none, one has an id that belongs to other content.
        IdempotencyKeyReused: The Idempotency-Key came with another request before.
        IdempotencyKeyInUse: The same request is under way.
        LedgerRefused: One has a value that can't be stored.
        LedgerUnavailable: Neither RabbitMQ nor PostgreSQL accepts any now; of all or none, PostgreSQL alone decides.
            They may be accepted all the same: the repeat needs the same ids or Idempotency-Key.
    """
    parts = parts_of_batch(request.body)
    return await _submit(backend, actor, request, "batch", parts, atomic=request.atomic)


async def _submit(
    backend: Backend,
    actor: Actor,
    request: SubmitSeveralRequest,
    form: str,
    parts: Sequence[RequestPart],
    *,
    atomic: bool,
) -> SeveralView:
    caller, intake = request.caller, backend.intake
    read = await _read(intake, actor, caller, parts)
    if read.problems and (atomic or not read.submissions):
        raise InvalidNotification(_each_once(read.problems.values()))
    submissions, remembered = list(read.submissions.values()), None
    if (identity := caller.identity(f"{form} {atomic}", request.body)) is not None:
        remembered = Answered(
            identity,
            lambda stored: to_json(read.view(stored).items),
            caller.id_for(),
            read.derived,
        )
    with intake.under_way(caller.key, caller.idempotency_key):
        try:
            answers = await intake.accept_several(submissions, together=atomic, request=remembered)
        except RequestedBefore as before:
            if not before.earlier.same:
                raise IdempotencyKeyReused from None
            # What it stored may lack its message, if its process died.
            repeated = await intake.accept_several(submissions)
            _check(repeated, atomic=atomic)
            return read.replay(from_json(before.earlier.answer), repeated)
        except SomeConflict as conflict:
            standings = [answer.standing for answer in conflict.answers]
            id_ = submissions[standings.index(Standing.CONFLICT)].attempt.id
            raise IdConflict(id_) from None
    _check(answers, atomic=atomic)
    return read.view(answers)


def _check(answers: Sequence[Stored | None], *, atomic: bool) -> None:
    """Whether there is anything to answer item by item.

    Raises:
        LedgerUnavailable: None is accepted; or one is not, of all or none.
    """
    if atomic or not any(answer and answer.standing is not Standing.CONFLICT for answer in answers):
        for answer in answers:
            surely(answer)


async def _read(
    intake: Intake, actor: Actor, caller: Caller, parts: Sequence[RequestPart]
) -> _Read:
    found: dict[int, ReadSubmission] = {}
    submissions: dict[int, Submission] = {}
    untimely: dict[int, ReadSubmission] = {}
    problems: dict[int, Sequence[ContractProblem]] = {}
    ids = [caller.id_for(index) for index in range(len(parts))]
    for index, part in enumerate(parts):
        try:
            found[index] = read_submission(part.body, caller.tenant, ids[index], test=caller.test)
            submissions[index] = submission_of(intake, actor, caller, found[index])
        except InvalidNotification as invalid:
            problems[index] = [part.placed(problem) for problem in invalid.problems]
            if isinstance(invalid, UntimelyNotification):
                untimely[index] = invalid.read
        if index % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)  # others have small requests
    for index in await _accepted_before(intake, caller, untimely, ids):
        found[index] = untimely[index]
        submissions[index] = submission_of(intake, actor, caller, found[index])
        del problems[index]
    return _Read(
        {index: submissions[index] for index in sorted(submissions)},
        problems,
        frozenset({read.notification.id for read in found.values()} & set(ids)),
        {index: read.chosen for index, read in found.items() if read.chosen is not None},
    )


async def _accepted_before(
    intake: Intake, caller: Caller, untimely: Mapping[int, ReadSubmission], ids: Sequence[UUID]
) -> list[int]:
    """Those of which the request may have come before their times had passed."""
    given = {
        index: read.notification.id
        for index, read in untimely.items()
        if caller.idempotency_key is not None or read.notification.id != ids[index]
    }
    if not given:
        return []
    before = await intake.accepted_before(list(given.values()))
    return [index for index, id_ in given.items() if id_ in before]


def _each_once(found: Iterable[Sequence[ContractProblem]]) -> list[str]:
    """A fault of one content is that of all its recipients."""
    problems = [problem for each in found for problem in each]
    return list({(problem.pointer, str(problem)): problem for problem in problems}.values())


def _refused(
    index: int, problems: Sequence[ContractProblem], status: str = "invalid"
) -> dict[str, Any]:
    errors = [{"pointer": it.pointer, "code": it.code, "detail": str(it)} for it in problems]
    return {"index": index, "status": status, "errors": errors}
