"""Dead letters are found by what they have in common."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.search import DeadLetterFilter


async def test_every_filter_finds_what_it_says_and_nothing_else(rig: DeadLetterRig) -> None:
    wanted = written(
        channel="sms",
        recipient="+41791234567",
        tenant="acme",
        category="otp",
        user_id="u1",
        entity={"type": "order", "id": "7"},
    )
    async with rig.archiving():
        await rig.make_dead_letter(
            wanted, key="sms.normal", outcome=rejected("unreachable", "30003")
        )
        await rig.make_dead_letter(
            written(category="receipt", user_id="u2", entity={"type": "order", "id": "8"})
        )
        await rig.publish_dead(b"{", {})
        rows = await rig.dead_letters(3)
    (row,) = (row for row in rows if row["channel"] == "sms")
    dead_lettered_at = row["dead_lettered_at"]
    assert isinstance(dead_lettered_at, datetime)
    print_ = str(row["fingerprint"])
    async with rig.ledger() as ledger:
        search = ledger.dead_letters.search
        for found in (
            DeadLetterFilter(channel="sms"),
            DeadLetterFilter(fingerprint=print_),
            DeadLetterFilter(fingerprint=print_[:4]),
            DeadLetterFilter(category="otp"),
            DeadLetterFilter(tenant="acme"),
            DeadLetterFilter(user_id="u1"),
            DeadLetterFilter(entity_type="order", entity_id="7"),
            DeadLetterFilter(reason=Reason.REJECTED, channel="sms"),
            DeadLetterFilter(
                since=dead_lettered_at, until=dead_lettered_at + timedelta(microseconds=1)
            ),
        ):
            assert list(await search.ids(found)) == [row["id"]], found
            assert await search.count(found) == 1
            assert found.selects
        for nothing in (
            DeadLetterFilter(channel="whatsapp"),
            DeadLetterFilter(states=(DeadLetterState.DISCARDED,)),
            DeadLetterFilter(since=datetime.now(UTC) + timedelta(days=1)),
            DeadLetterFilter(until=datetime.now(UTC) - timedelta(days=1)),
            DeadLetterFilter(entity_type="task"),
            DeadLetterFilter(tenant="default", reason=Reason.MALFORMED),
        ):
            assert list(await search.ids(nothing)) == []
        assert len(await search.ids(DeadLetterFilter(entity_type="order"))) == 2
        assert len(await search.list(DeadLetterFilter(), 2)) == 2
        assert not DeadLetterFilter(states=(DeadLetterState.OPEN,)).selects


async def test_groups_put_alike_failures_together_the_largest_first(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        for number in range(3):
            await rig.make_dead_letter(outcome=rejected(f"no such user {number}"))
        await rig.make_dead_letter(outcome=rejected("over quota", "552"))
        await rig.dead_letters(4)
    async with rig.ledger() as ledger:
        wanted = DeadLetterFilter(states=(DeadLetterState.OPEN,))
        found = await ledger.dead_letters.groups.largest(wanted, 10, now=datetime.now(UTC))
    groups = found.groups
    assert [(group.dead_letters, group.code) for group in groups] == [(3, "550 5.1.1"), (1, "552")]
    assert groups[0].message.startswith("no such user")


async def test_a_dead_letter_is_named_by_a_few_digits_or_by_its_notification(
    rig: DeadLetterRig,
) -> None:
    (dead_letter,) = await rig.archived(written())
    (row,) = await rig.dead_letters()
    async with rig.ledger() as ledger:
        resolve = ledger.dead_letters.search.resolve
        whole, notification = str(dead_letter), str(row["notification_id"])
        parts = (whole, whole[:8].upper(), whole[:4], whole[-12:])
        for typed in (*parts, notification, notification[:13], notification[-12:]):
            assert await resolve(IdPrefix.parse(typed)) == dead_letter, typed
        with pytest.raises(Refused, match="no dead letter"):
            await resolve(IdPrefix.parse("00000000"))
        for digits, found in (
            (whole[:4], [dead_letter]),
            (whole[-4:], []),
            (whole[-6:], [dead_letter]),
        ):
            wanted = DeadLetterFilter(id_prefix=IdPrefix.parse(digits))
            assert [
                dead_letter.id for dead_letter in await ledger.dead_letters.search.list(wanted, 9)
            ] == found, digits


async def test_what_means_several_dead_letters_is_refused_with_their_ids(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    dead_letters = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    async with rig.ledger() as ledger:
        with pytest.raises(Refused, match="several dead letters") as refused:
            await ledger.dead_letters.search.resolve(IdPrefix.parse(str(id)))
    assert all(f"{dead_letter} (open)" in str(refused.value) for dead_letter in dead_letters)


async def test_of_the_dead_letters_of_a_notification_the_only_open_one_is_meant_or_else_the_newest(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    first, second = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    typed = [str(id), str(id)[:8], str(id)[-12:]]
    async with rig.ledger() as ledger:
        for closed, meant in ((first, second), (second, second)):
            await ledger.dead_letters.closings.discard([closed], "dealt with", actor="test")
            for text in typed:
                found = await ledger.dead_letters.search.resolve(IdPrefix.parse(text))
                assert found == meant, text
        assert await ledger.dead_letters.search.resolve(IdPrefix.parse(str(first))) == first


async def test_an_open_dead_letter_is_not_guessed_among_those_of_several_notifications(
    rig: DeadLetterRig,
) -> None:
    ids = [UUID(f"0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c{last}") for last in ("01", "02")]
    closed, _ = await rig.archived(*(written(id) for id in ids))
    async with rig.ledger() as ledger:
        await ledger.dead_letters.closings.discard([closed], "dealt with", actor="test")
        with pytest.raises(Refused, match=r"\(discarded\)"):
            await ledger.dead_letters.search.resolve(IdPrefix.parse("0192f0c1"))
