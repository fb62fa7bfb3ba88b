"""`tidings inbox show`: what became of a user's messages, whose content nobody else reads."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.forked import tidings
from tests.support.inboxes import delivered

from tidings.ledger import PostgresLedger
from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import LedgerSettings

ADA = InboxUser("shop", "ada")


@pytest.fixture
async def filled(env: dict[str, str]) -> dict[str, str]:
    """Ada has four messages, one of each fate; another tenant's Ada has one. Their ids by title."""
    titles = ("Seen", "Archived", "Deleted", "Snoozed")
    settings = LedgerSettings.model_validate({"database_url": env["TIDINGS_DATABASE_URL"]})
    async with PostgresLedger(settings, actor="test") as ledger:
        await delivered(ledger.database, InboxUser("default", "ada"), {"title": "Another's"})
        ids = await delivered(ledger.database, ADA, *({"title": title} for title in titles))
        seen, archived, deleted, snoozed = ids
        marks = (
            ("seen_at = now()", seen),
            ("archived_at = now()", archived),
            ("title = NULL, deleted_at = now()", deleted),
            ("snoozed_until = now() + interval '1 hour'", snoozed),
        )
        async with ledger.database.transaction() as connection:
            for revision, (change, id) in enumerate(marks, 5):
                await connection.execute(
                    f"UPDATE inbox_messages SET {change}, revision = $2 WHERE id = $1",  # noqa: S608
                    id,
                    revision,
                )
            await connection.execute("UPDATE inbox_users SET revision = 8 WHERE tenant = 'shop'")
    return dict(zip(titles, map(str, ids), strict=True))


async def test_support_sees_what_became_of_each_message_and_none_of_its_content(
    env: dict[str, str], filled: dict[str, str]
) -> None:
    done = await tidings("inbox", "show", "ada", "--tenant", "shop", env=env)
    assert done.code == 0, done.err
    first, _, *rows = done.out.splitlines()
    assert first == "1 unread message, 0 of them unseen; revision 8."
    states = [row.split()[0] for row in rows]
    assert states == ["snoozed", "deleted", "archived", "seen"]
    assert [id for id in filled.values() if id not in done.out] == []
    for title in (*filled, "Another's"):
        assert title not in done.out


async def test_its_json_has_the_times(env: dict[str, str], filled: dict[str, str]) -> None:
    typed = ("inbox", "show", "ada", "--tenant", "shop", "--limit", "1", "--json")
    view: dict[str, Any] = json.loads((await tidings(*typed, env=env)).out)
    assert (view["user"], view["tenant"], view["revision"]) == ("ada", "shop", 8)
    assert view["counts"] == {"unread": 1, "unseen": 0}
    [message] = view["messages"]
    assert (message["id"], message["state"]) == (filled["Snoozed"], "snoozed")
    ahead = datetime.fromisoformat(message["snoozed_until"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead < timedelta(hours=1)
    assert {"title", "body", "data", "action_url"} & message.keys() == set()


async def test_it_says_if_nothing_was_ever_delivered(env: dict[str, str]) -> None:
    done = await tidings("inbox", "show", "nobody", env=env)
    assert (done.code, done.out) == (0, "")
    assert done.err == "Nothing was ever delivered to the inbox of nobody, tenant default.\n"
    done = await tidings("inbox", "show", "ada", "--tenant", "Shop", env=env)
    assert (done.code, "--tenant" in done.err) == (2, True)
