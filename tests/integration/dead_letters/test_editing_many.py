"""Many dead letters are edited alike: each checked for itself, and what is refused told by reason."""

import json
import signal
from uuid import uuid4

from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.support import forked
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written


async def fingerprint(rig: DeadLetterRig) -> str:
    return str((await rig.dead_letters())[0]["fingerprint"])


async def test_a_group_is_edited_and_replayed_and_each_dead_letter_is_checked(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    odd = uuid4()
    dead_letters = await rig.archived(
        *(written(locale="fr", metadata={"a": 1.50}) for _ in range(3)),
        written(odd, locale="fr"),
        written(locale="de"),
    )
    await rig.fetch("UPDATE notifications SET state = 'cancelled' WHERE id = $1", odd)
    arguments = ("dead", "edit", "--fingerprint", await fingerprint(rig))
    change = ("--set", "locale=de", "--unset", "metadata", "--unset", "nothing.there")
    before = await rig.fetch("SELECT * FROM dead_letters ORDER BY id")
    dry = json.loads((await tidings(*arguments, *change, "--dry-run", "--json")).out)
    words = await tidings(*arguments, *change, "--dry-run")
    assert await rig.fetch("SELECT * FROM dead_letters ORDER BY id") == before
    assert (dry["would_edit"], dry["unchanged"], dry["refused_by_reason"]) == (
        3,
        1,
        {"moved_on": 1},
    )
    assert "3  would be edited" in words.out
    assert '-  "locale": "fr"' in words.out
    assert '-  "metadata": "… 1 field"' in words.out

    unsaid = await tidings(*arguments, *change, "--yes")
    assert (unsaid.code, "Missing option '--note'" in unsaid.err) == (2, True)
    unasked = await tidings(*arguments, *change, "--note", "wrong language")
    assert (unasked.code, "give --yes" in unasked.err) == (2, True)
    channel = ScriptedChannel()
    async with rig.working(channel):
        done = await tidings(
            *(*arguments, *change, "--note", "wrong language", "--replay", "--yes", "--json")
        )
    output = json.loads(done.out)
    assert (output["kind"], output["state"]) == ("edit", "finished"), done.err
    assert output["results"] == {"replayed": 4, "moved_on": 1}
    assert output["outcomes"]["delivered_again"] == 4
    assert done.code == 1
    assert {request.notification.locale for request in channel.requests} == {"de"}
    (rows,) = await rig.fetch("SELECT count(*) AS n FROM dead_letters WHERE state = 'superseded'")
    assert rows["n"] == 3
    assert len(dead_letters) == 5


async def test_an_edit_that_makes_a_dead_letter_unreadable_leaves_it_as_it_was(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(written(), written())
    arguments = ("dead", "edit", "--channel", "email", "--yes", "--note", "x")
    never = await tidings(*arguments, "--unset", "recipient")
    assert (never.code, "recipient: a notification has to have it" in never.err) == (2, True)
    done = await tidings(*arguments, "--unset", "subject")
    assert done.code == 1
    assert "2  can't be edited: malformed" in done.out
    twice = json.loads((await tidings(*arguments, "--set", f"id={uuid4()}", "--json")).out)
    assert twice["results"] == {"other_id": 2}
    assert {row["state"] for row in await rig.dead_letters(2)} == {"open"}


async def test_nothing_is_edited_by_mistake(tidings: Tidings) -> None:
    for arguments, text in (
        ((), "ids or filters"),
        (("--channel", "email"), "--set or --unset"),
        (("--fingerprint", ""), "is empty"),
        (("--channel", "email", "--set", "x"), "write it like recipient="),
        (("--channel", "email", "--unset", "a..b"), "write it like expires_at"),
        (("--channel", "email", "--set", "a=1", "--file", "-"), "not both"),
        (("--channel", "email", "--set", "a=1"), "Missing option '--note'"),
        (("--channel", "email", "--set", "locale=de", "--canary", "1"), "are for --replay"),
        (("1f0c52a6", "--set", "a=1", "--canary", "1", "--json"), "are for filters"),
    ):
        refused = await tidings("dead", "edit", *arguments)
        assert refused.code == 2, refused
        assert text in refused.err


async def test_the_difference_of_one_dead_letter_gives_nobody_away_unless_asked(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written(body="Your code is 493021"))
    change = ("--set", "recipient=grace@example.com", "--set", "body=It is 110099", "--dry-run")
    shown = await tidings("dead", "edit", str(dead_letter), *change)
    assert shown.code == 0, shown.err
    for secret in ("ada@example.com", "grace@example.com", "493021", "110099"):
        assert secret not in shown.out
    assert '-  "recipient": "a…@example.com"' in shown.out
    revealed = await tidings("dead", "edit", str(dead_letter), *change, "--reveal")
    assert '+  "recipient": "grace@example.com",' in revealed.out
    (row,) = await rig.dead_letters()
    assert row["state"] == "open"


async def test_an_interrupted_edit_tells_how_far_it_came(rig: DeadLetterRig) -> None:
    """Each dead letter is whole: edited, or as it was."""
    await rig.archived(*(written() for _ in range(3)))
    await rig.fetch(
        "INSERT INTO dead_letters SELECT (jsonb_populate_record(d, jsonb_build_object("
        "'id', gen_random_uuid()))).* FROM dead_letters d, generate_series(1, 400)"
    )
    rows = await rig.fetch("SELECT id FROM dead_letters")
    ids = [str(row["id"]) for row in rows]
    arguments = ("dead", "edit", *ids, "--set", "locale=de", "--yes", "--json")
    async with forked.begun(*arguments, env=environment_of(rig)) as editing:
        while not await rig.fetch("SELECT FROM dead_letters WHERE state = 'superseded' LIMIT 1"):
            assert not editing.has_ended, editing.err
        editing.signal(signal.SIGINT)
        assert await editing.ended() in {0, 130}
        output = json.loads(editing.out)
    (row,) = await rig.fetch("SELECT count(*) AS n FROM dead_letters WHERE state = 'superseded'")
    assert output["edited"] == row["n"]
    assert output["edited"] + output["not_processed"] == 1203
