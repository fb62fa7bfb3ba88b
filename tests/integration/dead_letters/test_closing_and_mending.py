"""Dead letters are discarded with a reason, or superseded by an edited one; each once."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.inbox_rig import stored

from tidings.channels.in_app.channel import InAppChannel
from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.operations import notifications
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import lookup
from tidings.operations.dead_letters.plan import Plan
from tidings.settings import Settings
from tidings_events import InvalidNotification


async def test_a_discarded_dead_letter_ends_its_notification_with_the_reason(
    rig: DeadLetterRig,
) -> None:
    (dead_letter,) = await rig.archived(written())
    async with rig.ledger("api") as ledger:
        assert await ledger.dead_letters.closings.discard(
            [dead_letter], "test data", actor="console jane"
        ) == [dead_letter]
    (row,) = await rig.dead_letters()
    assert (row["state"], row["note"]) == ("discarded", "test data")
    assert row["actor"] == "console jane"
    assert await rig.state(_id(row)) == "discarded"
    changes = await rig.fetch("SELECT * FROM transitions ORDER BY id")
    assert (changes[-1]["before"], changes[-1]["after"]) == ("failed", "discarded")
    assert "test data" in str(changes[-1]["reason"])


async def test_a_notification_with_another_open_dead_letter_is_not_ended(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    dead_letters = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    async with rig.ledger() as ledger:
        await ledger.dead_letters.closings.discard(dead_letters[:1], "the wrong one", actor="test")
        assert await rig.state(id) == "failed"
        await ledger.dead_letters.closings.discard(dead_letters[1:], "this too", actor="test")
        assert await rig.state(id) == "discarded"


async def test_a_dead_letter_is_either_discarded_or_replayed(rig: DeadLetterRig) -> None:
    dead_letters = await rig.archived(*(written() for _ in range(20)))
    async with rig.ledger() as ledger:
        closed, summary = await asyncio.gather(
            ledger.dead_letters.closings.discard(dead_letters, "no", actor="test"),
            rig.replay(DeadLetterFilter()),
        )
    assert len(closed) + summary.replayed == 20
    states = [row["state"] for row in await rig.dead_letters(20)]
    assert states.count("discarded") == len(closed)
    assert states.count("replayed") == summary.replayed


async def test_a_discarded_dead_letter_is_never_replayed(rig: DeadLetterRig) -> None:
    (dead_letter,) = await rig.archived(written())
    async with rig.ledger() as ledger:
        await ledger.dead_letters.closings.discard([dead_letter], "no", actor="test")
        assert (
            await ledger.dead_letters.closings.discard([dead_letter], "again", actor="test") == []
        )
    forced = await rig.replay(DeadLetterFilter(ids=(dead_letter,)), Plan(force=True, watch=0))
    assert (forced.replayed, len(forced.refused)) == (0, 1)


async def test_an_edited_dead_letter_supersedes_the_old_one_and_is_what_goes_out(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    before, after = written(id), written(id, recipient="grace@example.com", priority="urgent")
    (dead_letter,) = await rig.archived(before)
    new = await _supersede(rig, dead_letter, after)
    rows = {_own(row): row for row in await rig.dead_letters(2)}
    assert (rows[dead_letter]["state"], bytes(rows[dead_letter]["body"])) == ("superseded", before)  # type: ignore[arg-type]
    assert (rows[new]["state"], rows[new]["supersedes"]) == ("open", dead_letter)
    assert (rows[new]["recipient"], rows[new]["priority"]) == ("grace@example.com", "urgent")
    (notification,) = await rig.fetch("SELECT * FROM notifications")
    assert notification["recipient"] == "grace@example.com"
    assert bytes(notification["body"]) == after  # type: ignore[arg-type]
    channel = ScriptedChannel()
    async with rig.working(channel):
        await rig.replay(DeadLetterFilter(states=(DeadLetterState.OPEN,)), Plan(watch=10))
    (request,) = channel.requests
    assert request.notification.recipient == "grace@example.com"
    assert request.attempt.lane.key == "email.urgent"


async def test_an_edit_keeps_the_id(rig: DeadLetterRig) -> None:
    (dead_letter,) = await rig.archived(written())
    with pytest.raises(Refused, match="the id must stay"):
        await _supersede(rig, dead_letter, written())


async def test_an_edit_keeps_the_tenant(rig: DeadLetterRig) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id, tenant="acme"))
    for tenant in ({}, {"tenant": "shop"}):
        with pytest.raises(Refused, match="the tenant has to stay acme"):
            await _supersede(rig, dead_letter, written(id, **tenant))
    new = await _supersede(rig, dead_letter, written(id, tenant="acme", subject="two"))
    rows = {_own(row): row for row in await rig.dead_letters(2)}
    assert rows[new]["tenant"] == "acme"


async def test_what_named_no_tenant_that_there_can_be_is_given_one_by_an_edit(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    async with rig.archiving():
        await rig.publish_dead(written(id, tenant="Acme Inc."), {})
        (row,) = await rig.dead_letters()
    assert row["tenant"] is None
    new = await _supersede(rig, _own(row), written(id, tenant="acme"))
    rows = {_own(row): row["tenant"] for row in await rig.dead_letters(2)}
    assert rows[new] == "acme"
    assert await rig.fetch("SELECT tenant FROM notifications") == [{"tenant": "acme"}]


async def test_a_dead_letter_of_another_tenant_never_becomes_a_notification_s_content(
    rig: DeadLetterRig,
) -> None:
    """The same id, given by two tenants: neither an edit nor a forced replay gives one what is the other's."""
    id = uuid4()
    await rig.archived(written(id, tenant="acme"))
    async with rig.archiving():
        await rig.publish_dead(written(id, tenant="shop", max_retries="x"), {})
        rows = await rig.dead_letters(2)
    (stray,) = (_own(row) for row in rows if row["tenant"] == "shop")
    await rig.fetch(
        "INSERT INTO recipient_results VALUES ($1, 0, 1, 'b@example.com', 'cc', 'refused', '', '', '')",
        id,
    )
    async with rig.ledger() as ledger:
        story = await ledger.reports.show(id)
        backend, prefix = Backend(Settings(), ledger), IdPrefix.parse(str(stray))
        shown = await lookup.show(backend, prefix, reveal=True)
        behind = await notifications.show(backend, notifications.ShowRequest(prefix))
        same_id = await ledger.reports.dead_letters(IdPrefix.parse(str(id)))
    assert story is not None
    assert stray not in {dead_letter.id for dead_letter in story.dead_letters}
    assert (len(story.dead_letters), len(same_id)) == (1, 2)
    assert isinstance(behind, notifications.UnclaimedView)
    assert (shown.recipients, shown.refused) == ((), f"notification {id} is another tenant's")
    with pytest.raises(Refused, match="is another tenant's"):
        await _supersede(rig, stray, written(id, tenant="shop"))
    readable = written(id, tenant="shop")
    await rig.fetch("UPDATE dead_letters SET body = $2 WHERE id = $1", stray, readable)
    forced = await rig.replay(DeadLetterFilter(ids=(stray,)), Plan(force=True, watch=0))
    assert [refused.refusal for refused in forced.refused] == [ReplayRefusal.OTHER_TENANT]


async def test_an_edit_that_can_t_be_read_changes_nothing(rig: DeadLetterRig) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id))
    with pytest.raises(InvalidNotification, match="recipient"):
        await _supersede(rig, dead_letter, written(id, recipient="nobody"))
    (row,) = await rig.dead_letters()
    assert row["state"] == "open"


async def test_of_two_edits_at_once_one_is_refused(rig: DeadLetterRig) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id))
    results = await asyncio.gather(
        *(_supersede(rig, dead_letter, written(id, subject=subject)) for subject in ("one", "two")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Refused", "UUID"]
    assert len(await rig.dead_letters(2)) == 2


async def test_a_replayed_dead_letter_can_t_be_edited(rig: DeadLetterRig) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id))
    await rig.replay(DeadLetterFilter(ids=(dead_letter,)))
    with pytest.raises(Refused, match="only an open one"):
        await _supersede(rig, dead_letter, written(id, subject="late"))


async def test_a_malformed_dead_letter_becomes_a_notification_by_being_mended(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    async with rig.archiving():
        await rig.publish_dead(json.dumps({"id": str(id), "channel": "email"}).encode(), {})
        (row,) = await rig.dead_letters()
    new = await _supersede(rig, _own(row), written(id))
    assert await rig.state(id) == "failed"
    channel = ScriptedChannel()
    async with rig.working(channel):
        summary = await rig.replay(DeadLetterFilter(ids=(new,)), Plan(watch=10))
    assert summary.outcomes.delivered == 1
    assert list(channel.sent) == [id]


async def test_a_malformed_dead_letter_can_t_take_another_notifications_place(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    await rig.archived(written(id))
    async with rig.archiving():
        await rig.publish_dead(b"{", {})
        rows = await rig.dead_letters(2)
    (malformed,) = (_own(row) for row in rows if row["notification_id"] is None)
    with pytest.raises(Refused, match="already"):
        await _supersede(rig, malformed, written(id, subject="mine now"))


async def _supersede(rig: DeadLetterRig, dead_letter: UUID, body: bytes) -> UUID:
    async with rig.ledger() as ledger:
        return await ledger.dead_letters.editing.supersede(
            dead_letter, body, expires_at=Policies(rig.settings).expires_at, actor="test"
        )


def _own(row: dict[str, object]) -> UUID:
    return UUID(str(row["id"]))


def _id(row: dict[str, object]) -> UUID:
    return UUID(str(row["notification_id"]))


async def test_a_message_for_an_inbox_goes_to_the_user_that_an_edit_names_and_to_no_other(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    wrong, right = (
        json.dumps({"id": str(id), "channel": "in_app", "recipient": user, "title": "Hello"})
        for user in ("ada", "grace")
    )
    async with rig.archiving():
        await rig.make_dead_letter(wrong.encode(), key="in_app.normal")
        (row,) = await rig.dead_letters()
    await _supersede(rig, _own(row), right.encode())
    async with rig.ledger() as ledger, ledger.inbox_deliveries() as inbox:
        async with rig.working(InAppChannel(inbox)):
            await rig.replay(DeadLetterFilter(states=(DeadLetterState.OPEN,)), Plan(watch=10))
        assert [message.id for message in await stored(ledger.database, "grace")] == [id]
        assert await stored(ledger.database, "ada") == []
