"""A message whose properties can't be read takes nobody else down, and is kept."""

from datetime import UTC, datetime

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, written


class Latin1(str):
    """Text that a producer writes in another encoding than AMQP's."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return super().encode("latin-1")


class Nanoseconds(datetime):
    """A time that a producer counts in nanoseconds, where AMQP counts seconds."""

    count = 0

    def timestamp(self) -> float:
        return self.count


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({"content_type": Latin1("café")}, id="a property"),
        pytest.param({"headers": {Latin1("café"): "x", "other": 1}}, id="a header's name"),
    ],
)
async def test_names_in_another_encoding_are_read_as_well_as_they_can_be(
    rig: DeadLetterRig, properties: dict[str, object]
) -> None:
    async with rig.archiving():
        await rig.publish_dead(written(), **{"headers": {}, **properties})  # type: ignore[arg-type]
        await rig.make_dead_letter()
        dead_letters = await rig.dead_letters(2)
    assert sorted(str(dead_letter["reason"]) for dead_letter in dead_letters) == [
        "rejected",
        "unroutable",
    ]


@pytest.mark.parametrize("count", [1_790_000_000_000_000_000, 2**63, 2**64 - 1])
async def test_a_time_that_no_calendar_holds_is_no_obstacle(rig: DeadLetterRig, count: int) -> None:
    moment = Nanoseconds(2026, 1, 1, tzinfo=UTC)
    moment.count = count  # type: ignore[misc]  # of this test only
    async with rig.archiving():
        await rig.publish_dead(written(), {"then": moment}, timestamp=moment)
        await rig.make_dead_letter()
        dead_letters = await rig.dead_letters(2)
    assert sorted(str(dead_letter["reason"]) for dead_letter in dead_letters) == [
        "rejected",
        "unroutable",
    ]
