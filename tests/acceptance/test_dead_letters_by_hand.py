"""An operator at a terminal: something failed, find it, mend it, replay it; kill the replay, run two."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.forked import tidings
from tests.support.processes import TIDINGS, running
from tests.support.smtp_sink import SmtpSink
from tests.support.worker_rig import eventually

from tidings_events import EmailNotification, Producer

Env = dict[str, str]


@pytest.fixture
async def roles(env: Env, tmp_path: Path) -> AsyncIterator[None]:
    """Worker, scheduler and archive in one process."""
    async with running("all", env=env, log=tmp_path / "roles.log"):
        yield


async def make_dead_letter(env: Env, sink: SmtpSink, count: int) -> None:
    """Have so many notifications refused by the mail server and archived."""
    sink.refuse = b"550 5.1.1 no such user"
    async with Producer(env["TIDINGS_AMQP_URL"]) as producer:
        await producer.publish_many(
            EmailNotification(recipient=f"user-{place}@example.com", subject="Hi", body="Hello")
            for place in range(count)
        )

    async def archived() -> bool:
        return await count_of(env, "SELECT count(*) FROM dead_letters") == count

    await eventually(archived, within=30)
    sink.refuse = None


async def count_of(env: Env, query: str) -> int:
    connection = await asyncpg.connect(env["TIDINGS_DATABASE_URL"])
    try:
        found: int = await connection.fetchval(query)
    finally:
        await connection.close()
    return found


async def answer(env: Env, *arguments: str) -> object:
    """What a command says to other programs."""
    finished = await tidings(*arguments, "--json", env=env)
    assert finished.code == 0, finished
    return json.loads(finished.out)


@pytest.mark.usefixtures("roles")
async def test_from_a_failure_to_its_delivery(env: Env, sink: SmtpSink) -> None:
    await make_dead_letter(env, sink, 5)

    [group] = (await answer(env, "dead", "groups"))["data"]
    assert (group["count"], group["reason"]) == (5, "rejected")
    listed = await answer(env, "dead", "list", "--fingerprint", group["fingerprint"][:8])
    dead_letters = listed["data"]
    assert len(dead_letters) == 5
    shown = await tidings("dead", "show", dead_letters[0]["id"], env=env)
    assert shown.code == 0
    assert "550 5.1.1" in shown.out

    dry = await tidings("replay", "--all", "--dry-run", env=env)
    assert dry.code == 0
    assert "5" in dry.out
    assert sink.taken.total() == 0

    replayed = await tidings("replay", "--fingerprint", group["fingerprint"], "--yes", env=env)
    assert replayed.code == 0, replayed
    assert sink.taken.total() == len(sink.taken) == 5
    assert (await answer(env, "dead", "list"))["data"] == []

    story = await answer(env, "show", dead_letters[0]["notification_id"])
    assert story["state"] == "sent"
    assert story["epoch"] == 1


@pytest.mark.usefixtures("roles")
async def test_one_that_is_mended_is_delivered_to_where_it_was_mended_to(
    env: Env, sink: SmtpSink
) -> None:
    await make_dead_letter(env, sink, 1)
    [dead_letter] = (await answer(env, "dead", "list"))["data"]
    edited = await tidings(
        "dead",
        "edit",
        dead_letter["id"],
        "--set",
        "recipient=grace@example.com",
        "--replay",
        env=env,
    )
    assert edited.code == 0, edited
    await eventually(lambda: sink.taken.total() == 1)
    assert (
        await count_of(
            env, "SELECT count(*) FROM notifications WHERE recipient = 'grace@example.com'"
        )
        == 1
    )
    assert await count_of(env, "SELECT count(*) FROM dead_letters WHERE state = 'superseded'") == 1


@pytest.mark.usefixtures("roles")
async def test_a_canary_stops_where_too_many_fail_again(env: Env, sink: SmtpSink) -> None:
    await make_dead_letter(env, sink, 30)
    sink.refuse = b"550 5.1.1 still no such user"
    stopped = await tidings(
        "replay", "--all", "--canary", "1,5", "--stop-at", "20%", "--yes", env=env
    )
    assert stopped.code == 1
    assert await count_of(env, "SELECT count(*) FROM dead_letters WHERE state = 'replayed'") == 1
    assert sink.taken.total() == 0


@pytest.mark.usefixtures("roles")
async def test_a_replay_that_is_killed_and_two_at_once_send_each_dead_letter_once(
    env: Env, sink: SmtpSink
) -> None:
    await make_dead_letter(env, sink, 80)
    killed = await asyncio.create_subprocess_exec(
        TIDINGS,
        "replay",
        "--all",
        "--rate",
        "20/s",
        "--yes",
        env={**env, "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await eventually(lambda: len(sink.taken) > 5, within=30)
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    both = await asyncio.gather(*(tidings("replay", "--all", "--yes", env=env) for _ in range(2)))
    assert [ended.code for ended in both] == [0, 0], both
    await eventually(lambda: len(sink.taken) == 80, within=75)
    assert set(sink.taken.values()) == {1}
    assert await count_of(env, "SELECT count(*) FROM dead_letters WHERE state <> 'replayed'") == 0


async def test_a_filter_that_is_wrong_is_said_to_be(env: Env) -> None:
    finished = await tidings("dead", "list", "--since", "a while ago", env=env)
    assert finished.code == 2
    assert "24h or 7d" in finished.err
    assert "24h" in finished.err
    nothing = await tidings("replay", "--yes", env=env)
    assert nothing.code == 2
    assert "--all" in nothing.err


async def test_a_database_that_is_away_is_told_from_a_mistake(env: Env) -> None:
    finished = await tidings(
        "list", env={**env, "TIDINGS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    )
    assert finished.code == 3
    assert "Traceback" not in finished.err
