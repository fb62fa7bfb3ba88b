"""How a live connection begins: by whose token or ticket, from which revision, and what is refused with which code."""

import json
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.inboxes import delivered
from tests.support.live_clients import LiveClient, following, socket, streaming
from tests.support.user_tokens import token_of
from tests.support.worker_rig import eventually
from websockets.exceptions import InvalidStatus

from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "/v1/inbox/ws"


def somebody() -> str:
    return f"user-{uuid4()}"


async def ticket_of(api: ApiRig, token: str) -> str:
    answer = await api.ask("POST", "/v1/inbox/tickets", token)
    assert answer.status == 201
    return str(answer.data["ticket"])


async def test_the_token_alone_says_whose_inbox_it_is(api: ApiRig) -> None:
    user = somebody()
    await delivered(api.backend.ledger.database, InboxUser("shop", user), {"title": "hers"})
    async with (
        following(api.api.port, user, "shop", since=0) as hers,
        following(api.api.port, user, "other", since=0) as of_another_tenant,
        following(api.api.port, somebody(), "shop", since=0) as of_another_user,
    ):
        assert [it["title"] for it in (await hers.next())["data"]] == ["hers"]
        assert (await of_another_tenant.next())["data"] == []
        assert (await of_another_user.next())["data"] == []


async def test_a_ticket_opens_one_connection_and_no_second(api: ApiRig) -> None:
    user = somebody()
    await delivered(api.backend.ledger.database, InboxUser("default", user), {}, {})
    ticket = await ticket_of(api, token_of(user))
    async with socket(api.api.port) as client:
        await client.send(type="start", ticket=ticket, since=1)
        assert [it["revision"] for it in (await client.next())["data"]] == [2]
    async with socket(api.api.port) as again:
        await again.send(type="start", ticket=ticket)
        assert await again.closed() == 4401


async def test_a_ticket_in_the_address_needs_no_first_frame(api: ApiRig) -> None:
    ticket = await ticket_of(api, token_of(somebody()))
    async with socket(api.api.port, f"{START}?ticket={ticket}&since=0") as client:
        assert (await client.next())["type"] == "changes"


async def test_a_ticket_is_not_valid_after_half_a_minute(api: ApiRig) -> None:
    ticket = await ticket_of(api, token_of(somebody()))
    await api.execute("UPDATE inbox_tickets SET expires_at = now() - interval '1 ms'")
    async with socket(api.api.port, f"{START}?ticket={ticket}") as client:
        assert await client.closed() == 4401


async def test_nothing_that_opens_a_connection_is_stored_as_it_is(api: ApiRig) -> None:
    ticket = await ticket_of(api, token_of(somebody()))
    rows = await api.fetch("SELECT encode(hash, 'escape') AS hash, user_id FROM inbox_tickets")
    assert rows
    assert ticket not in str(rows)


async def test_a_ticket_lasts_no_longer_than_the_token_it_was_issued_for(api: ApiRig) -> None:
    token = token_of(somebody(), exp=int(time.time()) - 29)
    ticket = await ticket_of(api, token)
    async with socket(api.api.port, f"{START}?ticket={ticket}") as client:
        assert (await client.next())["type"] == "reset"
        assert await client.closed() == 4410


async def test_a_server_sends_its_token_in_the_header(api: ApiRig) -> None:
    headers = {"Authorization": f"Bearer {token_of(somebody())}"}
    async with socket(api.api.port, f"{START}?since=0", additional_headers=headers) as client:
        assert (await client.next())["revision"] == 0


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "null",
        "[" * 10_000,
        '{"type":"hello"}',
        '{"type":"start","token":1}',
        '{"type":"start","token":"a","ticket":"b"}',
        '{"type":"start","token":"a","more":1}',
        '{"type":"start","token":"a","since":-1}',
        '{"type":"start","token":"a","since":"7"}',
        '{"type":"start","token":"a","since":1.5}',
        '{"type":"start","token":"a","since":true}',
        '{"type":"start","token":"a","since":9223372036854775808}',
        '{"type":"start","token":"' + "a" * 20_000 + '"}',
        b'{"type":"start","token":"a"}',
    ],
    ids=lambda frame: str(frame[:60]),
)
async def test_what_is_no_start_closes_the_connection(api: ApiRig, frame: str | bytes) -> None:
    async with socket(api.api.port) as client:
        await client.connection.send(frame)
        assert await client.closed() == 4400


@pytest.mark.parametrize("since", ["-1", "1.5", "seven", "", "9223372036854775808", "٣"])
async def test_a_revision_in_the_address_that_is_none_is_refused(api: ApiRig, since: str) -> None:
    headers = {"Authorization": f"Bearer {token_of(somebody())}"}
    async with socket(api.api.port, f"{START}?since={since}", additional_headers=headers) as client:
        assert await client.closed() == 4400
    answer = await api.ask("GET", f"/v1/inbox/stream?since={since}", token_of(somebody()))
    assert answer.status == 422
    latin = since.encode("utf-8").decode("latin-1")
    answer = await api.ask(
        "GET", "/v1/inbox/stream", token_of(somebody()), headers={"Last-Event-ID": latin or "x"}
    )
    assert answer.status == 422


@pytest.mark.parametrize(
    "start",
    [
        {},
        {"token": ""},
        {"token": "a.b.c"},
        {"token": "é.é.é"},
        {"token": token_of("u", secret="x" * 32)},
        {"token": token_of("u", exp=1)},
        {"token": token_of("u", aud="somebody else")},
        {"ticket": "it_" + "a" * 43},
        {"ticket": "nonsense"},
    ],
    ids=[
        *("nothing", "empty", "no token", "no ASCII", "another secret", "expired"),
        *("another audience", "unknown ticket", "no ticket"),
    ],
)
async def test_what_proves_nothing_closes_the_connection(
    api: ApiRig, start: dict[str, str]
) -> None:
    async with socket(api.api.port) as client:
        await client.send(type="start", **start)
        assert await client.closed() == 4401


async def test_an_api_key_opens_no_inbox(api: ApiRig) -> None:
    key = await api.key()
    async with socket(
        api.api.port, additional_headers={"Authorization": f"Bearer {key}"}
    ) as client:
        assert await client.closed() == 4401
    async with socket(api.api.port) as client:
        await client.send(type="start", token=key)
        assert await client.closed() == 4401
    assert (await api.ask("GET", "/v1/inbox/stream", key)).status == 403
    assert (await api.ask("POST", "/v1/inbox/tickets", key)).status == 403


async def test_a_websocket_elsewhere_is_not_found(api: ApiRig) -> None:
    with pytest.raises(InvalidStatus) as raised:
        async with socket(api.api.port, "/v1/inbox"):
            pass
    assert raised.value.response.status_code == 404


async def test_a_connection_that_does_not_start_is_closed(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.api.live.websocket.START_WITHIN", 0.05)
    async with socket(api.api.port) as client:
        assert await client.closed() == 4408


async def test_a_user_has_no_more_connections_than_allowed(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("TIDINGS_API_LIVE_CONNECTIONS_OF_USER", "2")
    environment.setenv("TIDINGS_API_LIVE_CONNECTIONS", "4")
    async with serving(Settings()) as api, AsyncExitStack() as stack:

        async def opened(user: str) -> LiveClient:
            return await stack.enter_async_context(following(api.api.port, user))

        first, second = await opened("ada"), await opened("ada")
        assert (await first.next())["type"] == (await second.next())["type"] == "reset"
        assert await (await opened("ada")).closed() == 4429
        answer = await api.ask("GET", "/v1/inbox/stream", token_of("ada"))
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        async with streaming(api.session, token_of("bob")) as bob:
            assert (await bob.next())["event"] == "reset"
            assert (await (await opened("cleo")).next())["type"] == "reset"
            assert await (await opened("dora")).closed() == 1013  # the process has all that it may
            answer = await api.ask("GET", "/v1/inbox/stream", token_of("dora"))
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        await first.connection.close()
        assert (await (await opened("ada")).next())["type"] == "reset"


async def test_whoever_says_nothing_makes_room_for_those_who_do(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("TIDINGS_API_LIVE_CONNECTIONS", "3")
    async with serving(Settings()) as api, AsyncExitStack() as stack:
        assert api.api.live is not None
        hub, silent = api.api.live.hub, list[LiveClient]()
        for _ in range(3):
            silent.append(await stack.enter_async_context(socket(api.api.port)))
            await eventually(lambda: len(hub._silent) == len(silent))
        ada = await stack.enter_async_context(following(api.api.port, "ada"))
        assert (await ada.next())["type"] == "reset"
        assert await silent[0].closed() == 4408
        async with streaming(api.session, token_of("bob")) as bob:
            assert (await bob.next())["event"] == "reset"
            assert await silent[1].closed() == 4408
            await silent[2].send(type="start", token=token_of("cleo"))
            assert (await silent[2].next())["type"] == "reset"


async def test_whoever_connects_all_the_time_uses_up_their_quota(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("TIDINGS_API_USER_RATE_LIMIT", "0.05/s")
    async with serving(Settings()) as api:
        for _ in range(3):
            async with following(api.api.port, "ada") as client:
                assert (await client.next())["type"] == "reset"
        async with following(api.api.port, "ada") as client:
            assert await client.closed() == 4429
        async with following(api.api.port, "bob") as client:
            assert (await client.next())["type"] == "reset"


async def test_what_is_known_of_tokens_and_tickets_is_not_logged(
    api: ApiRig, capfd: pytest.CaptureFixture[str]
) -> None:
    token, user = token_of(somebody()), somebody()
    ticket = await ticket_of(api, token_of(user))
    async with socket(api.api.port, f"{START}?ticket={ticket}") as client:
        await client.next()
        await client.connection.send(json.dumps({"type": "token", "token": token}))
        assert await client.closed() == 4401  # another user's
    out = "".join(capfd.readouterr())
    assert not any(secret in out for secret in (ticket, token, user))
