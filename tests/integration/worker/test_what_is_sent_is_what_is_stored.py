"""A known id can't be taken over: what is sent is what the ledger stored, whoever publishes what under it."""

import json

from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Unavailable
from tidings.delivery.ports import SendRequest
from tidings_events.routing import Headers


def once_unavailable(_: SendRequest, before: int) -> Unavailable | None:
    return Unavailable("450 greylisted") if before == 0 else None


async def test_other_content_that_comes_while_it_is_retrying_is_noted_and_not_sent(
    rig: Rig,
) -> None:
    channel = ScriptedChannel(script=once_unavailable)
    async with rig.working(channel):
        id = await rig.publish(subject="The first")
        await rig.reaches(id, "retrying")
        await rig.publish(id=str(id), subject="Another")
        retry: dict[str, object] = {Headers.EPOCH: 0, Headers.ATTEMPT: 2}
        await rig.publish(id=str(id), subject="Another as a retry", headers=retry)
        await eventually(lambda: _notes(rig, 2))
        await rig.reaches(id, "sent")
        await eventually(rig.drained)
    assert [json.loads(request.attempt.body)["subject"] for request in channel.requests] == [
        "The first",
        "The first",
    ]
    (row,) = await rig.fetch("SELECT body FROM notifications")
    assert json.loads(bytes(row["body"]))["subject"] == "The first"  # type: ignore[call-overload]


async def _notes(rig: Rig, count: int) -> bool:
    query = "SELECT FROM transitions WHERE reason LIKE '%the other content is not sent'"
    return len(await rig.fetch(query)) == count
