"""Every way in which a message comes to the dead letters, and what is kept of it."""

import json
from uuid import UUID, uuid4

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written
from tests.support.worker_rig import eventually

from tidings.broker import dead_letter_headers
from tidings.broker.topology.layout import DEAD, lane_queue
from tidings.delivery.attempt import Lane, Message
from tidings.delivery.errors import MalformedNotification
from tidings_events import CHANNELS
from tidings_events.routing import Headers


async def test_a_workers_dead_letter_is_kept_with_its_reason_and_its_bytes(
    rig: DeadLetterRig,
) -> None:
    body = written(user_id="u1", entity={"type": "order", "id": "7"}, category="receipt")
    async with rig.archiving():
        id = await rig.make_dead_letter(body, key="email.high")
        (dead_letter,) = await rig.dead_letters()
        await eventually(lambda: _empty(rig))
    assert dead_letter["notification_id"] == id
    assert dead_letter["id"] == dead_letter_headers.dead_letter_id(id, 0)
    assert (
        dead_letter["state"],
        dead_letter["reason"],
        dead_letter["kind"],
        dead_letter["code"],
    ) == (
        "open",
        "rejected",
        "rejected",
        "550 5.1.1",
    )
    assert dead_letter["message"] == "mailbox unavailable"
    assert dead_letter["provider"] == "smtp:mail.example.com"
    assert (dead_letter["channel"], dead_letter["priority"], dead_letter["category"]) == (
        "email",
        "high",
        "receipt",
    )
    assert (dead_letter["user_id"], dead_letter["entity_type"], dead_letter["entity_id"]) == (
        "u1",
        "order",
        "7",
    )
    assert bytes(dead_letter["body"]) == body  # type: ignore[arg-type]
    assert dead_letter["attempts"] == 1


async def test_a_dead_letter_whose_notification_the_ledger_lacks_gives_it_one(
    rig: DeadLetterRig,
) -> None:
    async with rig.archiving():
        id = await rig.make_dead_letter()
        await rig.dead_letters()
    assert await rig.state(id) == "failed"
    (change,) = await rig.fetch("SELECT * FROM transitions WHERE notification_id = $1", id)
    assert (change["before"], change["after"]) == ("queued", "failed")
    assert "mailbox unavailable" in str(change["reason"])


async def test_a_wrong_routing_key_is_unroutable_and_says_which_keys_there_are(
    rig: DeadLetterRig,
) -> None:
    async with rig.archiving():
        id = await rig.publish("emial.high")
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["reason"] == "unroutable"
    assert "'emial.high'" in str(dead_letter["message"])
    assert ", ".join(CHANNELS) in str(dead_letter["message"])
    assert "urgent, high, normal, low" in str(dead_letter["message"])
    assert dead_letter["exchange"] == "tidings.notifications"
    assert (await rig.state(id), dead_letter["notification_id"]) == (None, id)


async def test_what_a_lane_gave_up_says_from_where(rig: DeadLetterRig) -> None:
    id = await rig.publish("email.low")
    await _exhaust_the_delivery_limit(rig, lane_queue(Lane("email", "low")))
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["reason"] == "delivery_limit"
    assert "tidings.email.low" in str(dead_letter["message"])
    assert dead_letter["notification_id"] == id
    assert "x-death" in json.loads(str(dead_letter["headers"]))
    assert await rig.state(id) == "failed"


async def test_a_message_taken_out_of_its_lane_by_hand_says_so(rig: DeadLetterRig) -> None:
    await rig.publish("email.low")
    queue = await rig._broker.get_queue("tidings.email.low", ensure=False)
    message = await queue.get()
    await message.reject(requeue=False)
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    assert (dead_letter["reason"], dead_letter["kind"]) == ("rejected", "broker_rejected")


async def test_a_notification_published_straight_to_the_dead_letters_is_kept_as_astray(
    rig: DeadLetterRig,
) -> None:
    body = written()
    async with rig.archiving():
        await rig.publish_dead(body, {})
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["reason"] == "unroutable"
    assert "tidings.notifications" in str(dead_letter["message"])
    assert dead_letter["notification_id"] is not None


async def test_garbage_published_straight_to_the_dead_letters_is_kept_as_malformed(
    rig: DeadLetterRig,
) -> None:
    async with rig.archiving():
        await rig.publish_dead(b"\xff\xfe not json", {}, "?")
        (dead_letter,) = await rig.dead_letters()
    assert (dead_letter["reason"], dead_letter["notification_id"]) == ("malformed", None)
    assert bytes(dead_letter["body"]) == b"\xff\xfe not json"  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [300_000, 16 * 1024 * 1024])
async def test_large_bodies_of_any_bytes_are_kept_byte_for_byte(
    rig: DeadLetterRig, size: int
) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    async with rig.archiving():
        await rig.publish_dead(body, {})
        (dead_letter,) = await rig.dead_letters(within=40)
    assert bytes(dead_letter["body"]) == body  # type: ignore[arg-type]


async def test_forged_headers_are_kept_made_fit_and_lose_nothing(rig: DeadLetterRig) -> None:
    forged = {
        Headers.REASON: "because\x00",
        Headers.ERROR_CLASS: ["a", {"b": bytearray(b"\xff")}],
        Headers.ERROR_MESSAGE: "x" * 50_000 + "\x00",
        Headers.EPOCH: -1,
        Headers.ATTEMPT: "many",
        Headers.FIRST_SEEN: "0001-01-01T00:00:00+00:00",
        Headers.DEAD_LETTER: "not-a-uuid\x00",
        "binary": bytearray(b"\xff\xfe\x00"),
        "deep": [[[[[[[[[[["bottom"]]]]]]]]]]],
        "x-death": "yesterday",
        "nul\x00name": "nul\x00value",
    }
    async with rig.archiving():
        await rig.publish_dead(written(), forged)
        await rig.publish_dead(b"{", {**forged, Headers.REASON: "rejected"})
        dead_letters = await rig.dead_letters(2)
    for dead_letter in dead_letters:
        headers = json.loads(str(dead_letter["headers"]))
        assert headers["binary"] == {"base64": "//4A"}
        assert "\x00" not in json.dumps(headers)
    assert {dead_letter["reason"] for dead_letter in dead_letters} == {"unroutable", "rejected"}


async def test_a_forged_dead_letter_id_never_hides_another_dead_letter(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        await rig.make_dead_letter()
        (first,) = await rig.dead_letters()
        await rig.publish_dead(
            b"something else", {Headers.REASON: "malformed", Headers.DEAD_LETTER: str(first["id"])}
        )
        await rig.publish_dead(
            bytes(first["body"]),  # type: ignore[arg-type]
            {Headers.REASON: "malformed", Headers.DEAD_LETTER: str(first["id"])},
        )
        dead_letters = await rig.dead_letters(2)
        await eventually(lambda: _empty(rig))
    assert {bytes(dead_letter["body"]) for dead_letter in dead_letters} == {  # type: ignore[arg-type]
        bytes(first["body"]),  # type: ignore[arg-type]
        b"something else",
    }


async def test_the_same_dead_letter_delivered_twice_is_stored_once(rig: DeadLetterRig) -> None:
    body = written()
    async with rig.archiving():
        await rig.make_dead_letter(body)
        await rig.make_dead_letter(body)
        await rig.make_dead_letter(written())
        await rig.dead_letters(2)
        await eventually(lambda: _empty(rig))
        assert len(await rig.dead_letters(2)) == 2


async def test_another_body_under_the_same_notifications_id_is_another_dead_letter(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    async with rig.archiving():
        await rig.make_dead_letter(written(id, subject="one"))
        await rig.make_dead_letter(written(id, subject="two"))
        dead_letters = await rig.dead_letters(2)
    assert {dead_letter["notification_id"] for dead_letter in dead_letters} == {id}


async def test_unread_messages_with_an_id_are_one_dead_letter_and_without_one_each_its_own(
    rig: DeadLetterRig,
) -> None:
    error = MalformedNotification("body: not JSON")
    named = Message(b"{", "email.high", message_id="m1")
    nameless = Message(b"{", "email.high")
    async with rig.archiving():
        for message in (named, named, nameless, nameless):
            headers = dict(
                dead_letter_headers.headers_of_unread(
                    message, error, "worker", "tidings.email.high"
                )
            )
            await rig.publish_dead(message.body, headers, message.routing_key)
        dead_letters = await rig.dead_letters(3)
        await eventually(lambda: _empty(rig))
        assert len(await rig.dead_letters(3)) == 3
    assert {dead_letter["channel"] for dead_letter in dead_letters} == {"email"}


async def test_alike_failures_share_a_fingerprint_and_others_don_t(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        for message, code in (
            ("user 4711 <a@example.com> unknown", "550"),
            ("user 12 <b@example.com> unknown", "550"),
            ("quota exceeded", "552"),
        ):
            await rig.make_dead_letter(outcome=rejected(message, code))
        dead_letters = await rig.dead_letters(3)
    assert len({dead_letter["fingerprint"] for dead_letter in dead_letters}) == 2


async def test_a_notification_that_was_sent_closes_the_dead_letter_of_its_lane(
    rig: DeadLetterRig,
) -> None:
    id = await rig.publish("email.low")
    await _exhaust_the_delivery_limit(rig, "tidings.email.low")
    await _remember(rig, id, "sent", attempt=1)
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["state"] == "discarded"
    assert "is sent" in str(dead_letter["note"])
    assert await rig.state(id) == "sent"


async def test_a_live_lease_is_waited_for(rig: DeadLetterRig) -> None:
    id = uuid4()
    body = written(id)
    await rig.publish("email.low", body=body)
    await _exhaust_the_delivery_limit(rig, "tidings.email.low")
    await _remember(rig, id, "sending", attempt=1, lease="30 seconds", body=body)
    async with rig.archiving() as archive:
        other = await rig.make_dead_letter()
        (dead_letter,) = await rig.dead_letters()
        assert dead_letter["notification_id"] == other
        assert archive._tasks  # still holds the one that may be being sent
        await rig.fetch("UPDATE notifications SET state = 'sent' WHERE id = $1", id)
        dead_letters = await rig.dead_letters(2)
    assert {dead_letter["state"] for dead_letter in dead_letters} == {"open", "discarded"}


async def test_a_lapsed_lease_leaves_the_notification_unknown_whatever_its_guarantee(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    body = written(id)
    await rig.publish("email.low", body=body)
    await _exhaust_the_delivery_limit(rig, "tidings.email.low")
    await _remember(rig, id, "sending", attempt=1, lease="-1 second", body=body)
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["reason"] == "outcome_unknown"
    assert await rig.state(id) == "unknown"


async def test_a_copy_with_other_content_leaves_a_notification_alone_that_is_on_its_way(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    await rig.publish("email.low", body=written(id, subject="Another"))
    await _exhaust_the_delivery_limit(rig, "tidings.email.low")
    await _remember(rig, id, "retrying", attempt=1, body=written(id))
    async with rig.archiving():
        (dead_letter,) = await rig.dead_letters()
    assert (dead_letter["state"], await rig.state(id)) == ("discarded", "retrying")
    assert "other content" in str(dead_letter["note"])


async def test_a_malformed_copy_leaves_a_notification_alone_that_is_on_its_way(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    await _remember(rig, id, "retrying", attempt=1)
    async with rig.archiving():
        await rig.publish("emial.high", body=written(id))
        (dead_letter,) = await rig.dead_letters()
    assert dead_letter["state"] == "open"
    assert await rig.state(id) == "retrying"


async def _exhaust_the_delivery_limit(rig: DeadLetterRig, queue: str) -> None:
    """Take the one message there and put it back until the lane gives it up."""
    source = await rig._broker.get_queue(queue, ensure=False)

    async def given_up() -> bool:
        message = await source.get(fail=False)
        if message is not None:
            await message.reject(requeue=True)
        return await rig.depth(DEAD) > 0

    await eventually(given_up, within=30)


async def _remember(
    rig: DeadLetterRig,
    id: UUID,
    state: str,
    *,
    attempt: int,
    lease: str | None = None,
    channel: str = "email",
    body: bytes = b"",
) -> None:
    await rig.fetch(
        """INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body,
                                      accepted_at, lease_holder, lease_until)
           VALUES ($1, $5, 'low', 'transactional', 'x', $2, 0, $3, $6, now(), 'w', now() + $4::text::interval)""",
        id,
        state,
        attempt,
        lease,
        channel,
        body,
    )


async def _empty(rig: DeadLetterRig) -> bool:
    return await rig.depth(DEAD) == 0
