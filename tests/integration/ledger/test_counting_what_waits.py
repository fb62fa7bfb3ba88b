"""The gauges of what waits in the ledger are true."""

import asyncio

from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.scheduler.gauges import count_for_ever
from tidings.telemetry.metrics import Metrics

DUE = "UPDATE notifications SET dispatch_at = now() + $2 * interval '1 second' WHERE id = $1"
DEAD_LETTER = """
INSERT INTO dead_letters (id, state, reason, kind, message, fingerprint, channel, body,
                          first_failed_at, last_failed_at, dead_lettered_at)
SELECT gen_random_uuid(), $1, $2, $2, 'no', 'f', $3, '{}', now(), now(), now() - $4 * interval '1 second'
"""


async def test_what_is_scheduled_overdue_or_a_dead_letter_is_counted(
    ledger_alone: LedgerRig,
) -> None:
    for seconds in (3600, 30, -10, -300):
        attempt = attempt_of()
        await ledger_alone.put(attempt, State.SCHEDULED)
        await ledger_alone.execute(DUE, attempt.id, seconds)
    for state, reason, channel, age in (
        ("open", "rejected", "email", 60),
        ("open", "rejected", "email", 7200),
        ("open", "malformed", None, 5),
        ("replayed", "rejected", "sms", 86_400),
        ("discarded", "expired", "email", 86_400),
    ):
        await ledger_alone.execute(DEAD_LETTER, state, reason, channel, age)
    metrics = Metrics()

    def value(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(name, labels) or 0.0

    counted = PostgresLedger(
        settings_of("postgresql://unused"), actor="scheduler a", database=ledger_alone.database
    )
    async with asyncio.timeout(10):
        counting = asyncio.create_task(count_for_ever(counted, metrics))
        while not (value("tidings_scheduled") or counting.done()):
            await asyncio.sleep(0.02)
        assert not counting.done(), counting
        counting.cancel()
    assert value("tidings_scheduled") == 4
    assert value("tidings_scheduled_overdue") == 1
    assert 14 * 86_400 <= value("tidings_partitions_end_seconds") < 22 * 86_400
    assert value("tidings_dead_letters_open", channel="email", reason="rejected") == 2
    assert value("tidings_dead_letters_open", channel="unknown", reason="malformed") == 1
    assert value("tidings_dead_letters_open", channel="sms", reason="rejected") == 0
    assert 7200 <= value("tidings_dead_letters_oldest_seconds", channel="email") < 7300
