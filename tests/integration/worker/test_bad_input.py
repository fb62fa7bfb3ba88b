"""Everything a producer can get wrong: each has a recorded reason, its bytes kept, its neighbours delivered."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually


def body(**fields: object) -> bytes:
    """A notification that is fine but for these fields."""
    fine = {
        "id": str(uuid4()),
        "version": 1,
        "channel": "email",
        "recipient": "ada@example.com",
        "subject": "Hello",
        "body": "How are you?",
    }
    return json.dumps({**fine, **fields}).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "JSON"),
    "not JSON": (b"<xml/>", "JSON"),
    "cut off": (body()[:-20], "JSON"),
    "not UTF-8": (b'{"subject": "caf\xe9"}', "UTF-8"),
    "not an object": (b"[1, 2, 3]", "object"),
    "twelve MiB": (b'{"body": "' + b"x" * (12 * 1024 * 1024) + b'"}', "10,485,760"),
    "a wrong type": (body(subject=["Hello"]), "subject"),
    "an unknown field": (body(subjekt="Hello"), "subjekt"),
    "an unknown channel": (body(channel="pigeon"), "pigeon"),
    "a wrong version": (body(version=7), "version"),
    "no id": (
        json.dumps(
            {name: value for name, value in json.loads(body()).items() if name != "id"}
        ).encode(),
        "id",
    ),
    "an address that is none": (body(recipient="ada at example"), "recipient"),
    "a header injected into the subject": (body(subject="Hi\r\nBcc: eve@example.com"), "subject"),
    "a header injected by name": (body(headers={"X-A\r\nBcc": "eve@example.com"}), "headers"),
    "content and a template": (body(template="welcome"), "template"),
    "a time without an offset": (body(expires_at="2030-01-01T00:00:00"), "expires_at"),
    "a NUL": (body(subject="a\u0000b"), "subject"),
    "the body of another channel": (
        body(channel="sms", recipient="+14155552671", subject=None),
        "",
    ),
    "nested a hundred thousand deep": (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
}


@pytest.fixture
async def archived(rig: Rig) -> AsyncIterator[tuple[Rig, ScriptedChannel]]:
    """A worker and an archive at work."""
    channel = ScriptedChannel()
    async with rig.working(channel), rig.archiving():
        yield rig, channel


async def test_each_is_kept_with_its_reason_and_holds_nobody_up(
    archived: tuple[Rig, ScriptedChannel],
) -> None:
    rig, channel = archived
    fine = []
    for bad, _ in BAD.values():
        await rig.publish(body=bad)
        fine.append(await rig.publish())

    async def settled() -> bool:
        return len(await dead_letters(rig)) == len(BAD) and len(channel.sent) == len(fine)

    await eventually(settled, within=60)
    kept = {bytes(dead_letter["body"]): dead_letter for dead_letter in await dead_letters(rig)}
    for name, (bad, text) in BAD.items():
        dead_letter = kept[bad]
        assert dead_letter["reason"] == "malformed", name
        assert text in str(dead_letter["message"]), (name, dead_letter["message"])
        assert len(str(dead_letter["message"])) <= 1_000
        assert "eve@example.com" not in str(dead_letter["message"])
    assert set(channel.sent) == set(fine)


async def test_what_it_holds_is_kept_with_the_dead_letter_and_stands_in_no_log_line(
    rig: Rig,
) -> None:
    with capture_logs() as lines:
        async with rig.working(ScriptedChannel()), rig.archiving():
            await rig.publish(body=body(recipient="Eve <eve.adams@example.com>"))

            async def logged() -> bool:
                return {"malformed message", "dead letter archived"} <= {
                    line["event"] for line in lines
                }

            await eventually(logged)
    [dead_letter] = await dead_letters(rig)
    assert "eve.adams@example.com" in str(dead_letter["message"])
    assert "recipient: is not an email address" in str(lines)
    assert "eve.adams" not in str(lines)


async def test_a_routing_key_nobody_reads_is_kept_as_unroutable(
    archived: tuple[Rig, ScriptedChannel],
) -> None:
    rig, _ = archived
    id = await rig.publish("fax.high")

    async def arrived() -> bool:
        return bool(await dead_letters(rig))

    await eventually(arrived)
    [dead_letter] = await dead_letters(rig)
    assert (dead_letter["reason"], dead_letter["notification_id"]) == ("unroutable", id)
    assert "fax.high" in str(dead_letter["message"])
    assert await rig.state(id) is None  # the good copy may still come


async def test_a_routing_key_of_another_channel_than_the_body_s_is_refused_with_the_right_one(
    archived: tuple[Rig, ScriptedChannel],
) -> None:
    rig, channel = archived
    await rig.publish("email.high", channel="sms", recipient="+14155552671", subject=None)
    text = {"channel": "sms", "recipient": "+14155552671", "body": "Hello", "id": str(uuid4())}
    await rig.publish("email.high", body=json.dumps(text).encode())

    async def arrived() -> bool:
        return len(await dead_letters(rig)) == 2

    await eventually(arrived)
    (dead_letter,) = (row for row in await dead_letters(rig) if row["kind"] == "misrouted")
    assert "publish it with the key sms.normal" in str(dead_letter["message"])
    assert not channel.sent


async def test_of_two_priorities_the_routing_key_s_counts(
    archived: tuple[Rig, ScriptedChannel],
) -> None:
    rig, channel = archived
    id = await rig.publish("email.low", priority="urgent")
    await rig.reaches(id, "sent")
    assert [request.attempt.lane.priority for request in channel.requests] == ["low"]


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"x-tidings-attempt": -1}, "x-tidings-attempt: -1"),
        ({"x-tidings-attempt": "first"}, "x-tidings-attempt"),
        ({"x-tidings-epoch": -5}, "x-tidings-epoch: -5"),
        ({"x-tidings-epoch": 99}, "x-tidings-epoch"),
        ({"x-tidings-first-seen": "yesterday"}, "x-tidings-first-seen"),
    ],
)
async def test_a_forged_header_is_refused_by_name(
    archived: tuple[Rig, ScriptedChannel], headers: dict[str, object], text: str
) -> None:
    rig, _ = archived
    id = await rig.publish()
    await rig.reaches(id, "sent")
    await rig.publish(id=str(id), headers=headers)

    async def arrived() -> bool:
        return bool(await dead_letters(rig))

    await eventually(arrived)
    [dead_letter] = await dead_letters(rig)
    assert dead_letter["reason"] == "malformed"
    assert text in str(dead_letter["message"])


async def dead_letters(rig: Rig) -> list[dict[str, object]]:
    """Every dead letter so far."""
    return await rig.fetch("SELECT * FROM dead_letters ORDER BY dead_lettered_at")
