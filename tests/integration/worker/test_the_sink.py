"""A test notification goes all the way and reaches no provider, on any channel and whatever becomes of it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.dead_letter_rig import DeadLetterRig
from tests.support.forbidden_providers import FALLBACK, forbidden_providers, never
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.circuit import Phase
from tidings.delivery.errors import Misconfigured
from tidings_events import CHANNELS, MODELS

ONE_TRY = {f"TIDINGS_{channel}_RETRY".upper(): "1s" for channel in CHANNELS}
RECIPIENTS = {
    "email": "{}@tidings.test",
    "sms": "+1202555019{}",
    "whatsapp": "+1202555019{}",
    "webhook": "https://tidings.test/{}",
    "in_app": "{}@tidings.test",
}


@pytest.fixture
async def dead_letter_rig(make_rig, tmp_path: Path) -> AsyncIterator[DeadLetterRig]:
    rig: Rig = await make_rig(**ONE_TRY, **FALLBACK, TIDINGS_REQUEUE_AFTER="3s")
    async with DeadLetterRig(rig.settings, tmp_path, rig._broker) as found:
        yield found


def written(channel: str, name: str, place: int, **fields: object) -> bytes:
    """A test, to the recipient with this name and place."""
    form = RECIPIENTS[channel]
    notification = {
        **MODELS[channel].examples["minimal"],
        "id": str(uuid4()),
        "channel": channel,
        "recipient": form.format(place if form.startswith("+") else name),
        "test": True,
        **fields,
    }
    return json.dumps(notification).encode()


async def published(rig: Rig, body: bytes) -> UUID:
    notification = json.loads(body)
    await rig.publish(f"{notification['channel']}.normal", body=body)
    return UUID(notification["id"])


async def on_all_channels(rig: Rig, name: str, place: int, **fields: object) -> list[UUID]:
    """Publish a test to the same recipient on every channel."""
    return [await published(rig, written(channel, name, place, **fields)) for channel in CHANNELS]


async def send_live(rig: Rig, recipient: str = "ada@example.com", **fields: object) -> UUID:
    """Publish one that is no test."""
    return await rig.publish(recipient=recipient, **fields)


def measured(rig: Rig, name: str, **labels: str) -> float:
    return rig.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_no_test_reaches_a_provider_on_any_channel(dead_letter_rig: DeadLetterRig) -> None:
    rig, soon = dead_letter_rig, (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with (
        forbidden_providers(rig),
        rig.archiving(),
        rig.hosting(),
        rig.scheduling(),
    ):
        scheduled = await on_all_channels(rig, "sent", 0, scheduled_at=soon)
        sent = await on_all_channels(rig, "sent", 0)
        retried = await on_all_channels(rig, "fails-once", 3)
        replayed = await on_all_channels(rig, "rejected-once", 2)
        assert all(row["test"] for row in await rig.dead_letters(len(CHANNELS)))
        await rig.replay()
        everything = [*scheduled, *sent, *retried, *replayed]
        for id in everything:
            await rig.reaches(id, "sent")
    rows = await rig.fetch("SELECT id, provider, test FROM notifications")
    assert {row["id"]: (row["provider"], row["test"]) for row in rows} == dict.fromkeys(
        everything, ("test", True)
    )


async def test_a_lost_test_is_published_again_as_a_test(dead_letter_rig: DeadLetterRig) -> None:
    rig = dead_letter_rig
    channel = ScriptedChannel(script=never)
    async with rig.working(channel), rig.scheduling():
        id = await published(rig, written("email", "fails-once", 3))
        await rig.reaches(id, "retrying")
        queue = await rig._broker.get_queue("tidings.email.retry.1s", ensure=False)

        async def purged() -> bool:
            return bool((await queue.purge()).message_count)

        await eventually(purged)
        await rig.reaches(id, "sent", within=20)
    assert channel.requests == []


async def test_a_test_that_comes_back_from_a_dead_letter_queue_is_still_a_test(rig: Rig) -> None:
    channel = ScriptedChannel(script=never)
    async with rig.working(channel):
        id = await published(rig, written("email", "rejected", 1))
        await rig.reaches(id, "failed")
        dead_letter = await rig.dead_letter()
        await rig.publish(body=dead_letter.body, headers=dict(dead_letter.headers))
        await eventually(rig.drained)
        await rig.publish(
            body=dead_letter.body.replace(b"rejected@", b"sent@").replace(
                str(id).encode(), str(uuid4()).encode()
            )
        )
        await eventually(rig.drained)
    assert channel.requests == []


async def test_tests_do_not_move_a_circuit_nor_the_metrics_of_providers(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_FAILURES="1", TIDINGS_EMAIL_RETRY="1s")
    channel = ScriptedChannel()
    async with rig.working(channel):
        failing = [await published(rig, written("email", "fails-once", 3)) for _ in range(5)]
        for id in failing:
            await rig.reaches(id, "sent")
        live = await send_live(rig)
        await rig.reaches(live, "sent")
        provider = rig.workers[0]._workers[0].providers.all[0]
        assert (provider.circuit.phase, provider.sent) == (Phase.CLOSED, 1)
    email = {"channel": "email"}
    assert measured(rig, "tidings_attempts_total", outcome="sent", **email) == 1
    assert measured(rig, "tidings_attempts_total", outcome="retry_later", **email) == 0
    assert measured(rig, "tidings_failures_total", kind="unavailable", **email) == 0
    assert measured(rig, "tidings_send_seconds_count", **email) == 1
    assert measured(rig, "tidings_test_attempts_total", outcome="sent", **email) == 5
    assert measured(rig, "tidings_test_attempts_total", outcome="retry_later", **email) == 5


async def test_while_the_provider_is_down_tests_are_no_probes_and_live_ones_are(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_PROBE="200ms", TIDINGS_EMAIL_CIRCUIT_FAILURES="1")
    down = [Misconfigured("535 wrong password", provider="smtp:x", code="535")] * 2
    channel = ScriptedChannel(script=lambda *_: down.pop() if down else None)
    async with rig.working(channel):
        first = await send_live(rig)
        await eventually(lambda: len(channel.requests) == 1)
        tests = [await published(rig, written("email", "sent", 0)) for _ in range(5)]
        for id in (first, *tests):
            await rig.reaches(id, "sent")
    assert {request.attempt.id for request in channel.requests} == {first}


async def test_a_test_spends_no_turn_of_the_channels_rate(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RATE="1/h")
    channel = ScriptedChannel()
    async with rig.working(channel):
        tests = [await published(rig, written("email", "sent", 0)) for _ in range(3)]
        for id in tests:
            await rig.reaches(id, "sent")
        live = await send_live(rig)
        await rig.reaches(live, "sent")
    assert channel.sent == {live: 1}


async def test_an_idempotency_key_of_a_test_keeps_no_live_notification_back(rig: Rig) -> None:
    channel = ScriptedChannel()
    same = {"idempotency_key": "order-10042", "recipient": "ada@example.com"}
    async with rig.working(channel):
        test = await rig.publish(**same, test=True)
        again = await rig.publish(**same, test=True)
        await rig.reaches(test, "sent")
        await rig.reaches(again, "suppressed")
        live = await rig.publish(**same)
        await rig.reaches(live, "sent")
    assert channel.sent == {live: 1}


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
async def test_an_id_stays_what_it_was_first(rig: Rig, first: bool, second: bool) -> None:
    channel = ScriptedChannel(script=lambda *_: None)
    async with rig.working(channel):
        id = await rig.publish(id=str(uuid4()), test=first)
        await rig.reaches(id, "sent")
        await rig.publish(id=str(id), test=second)
        await eventually(rig.drained)

        async def noted() -> bool:
            return bool(
                await rig.fetch(
                    "SELECT FROM transitions WHERE notification_id = $1 AND reason LIKE 'published again%'",
                    id,
                )
            )

        await eventually(noted)
    assert len(channel.requests) == (not first)


async def test_the_outcome_of_a_test_may_be_unknown_as_the_channels_guarantee_says(
    dead_letter_rig: DeadLetterRig,
) -> None:
    rig = dead_letter_rig
    async with forbidden_providers(rig):
        email = await published(rig, written("email", "outcome-unknown", 7))
        sms = await published(rig, written("sms", "outcome-unknown", 7))
        await rig.reaches(email, "sent")
        await rig.reaches(sms, "unknown")


async def test_statistics_count_tests_under_the_sink_and_no_open_dead_letter_of_theirs(
    dead_letter_rig: DeadLetterRig,
) -> None:
    rig = dead_letter_rig
    async with rig.working(ScriptedChannel()), rig.archiving():
        await rig.reaches(await send_live(rig), "sent")
        await rig.reaches(await published(rig, written("email", "sent", 0)), "sent")
        await rig.reaches(await published(rig, written("email", "rejected", 1)), "failed")
        await rig.reaches(
            await rig.publish(test=True, expires_at="2020-01-01T00:00:00Z"), "expired"
        )
        await rig.dead_letters(2)
    counted = await rig.fetch(
        "SELECT provider, outcome, sum(count)::int AS count FROM outcome_deltas GROUP BY 1, 2"
    )
    assert {tuple(row.values()) for row in counted} == {
        ("scripted", "sent", 1),
        ("test", "sent", 1),
        ("test", "rejected", 1),
        ("test", "expired", 1),
    }
    assert await rig.fetch("SELECT FROM dead_letter_deltas") == []
