"""`tidings audit`, as installed: a sound ledger passes, and each rule broken on purpose is told."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.integration.cli.test_asking_what_happened import REJECTED, RETRY, SENT, made
from tests.support.forked import tidings

Env = dict[str, str]


async def change(url: str, statement: str, *parameters: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *parameters)
    finally:
        await connection.close()


async def verify(env: Env, *arguments: str) -> tuple[int, dict[str, Any]]:
    finished = await tidings("audit", "--json", *arguments, env=env)
    return finished.code, json.loads(finished.out)


def rules(found: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in found["violations"]]


async def test_a_sound_ledger_passes_and_a_journal_is_found_in_it(
    env: Env, database_url: str, tmp_path: Path
) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    ids = [await made(database_url, SENT), await made(database_url, RETRY, SENT)]
    journal = tmp_path / "confirmed.txt"
    unroutable = uuid4()
    journal.write_text(f'{ids[0]} a note\n{{"id": "{ids[1]}"}}\n\n{unroutable}\n')
    await change(
        database_url,
        "INSERT INTO dead_letters (id, notification_id, reason, kind, message, fingerprint, "
        "first_failed_at, last_failed_at, body) "
        "VALUES ($1, $1, 'unroutable', 'unroutable', 'no lane', 'x', now(), now(), '')",
        unroutable,
    )
    code, found = await verify(env, "--journal", str(journal), "--require-idle")
    assert (code, found["violations"], found["passed"]) == (0, [], True)
    assert found["states"] == {"sent": 2}
    assert found["journal"] == {"states": {"sent": 2}, "dead_letters": 1, "unknown": 0}
    output = await tidings("audit", "--journal", str(journal), env=env)
    assert output.code == 0
    assert output.out.endswith("\n✓ every rule holds\n")


async def test_a_channel_that_is_paused_while_messages_wait_in_it_is_told_and_is_no_loss(
    env: Env,
) -> None:
    await tidings("topology", "apply", env=env)
    await tidings("channels", "pause", "email", env=env)
    assert "paused" not in (await tidings("audit", env=env)).out
    published = await tidings(
        "publish", "email", "--to", "jane@example.com", "--subject", "x", "--body", "y", env=env
    )
    assert published.code == 0, published.err
    async with asyncio.timeout(20):  # the management API's numbers come late
        while "paused" not in (output := await tidings("audit", env=env)).out:
            await asyncio.sleep(0.2)
    assert output.code == 0
    assert re.search(r"! email was paused .* \(cli .*\); 1 message in its queues", output.out)
    code, found = await verify(env)
    assert (code, len(found["stalled"]), found["violations"]) == (0, 1, [])


async def test_dead_letters_without_an_id_are_counted_and_may_be_what_the_journal_misses(
    env: Env, database_url: str, tmp_path: Path
) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    statement = (
        "INSERT INTO dead_letters (id, notification_id, reason, kind, message, fingerprint, "
        "first_failed_at, last_failed_at, body) "
        "VALUES ($1, $2, 'malformed', 'malformed', 'unknown field', 'x', now(), now(), '')"
    )
    named, never, also = uuid4(), uuid4(), uuid4()
    await change(database_url, statement, uuid4(), named)
    await change(database_url, statement, uuid4(), None)
    journal = tmp_path / "confirmed.txt"
    journal.write_text(f"{named}\n{never}\n")
    code, found = await verify(env, "--journal", str(journal))
    assert (code, found["dead_letters_without_id"], found["violations"]) == (3, 1, [])
    assert found["journal"] == {"states": {}, "dead_letters": 1, "unknown": 1}
    assert str(never) in found["unchecked"][0]
    assert "may be among the 1 dead letters without an id" in found["unchecked"][0]
    journal.write_text(f"{named}\n{never}\n{also}\n")
    code, found = await verify(env, "--journal", str(journal))
    assert code == 1
    assert [finding["count"] for finding in found["violations"]] == [1]
    counted = await tidings("audit", "--journal", str(journal), env=env)
    assert "In the journal, not in the ledger: 2\n" in counted.out
    assert "not read by a worker yet" not in counted.out
    output = await tidings("audit", env=env)
    assert "without a readable id: 1" in output.out


async def test_what_is_lost_or_cannot_be_is_told_with_an_example(
    env: Env, database_url: str, tmp_path: Path
) -> None:
    """A message that vanished, a dead letter that vanished, a lease nobody took over, and impossible rows."""
    assert (await tidings("topology", "apply", env=env)).code == 0
    vanished, unarchived, held, unsent, jumped = [
        await made(database_url, outcome) for outcome in (RETRY, REJECTED, RETRY, SENT, SENT)
    ]
    await change(
        database_url,
        "UPDATE notifications SET state = 'sending', lease_holder = 'x', "
        "lease_until = now() - interval '1 h' WHERE id = $1",
        held,
    )
    await change(database_url, "DELETE FROM attempts WHERE notification_id = $1", unsent)
    await change(
        database_url,
        "INSERT INTO transitions (notification_id, epoch, before, after, actor, reason) "
        "VALUES ($1, 0, 'cancelled', 'sending', 'nobody', 'nothing')",
        jumped,
    )
    await change(database_url, "UPDATE notifications SET updated_at = now() - interval '1 h'")
    never = uuid4()
    journal = tmp_path / "confirmed.txt"
    journal.write_text(f"{vanished}\n{never}\n")
    code, found = await verify(env, "--journal", str(journal))
    assert code == 1
    expected = {
        "lease expired": 1,
        "in progress, but no message": 2,
        "dead letter is missing": 1,
        "no attempt of its epoch was sent": 1,
        "from cancelled to sending": 1,
        "neither in the ledger nor in a lane": 1,
    }
    for rule, count in expected.items():
        assert [finding["count"] for finding in found["violations"] if rule in finding["rule"]] == [
            count
        ], rule
    assert len(found["violations"]) == len(expected), rules(found)
    output = {example for finding in found["violations"] for example in finding["examples"]}
    assert {str(unarchived), str(unsent), str(jumped), str(never)} <= output


@pytest.mark.parametrize(
    ("ruin", "rule"),
    [
        ("SET finished_at = NULL", "without an end time"),
        ("SET state = 'failed'", "no attempt or dead letter led to that state"),
        ("SET state = 'cancelled'", "its history names no actor"),
        ("SET state = 'sending', finished_at = NULL", "without a lease"),
        ("SET state = 'retrying', finished_at = NULL", "no attempt of its epoch failed"),
        ("SET state = 'scheduled', finished_at = NULL", "without a time to publish"),
        (
            "SET state = 'queued', finished_at = NULL, dispatch_at = now() - interval '5 m'",
            "is a scheduler running",
        ),
    ],
)
async def test_each_rule_finds_the_row_that_breaks_it(
    database_url: str, ruin: str, rule: str
) -> None:
    found = await _violations(database_url)
    assert found == {}
    id = await made(database_url, SENT)
    await change(database_url, f"UPDATE notifications {ruin}")  # the test's own
    found = await _violations(database_url)
    assert [examples for name, examples in found.items() if rule in name] == [(str(id),)], found


async def test_two_attempts_that_both_ended_an_epoch_are_found(database_url: str) -> None:
    id = await made(database_url, RETRY, SENT)
    await change(database_url, "UPDATE attempts SET state = 'sent'")
    assert (await _violations(database_url))[
        "ended by more than one attempt of the same epoch"
    ] == (str(id),)


async def test_where_the_queues_cannot_be_seen_it_says_so_and_exits_with_3(
    env: Env, database_url: str
) -> None:
    await made(database_url, SENT)
    blind = {**env, "TIDINGS_MANAGEMENT_URL": "http://tidings:hunter2@127.0.0.1:1"}
    code, found = await verify(blind)
    assert (code, found["passed"], found["violations"]) == (3, False, [])
    assert "hunter2" not in json.dumps(found)
    output = await tidings("audit", env=blind)
    assert "✓ every rule that could be checked holds" in output.out
    assert "! the queues could not be read" in output.err
    assert "! not checked: every notification in progress has a message in a queue\n" in output.err
    assert "journal" not in output.err
    nowhere = {**env, "TIDINGS_DATABASE_URL": "postgresql://tidings@127.0.0.1:1/tidings"}
    assert (await tidings("audit", env=nowhere)).code == 3


async def test_a_journal_without_an_id_is_refused_with_its_line(env: Env, tmp_path: Path) -> None:
    journal = tmp_path / "journal.txt"
    journal.write_text(f"{UUID(int=7)}\nhello\n")
    finished = await tidings("audit", "--journal", str(journal), env=env)
    assert finished.code == 1
    assert "line 2" in finished.err


async def _violations(url: str) -> dict[str, tuple[str, ...]]:
    from datetime import UTC, datetime

    from tidings.ledger import PostgresLedger
    from tidings.settings import LedgerSettings

    async with PostgresLedger(LedgerSettings(database_url=url), actor="test") as ledger:
        sound = await ledger.audit.examine(datetime(2000, 1, 1, tzinfo=UTC), 20)
    return {finding.rule: finding.examples for finding in sound.violations}
