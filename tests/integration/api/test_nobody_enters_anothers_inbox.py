"""Ids, cursors, revisions, tickets and tokens of one user are of no use in the inbox of another, nor in that of another tenant."""

import asyncio
import base64
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from tests.support.api_rig import Answer, ApiRig, serving
from tests.support.inboxes import delivered
from tests.support.live_clients import following, socket, streaming
from tests.support.user_tokens import token_of
from websockets.exceptions import ConnectionClosed

from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = [
    *(
        "%",
        "_",
        "a%",
        "a_c",
        "abc",
        "ABC",
        "abc ",
        " abc",
        "\\",
        "\\%",
        "a\\",
        "/",
        "../abc",
        "a/b",
        "?",
        "#",
    ),
    *(
        "'",
        "''",
        '"',
        "'; DROP TABLE inbox_users; --",
        "$1",
        "{abc}",
        "%(abc)s",
        "abc,abc",
        "default",
        "*",
    ),
    *("null", "0", "ä", "a\u0308", "𝒶𝒷𝒸", "Ⅷ", "ß", "ss", "İ", "i", "🚀", "x" * 255),
]
"""Ids of users, no two of them the same."""


def headers(user: InboxUser) -> str:
    return token_of(user.user_id, user.tenant)


async def titles(api: ApiRig, user: InboxUser, **query: str) -> list[str]:
    answer = await api.ask("GET", "/v1/inbox", headers(user), params=query)
    assert answer.status == 200, answer.data
    return [message["title"] for message in answer.data["data"]]


async def post(api: ApiRig, user: InboxUser, path: str, **body: Any) -> Answer:
    return await api.ask("POST", f"/v1/inbox/{path}", headers(user), json=body)


async def two_of(api: ApiRig) -> tuple[InboxUser, InboxUser, list[str], list[str]]:
    """Users with the same id in two tenants, and the ids of two messages of each."""
    name, database = f"user-{uuid4()}", api.backend.ledger.database
    users = InboxUser("shop", name), InboxUser("other", name)
    ids = [await delivered(database, user, {"title": f"1 {user.tenant}"}, {}) for user in users]
    return *users, *([str(id) for id in each] for each in ids)  # type: ignore[return-value]


async def test_an_odd_id_names_one_user_and_nobody_whose_id_is_like_it(api: ApiRig) -> None:
    users = [InboxUser(tenant, name) for tenant in ("shop", "other") for name in ODD]
    assert len(set(users)) == len(users)
    for user in users:
        title = {"title": f"for {user}"[:200]}
        await delivered(api.backend.ledger.database, user, title)
    for user in users:
        assert await titles(api, user) == [f"for {user}"[:200]]
        counted = await api.ask("GET", "/v1/inbox/unread-count", headers(user))
        assert counted.data["unread"] == 1
    for user in users:
        assert (await post(api, user, "read", up_to=1)).data["changed"] == 1


async def test_an_odd_id_opens_its_own_live_connection(api: ApiRig) -> None:
    users = [InboxUser("live", f"{name}-live"[:255]) for name in ODD]
    for user in users:
        await delivered(api.backend.ledger.database, user, {"title": f"for {user}"[:200]})
    for user in users:
        async with following(api.api.port, user.user_id, user.tenant, since=0) as client:
            shown = [message["title"] for message in (await client.next())["data"]]
        assert shown == [f"for {user}"[:200]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", ["100% wool"]),
        ("_", ["under_score"]),
        ("100%", ["100% wool"]),
        ("\\", ["back\\slash"]),
        ("'", ["it's"]),
        ("' OR '1'='1", []),
        ("UNDER", ["under_score"]),
        ("%'; --", []),
        (".*", []),
    ],
)
async def test_a_text_is_searched_for_as_it_is_written(
    api: ApiRig, text: str, found: list[str]
) -> None:
    user = InboxUser("default", f"user-{uuid4()}")
    words = ["100% wool", "under_score", "back\\slash", "it's", "plain"]
    await delivered(api.backend.ledger.database, user, *({"title": word} for word in words))
    assert await titles(api, user, text=text) == found
    counted = await post(api, user, "counts", filters=[{"text": text}])
    assert counted.data["counts"] == [len(found)]
    marked = await post(api, user, "archive", up_to=99, filter={"text": text})
    assert marked.data["changed"] == len(found)


@pytest.mark.parametrize("value", ["%", "' OR ''='", "message' --", "{message}", "message,order"])
async def test_a_filter_matches_whole_values(api: ApiRig, value: str) -> None:
    user = InboxUser("default", f"user-{uuid4()}")
    entity = {"entity_type": "order", "entity_id": "1"}
    await delivered(api.backend.ledger.database, user, entity)
    for name in ("type", "category", "severity", "entity_type", "entity_id"):
        assert await titles(api, user, **{name: value}) == []


async def test_ids_of_others_are_neither_shown_nor_marked(api: ApiRig) -> None:
    hers, of_other_tenant, ids, others = await two_of(api)
    assert (await api.ask("GET", f"/v1/inbox/messages/{others[0]}", headers(hers))).status == 404
    more = {"snooze": {"until": "2027-06-01T00:00:00Z"}, "act": {"action": "track"}}
    for verb in ("read", "seen", "archive", "snooze", "unarchive", "unsnooze", "act", "delete"):
        answer = await post(api, hers, verb, ids=others, **more.get(verb, {}))
        unknown = await post(api, hers, verb, ids=[str(uuid4())], **more.get(verb, {}))
        assert answer.status == 200
        assert (
            answer.data
            == unknown.data
            == {
                "revision": 2,
                "counts": {"unread": 2, "unseen": 2},
                "changed": 0,
            }
        )
    mixed = await post(api, hers, "read", ids=[ids[0], *others])
    assert (mixed.data["changed"], mixed.data["revision"]) == (1, 3)
    rest = await api.ask("GET", "/v1/inbox?since=0", headers(of_other_tenant))
    assert [it["read_at"] for it in rest.data["data"]] == [None, None]
    assert rest.data["revision"] == 2


async def test_marking_everything_marks_nothing_of_others(api: ApiRig) -> None:
    hers, of_other_tenant, *_ = await two_of(api)
    assert (await post(api, hers, "delete", up_to=2**63 - 1)).data["changed"] == 2
    assert len(await titles(api, of_other_tenant)) == 2


async def test_a_cursor_is_of_use_in_its_own_list_only(api: ApiRig) -> None:
    hers, of_other_tenant, *_ = await two_of(api)
    page = await api.ask("GET", "/v1/inbox", headers(hers), params={"limit": "1"})
    cursor = page.data["next_cursor"]
    assert await titles(api, hers, cursor=cursor) == ["1 shop"]
    flipped = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    forged = base64.urlsafe_b64encode(b"9223372036854775807").decode()
    tries = [
        (of_other_tenant, {"cursor": cursor}),
        (InboxUser("shop", f"{hers.user_id}x"), {"cursor": cursor}),
        (hers, {"cursor": cursor, "unread": "true"}),
        (hers, {"cursor": flipped}),
        (hers, {"cursor": forged}),
        (hers, {"cursor": ""}),
        (hers, {"cursor": "1"}),
        (hers, {"cursor": "' OR 1=1"}),
    ]
    for user, query in tries:
        answer = await api.ask("GET", "/v1/inbox", headers(user), params=query)
        assert answer.status == 422, (query, answer.data)


async def test_a_revision_of_another_inbox_brings_a_reset_and_nothing_of_it(api: ApiRig) -> None:
    hers, *_ = await two_of(api)
    stranger = InboxUser("shop", f"user-{uuid4()}")
    await delivered(api.backend.ledger.database, stranger, {}, {}, {}, {}, {})
    answer = await api.ask("GET", "/v1/inbox?since=5", headers(hers))
    assert (answer.data["reset"], answer.data["data"]) == (True, [])
    async with following(api.api.port, hers.user_id, hers.tenant, since=5) as client:
        assert await client.next() == {
            "type": "reset",
            "revision": 2,
            "counts": {"unread": 2, "unseen": 2},
        }


async def test_a_connection_goes_on_with_no_other_users_token(api: ApiRig) -> None:
    hers, of_other_tenant, *_ = await two_of(api)
    for other in (of_other_tenant, InboxUser(hers.tenant, "somebody else")):
        async with following(api.api.port, hers.user_id, hers.tenant) as client:
            await client.next()
            await client.send(type="token", token=headers(other))
            assert await client.closed() == 4401


async def test_a_change_goes_to_the_connections_of_its_own_user_only(api: ApiRig) -> None:
    hers, of_other_tenant, *_ = await two_of(api)
    async with (
        following(api.api.port, hers.user_id, hers.tenant, since=2) as here,
        following(api.api.port, of_other_tenant.user_id, of_other_tenant.tenant, since=2) as there,
        streaming(api.session, headers(of_other_tenant)) as stream,
    ):
        await here.next()
        await there.next()
        await stream.next()
        await delivered(api.backend.ledger.database, of_other_tenant, {"title": "theirs"})
        assert [it["title"] for it in (await there.next())["data"]] == ["theirs"]
        assert [it["title"] for it in (await stream.next())["data"]["data"]] == ["theirs"]
        await delivered(api.backend.ledger.database, hers, {"title": "hers"})
        assert [it["title"] for it in (await here.next())["data"]] == ["hers"]


async def test_revoking_a_users_tokens_leaves_the_one_of_another_tenant_alone(api: ApiRig) -> None:
    hers, of_other_tenant, *_ = await two_of(api)
    key = await api.key("operate")
    async with (
        following(api.api.port, hers.user_id, hers.tenant) as here,
        following(api.api.port, of_other_tenant.user_id, of_other_tenant.tenant) as there,
    ):
        await here.next()
        await there.next()
        path = f"/v1/users/{quote(hers.user_id)}/revoke-tokens?tenant={hers.tenant}"
        assert (await api.ask("POST", path, key)).status == 200
        assert await here.closed() == 4403
        await delivered(api.backend.ledger.database, of_other_tenant, {"title": "goes on"})
        assert [it["title"] for it in (await there.next())["data"]] == ["goes on"]


async def test_a_ticket_is_of_use_once_however_many_take_it_at_the_same_instant(
    api: ApiRig,
) -> None:
    user = InboxUser("default", f"user-{uuid4()}")
    async with serving(api.settings) as other:
        ports = (api.api.port, other.api.port)

        async def opened(ticket: str, number: int, start: asyncio.Event) -> str:
            async with socket(ports[number % 2]) as client:
                await start.wait()
                await client.send(type="start", ticket=ticket)
                try:
                    return str((await client.next())["type"])
                except ConnectionClosed as closed:
                    return str(closed.rcvd and closed.rcvd.code)

        for _ in range(5):
            answer = await api.ask("POST", "/v1/inbox/tickets", headers(user))
            start = asyncio.Event()
            async with AsyncExitStack() as stack:
                stack.callback(start.set)
                tries = [
                    asyncio.create_task(opened(answer.data["ticket"], number, start))
                    for number in range(6)
                ]
                await asyncio.sleep(0.05)  # all are connected
            assert Counter(await asyncio.gather(*tries)) == {"reset": 1, "4401": 5}
