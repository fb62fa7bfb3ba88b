"""Workers are stopped, killed and cut off, and everything published is counted at the end."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import asyncpg
from tests.support import forked
from tests.support.processes import running, tidings
from tests.support.smtp_sink import SmtpSink
from tests.support.worker_rig import eventually

from tidings_events import EmailNotification, Producer

Env = dict[str, str]


async def publish(env: Env, count: int) -> set[str]:
    """Publish notifications, confirmed; their ids."""
    batch = [
        EmailNotification(
            recipient=f"user-{place}@example.com", subject="Hello", body="How are you?"
        )
        for place in range(count)
    ]
    async with Producer(env["TIDINGS_AMQP_URL"]) as producer:
        await producer.publish_many(batch)
    return {str(notification.id) for notification in batch}


async def states(env: Env) -> Counter[str]:
    """Notifications by state."""
    connection = await asyncpg.connect(env["TIDINGS_DATABASE_URL"])
    try:
        rows = await connection.fetch("SELECT state, count(*) FROM notifications GROUP BY 1")
    finally:
        await connection.close()
    return Counter({row["state"]: row["count"] for row in rows})


async def attempts(env: Env, condition: str) -> int:
    connection = await asyncpg.connect(env["TIDINGS_DATABASE_URL"])
    try:
        found: int = await connection.fetchval(f"SELECT count(*) FROM attempts WHERE {condition}")  # noqa: S608
    finally:
        await connection.close()
    return found


async def test_sigterm_finishes_what_is_in_flight_and_nothing_is_lost_or_sent_twice(
    env: Env, sink: SmtpSink, tmp_path: Path
) -> None:
    sink.delay = 0.1
    assert (await forked.tidings("topology", "apply", env=env)).code == 0
    published = await publish(env, 400)
    for round_ in range(3):
        async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
            target = min(400, 60 * (round_ + 1))
            await eventually(lambda target=target: len(sink.taken) >= target, within=30)
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
        assert sink.in_hand == 0
    async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        await eventually(lambda: len(sink.taken) == 400, within=60)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert set(sink.taken) == published
    assert set(sink.taken.values()) == {1}
    assert await states(env) == {"sent": 400}


async def test_sigkill_in_the_middle_of_sending_loses_nothing_and_says_what_may_be_twice(
    env: Env, sink: SmtpSink, tmp_path: Path
) -> None:
    sink.delay = 0.3
    assert (await forked.tidings("topology", "apply", env=env)).code == 0
    published = await publish(env, 200)
    in_flight = 0
    for _ in range(2):
        async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
            before = len(sink.taken)
            await eventually(
                lambda before=before: len(sink.taken) >= before + 30 and sink.in_hand > 5, within=30
            )
            worker.signal(signal.SIGKILL)
            assert await worker.ended() == -signal.SIGKILL
            in_flight += 40  # twenty being sent, and as many being recorded
    sink.delay = 0
    async with running("worker", env=env, log=tmp_path / "worker.log"):
        await eventually(lambda: len(sink.taken) == 200, within=60)

        async def all_sent() -> bool:
            return await states(env) == {"sent": 200}

        await eventually(all_sent, within=60)
    assert set(sink.taken) == published
    twice = [id for id, times in sink.taken.items() if times > 1]
    assert len(twice) <= in_flight
    assert max(sink.taken.values()) <= 3
    assert await attempts(env, "possible_duplicate") >= len(twice)


async def test_a_second_signal_ends_it_at_once(env: Env, sink: SmtpSink, tmp_path: Path) -> None:
    sink.delay = 2.5
    assert (await forked.tidings("topology", "apply", env=env)).code == 0
    await publish(env, 5)
    async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        await eventually(lambda: sink.in_hand == 5)
        worker.signal(signal.SIGTERM)
        await eventually(lambda: "stopping" in (tmp_path / "worker.log").read_text())
        worker.signal(signal.SIGTERM)
        assert await worker.ended(within=1) == 128 + signal.SIGTERM


async def test_a_worker_without_tables_says_what_to_run(env: Env, empty_database_url: str) -> None:
    finished = await tidings("worker", env={**env, "TIDINGS_DATABASE_URL": empty_database_url})
    assert finished.code == 2
    assert "tidings migrate" in finished.err
    assert "Traceback" not in finished.err


async def test_a_wrong_setting_is_named(env: Env) -> None:
    finished = await tidings("worker", env={**env, "TIDINGS_EMAIL_RETRY": "soon"})
    assert finished.code == 2
    assert "TIDINGS_EMAIL_RETRY" in finished.err
    assert "soon" in finished.err
    assert "Traceback" not in finished.err


async def test_a_worker_with_nothing_to_deliver_says_what_to_set(env: Env) -> None:
    bare = {name: value for name, value in env.items() if not name.startswith("TIDINGS_EMAIL")}
    misspelt = {"TIDINGS_EMIAL_HOST": "mx", "TIDINGS_DATABASE_URL": "postgresql://x@[::1]:1/x"}
    alone = {"TIDINGS_LOG_FORMAT": "json", "TIDINGS_IN_APP_ENABLED": "false"}
    refused = await tidings("worker", env={**bare, **misspelt, **alone})
    assert refused.code == 2
    warning, error = refused.err.splitlines()
    assert json.loads(warning)["name"] == "TIDINGS_EMIAL_HOST"
    assert json.loads(warning)["did_you_mean"] == "TIDINGS_EMAIL_HOST"
    assert "TIDINGS_EMAIL_HOST" in error


async def test_a_worker_that_starts_before_its_broker_waits_for_it(
    env: Env, sink: SmtpSink, tmp_path: Path
) -> None:
    assert (await forked.tidings("topology", "apply", env=env)).code == 0
    await publish(env, 1)
    gone = {**env, "TIDINGS_AMQP_URL": f"amqp://nobody:x@127.0.0.1:1/,{env['TIDINGS_AMQP_URL']}"}
    async with running("worker", env=gone, log=tmp_path / "worker.log"):
        await eventually(lambda: len(sink.taken) == 1)


async def test_metrics_and_health_are_served(env: Env, sink: SmtpSink, tmp_path: Path) -> None:
    async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        await publish(env, 3)
        await eventually(lambda: len(sink.taken) == 3)

        async def counted() -> bool:
            metrics = await asyncio.to_thread(worker.get, "/metrics")
            return 'tidings_attempts_total{channel="email",outcome="sent"} 3.0' in metrics

        await eventually(counted)
        assert await asyncio.to_thread(worker.get, "/healthz")
