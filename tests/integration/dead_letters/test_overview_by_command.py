"""`tidings overview`, `who` and `sessions`: what they print and how they end."""

import json

from tests.integration.dead_letters.conftest import Tidings
from tests.support.dead_letter_rig import DeadLetterRig, written

from tidings.operations import sessions
from tidings.operations.actor import Actor
from tidings.operations.sessions import OpenSessionRequest


async def test_overview_says_what_is_wrong_and_its_exit_code_too(
    tidings: Tidings, rig: DeadLetterRig
) -> None:
    await rig.archived(written())
    shown = await tidings("overview")
    assert shown.code == 1  # no scheduler runs
    assert "no scheduler runs" in shown.out
    assert "1 new dead letter, email rejected" in shown.out
    as_data = json.loads((await tidings("overview", "--json")).out)
    assert as_data["groups"][0]["count"] == 1
    assert as_data["statistics"]["queues"]
    own = await tidings("overview", "--tenant", "default", "--since", "24h")
    assert (own.code, "no scheduler" in own.out) == (0, False)
    fine = await tidings("overview", "--tenant", "bank")
    assert "Everything is delivering." in fine.out
    wrong = await tidings("overview", "--since", "never")
    assert wrong.code == 2


async def test_who_tells_what_a_person_got(tidings: Tidings, rig: DeadLetterRig) -> None:
    await rig.fetch(
        "INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, accepted_at,"
        " updated_at, finished_at, body, tenant) VALUES (gen_random_uuid(), 'email', 'high', 'otp', 'ada@example.com', 'sent',"
        " 0, 1, now(), now(), now(), '{}', 'shop')"
    )
    shown = await tidings("who", "ADA@example.com")
    assert shown.code == 0, shown.err
    assert "OTP by email: sent on" in shown.out
    assert "to a…@example.com, accepted now" in shown.out
    assert "ada@example.com" not in shown.out
    nobody = await tidings("who", "ada@example.com", "--tenant", "bank")
    assert (nobody.out, "Nothing was sent" in nobody.err) == ("", True)
    as_data = json.loads((await tidings("who", "ada@example.com", "--json")).out)
    assert as_data["notifications"][0]["arrived"] is True
    trail = await rig.fetch("SELECT action FROM operator_actions WHERE actor LIKE 'cli %'")
    assert {row["action"] for row in trail} == {"looked up a person"}


async def test_sessions_are_listed_and_ended(tidings: Tidings, rig: DeadLetterRig) -> None:
    assert "Nobody is signed in." in (await tidings("sessions", "list")).err
    async with rig.backend() as backend:
        request = OpenSessionRequest("jane", "shop", ["read"])
        token = await sessions.open_(backend, Actor("console", "jane"), request)
    assert "jane" in (await tidings("sessions", "list", "--tenant", "shop")).out
    (listed,) = json.loads((await tidings("sessions", "list", "--json")).out)["data"]
    ended = await tidings("sessions", "end", listed["id"], "--note", "lost laptop")
    assert "The session of jane was ended." in ended.out
    async with rig.backend() as backend:
        assert await sessions.find(backend, token) is None
    gone = await tidings("sessions", "end", listed["id"])
    assert (gone.code, "there is no such session" in gone.err) == (1, True)
