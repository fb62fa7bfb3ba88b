"""Two people act on the same dead letter at once: one wins, and the other is told who did what, and when."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, written

from tidings.delivery.errors import Refused
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import acting
from tidings.operations.dead_letters.acting import DeadLetterEdit, DeadLetterRequest

PEOPLE = (Actor("console", "jane"), Actor("console", "joan"))


def does(backend: Backend, actor: Actor, what: str, id: UUID) -> Awaitable[object]:
    request = DeadLetterRequest(id)
    match what:
        case "discard":
            return acting.discard(backend, actor, request, "test data")
        case "edit":
            change = DeadLetterEdit({"recipient": f"{actor.name}@example.com"})
            return acting.edit(backend, actor, request, change)
        case _:
            return acting.replay(backend, actor, request, force=False, starts_in=60)


@pytest.mark.parametrize(
    ("first", "second"),
    [("discard", "discard"), ("edit", "edit"), ("edit", "discard"), ("replay", "replay")],
)
async def test_one_wins_and_the_other_is_told_who_was_faster(
    rig: DeadLetterRig, first: str, second: str
) -> None:
    ids = await rig.archived(*(written() for _ in range(8)))
    async with rig.backend("first") as here, rig.backend("second") as there:
        for id in ids:
            answers = await asyncio.gather(
                does(here, PEOPLE[0], first, id),
                does(there, PEOPLE[1], second, id),
                return_exceptions=True,
            )
            lost = [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
            assert len(lost) == 1, answers
            refusal = answers[lost[0]]
            assert isinstance(refusal, Refused)
            winner, did = PEOPLE[1 - lost[0]], (first, second)[1 - lost[0]]
            assert str(winner) in str(refusal)
            assert {"discard": "discarded", "edit": "edited", "replay": "started"}[did] in str(
                refusal
            )
            assert str(refusal).endswith((" now", " ago"))


async def test_who_comes_later_is_told_what_was_done(rig: DeadLetterRig) -> None:
    (id,) = await rig.archived(written())
    async with rig.backend() as backend:
        await does(backend, PEOPLE[0], "discard", id)
        for what in ("discard", "edit", "replay"):
            with pytest.raises(Refused, match="is discarded: console jane discarded it"):
                await does(backend, PEOPLE[1], what, id)


async def test_an_edit_of_a_body_that_is_another_by_now_is_refused(rig: DeadLetterRig) -> None:
    (id,) = await rig.archived(written())
    request = DeadLetterRequest(id)
    async with rig.backend() as backend:
        seen = (await acting.details(backend, PEOPLE[0], request, reveal=False)).as_data()
        await rig.fetch("UPDATE dead_letters SET body = $1", written(subject="other"))
        change = DeadLetterEdit({"subject": "Hi"}, based_on=seen["body_sha256"])
        with pytest.raises(Refused, match="another body by now"):
            await acting.edit(backend, PEOPLE[0], request, change)
