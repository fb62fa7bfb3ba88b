"""`tidings requeue`: what is published again, what is refused and why, and who did it."""

import json
from uuid import uuid4

from tests.integration.cli.test_asking_what_happened import REJECTED, RETRY, SENT, made
from tests.support.forked import tidings

from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger import PostgresLedger
from tidings.settings import LedgerSettings


async def test_what_waits_is_published_again_by_id_and_the_rest_says_why_not(
    env: dict[str, str], database_url: str
) -> None:
    waiting, lost_dead_letter, sent = [
        await made(database_url, outcome) for outcome in (RETRY, REJECTED, SENT)
    ]
    unknown = uuid4()
    ids = [str(row) for row in (waiting, lost_dead_letter, sent, unknown)]
    tried = await tidings("requeue", *ids, "--dry-run", env=env)
    assert "Would requeue: 2 (1 failed, 1 retrying)." in tried.out
    done = await tidings("requeue", *ids, "--note", "the queue was purged", "--json", env=env)
    assert done.code == 1
    report = json.loads(done.out)
    assert {row["id"]: row["state"] for row in report["requeued"]} == {
        str(waiting): "retrying",
        str(lost_dead_letter): "failed",
    }
    assert report["refused"] == {
        str(sent): "it is sent",
        str(unknown): "there is no such notification",
    }
    async with PostgresLedger(LedgerSettings(database_url=database_url), actor="test") as ledger:
        story = await ledger.reports.show(IdPrefix.parse(str(waiting)))
        taken = await ledger.outbox.take(10, actor="scheduler")
    assert story is not None
    [change] = [row for row in story.history if not row.of_an_attempt and row.before]
    assert change.actor.startswith("cli ")
    assert change.reason == (
        "its message was lost: published again (by hand: the queue was purged)"
    )
    published = {row.id: (row.number, row.end) for row in taken}
    assert published == {waiting: (2, None), lost_dead_letter: (1, REJECTED)}


async def test_filters_take_only_what_is_late_and_nothing_is_taken_unasked(
    env: dict[str, str], database_url: str
) -> None:
    waiting = await made(database_url, RETRY)  # again in a minute
    for filters in (["--channel", "email"], ["--all"], ["--state", "retrying", "--overdue", "1m"]):
        assert (
            "Nothing to requeue." in (await tidings("requeue", *filters, "--dry-run", env=env)).out
        )
    unasked = await tidings("requeue", env=env)
    assert (unasked.code, "give ids, filters, or --all" in unasked.err) == (2, True)
    ended = await tidings("requeue", "--state", "sent", env=env)
    assert (ended.code, "wait for no message" in ended.err) == (2, True)
    async with (
        PostgresLedger(LedgerSettings(database_url=database_url), actor="test") as ledger,
        ledger.database.connection() as connection,
    ):
        await connection.execute(
            "UPDATE notifications SET updated_at = now() - interval '1 hour' WHERE id = $1",
            waiting,
        )
    done = await tidings("requeue", "--channel", "email", env=env)
    assert "Requeued: 1 (1 retrying); a running scheduler publishes them" in done.out
