"""Letters are found by what they have in common."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written

from tidings.delivery.errors import Refused
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.letter_search import LetterFilter


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
        assert await resolve(str(letter)) == letter
        assert await resolve(str(letter)[:8].upper()) == letter
        assert await resolve(str(row["notification_id"])) == letter
        with pytest.raises(Refused, match="no dead letter"):
            await resolve("00000000")
        with pytest.raises(Refused, match="is not an id"):
            await resolve("xyz")
        with pytest.raises(Refused, match="is not an id"):
            await resolve("ab")


async def test_what_means_several_letters_is_refused_with_their_ids(rig: DeadLetterRig) -> None:
    from uuid import uuid4

    id = uuid4()
    letters = await rig.archived(written(id, subject="one"), written(id, subject="two"))
    async with rig.ledger() as ledger:
        with pytest.raises(Refused, match="several letters") as refused:
            await ledger.letters.search.resolve(str(id))
    assert all(str(letter) in str(refused.value) for letter in letters)
