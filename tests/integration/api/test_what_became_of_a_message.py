"""Support sees whether a user had a message on the screen, read it, or threw it away: over the API and in the terminal."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.api.test_inbox import Inbox
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.forked import tidings
from tests.support.inboxes import ACTIONS, delivered
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.attempt import Lane
from tidings.delivery.states import State
from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")

SNOOZE = "UPDATE inbox_messages SET snoozed_until = now() + interval '1 day' WHERE id = $1"


class Sent(Inbox):
    """An inbox whose messages are notifications that were sent."""

    async def send(self, state: State = State.SENT, **message: Any) -> str:
        user = self.user
        body = {"subject": None, "body": None, "title": "Hello", "tenant": user.tenant}
        mail = attempt_of(channel="in_app", recipient=user.user_id, **body)
        attempt = replace(mail, lane=Lane("in_app", "normal"))
        database = self.api.backend.ledger.database
        await LedgerRig(database).put(attempt, state)
        if state is State.SENT:
            plain = {"id": attempt.id, "actions": ACTIONS}
            await delivered(database, user, {**plain, **message})
        return str(attempt.id)

    async def seen_by_support(self, id: str) -> Any:
        answer = await self.api.ask("GET", f"/v1/notifications/{id}", await self.api.key("read"))
        assert answer.status == 200
        return answer.data["inbox"]


@pytest.fixture
def inbox(api: ApiRig) -> Sent:
    return Sent(api, InboxUser("shop", f"user {uuid4().hex[:8]}"))


@pytest.mark.parametrize(
    ("verb", "more", "state", "at"),
    [
        ("seen", {}, "seen", "seen_at"),
        ("read", {}, "read", "read_at"),
        ("archive", {}, "archived", "archived_at"),
        ("snooze", {}, "snoozed", "snoozed_until"),
        ("act", {"action": "approve"}, "acted", "acted_at"),
        ("delete", {}, "deleted", "deleted_at"),
    ],
)
async def test_what_the_user_did_last_is_told_with_its_time(
    inbox: Sent, verb: str, more: dict[str, Any], state: str, at: str
) -> None:
    id = await inbox.send()
    if verb == "snooze":
        await inbox.api.execute(SNOOZE, id)
    else:
        assert (await inbox.post(verb, ids=[id], **more)).data["changed"] == 1
    inbox_state = await inbox.seen_by_support(id)
    assert (
        inbox_state["state"],
        inbox_state[at] is not None,
        inbox_state["delivered_at"] is not None,
    ) == (
        state,
        True,
        True,
    )
    assert inbox_state["action"] == more.get("action")


async def test_one_that_the_user_has_not_had_on_the_screen_is_unseen(inbox: Sent) -> None:
    id = await inbox.send()
    assert (await inbox.seen_by_support(id))["state"] == "unseen"
    why = await inbox.api.ask("GET", f"/v1/notifications/{id}/why", await inbox.api.key("read"))
    assert why.data["explanation"] == "it was delivered to its user's inbox, and is unseen there"


async def test_one_whose_time_was_up_has_expired_and_one_that_is_not_kept_is_removed(
    inbox: Sent,
) -> None:
    expired, removed = await inbox.send(), await inbox.send()
    await inbox.api.execute(
        "UPDATE inbox_messages SET expires_at = now(), deleted_at = now() WHERE id = $1", expired
    )
    await inbox.api.execute("DELETE FROM inbox_messages WHERE id = $1", removed)
    assert (await inbox.seen_by_support(expired))["state"] == "expired"
    inbox_state = await inbox.seen_by_support(removed)
    assert (inbox_state["state"], inbox_state["delivered_at"]) == ("removed", None)


async def test_one_that_was_not_delivered_and_one_of_another_channel_tell_nothing(
    inbox: Sent,
) -> None:
    assert await inbox.seen_by_support(await inbox.send(State.FAILED)) is None
    mail = attempt_of()
    await LedgerRig(inbox.api.backend.ledger.database).put(mail, State.SENT)
    assert await inbox.seen_by_support(str(mail.id)) is None


async def test_the_terminal_tells_it_too(inbox: Sent) -> None:
    id = await inbox.send()
    await inbox.post("act", ids=[id], action="approve")
    url = inbox.api.settings.ledger.database_url.get_secret_value()
    env = {"TIDINGS_DATABASE_URL": url}
    shown = (await tidings("show", id, env=env)).out
    assert "Inbox" in shown
    assert "acted: seen " in " ".join(shown.split())
    assert "acted on (approve)" in " ".join(shown.split())
    assert inbox.user.user_id not in shown
    inbox_state = json.loads((await tidings("show", id, "--json", env=env)).out)["inbox"]
    assert (inbox_state["state"], inbox_state["action"]) == ("acted", "approve")
