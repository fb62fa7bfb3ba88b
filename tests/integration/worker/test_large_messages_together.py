"""Many large messages together are held a few at a time, and small ones beside them go on."""

from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.ports import SendRequest

MIB = 1024 * 1024
LARGE = 7 * MIB


async def test_a_burst_of_large_ones_after_small_ones_is_held_as_far_as_there_is_room(
    rig: Rig,
) -> None:
    sizes: list[int] = []

    def slow(request: SendRequest, before: int) -> float:
        del before
        large = len(request.attempt.body) > MIB
        sizes.append(len(request.attempt.body))
        return 0.3 if large else 0.0

    channel = ScriptedChannel(script=slow)
    async with rig.working(channel):
        small = [await rig.publish() for _ in range(100)]  # it asks for many at a time now
        await eventually(lambda: all(channel.sent[id] for id in small), within=30)
        channel.most_at_once = 0
        large = [await rig.publish(data={"a": "y" * LARGE}) for _ in range(25)]
        beside = await rig.publish(priority="urgent")
        await eventually(
            lambda: channel.sent[beside], within=90
        )  # reading them takes a slow machine long
        assert not all(channel.sent[id] for id in large)
        await eventually(lambda: all(channel.sent[id] for id in large), within=90)
    assert max(sizes) * channel.most_at_once <= 64 * MIB
    assert channel.most_at_once > 1
