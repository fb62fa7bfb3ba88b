"""What is sent again by command is delivered once more, as a notification of its own."""

import json
from uuid import UUID

from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.support.dead_letter_rig import DeadLetterRig


async def test_a_notification_is_sent_again_by_command(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel), rig.scheduling():
        id = await rig.publish(recipient="ada@example.com")
        await rig.reaches(id, "sent")
        done = await tidings("resend", str(id), "--to", "grace@example.com", "--json")
        copy = UUID(json.loads(done.out)["id"])
        await rig.reaches(copy, "sent")
    assert channel.sent == {id: 1, copy: 1}
    assert [request.notification.recipient for request in channel.requests] == [
        *("ada@example.com", "grace@example.com")
    ]
