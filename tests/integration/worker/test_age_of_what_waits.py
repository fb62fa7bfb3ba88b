"""How long the oldest message of each queue has waited is known without taking one."""

from collections.abc import Mapping
from time import monotonic

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.worker.conftest import MakeRig
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.attempt import Lane
from tidings.delivery.errors import Unavailable
from tidings.ledger import PostgresLedger
from tidings.operations import statistics
from tidings.operations.backend import Backend
from tidings.operations.statistics import StatisticsRequest
from tidings.operations.times import moment
from tidings.scheduler import queues

NORMAL, LOW = "tidings.email.normal", "tidings.email.low"
RETRY = "tidings.email.retry.1h"
HOUR = 3_600
AGE = "UPDATE queue_looks SET empty_at = empty_at - interval '1 hour'"


async def ages(rig: Rig) -> Mapping[str, tuple[int, float | None]]:
    """Messages and the oldest one's age, by queue."""
    async with PostgresLedger(rig.settings.ledger, actor="stats") as ledger:
        request = StatisticsRequest(moment("1h"))
        view = await statistics.look(Backend(rig.settings, ledger), request)
    assert view.errors == ()
    rows = view.as_data()["queues"]
    return {row["queue"]: (row["message_count"], row["oldest_age_seconds"]) for row in rows}


async def test_the_age_is_bounded_by_when_a_queue_was_last_empty(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "EVERY", 0.1)
    async with rig.scheduling():

        async def seen() -> bool:
            found = await rig.fetch("SELECT FROM queue_looks")
            return len(found) > 4

        await eventually(seen)
        began = monotonic()
        await rig.publish()

        async def there() -> bool:
            return (await ages(rig))[NORMAL][0] == 1

        await eventually(there)
        _, oldest = (await ages(rig))[NORMAL]
        assert oldest is not None
        assert 0 < oldest < monotonic() - began + 1
        assert (await ages(rig))[LOW] == (0, None)
        await rig.fetch(AGE)
        _, oldest = (await ages(rig))[NORMAL]
        assert oldest is not None
        assert HOUR <= oldest < HOUR + 60
        async with rig.working(ScriptedChannel()):

            async def empty() -> bool:
                return (await ages(rig))[NORMAL] == (0, None)

            await eventually(empty)


async def test_the_age_is_unknown_without_a_look_and_a_retry_waits_no_longer_than_its_delay(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RETRY="1h")
    channel = ScriptedChannel(
        script=lambda _, before: Unavailable("451 busy") if before == 0 else None
    )
    async with rig.working(channel):
        await rig.publish()
        await eventually(lambda: len(channel.requests) == 1)
    await rig.publish("email.low", priority="low")

    async def there() -> bool:
        found = await ages(rig)
        return (found[RETRY], found[LOW]) == ((1, HOUR), (1, None))

    await eventually(there)


async def test_what_a_worker_read_last_bounds_the_age_too(rig: Rig) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        await rig.publish()
        await eventually(lambda: len(channel.requests) == 1)
    lanes = (Lane("email", "normal"), Lane("email", "low"))
    async with PostgresLedger(rig.settings.ledger, actor="stats") as ledger:
        await ledger.queue_ages.saw({NORMAL: 0, LOW: 0}, since=0.0)
        await rig.fetch(AGE)
        found = await ledger.queue_ages.oldest(lanes)
        assert found[NORMAL] < 60 < HOUR <= found[LOW]
        ahead = "UPDATE notifications SET accepted_at = now() + interval '1 day', updated_at = now() - interval '5 minutes'"
        await rig.fetch(ahead)
        assert 300 <= (await ledger.queue_ages.oldest(lanes))[NORMAL] < 360
