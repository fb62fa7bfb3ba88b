"""Live connections and RabbitMQ: hints make changes come at once, and no change depends on them."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.broker_rig import ONE_TIER
from tests.support.inboxes import delivered
from tests.support.live_clients import LiveClient, following
from tests.support.relay import Relay
from tests.support.user_tokens import VARIABLES, token_of
from tests.support.worker_rig import eventually

from tidings.broker.inbox_hints import InboxHintPublisher
from tidings.delivery.inbox import InboxChange
from tidings.inbox import hub
from tidings.inbox.hub import Hub
from tidings.ledger.inbox.following import Following, InboxState, Known
from tidings.ledger.inbox.marking import Mark, MarkVerb
from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings
from tidings_local.management import Management

ADA = InboxUser("default", "ada")
NEVER = 3600.0
OPERATIONS = Path(__file__).parents[3] / "docs/operations.md"


@pytest.fixture
def environment(
    lent_broker_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Of an API on this RabbitMQ and PostgreSQL, with the topology that is there."""
    variables = {
        **VARIABLES,
        **ONE_TIER,
        "TIDINGS_EMAIL_RETRY": "1s 2s",
        "TIDINGS_CATEGORIES": "{}",
        "TIDINGS_AMQP_URL": lent_broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_API_LISTEN": "127.0.0.1:0",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
async def api(environment: pytest.MonkeyPatch) -> AsyncIterator[ApiRig]:
    """An API that hears hints, and does nothing but by them."""
    environment.setattr(hub, "LOOK", NEVER)
    async with hearing(Settings()) as rig:
        yield rig


@asynccontextmanager
async def hearing(settings: Settings) -> AsyncIterator[ApiRig]:
    async with serving(settings) as rig:
        await eventually(lambda: hub_of(rig).hints_arrive())
        yield rig


@pytest.fixture
async def hints(api: ApiRig) -> AsyncIterator[InboxHintPublisher]:
    """Announces what a test changes."""
    async with InboxHintPublisher(api.settings.broker, "test") as publisher:
        yield publisher


def hub_of(rig: ApiRig) -> Hub:
    assert rig.api.live is not None
    return rig.api.live.hub


async def changed(rig: ApiRig, *messages: dict[str, Any]) -> InboxChange:
    """A delivery to Ada, which nobody has announced."""
    await delivered(rig.backend.ledger.database, ADA, *messages or ({},))
    (row,) = await rig.fetch("SELECT revision FROM inbox_users WHERE user_id = 'ada'")
    return InboxChange(ADA.tenant, ADA.user_id, row["revision"])


async def test_a_hint_brings_a_change_to_every_process_at_once(
    api: ApiRig, hints: InboxHintPublisher
) -> None:
    async with (
        hearing(api.settings) as other,
        following(api.api.port, "ada") as here,
        following(other.api.port, "ada") as there,
        following(api.api.port, "ada", "other") as namesake,
    ):
        for client in (here, there, namesake):
            await client.next()
        hints.announce([await changed(api)])
        assert (await here.next())["revision"] == (await there.next())["revision"] == 1
        namesake_frames = asyncio.create_task(namesake.next())
        answer = await api.ask("POST", "/v1/inbox/read", token_of("ada"), json={"up_to": 1})
        hints.announce([InboxChange("default", "ada", answer.data["revision"])])
        for client in (here, there):
            frame = await client.next()
            assert (frame["revision"], frame["counts"]) == (2, answer.data["counts"])
        assert not namesake_frames.done()
        namesake_frames.cancel()


async def test_one_mark_in_the_api_is_announced_by_it(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(hub, "LOOK", NEVER)
    settings = Settings()
    async with (
        InboxHintPublisher(settings.broker, "api") as hints,
        serving(settings, inbox_hints=hints) as api,
    ):
        await eventually(lambda: hub_of(api).hints_arrive())
        await changed(api)
        async with following(api.api.port, "ada") as client:
            await client.next()
            await api.ask("POST", "/v1/inbox/read", token_of("ada"), json={"up_to": 1})
            frame = await client.next()
            assert frame["counts"] == {"unread": 0, "unseen": 0}
            assert frame["data"][0]["read_at"] is not None


async def test_many_hints_at_once_are_one_frame(api: ApiRig, hints: InboxHintPublisher) -> None:
    async with following(api.api.port, "ada") as client:
        await client.next()
        last = [await changed(api) for _ in range(20)][-1]
        hints.announce([last])
        frame = await client.next()
        assert (frame["revision"], len(frame["data"])) == (20, 20)


async def test_a_hint_of_what_is_known_reads_nothing(
    api: ApiRig, hints: InboxHintPublisher
) -> None:
    async with following(api.api.port, "ada", since=0) as client:
        change = await changed(api)
        hints.announce([change])
        while (await client.next())["revision"] < change.revision:
            pass
        await eventually(lambda: metric(api, "tidings_inbox_hints_total") == 1)
        hints.announce([change])
        await eventually(lambda: metric(api, "tidings_inbox_hints_total") == 2)
        assert metric(api, "tidings_inbox_frames_total", kind="websocket", frame="changes") <= 2


def metric(rig: ApiRig, name: str, **labels: str) -> float:
    return rig.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_what_changed_while_nothing_was_heard_comes_with_the_next_connection(
    api: ApiRig, management: Management
) -> None:
    async with following(api.api.port, "ada") as client:
        await client.next()
        await changed(api)  # announced to nobody
        await management.close_connections(at_least=2)
        assert (await client.next())["revision"] == 1


async def test_lost_hints_cost_no_more_than_the_time_until_the_next_look(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(api.api.port, "ada") as client:
        await client.next()
        await changed(api)
        monkeypatch.setattr(hub, "LOOK", 0.5)
        assert (await client.next())["revision"] == 1


async def test_hints_lost_one_after_the_other_do_not_make_it_look_all_the_time(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, moved = list[Sequence[Known]](), Following.moved

    async def counted(self: Following, readers: Sequence[Known]) -> Sequence[int]:
        looks.append(readers)
        return await moved(self, readers)

    monkeypatch.setattr(Following, "moved", counted)
    async with following(api.api.port, "ada") as client:
        await client.next()
        for _ in range(300):
            hub_of(api).missed()
            await asyncio.sleep(0.002)
        assert 1 < len(looks) < 10
        await changed(api)
        hub_of(api).missed()
        assert (await client.next())["revision"] == 1


async def test_after_an_unexpected_error_nobody_is_left_without_a_frame_or_a_close(
    api: ApiRig, hints: InboxHintPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, errors = Following.read, [RuntimeError("as if it had a fault") for _ in range(2)]

    async def fail_twice(self: Following, readers: Sequence[Known]) -> Sequence[InboxState]:
        if errors:
            raise errors.pop()
        return await read(self, readers)

    async with following(api.api.port, "ada") as client:
        await client.next()
        monkeypatch.setattr(Following, "read", fail_twice)
        async with following(api.api.port, "bob") as newcomer:
            assert await newcomer.closed() == 1013
        hints.announce([await changed(api)])
        assert (await client.next())["revision"] == 1
    assert not errors


async def test_without_rabbitmq_changes_come_within_a_second_or_so(
    environment: pytest.MonkeyPatch, broker_url: str
) -> None:
    environment.setattr(hub, "LOOK", NEVER)
    async with Relay(broker_url) as relay:
        environment.setenv("TIDINGS_AMQP_URL", relay.url)
        environment.setenv("TIDINGS_AMQP_BACKOFF_MAX", "1s")
        async with hearing(Settings()) as api, following(api.api.port, "ada") as client:
            await client.next()
            relay.lead_to("amqp://127.0.0.1:1")
            relay.cut()
            await eventually(lambda: not hub_of(api).hints_arrive())
            await changed(api)
            async with asyncio.timeout(3):
                assert (await client.next())["revision"] == 1
            relay.lead_to(broker_url)
            await eventually(lambda: hub_of(api).hints_arrive())
            await changed(api)  # hints are back, and this one had none


async def test_a_client_goes_on_at_another_process(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(hub, "LOOK", 0.2)
    settings = Settings()
    async with AsyncExitStack() as clients, serving(settings) as second:
        async with serving(settings) as first:
            client = await clients.enter_async_context(following(first.api.port, "ada"))
            await client.next()
            await changed(first)
            frame = await client.next()
        assert await client.closed() == 1012
        await changed(second, {}, {})
        async with following(second.api.port, "ada", since=frame["revision"]) as client:
            assert [it["revision"] for it in (await client.next())["data"]] == [2, 3]


async def test_whoever_has_missed_too_much_loads_the_lists_anew(api: ApiRig) -> None:
    await changed(api, *({"title": str(number)} for number in range(201)))
    async with following(api.api.port, "ada", since=1) as client:
        frame = await client.next()
        assert (frame["type"], len(frame["data"])) == ("changes", 200)
    async with following(api.api.port, "ada", since=0) as client:
        assert await client.next() == {
            "type": "reset",
            "revision": 201,
            "counts": {"unread": 201, "unseen": 201},
        }


@pytest.mark.parametrize("since", [4, 8, 2**63 - 1])
async def test_a_revision_that_is_not_in_the_log_is_a_reset(api: ApiRig, since: int) -> None:
    await changed(api, *({} for _ in range(7)))
    await api.execute("UPDATE inbox_users SET floor = 5")
    async with following(api.api.port, "ada", since=since) as client:
        frame = await client.next()
        assert (frame["type"], frame["revision"]) == ("reset", 7)
    async with following(api.api.port, "ada", since=5) as client:
        assert [it["revision"] for it in (await client.next())["data"]] == [6, 7]


async def test_a_frame_that_would_be_too_large_is_a_reset(api: ApiRig) -> None:
    await changed(api, *({"body": "é" * 4000} for _ in range(50)))
    async with following(api.api.port, "ada", since=0) as client:
        assert (await client.next())["type"] == "reset"


async def test_a_restored_database_is_a_reset_of_open_connections(
    api: ApiRig, hints: InboxHintPublisher
) -> None:
    await changed(api, {}, {}, {})
    async with following(api.api.port, "ada") as client:
        assert (await client.next())["revision"] == 3
        await api.execute("DELETE FROM inbox_messages WHERE revision > 1")
        await api.execute("UPDATE inbox_users SET revision = 1")
        client.revision = None
        hub_of(api).missed()
        assert (await client.next()) == {
            "type": "reset",
            "revision": 1,
            "counts": {"unread": 1, "unseen": 1},
        }
        hints.announce([await changed(api)])
        assert (await client.next())["revision"] == 2


async def test_after_a_restore_as_documented_a_client_that_was_away_loads_its_lists_anew(
    api: ApiRig,
) -> None:
    (statement,) = re.findall(r"UPDATE inbox_users SET [^;]+;", OPERATIONS.read_text("utf-8"))
    await changed(api, *({} for _ in range(7)))
    await api.execute("DELETE FROM inbox_messages WHERE revision > 3")
    await api.execute("UPDATE inbox_users SET revision = 3")
    await api.execute(statement)
    change = await changed(api, *({} for _ in range(6)))
    for known in (7, 2):
        async with following(api.api.port, "ada", since=known) as client:
            frame = await client.next()
            assert (frame["type"], frame["revision"]) == ("reset", change.revision)
    async with following(api.api.port, "ada", since=change.revision - 6) as client:
        assert len((await client.next())["data"]) == 6


async def test_the_counts_of_each_frame_are_those_of_what_it_has_brought(
    api: ApiRig, hints: InboxHintPublisher
) -> None:
    chance = random.Random(1)
    async with (
        following(api.api.port, "ada", since=0) as first,
        following(api.api.port, "ada", since=0) as second,
    ):
        replicas = [
            asyncio.create_task(replicated(client, until=150)) for client in (first, second)
        ]
        await asyncio.gather(*(work(api, hints, random.Random(seed)) for seed in range(3)))
        while not all(replica.done() for replica in replicas):
            hints.announce([await changed(api)])
            await asyncio.sleep(chance.random() / 100)
        for replica in replicas:
            assert len(await replica) > 50


async def work(api: ApiRig, hints: InboxHintPublisher, chance: random.Random) -> None:
    """Deliver messages and mark them, as one of several who do."""
    database, ids = api.backend.ledger.database, []
    verbs = (MarkVerb.READ, MarkVerb.UNREAD, MarkVerb.SEEN, MarkVerb.ARCHIVE, MarkVerb.DELETE)
    for _ in range(25):
        ids += await delivered(database, ADA, {}, {})
        chosen = chance.sample(ids, min(3, len(ids)))
        marked = await api.backend.ledger.inbox_marking.mark(
            ADA, Mark(chance.choice(verbs)), chosen
        )
        hints.announce([InboxChange(ADA.tenant, ADA.user_id, marked.revision)])


async def replicated(client: LiveClient, until: int) -> dict[str, Any]:
    """What a client has that does as the protocol says; its counts and the server's are the same after each frame."""
    messages: dict[str, Any] = {}
    while (client.revision or 0) < until:
        frame = await client.next()
        assert frame["type"] == "changes"
        revisions = [it["revision"] for it in frame["data"]]
        assert revisions == sorted(revisions)
        messages |= {it["id"]: it for it in frame["data"]}
        unread = [
            it
            for it in messages.values()
            if not any(
                it[state] for state in ("deleted_at", "archived_at", "snoozed_until", "read_at")
            )
        ]
        unseen = [it for it in unread if it["seen_at"] is None]
        assert frame["counts"] == {"unread": len(unread), "unseen": len(unseen)}
    return messages
