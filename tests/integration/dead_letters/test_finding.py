"""Letters are found by what they have in common."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written

from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.search import LetterFilter


async def test_every_filter_finds_what_it_says_and_nothing_else(rig: DeadLetterRig) -> None:
    wanted = written(
        channel="sms",
        recipient="+41791234567",
        category="otp",
        user_id="u1",
        entity={"type": "order", "id": "7"},
    )
    async with rig.archiving():
        await rig.bury(wanted, key="sms.normal", outcome=rejected("unreachable", "30003"))
        await rig.bury(
            written(category="receipt", user_id="u2", entity={"type": "order", "id": "8"})
        )
        await rig.publish_dead(b"{", {})
        rows = await rig.letters(3)
    (row,) = (row for row in rows if row["channel"] == "sms")
    buried_at = row["buried_at"]
    assert isinstance(buried_at, datetime)
    print_ = str(row["fingerprint"])
    async with rig.ledger() as ledger:
        search = ledger.letters.search
        for found in (
            LetterFilter(channel="sms"),
            LetterFilter(fingerprint=print_),
            LetterFilter(fingerprint=print_[:4]),
            LetterFilter(category="otp"),
            LetterFilter(user_id="u1"),
            LetterFilter(entity_type="order", entity_id="7"),
            LetterFilter(reason=Reason.REJECTED, channel="sms"),
            LetterFilter(since=buried_at, until=buried_at + timedelta(microseconds=1)),
        ):
            assert list(await search.ids(found)) == [row["id"]], found
            assert await search.count(found) == 1
            assert found.selects
        for nothing in (
            LetterFilter(channel="whatsapp"),
            LetterFilter(states=(LetterState.DISCARDED,)),
            LetterFilter(since=datetime.now(UTC) + timedelta(days=1)),
            LetterFilter(until=datetime.now(UTC) - timedelta(days=1)),
            LetterFilter(entity_type="task"),
        ):
            assert list(await search.ids(nothing)) == []
        assert len(await search.ids(LetterFilter(entity_type="order"))) == 2
        assert len(await search.list(LetterFilter(), 2)) == 2
        assert not LetterFilter(states=(LetterState.BURIED,)).selects


async def test_groups_put_alike_failures_together_the_largest_first(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        for number in range(3):
            await rig.bury(outcome=rejected(f"no such user {number}"))
        await rig.bury(outcome=rejected("over quota", "552"))
        await rig.letters(4)
    async with rig.ledger() as ledger:
        groups = await ledger.letters.search.groups(LetterFilter(), 10)
    assert [(group.letters, group.code) for group in groups] == [(3, "550 5.1.1"), (1, "552")]
    assert groups[0].message.startswith("no such user")


async def test_a_letter_is_named_by_a_few_digits_or_by_its_notification(
    rig: DeadLetterRig,
) -> None:
    (letter,) = await rig.archived(written())
    (row,) = await rig.letters()
    async with rig.ledger() as ledger:
        resolve = ledger.letters.search.resolve
        whole, notification = str(letter), str(row["notification_id"])
        parts = (whole, whole[:8].upper(), whole[:4], whole[-12:])
        for typed in (*parts, notification, notification[:13], notification[-12:]):
            assert await resolve(IdPrefix.parse(typed)) == letter, typed
        with pytest.raises(Refused, match="no dead letter"):
            await resolve(IdPrefix.parse("00000000"))
        for digits, found in ((whole[:4], [letter]), (whole[-4:], []), (whole[-6:], [letter])):
            wanted = LetterFilter(id_prefix=IdPrefix.parse(digits))
            assert [one.id for one in await ledger.letters.search.list(wanted, 9)] == found, digits


async def test_what_means_several_letters_is_refused_with_their_ids(rig: DeadLetterRig) -> None:
    id = uuid4()
    letters = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    async with rig.ledger() as ledger:
        with pytest.raises(Refused, match="several letters") as refused:
            await ledger.letters.search.resolve(IdPrefix.parse(str(id)))
    assert all(f"{letter} (buried)" in str(refused.value) for letter in letters)


async def test_of_the_letters_of_a_notification_the_only_open_one_is_meant_or_else_the_newest(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    first, second = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    typed = [str(id), str(id)[:8], str(id)[-12:]]
    async with rig.ledger() as ledger:
        for closed, meant in ((first, second), (second, second)):
            await ledger.letters.closings.discard([closed], "dealt with", actor="test")
            for text in typed:
                found = await ledger.letters.search.resolve(IdPrefix.parse(text))
                assert found == meant, text
        assert await ledger.letters.search.resolve(IdPrefix.parse(str(first))) == first


async def test_an_open_letter_is_not_guessed_among_those_of_several_notifications(
    rig: DeadLetterRig,
) -> None:
    ids = [UUID(f"0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c{last}") for last in ("01", "02")]
    closed, _ = await rig.archived(*(written(id) for id in ids))
    async with rig.ledger() as ledger:
        await ledger.letters.closings.discard([closed], "dealt with", actor="test")
        with pytest.raises(Refused, match=r"\(discarded\)"):
            await ledger.letters.search.resolve(IdPrefix.parse("0192f0c1"))
