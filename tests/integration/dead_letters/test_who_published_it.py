"""Which producer it was: its AMQP properties come with a dead letter, by whatever way it arrives."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import MakeRig
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.worker_rig import eventually

from tidings.broker.topology.layout import DEAD
from tidings.delivery.errors import Rejected, Unavailable
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.ports import SendRequest
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings_events.routing import EXCHANGE

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SET: dict[str, Any] = {
    "app_id": "shop",
    "message_id": "m-1",
    "correlation_id": "c-1",
    "type": "OrderShipped",
    "content_encoding": "UTF-8",
    "timestamp": WHEN,
}
KEPT = {**SET, "timestamp": "2026-01-02T03:04:05+00:00"}


async def publish(rig: DeadLetterRig, body: bytes, key: str = "email.normal", **more: Any) -> None:
    """As the user who is connected, whom RabbitMQ lets set no other `user_id`."""
    exchange = await rig._broker.get_exchange(EXCHANGE, ensure=False)
    await exchange.publish(aio_pika.Message(body, delivery_mode=2, **{**SET, **more}), key)


def user_of(rig: DeadLetterRig) -> str:
    from yarl import URL

    return URL(rig.settings.broker.urls[0]).user or "guest"


def publication(dead_letter: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = json.loads(str(dead_letter["properties"]))
    return found


def never(request: SendRequest, before: int) -> Exception:
    """One more try, and no more."""
    del request
    return Unavailable("451 later") if before == 0 else Rejected("550 no such user")


async def test_a_worker_s_dead_letter_has_them_after_retries_too(rig: DeadLetterRig) -> None:
    user = user_of(rig)
    async with rig.archiving(), rig.working(ScriptedChannel(script=never)):
        await publish(rig, written(), user_id=user)
        (dead_letter,) = await rig.dead_letters()
        assert dead_letter["attempts"] == 2
        await publish(rig, b"{", "email.low", user_id=user)
        dead_letters = await rig.dead_letters(2)
    assert [publication(dead_letter) for dead_letter in dead_letters] == [
        {**KEPT, "user_id": user}
    ] * 2
    assert all(
        "x-tidings-properties" not in json.loads(str(dead_letter["headers"]))
        for dead_letter in dead_letters
    )


async def test_what_rabbitmq_gives_up_or_leads_here_has_its_own(rig: DeadLetterRig) -> None:
    await publish(rig, written(), "emial.high")
    await publish(rig, written(), "email.low")
    queue = await rig._broker.get_queue("tidings.email.low", ensure=False)
    await (await queue.get()).reject(requeue=False)
    async with rig.archiving():
        dead_letters = await rig.dead_letters(2)
    assert {str(dead_letter["reason"]) for dead_letter in dead_letters} == {
        "unroutable",
        "rejected",
    }
    assert [publication(dead_letter) for dead_letter in dead_letters] == [KEPT] * 2


async def test_what_died_of_its_own_expiration_says_so(rig: DeadLetterRig) -> None:
    body = written()
    await publish(rig, body, "email.low", expiration=timedelta(milliseconds=50))
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
        await rig.reaches(dead_letter["notification_id"], "expired")  # type: ignore[arg-type]
    assert (dead_letter["reason"], dead_letter["kind"]) == ("expired", "broker_expired")
    assert "its AMQP expiration of 50ms ran out in tidings.email.low" in str(dead_letter["message"])
    assert publication(dead_letter) == {**KEPT, "expiration": "50"}


async def test_what_a_policy_let_expire_in_its_lane_says_that_instead(rig: DeadLetterRig) -> None:
    """Whoever goes through a retry queue has died there too, and is no dead letter for that."""
    died = {"x-death": [{"queue": "tidings.email.low", "reason": "expired"}]}
    async with rig.archiving():
        await rig.publish_dead(written(), died)
        (dead_letter,) = await rig.dead_letters()
    assert "longer than a policy there allows" in str(dead_letter["message"])


async def test_what_fails_again_after_a_replay_or_waited_for_its_time_still_has_them(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RETRY="1s")
    due = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    refused = ScriptedChannel(script=lambda *_: Rejected("550 no such user"))
    async with rig.archiving(), rig.scheduling(), rig.working(refused):
        await publish(rig, written(scheduled_at=due))
        (first,) = await rig.dead_letters()
        await rig.replay(DeadLetterFilter(ids=(first["id"],)))  # type: ignore[arg-type]
        dead_letters = await rig.dead_letters(2)
    assert [(dead_letter["epoch"], publication(dead_letter)) for dead_letter in dead_letters] == [
        (0, KEPT),
        (1, KEPT),
    ]


async def test_what_is_edited_keeps_them(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        await publish(rig, written(), "emial.high")
        (row,) = await rig.dead_letters()
    async with rig.ledger() as ledger:
        body = written(row["notification_id"], subject="Mended")  # type: ignore[arg-type]
        await ledger.dead_letters.editing.supersede(
            row["id"], body, expires_at=lambda _: None, actor="test"
        )  # type: ignore[arg-type]
    assert [publication(dead_letter) for dead_letter in await rig.dead_letters(2)] == [KEPT] * 2


@pytest.mark.parametrize("edited", [True, False])
async def test_what_is_mended_or_led_back_is_as_it_was_published(
    rig: DeadLetterRig, edited: bool
) -> None:
    published = datetime.now(UTC).replace(microsecond=7_000) - timedelta(seconds=90)
    headers = {"timestamp_in_ms": round(published.timestamp() * 1000), "traceparent": TRACE}
    id, channel = uuid4(), ScriptedChannel()
    async with rig.archiving(), rig.working(channel):
        body, key = (written(id, recipent="a"), "email.low") if edited else (written(id), "e.low")
        await publish(rig, body, key, headers=headers)
        (dead_letter,) = await rig.dead_letters()
        mended = UUID(str(dead_letter["id"]))
        if edited:
            async with rig.ledger() as ledger:
                mended = await ledger.dead_letters.editing.supersede(
                    mended, written(id), expires_at=lambda _: None, actor="test"
                )
        await rig.replay(DeadLetterFilter(ids=(mended,)))
        await rig.reaches(id, "sent")
    (stored,) = await rig.fetch("SELECT accepted_at, time_source FROM notifications")
    assert stored == {"accepted_at": published, "time_source": "producer"}
    failed, *_ = await rig.fetch("SELECT at, after FROM transitions ORDER BY at")
    assert failed == {"at": dead_letter["dead_lettered_at"], "after": "failed"}
    (sent,) = (request.attempt for request in channel.requests)
    assert (sent.first_seen, sent.traceparent) == (published, TRACE)


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05", "yesterday", "9999-12-31T23:59:59-14:00"])
async def test_what_no_time_can_be_made_of_counts_from_when_its_dead_letter_came(
    rig: DeadLetterRig, text: str
) -> None:
    await publish(rig, written(), "e.low")
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    await rig.fetch("UPDATE dead_letters SET properties = $1", json.dumps({"timestamp": text}))
    await rig.replay(DeadLetterFilter())
    (stored,) = await rig.fetch("SELECT accepted_at, time_source FROM notifications")
    assert stored == {"accepted_at": dead_letter["dead_lettered_at"], "time_source": "read"}


@pytest.mark.parametrize("key", ["email.normal", "tidings"])
async def test_what_can_t_be_read_is_found_by_whom_it_is_about(
    rig: DeadLetterRig, key: str
) -> None:
    body = written(
        channel="sms",
        recipient="+1555",
        user_id="u1",
        entity={"type": "order", "id": "7"},
        category="otp",
        recipent="+15550100",
    )
    id = json.loads(body)["id"]
    async with rig.archiving(), rig.working(ScriptedChannel()):
        await rig.publish(key, body=body)
        await rig.publish(body=written(recipent="somebody else"))
        dead_letters = await rig.dead_letters(2)
    (dead_letter,) = (
        dead_letter for dead_letter in dead_letters if str(dead_letter["notification_id"]) == id
    )
    assert (dead_letter["channel"], dead_letter["recipient"], dead_letter["category"]) == (
        "sms",
        "+1555",
        "otp",
    )
    async with rig.ledger() as ledger:
        search = ledger.dead_letters.search
        for wanted in (
            DeadLetterFilter(recipient="+1555"),
            DeadLetterFilter(id_prefix=IdPrefix.parse(id)),
            DeadLetterFilter(id_prefix=IdPrefix.parse(id[:10])),
            DeadLetterFilter(id_prefix=IdPrefix.parse(str(dead_letter["id"])[:10])),
            DeadLetterFilter(user_id="u1", entity_type="order", entity_id="7"),
        ):
            assert list(await search.ids(wanted)) == [dead_letter["id"]], wanted
            assert wanted.selects
        assert await search.resolve(IdPrefix.parse(id)) == dead_letter["id"]
        assert list(await search.ids(DeadLetterFilter(recipient="+15550100"))) == []


async def test_a_retry_that_can_t_be_read_any_more_ends_its_notification(
    rig: DeadLetterRig,
) -> None:
    """A version that reads more strictly, say; nobody else would ever end it."""
    channel = ScriptedChannel(script=lambda *_: Unavailable("451 later"))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "retrying")
    broken = written(id, unknown="field")
    await rig.fetch("UPDATE notifications SET body = $1", broken)  # as that version took it
    await rig.publish(body=broken, headers={"x-tidings-epoch": 0, "x-tidings-attempt": 2})
    async with rig.archiving(), rig.working(ScriptedChannel()):
        dead_letters = await rig.dead_letters()
        await eventually(lambda: _is(rig, "failed"))
    assert [
        (dead_letter["notification_id"], dead_letter["reason"]) for dead_letter in dead_letters
    ] == [(id, "malformed")]


async def _is(rig: DeadLetterRig, state: str) -> bool:
    return {row["state"] for row in await rig.fetch("SELECT state FROM notifications")} == {state}


async def test_a_malformed_copy_ends_nobody_else_s_notification(rig: DeadLetterRig) -> None:
    channel = ScriptedChannel()
    async with rig.archiving(), rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
        await rig.publish(body=written(id, unknown="field"))
        await rig.dead_letters()
        assert await rig.state(id) == "sent"
    assert await rig.depth(DEAD) == 0
