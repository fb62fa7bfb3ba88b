"""A relay publishes what was committed, byte for byte, and each row ends as it should."""

import json
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.support.outbox_rig import OutboxRig, email, ids, subjects
from tests.support.worker_rig import eventually

from tidings_events import MAX_BODY_BYTES
from tidings_events.outbox import add, install_sql
from tidings_events.outbox.rows import OutboxMissing, OutboxRows, RowOutcomes
from tidings_events.routing import MILLISECONDS, TRACEPARENT
from tidings_local.management import Management

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GOOD = {"channel": "sms", "recipient": "+14155550123", "body": "Hello"}


async def test_what_was_committed_is_published_and_what_was_rolled_back_is_not(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    async with rig.relaying():
        transaction = rig.database.transaction()
        await transaction.start()
        await add(rig.database, email("never"), schema=rig.schema)
        await transaction.rollback()
        [id] = await rig.add("committed")
        [message] = await rig.taken(1)
        await rig.drained()
    assert ids([message]) == [id]
    assert await rig.states() == {}
    assert await rig.in_the_lane() == []


async def test_a_row_is_published_as_it_was_written(rig: OutboxRig) -> None:
    await rig.bind()
    before = datetime.now(UTC).timestamp()
    id = uuid4()
    body = f'{{ "id":"{id}","channel" : "webhook","recipient":"https://example.org/a", "priority": "high",\n'
    body += ' "event_type": "invoice.paid", "payload": {"amount": 1.50, "b": 1, "a": "ü"} }'
    await rig.database.execute(
        "INSERT INTO tidings_outbox (body, headers) VALUES ($1, $2)",
        body,
        json.dumps({"x-team": "shop", "x-number": 7, TRACEPARENT: TRACE}),
    )
    async with rig.relaying(app_id="shop"):
        [message] = await rig.taken(1)
    assert message.body == body.encode()
    assert message.routing_key == "webhook.high"
    assert message.app_id == "shop"
    assert message.correlation_id == str(id)
    assert message.content_type == "application/json"
    assert message.delivery_mode == 2
    headers = {name: value for name, value in message.headers.items() if name != "x-delivery-count"}
    written = headers.pop(MILLISECONDS)
    assert isinstance(written, int)
    assert -0.001 <= written / 1000 - before < 5
    assert headers == {"x-team": "shop", "x-number": 7, TRACEPARENT: TRACE}


async def test_the_application_is_the_database_where_nothing_else_is_given(rig: OutboxRig) -> None:
    await rig.bind()
    await rig.add("Hello")
    async with rig.relaying():
        [message] = await rig.taken(1)
    assert message.app_id == rig.dsn.rpartition("/")[2]


async def test_what_commits_late_is_published_though_later_rows_went_before(rig: OutboxRig) -> None:
    await rig.bind()
    late = await asyncpg.connect(rig.dsn)
    try:
        async with rig.relaying():
            async with late.transaction():
                await add(late, email("late"), schema=rig.schema)
                await rig.add("second", "third")
                assert subjects(await rig.taken(2)) == ["second", "third"]
                await rig.drained()
            assert subjects(await rig.taken(1)) == ["late"]
    finally:
        await late.close()


async def test_what_commits_late_in_a_busy_lane_does_not_wait_for_it_to_empty(
    rig: OutboxRig,
) -> None:
    late = await asyncpg.connect(rig.dsn)
    try:
        notification = email("late")
        transaction = late.transaction()
        await transaction.start()
        await add(late, notification, schema=rig.schema)
        [id] = await rig.add("stays")
        rows = OutboxRows(rig.database, rig.schema, look_again=0.1)

        async def first() -> UUID:
            [row] = await rows.take(1, MAX_BODY_BYTES, [])
            await rows.release()
            return UUID(str(row.id))

        assert await first() == id
        await transaction.commit()

        async def is_late() -> bool:
            return await first() == notification.id

        await eventually(is_late)
    finally:
        await late.close()


async def test_deleted_rows_that_a_long_transaction_keeps_are_not_read_again(
    rig: OutboxRig,
) -> None:
    other = await asyncpg.connect(rig.dsn)
    try:
        async with other.transaction(isolation="repeatable_read"):
            await other.fetch("SELECT count(*) FROM pg_class")
            await rig.add(*map(str, range(2_000)))
            rows = OutboxRows(rig.database, rig.schema, 0, look_again=60)
            taken = await rows.take(2_000, MAX_BODY_BYTES, [])
            await rows.settle(RowOutcomes(published=[row.id for row in taken]))
            [id] = await rig.add("next")
            before = await entries_read(rig)
            assert [row.id for row in await rows.take(10, MAX_BODY_BYTES, [])] == [id]
            await rows.release()
            assert await entries_read(rig) - before < 100
    finally:
        await other.close()


async def entries_read(rig: OutboxRig) -> int:
    """Entries of the index of pending rows that were read so far, deleted rows' too."""
    await rig.database.fetch("SELECT pg_stat_force_next_flush()")
    reads = (
        "SELECT pg_stat_get_tuples_returned(indexrelid) FROM pg_index "
        "WHERE indexrelid = 'tidings_outbox_pending'::regclass"
    )
    return int(await rig.database.fetchval(reads))


async def test_rows_of_a_lane_are_published_in_their_order_and_urgent_ones_first(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    numbers = [str(number) for number in range(30)]
    await rig.add(*numbers)
    await add(
        rig.database,
        email("low", "low"),
        email("urgent", "urgent"),
        email("high", "high"),
        schema=rig.schema,
    )
    async with rig.relaying(batch=7):
        found = subjects(await rig.taken(33))
    assert found == ["urgent", "high", *numbers, "low"]


async def test_a_commit_wakes_the_relay(rig: OutboxRig) -> None:
    await rig.bind()
    async with rig.relaying(poll=60) as relay:
        await eventually(lambda: relay.ready)
        for number in range(3):
            await rig.add(str(number))
            assert subjects(await rig.taken(1)) == [str(number)]


async def test_without_the_trigger_the_relay_looks_by_itself(rig: OutboxRig) -> None:
    await rig.database.execute("DROP TRIGGER tidings_outbox_notify ON tidings_outbox")
    await rig.bind()
    async with rig.relaying(poll=0.1) as relay:
        await eventually(lambda: relay.ready)
        await rig.add("polled")
        assert subjects(await rig.taken(1)) == ["polled"]


async def test_invalid_rows_fail_with_their_reason_and_their_neighbours_are_published(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    invalid = {
        await rig.insert({**GOOD, "recipient": "+1555"}): "recipient: ",
        await rig.insert({**GOOD, "channel": "fax"}): 'channel: "fax" is not a known channel',
        await rig.insert({"recipient": "x"}): "channel: is missing",
        await rig.insert({**GOOD, "priority": "asap"}): "priority: ",
        await rig.insert({**GOOD, "x" * 3000: 1}): "is not a field of SmsNotification",
        await rig.insert(GOOD, '{"x-tidings-epoch": "1"}'): "x-tidings-epoch is Tidings' own",
        await rig.insert(GOOD, '{"a": [1]}'): "headers: a value is neither",
        await rig.insert(GOOD, f'{{"a": "{"x" * 20_000}"}}'): "headers: are 20,",
        await rig.insert(GOOD, f'{{"a": {2**70}}}'): "headers: a number has more than 64 bits",
        await rig.insert(GOOD, '["a"]'): "headers: is not an object",
        await rig.insert(GOOD, f'{{"{"n" * 200}": 1}}'): "headers: a name is empty",
    }
    good = [await rig.insert(GOOD), *await rig.add("between")]
    async with rig.relaying() as relay:
        assert {*ids(await rig.taken(2))} == {*good}
        await rig.drained()
        assert (relay.counts.published, relay.counts.failed) == (2, len(invalid))
    assert await rig.states() == dict.fromkeys(invalid, "failed")
    rows = await rig.database.fetch("SELECT id, last_error, attempts FROM tidings_outbox")
    for row in rows:
        assert invalid[UUID(str(row["id"]))] in row["last_error"]
        assert row["attempts"] == 1
    assert await rig.in_the_lane() == []


async def test_a_row_that_no_queue_takes_fails_after_its_attempts_and_others_go_on(
    rig: OutboxRig,
) -> None:
    await rig.bind("email.*")
    unroutable = await rig.insert(GOOD)
    await rig.add("first")
    async with rig.relaying(attempts=2, poll=0.05):
        assert subjects(await rig.taken(1)) == ["first"]
        await rig.drained()
    assert await rig.states() == {unroutable: "failed"}
    [row] = await rig.database.fetch("SELECT attempts, last_error FROM tidings_outbox")
    assert row["attempts"] == 2
    assert row["last_error"].startswith("no queue is bound for sms.normal")


async def test_a_full_lane_never_fails_a_row_and_holds_no_other_lane_up(
    rig: OutboxRig, management: Management
) -> None:
    await rig.bind("sms.*")
    await management.set_policy("full", "^lane$", {"max-length": 1, "overflow": "reject-publish"})
    other = await rig.channel.declare_queue("other", durable=True)
    await other.bind("tidings.notifications", "email.*")
    async with rig.relaying(attempts=1, poll=0.05) as relay:
        full: list[UUID] = []
        while not relay.counts.postponed:  # a quorum queue notices late that it is full
            full.append(await rig.insert(GOOD))
        await rig.add("passes")

        async def passed() -> bool:
            return await other.get(no_ack=True, fail=False) is not None

        await eventually(passed)
        rows = await rig.database.fetch("SELECT state, last_error FROM tidings_outbox")
        assert {row["state"] for row in rows} == {"pending"}
        assert any("the lane sms.normal is full" in (row["last_error"] or "") for row in rows)
        await management.call("DELETE", f"policies/{management.vhost}/full")
        found = await rig.taken(len(full))
        await rig.drained()
    assert {*ids(found)} == {*full}
    assert relay.counts.failed == 0


async def test_published_rows_are_kept_as_long_as_was_asked(rig: OutboxRig) -> None:
    await rig.bind()
    [id] = await rig.add("kept")
    async with rig.relaying(keep=3600):
        await rig.taken(1)
        await rig.drained()
        assert await rig.states() == {id: "published"}
    [row] = await rig.database.fetch("SELECT attempts, published_at FROM tidings_outbox")
    assert row["attempts"] == 1
    assert abs((datetime.now(UTC) - row["published_at"]).total_seconds()) < 10
    await rig.database.execute("UPDATE tidings_outbox SET published_at = now() - interval '2 h'")
    async with rig.relaying(keep=3600):

        async def gone() -> bool:
            return await rig.states() == {}

        await eventually(gone)
    assert subjects(await rig.in_the_lane()) == []


async def test_a_corrected_row_is_published(rig: OutboxRig) -> None:
    await rig.bind()
    id = await rig.insert({**GOOD, "recipient": "+1555"})
    async with rig.relaying(poll=0.05):
        await rig.drained()
        body = json.dumps({"id": str(id), **GOOD})
        await rig.database.execute(
            "UPDATE tidings_outbox SET body = $1, state = 'pending', attempts = 0", body
        )
        assert ids(await rig.taken(1)) == [id]


async def test_large_notifications_are_published_a_few_at_a_time(rig: OutboxRig) -> None:
    await rig.bind()
    large = {
        "channel": "email",
        "recipient": "ada@example.com",
        "subject": "Large",
        "html": "x" * 1_900_000,
    }
    wanted = [await rig.insert({**large, "body": str(number)}) for number in range(10)]
    async with rig.relaying() as relay:
        assert ids(await rig.taken(10)) == wanted
        await rig.drained()
        assert relay.counts.published == 10


async def test_a_relay_that_stops_finishes_its_batch(rig: OutboxRig) -> None:
    await rig.bind()
    async with rig.relaying(batch=50) as relay:
        await eventually(lambda: relay.ready)
        wanted = await rig.add(*map(str, range(500)))
        await eventually(lambda: relay.counts.published > 0)
        began = monotonic()
    assert monotonic() - began < 3
    published = ids(await rig.in_the_lane())
    left = await rig.states()
    assert len(published) == relay.counts.published
    assert {*published} | {*left} == {*wanted}
    assert {*published} & {*left} == set()


async def test_an_outbox_that_is_missing_or_not_ours_is_named_with_the_remedy(
    rig: OutboxRig,
) -> None:
    async with rig.relaying(schema="pg_temp_none") as relay:
        with pytest.raises(OutboxMissing, match=r"run `tidings outbox install --schema pg_temp_"):
            await relay.check()
        await eventually(lambda: "has no table" in relay.last_error)
        assert not relay.ready
    await rig.database.execute("COMMENT ON TABLE tidings_outbox IS NULL")
    async with rig.relaying() as relay:
        with pytest.raises(OutboxMissing, match="of version unknown, and 1 is needed"):
            await relay.check()


async def test_installing_again_changes_nothing(rig: OutboxRig) -> None:
    [id] = await rig.add("stays")
    await rig.database.execute(install_sql(rig.schema))
    assert await rig.states() == {id: "pending"}
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tidings_outbox'::regclass"
    assert await rig.database.fetchval(triggers) == 1
