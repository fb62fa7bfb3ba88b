"""Groups that no rollup counts are counted among the newest dead letters, and how far was looked is said."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.dead_letter import DeadLetterState
from tidings.ledger.dead_letters import matching_groups
from tidings.ledger.dead_letters.groups import DeadLetterGrouping, GroupsFound
from tidings.ledger.dead_letters.open_groups import GroupPosition
from tidings.ledger.dead_letters.search import DeadLetterFilter

NOW = datetime.now(UTC)
COUNT = 100
ADD = """
INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, category, user_id, recipient, entity_type, entity_id,
                          test, state, dead_lettered_at, first_failed_at, last_failed_at, body)
SELECT gen_random_uuid(), 'rejected', 'rejected', 'number ' || n, lpad((n % 3)::text, 12, 'f'), 'email', 'acme', 'otp', 'u' || n % 100, 'r' || n % 100,
       'order', n % 100, n % 10 = 0, $2, $1::timestamptz - n / 4 * interval '1 minute', now(), now(),
       decode(repeat(md5(n::text), 30), 'hex')
  FROM generate_series(0, $3::int - 1) AS n ORDER BY md5(n::text)
"""
"""Four at each moment; neighbours in time are not on the same page."""
ONE_RECIPIENT = """
UPDATE dead_letters SET recipient = 'https://hooks.example.com/all' WHERE id IN (SELECT id FROM dead_letters ORDER BY md5(id::text) LIMIT 1500)
"""
"""Of half of them: more than a look takes in."""
OF = "UPDATE dead_letters SET tenant = $1 WHERE dead_lettered_at <= $2"
REPLAYED = (DeadLetterState.REPLAYED,)


async def look(
    ledger: LedgerRig, wanted: DeadLetterFilter, patience: float | None = 0
) -> GroupsFound:
    grouping = DeadLetterGrouping(ledger.database)
    return await grouping.largest(wanted, 10, now=NOW, patience=patience)


@pytest.fixture
async def closed(ledger_alone: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> LedgerRig:
    """A hundred that were replayed, of which a look takes in ten and those of the same moment."""
    monkeypatch.setattr(matching_groups, "LOOKED_AT", 10)
    await ledger_alone.execute(ADD, NOW, "replayed", COUNT)
    return ledger_alone


async def test_looks_that_go_on_where_the_last_one_ended_count_each_dead_letter_once(
    closed: LedgerRig,
) -> None:
    every = await look(closed, DeadLetterFilter(states=REPLAYED), patience=None)
    assert every.searched_since is None
    whole = {group.fingerprint: group.dead_letters for group in every.groups}
    assert sum(whole.values()) == COUNT
    parts, looks, until = Counter[str](), 0, None
    while True:
        part = await look(closed, DeadLetterFilter(states=REPLAYED, until=until))
        parts.update({group.fingerprint: group.dead_letters for group in part.groups})
        looks, until = looks + 1, part.searched_since
        if until is None:
            break
        assert min(group.first_at for group in part.groups) == until
    assert (parts, looks) == (whole, 9)


async def test_a_group_of_tests_is_counted_behind_newer_tests(closed: LedgerRig) -> None:
    await closed.execute("UPDATE dead_letters SET test = true, fingerprint = 'fffffffffff1'")
    await closed.execute(
        "UPDATE dead_letters SET fingerprint = 'fffffffffff2' WHERE dead_lettered_at < $1",
        NOW - timedelta(minutes=23),
    )
    found = await look(closed, DeadLetterFilter(test=True, fingerprint="fffffffffff2"))
    assert ([group.dead_letters for group in found.groups], found.searched_since) == ([4], None)


async def test_as_many_as_a_look_takes_in_are_all_that_there_are(
    closed: LedgerRig,
) -> None:
    shop = DeadLetterFilter(states=REPLAYED, tenant="shop")
    for begin, all_of_them in ((24, True), (22, True), (21, False)):  # 4, 12 and 16 of them
        await closed.execute(OF, "shop", NOW - timedelta(minutes=begin))
        assert ((await look(closed, shop)).searched_since is None) is all_of_them


async def test_the_pages_of_a_list_count_the_same_dead_letters(closed: LedgerRig) -> None:
    """Though there is time for more."""
    wanted = DeadLetterFilter(states=REPLAYED)
    grouping = DeadLetterGrouping(closed.database)
    first = await look(closed, wanted)
    assert [group.dead_letters for group in first.groups] == [4, 4, 4]
    largest = first.groups[0]
    after = GroupPosition(largest.dead_letters, largest.fingerprint, first.searched_since)
    rest = await grouping.largest(wanted, 10, after, now=NOW, patience=60)
    assert rest.searched_since == first.searched_since
    assert rest.groups == first.groups[1:]


async def test_a_group_that_several_steps_found_has_its_oldest_its_newest_and_its_trend(
    closed: LedgerRig,
) -> None:
    await closed.execute(ADD, NOW - timedelta(hours=30), "replayed", 12)
    found = await look(closed, DeadLetterFilter(states=REPLAYED), patience=None)
    assert [group.dead_letters for group in found.groups] == [38, 37, 37]
    assert [group.fingerprint[-1] for group in found.groups] == ["0", "1", "2"]
    for group in found.groups:
        assert group.last_at == NOW
        assert group.first_at <= NOW - timedelta(hours=30)
        assert group.message in {f"number {n}" for n in range(4)}
        assert sum(group.trend.counts) == group.dead_letters - 4


async def test_the_newest_say_nothing_of_a_category_that_only_older_ones_have(
    closed: LedgerRig,
) -> None:
    await closed.execute(
        "UPDATE dead_letters SET category = 'rare' WHERE dead_lettered_at < $1",
        NOW - timedelta(minutes=20),
    )
    rare = DeadLetterFilter(states=REPLAYED, category="rare")
    found = await look(closed, rare)
    assert found.groups == []
    every = await look(closed, rare, patience=None)
    assert sum(group.dead_letters for group in every.groups) == 16


@pytest.mark.parametrize("tenant", ["shop", "default"])
@pytest.mark.parametrize(
    "narrowed",
    [
        DeadLetterFilter(),
        DeadLetterFilter(states=REPLAYED),
        DeadLetterFilter(fingerprint="fffffffffff1"),
        DeadLetterFilter(test=True),
        DeadLetterFilter(recipient="everybody"),
    ],
)
async def test_a_tenant_finds_its_few_and_no_time_of_the_others(
    closed: LedgerRig, narrowed: DeadLetterFilter, tenant: str
) -> None:
    await closed.execute(ADD, NOW - timedelta(hours=1), "replayed", COUNT)
    if narrowed.recipient:
        await closed.execute("UPDATE dead_letters SET recipient = $1", narrowed.recipient)
    oldest = NOW - timedelta(hours=1, minutes=24)
    await closed.execute(OF, tenant, oldest)
    found = await look(closed, replace(narrowed, tenant=tenant))
    assert found.searched_since is None
    assert {group.first_at for group in found.groups} <= {oldest}


async def test_a_look_for_a_small_tenant_reads_nothing_of_the_others(
    ledger_alone: LedgerRig,
) -> None:
    await ledger_alone.execute(ADD, NOW, "replayed", 3_000)
    await ledger_alone.execute(OF, "shop", NOW - timedelta(minutes=748))
    await ledger_alone.execute("VACUUM ANALYZE dead_letters")
    wanted = DeadLetterFilter(states=REPLAYED, tenant="shop", channel="email")
    assert await _read(ledger_alone, wanted) < 40


@pytest.mark.parametrize(
    "wanted",
    [
        DeadLetterFilter(states=REPLAYED),
        DeadLetterFilter(states=REPLAYED, channel="email", category="otp", tenant="acme"),
        DeadLetterFilter(states=REPLAYED, channel="sms"),
        DeadLetterFilter(states=REPLAYED, category="rare"),
        DeadLetterFilter(states=REPLAYED, fingerprint="fffffffffff1"),
        DeadLetterFilter(states=REPLAYED, fingerprint="fff"),
        DeadLetterFilter(states=REPLAYED, user_id="u1"),
        DeadLetterFilter(states=REPLAYED, recipient="r1"),
        DeadLetterFilter(states=REPLAYED, recipient="https://hooks.example.com/all"),
        DeadLetterFilter(states=REPLAYED, recipient="r1", tenant="acme"),
        DeadLetterFilter(states=REPLAYED, entity_type="order", entity_id="1"),
        DeadLetterFilter(states=REPLAYED, entity_type="parcel"),
        DeadLetterFilter(states=REPLAYED, test=True),
        DeadLetterFilter(states=(DeadLetterState.REPLAYING,)),
        DeadLetterFilter(states=tuple(DeadLetterState), since=NOW - timedelta(days=9), until=NOW),
    ],
    ids=lambda wanted: " ".join(
        name
        for name in (
            "channel",
            "category",
            "fingerprint",
            "user_id",
            "recipient",
            "entity_type",
            "test",
            "since",
        )
        if getattr(wanted, name)
    ),
)
async def test_a_look_reads_no_more_dead_letters_than_it_takes_in(
    ledger_alone: LedgerRig, wanted: DeadLetterFilter
) -> None:
    await ledger_alone.execute(ADD, NOW, "replayed", 3_000)
    await ledger_alone.execute(ONE_RECIPIENT)
    await ledger_alone.execute("VACUUM ANALYZE dead_letters")
    assert await _read(ledger_alone, wanted) < 100


async def _read(ledger: LedgerRig, wanted: DeadLetterFilter) -> int:
    """Blocks that the first step touches."""
    statement, values = matching_groups.step_of(wanted)
    lines = await ledger.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS) {statement}",
        *(NOW - timedelta(days=1), NOW, 40, 3_600.0),
        *values,
    )
    plan = "\n".join(line["QUERY PLAN"] for line in lines)
    assert "Seq Scan" not in plan, plan
    return _buffers(lines)


def _buffers(lines: Sequence[dict[str, str]]) -> int:
    """Blocks that the whole statement touched."""
    touched = next(line["QUERY PLAN"] for line in lines if "Buffers:" in line["QUERY PLAN"])
    return sum(int(part.split("=")[1]) for part in touched.split() if "=" in part)
