"""What is in an inbox is seen and changed by its user alone, whatever others send: ids, cursors, revisions, tokens."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import jwt
import pytest
import pytest_asyncio
from tests.integration.api.test_inbox import Inbox
from tests.support.api_rig import ApiRig
from tests.support.inboxes import ACTIONS
from tests.support.user_tokens import token_of

from tidings.api.route import Route
from tidings.api.routes import routes
from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN: Final = tuple(route for route in routes() if route.end_users)
STREAM: Final = "/v1/inbox/stream"
VICTIM: Final = "Zoë O'Hara"
SECRET: Final = "for Zoë's eyes only"
LATER: Final = "2126-01-01T00:00:00Z"
LOOKALIKES: Final = (
    *("zoë O'Hara", "ZOË O'HARA", "Zoe\u0308 O'Hara", "Zoe O'Hara", "Zoë O'Hara ", " Zoë O'Hara"),
    *("Zoë O''Hara", "Zoë O%", "%", "Zoë_O'Hara", "Zoë O'Hara' OR '1'='1", "*"),
    *("Zoë O'Hara\\", "florist Zoë O'Hara", "Zoë O\u2019Hara"),
)
STATE: Final = """
SELECT m::text AS stored FROM inbox_messages m WHERE tenant = $1 AND user_id = $2
 UNION ALL SELECT u::text FROM inbox_users u WHERE tenant = $1 AND user_id = $2 ORDER BY stored
"""


class Known:
    """What somebody has found out about the inbox of another."""

    def __init__(self, ids: list[str], cursor: str, revision: int) -> None:
        self.ids = ids
        self.cursor = cursor
        self.revision = revision


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def victim(api: ApiRig) -> Inbox:
    """Whose inbox is of interest."""
    inbox = Inbox(api, InboxUser("florist", VICTIM))
    await inbox.deliver(*({"title": SECRET, "actions": ACTIONS, "type": "zoe"} for _ in range(25)))
    return inbox


async def known_of(victim: Inbox) -> Known:
    page = (await victim.get()).data
    return Known([each["id"] for each in page["data"]], page["next_cursor"], page["revision"])


async def stored(victim: Inbox) -> list[str]:
    rows = await victim.api.fetch(STATE, victim.user.tenant, victim.user.user_id)
    return [row["stored"] for row in rows]


def requests(route: Route, known: Known) -> Iterator[dict[str, Any]]:
    """Requests to a route with what is known of the other's inbox, as parameters or body."""
    if route.method == "GET":
        yield {}
        yield {"params": {"since": 0}}
        yield {"params": {"since": known.revision - 1}}
        yield {"params": {"cursor": known.cursor}}
        yield {"params": {"type": "zoe", "text": SECRET}}
        yield {"params": {"user_id": VICTIM, "tenant": "florist"}}
        return
    if route.path.endswith("/counts"):
        yield {"json": {"filters": [{"type": ["zoe"]}, {"text": SECRET}]}}
        return
    more = {"snooze": {"until": LATER}, "act": {"action": ACTIONS[0]["id"]}}
    of_verb: Any = more.get(route.path.rpartition("/")[2], {})
    yield {"json": {"ids": known.ids, **of_verb}}
    yield {"json": {"up_to": 2**60, **of_verb}}
    yield {"json": {"up_to": known.revision, "filter": {"type": ["zoe"]}, **of_verb}}
    yield {"json": {"ids": known.ids, "user_id": VICTIM, "tenant": "florist", **of_verb}}


@pytest.mark.parametrize(
    ("tenant", "user"),
    [("florist", "somebody"), ("default", VICTIM), ("florist-2", VICTIM), *(("florist", each) for each in LOOKALIKES)],
)  # fmt: skip
async def test_no_route_shows_or_changes_anything_of_anothers_inbox(
    api: ApiRig, victim: Inbox, tenant: str, user: str
) -> None:
    other, known, before = (
        Inbox(api, InboxUser(tenant, user)),
        await known_of(victim),
        await stored(victim),
    )
    await other.deliver({"title": "My own", "actions": ACTIONS})
    walked = [route for route in OWN if route.path != STREAM]
    assert len(walked) > 12
    for route in walked:
        for id in known.ids[:1] if "{id}" in route.path else [""]:
            for how in requests(route, known):
                path = route.path.replace("{id}", id)
                answer = await api.ask(route.method, path, other.token, **how)
                shown = answer.body.decode()
                assert answer.status < 500
                assert SECRET not in shown
                assert "zoe" not in shown or answer.status == 422
                if answer.status == 200:
                    assert not any(each in shown for each in known.ids)
                    assert answer.data.get("changed", 0) <= 1
                if route.path == "/v1/inbox/counts":
                    assert answer.data["counts"] == [0, 0]
    assert await stored(victim) == before


async def test_a_stream_of_another_tells_nothing(api: ApiRig, victim: Inbox) -> None:
    known = await known_of(victim)
    for tenant, user in (("florist", "streamer"), ("default", VICTIM)):
        headers = {"Authorization": f"Bearer {token_of(user, tenant)}"}
        async with api.session.get(f"{STREAM}?since=0", headers=headers) as reply:
            event = await asyncio.wait_for(reply.content.readuntil(b"\n\n"), 5)
        assert SECRET.encode() not in event
        assert not any(id.encode() in event for id in known.ids)


async def test_a_cursor_is_of_one_user_and_one_filter(api: ApiRig, victim: Inbox) -> None:
    cursor = (await known_of(victim)).cursor
    assert (await victim.get(cursor=cursor)).status == 200
    others = [
        Inbox(api, InboxUser("default", VICTIM)),
        Inbox(api, InboxUser("florist", "zoë O'Hara")),
    ]
    for inbox in others:
        answer = await inbox.get(cursor=cursor)
        assert (answer.status, answer.data["errors"][0]["parameter"]) == (422, "cursor")
    assert (await victim.get(cursor=cursor, unread="true")).status == 422


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.evil.example"},
        {"aud": "another"},
        {"aud": None},
        {"secret": "another secret of thirty-two bytes"},
        {"tenant": "Florist"},
        {"tenant": "*"},
        {"tenant": None, "sub": ""},
        {"tenant": ["florist"]},
        {"exp": 1_000_000_000},
        {"sub": f"{VICTIM}\n"},
        {"sub": f"{VICTIM}\0"},
    ],
    ids=str,
)
async def test_a_token_that_proves_nothing_opens_no_inbox(
    api: ApiRig, victim: Inbox, claims: dict[str, Any]
) -> None:
    token = token_of(**{"user": VICTIM, "tenant": "florist", **claims})
    for route in OWN:
        answer = await api.ask(route.method, route.path.replace("{id}", str(uuid4())), token)
        assert (route.path, answer.status) == (route.path, 401)
        assert SECRET not in answer.body.decode()


async def test_a_token_that_nobody_signed_opens_no_inbox(api: ApiRig) -> None:
    signed = token_of(VICTIM, "florist")
    claims = jwt.decode(signed, options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", "none")
    _, body, signature = signed.split(".")
    header, *_ = jwt.encode({}, "x" * 64, "HS512").split(".")
    for token in (unsigned, f"{unsigned}{signature}", f"{header}.{body}.{signature}"):
        assert (await api.ask("GET", "/v1/inbox", token)).status == 401


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_", "'", '"; DROP TABLE inbox_messages; --'])
async def test_what_is_searched_for_is_taken_as_it_is_written(api: ApiRig, text: str) -> None:
    inbox = Inbox(api, InboxUser("florist", f"searcher {uuid4().hex}"))
    _, with_text, in_body = await inbox.deliver(
        {"title": "Plain"}, {"title": f"An {text} in it"}, {"body": f"{text.upper()}…"}
    )
    assert await inbox.ids(text=text) == [in_body, with_text]
    assert json.loads((await inbox.get(text="x" * 101)).body)["status"] == 422
