"""`tidings reschedule`: an instant, a local time, and what is refused."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from tests.support.attempts import attempt_of
from tests.support.forked import tidings
from tests.support.ledger_rig import LedgerRig, request_of, settings_of

from tidings.ledger.database import PostgresDatabase


async def test_a_scheduled_notification_is_sent_at_another_time(
    env: dict[str, str], database_url: str
) -> None:
    now = datetime.now(UTC)
    attempt = attempt_of(scheduled_at=(now + timedelta(hours=1)).isoformat())
    async with PostgresDatabase(settings_of(database_url)) as database:
        await LedgerRig(database).claim(request_of(attempt))
    id_, local = str(attempt.id), f"{now + timedelta(days=2):%Y-%m-%d}T02:30"
    as_json = ("--note", "moved", "--json")
    done = await tidings(
        "reschedule", id_, "--at", local, "--zone", "Asia/Kolkata", *as_json, env=env
    )
    view = json.loads(done.out)
    assert (view["state"], view["scheduled_at"]) == ("scheduled", f"{local}:00+05:30")
    assert (view["timezone"], view["adjustment"]) == ("Asia/Kolkata", None)
    assert (
        datetime.fromisoformat(view["previous_scheduled_at"]) == attempt.notification.scheduled_at
    )
    relative = await tidings("reschedule", id_, "--at", "2h", env=env)
    assert f"Rescheduled {id_}: due " in relative.out
    assert "in 1h 59m" in relative.out or "in 2h" in relative.out
    shown = json.loads((await tidings("show", id_, "--json", env=env)).out)
    assert [row["reason"][:11] for row in shown["history"] if row["before"]] == ["rescheduled"] * 2
    assert all(row["actor"].startswith("cli ") for row in shown["history"] if row["before"])
    past, zoneless, misspelt = await asyncio.gather(
        tidings("reschedule", id_, "--at", "2020-01-01T00:00Z", env=env),
        tidings("reschedule", id_, "--at", "2027-01-01T00:00", env=env),
        tidings("reschedule", id_, "--at", local, "--zone", "Berlin", env=env),
    )
    assert (past.code, "has passed" in past.err, "--at" in past.err) == (2, True, True)
    assert (zoneless.code, "has no offset" in zoneless.err) == (2, True)
    assert (misspelt.code, "Europe/Berlin" in misspelt.err, "--zone" in misspelt.err) == (
        *(2, True, True),
    )
    await tidings("cancel", id_, "--note", "mistake", env=env)
    ended = await tidings("reschedule", id_, "--at", "2h", env=env)
    assert (ended.code, "it has ended as cancelled" in ended.err) == (1, True)
