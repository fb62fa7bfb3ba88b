"""A process killed at any step of accepting, and its request sent again: the same ids, sent once."""

import asyncio
import itertools
import os

from tests.doubles.channel import ScriptedChannel
from tests.support import forked, submitting_process
from tests.support.submission_rig import SubmissionRig
from tests.support.submitting_process import FORMS, STEPS, run
from tests.support.worker_rig import eventually

EACH = [(step, form, f"{form} {step}") for step, form in itertools.product(STEPS, FORMS)]


async def killed(step: str, form: str, key: str) -> int:
    process = await forked.start(
        *(step, form, key), env=os.environ, stdout=1, stderr=2, module=submitting_process.__name__
    )
    return await process.wait()


async def test_killed_at_each_step_and_repeated_each_has_the_same_ids_and_is_sent_once(
    rig: SubmissionRig,
) -> None:
    assert set(await asyncio.gather(*itertools.starmap(killed, EACH))) == {-9}
    channel = ScriptedChannel()
    async with rig.accepting() as backend, rig.around.working(channel):
        await eventually(lambda: backend.intake.connected)
        for _, form, key in EACH:
            await run(backend, form, key)

        async def all_sent() -> bool:
            [row] = await rig.around.fetch(
                "SELECT count(*) FILTER (WHERE state = 'sent') AS sent, count(*) AS n FROM notifications"
            )
            return row == {"sent": 4 * len(STEPS), "n": 4 * len(STEPS)}

        await eventually(all_sent, 20)
        await eventually(rig.around.drained)
    subjects = [request.notification.subject for request in channel.requests]  # type: ignore[union-attr]
    assert {key: subjects.count(key) for _, _, key in EACH} == {
        key: 1 if form == "single" else 3 for _, form, key in EACH
    }
