"""`tidings dead` and `tidings replay`, as an operator runs them."""

import asyncio
import gzip
import json
import signal
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.support import forked
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written
from tests.support.terminal import in_a_terminal
from tests.support.worker_rig import eventually

from tidings.delivery.errors import Rejected
from tidings.delivery.outcome import Failure, Reason, Undeliverable


async def test_list_shows_what_is_open_and_masks_who_it_was_for(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written())
    table = await tidings("dead", "list", "--channel", "email", "--max-age", "24h")
    assert table.code == 0, table.err
    assert str(dead_letter) in table.out
    assert "ada@example.com" not in table.out
    as_json = json.loads((await tidings("dead", "list", "--json", "--reveal")).out)["data"]
    assert [dead_letter["id"] for dead_letter in as_json] == [str(dead_letter)]
    assert (as_json[0]["recipient"], as_json[0]["error_code"]) == ("ada@example.com", "550 5.1.1")
    nothing = await tidings("dead", "list", "--channel", "sms")
    assert (nothing.code, nothing.out) == (0, "")


async def test_groups_sum_up_and_say_what_to_do(rig: DeadLetterRig, tidings: Tidings) -> None:
    await rig.archived(*(written() for _ in range(3)))
    shown = await tidings("dead", "groups")
    assert "3" in shown.out
    assert "mailbox unavailable" in shown.out
    (group,) = json.loads((await tidings("dead", "groups", "--json")).out)["data"]
    assert group["count"] == 3
    listed = await tidings("dead", "list", "--json", "--fingerprint", group["fingerprint"][:5])
    assert len(json.loads(listed.out)["data"]) == 3


async def test_a_note_is_kept_with_one_and_with_a_group_and_shown(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    dead_letter, _ = await rig.archived(written(), written())
    (row, _) = await rig.dead_letters()
    group = ("--fingerprint", str(row["fingerprint"])[:6])
    assert (await tidings("dead", "note", str(dead_letter), "--note", "asked her")).code == 0
    noted = await tidings("dead", "note", *group, "--note", "ticket 4711", "--json")
    assert json.loads(noted.out)["note"] == "ticket 4711"
    listed = (await tidings("dead", "list")).out
    assert listed.count("note: asked her") == 1
    assert "note: ticket 4711" in (await tidings("dead", "groups")).out
    shown = (await tidings("dead", "show", str(dead_letter))).out
    assert "asked her · " in shown
    assert "ticket 4711 · " in shown
    assert (await tidings("dead", "note", str(dead_letter), "--remove")).code == 0
    assert (await tidings("dead", "note", *group, "--remove")).code == 0
    assert (await tidings("dead", "note", *group, "--remove")).code == 1
    assert "note:" not in (await tidings("dead", "list")).out
    for unclear in ((str(dead_letter),), ("--note", "x"), (*group, str(dead_letter), "--remove")):
        assert (await tidings("dead", "note", *unclear)).code == 2, unclear


async def test_show_tells_everything_but_the_message_unless_asked(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    body = written(cc=["grace@example.com"], body="Your code is 493021")
    (dead_letter,) = await rig.archived(body)
    shown = await tidings("dead", "show", str(dead_letter)[:8])
    assert shown.code == 0, shown.err
    for fields in ("OPEN", "rejected 550 5.1.1", "mailbox unavailable", "email.normal"):
        assert fields in shown.out
    assert f"tidings replay {dead_letter}" in shown.out
    for secret in ("ada@example.com", "grace@example.com", "493021"):
        assert secret not in shown.out
    revealed = await tidings("dead", "show", str(dead_letter), "--reveal")
    assert "ada@example.com" in revealed.out
    assert "493021" in revealed.out
    raw = await tidings("dead", "show", str(dead_letter), "--raw")
    assert raw.out.encode() == body


async def test_show_says_why_a_dead_letter_can_t_be_read(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    bytes_ = bytes(range(256))
    async with rig.archiving():
        await rig.publish_dead(json.dumps({"id": str(uuid4()), "channel": "email"}).encode(), {})
        await rig.publish_dead(bytes_, {})
        rows = await rig.dead_letters(2)
    text, binary = sorted(rows, key=lambda row: len(bytes(row["body"])))  # type: ignore[call-overload]
    shown = await tidings("dead", "show", str(text["id"]))
    assert "recipient: is missing" in shown.out
    shown = await tidings("dead", "show", str(binary["id"]), "--reveal")
    assert "00000010" in shown.out
    async with forked.begun(
        "dead", "show", str(binary["id"]), "--raw", env=environment_of(rig)
    ) as raw:
        assert await raw.ended() == 0
        assert raw.out == bytes_


async def test_what_a_dead_letter_says_can_t_steer_the_terminal(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J[red]"
    async with rig.archiving():
        await rig.publish_dead(
            hostile.encode(), {"x-tidings-reason": "rejected", "x-tidings-error-message": hostile}
        )
        (row,) = await rig.dead_letters()
    for arguments in (
        ("list",),
        ("groups",),
        ("show", str(row["id"])),
        ("show", str(row["id"]), "--reveal"),
    ):
        shown = await tidings("dead", *arguments)
        assert shown.code == 0, shown.err
        assert not {"\x1b", "\x07", "\x9b"} & set(shown.out), arguments
        assert "[red]" in shown.out


async def test_unknown_dead_letters_and_wrong_options_are_told_apart(tidings: Tidings) -> None:
    unknown = await tidings("dead", "show", "deadbeef")
    assert (unknown.code, "no dead letter deadbeef" in unknown.err) == (1, True)
    assert "Traceback" not in unknown.err
    for arguments, text in (
        (("replay",), "--all"),
        (("replay", "--all", "--stop-at", "200%"), "share"),
        (("replay", "--all", "--rate", "fast"), "50/s"),
        (("replay", "--all", "--canary", "a,b"), "1,10,100"),
        (("replay", "--all", "--since", "yesterday"), "24h"),
        (("dead", "list", "--fingerprint", "%"), "hexadecimal"),
        (("dead", "list", "--since", "1h", "--max-age", "2h"), "not both"),
        (("dead", "discard", "deadbeef"), "--note"),
        (("dead", "discard", "--note", "x"), "ids or filters"),
        (("dead", "edit", "deadbeef", "--set", "a=1", "--file", "x"), "not both"),
    ):
        wrong = await tidings(*arguments)
        assert wrong.code == 2, (arguments, wrong.err)
        assert text in wrong.err, (arguments, wrong.err)


async def test_an_unreachable_database_is_said_in_a_sentence(tidings: Tidings) -> None:
    away = await tidings(
        "dead", "list", TIDINGS_DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing"
    )
    assert away.code == 3
    assert "PostgreSQL" in away.err
    assert "Traceback" not in away.err


async def test_discard_closes_dead_letters_with_a_reason(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    dead_letters = await rig.archived(written(), written(), written())
    done = await tidings("dead", "discard", str(dead_letters[0]), "--note", "test data")
    assert (done.code, "Discarded 1 of 1" in done.out) == (0, True)
    again = await tidings("dead", "discard", str(dead_letters[0]), "--note", "test data")
    assert again.code == 1
    assert f"{dead_letters[0]}: it was already discarded" in again.err
    unasked = await tidings("dead", "discard", "--channel", "email", "--note", "all")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    for state, count in (("all", 3), ("discarded", 1), ("open", 2)):
        listed = await tidings("dead", "list", "--state", state, "--json")
        assert len(json.loads(listed.out)["data"]) == count, state
        grouped = await tidings("dead", "groups", "--state", state, "--json")
        groups = json.loads(grouped.out)["data"]
        assert sum(group["count"] for group in groups) == count, state
    rest = await tidings(
        "dead", "discard", "--channel", "email", "--note", "all", "--yes", "--json"
    )
    job = json.loads(rest.out)
    assert (job["kind"], job["state"], job["results"]) == ("discard", "finished", {"discarded": 2})
    items = json.loads((await tidings("jobs", "items", job["id"], "--json")).out)["data"]
    assert {item["item_id"] for item in items} == {str(id_) for id_ in dead_letters[1:]}
    none = await tidings("dead", "discard", "--channel", "email", "--note", "all", "--yes")
    assert (none.code, none.out) == (0, "Nothing to discard.\n")
    assert len(json.loads((await tidings("jobs", "list", "--json")).out)["data"]) == 1


async def test_discard_says_first_what_it_would_close(rig: DeadLetterRig, tidings: Tidings) -> None:
    dead_letters = await rig.archived(written(), written(), written())
    await tidings("dead", "discard", str(dead_letters[0]), "--note", "test data")
    some = await tidings("dead", "discard", "--channel", "email", "--dry-run")
    assert (some.code, some.out.splitlines()[-1]) == (0, "2 dead letters would be discarded.")
    assert {str(dead_letter) in some.out for dead_letter in dead_letters[1:]} == {True}
    named = await tidings("dead", "discard", *map(str, dead_letters[:2]), "--dry-run")
    assert (named.code, "1 dead letter would be discarded." in named.out) == (1, True)
    assert f"{dead_letters[0]}: it was already discarded" in named.err
    preview = await tidings(
        "dead", "discard", str(dead_letters[1]), "--dry-run", "--note", "x", "--json"
    )
    shown = json.loads(preview.out)
    assert (shown["would_discard"], shown["not_open"]) == (1, [])
    assert [row["id"] for row in shown["sample"]] == [str(dead_letters[1])]
    assert json.loads((await tidings("jobs", "list", "--json")).out)["data"] == []
    none = await tidings("dead", "discard", "--channel", "sms", "--dry-run")
    assert (none.code, none.out.strip()) == (0, "Nothing to discard.")
    left = json.loads((await tidings("dead", "list", "--json")).out)["data"]
    assert {id["id"] for id in left} == {str(id) for id in dead_letters[1:]}


async def test_edit_sets_fields_shows_the_difference_and_replays(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written())
    channel = ScriptedChannel()
    async with rig.working(channel):
        done = await tidings(
            "dead",
            "edit",
            str(dead_letter),
            "--set",
            "recipient=grace@example.com",
            "--set",
            'entity={"type": "order"}',
            "--set",
            "entity.id=A7",
            "--replay",
        )
    assert done.code == 0, done.err + done.out
    assert '-  "recipient": "a…@example.com"' in done.out
    assert '+  "recipient": "g…@example.com"' in done.out
    assert '+  "entity.id": "A7"' in done.out
    assert "1  delivered\n" in done.out
    (request,) = channel.requests
    assert request.notification.recipient == "grace@example.com"
    assert request.notification.entity is not None
    assert request.notification.entity.id == "A7"


async def test_edit_takes_a_file_or_standard_input(rig: DeadLetterRig, tidings: Tidings) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id))
    wrong = await tidings(
        "dead", "edit", str(dead_letter), "--file", "-", stdin=written(id, cc=["?"])
    )
    assert wrong.code == 1
    assert "cc[0]" in wrong.err
    same = await tidings("dead", "edit", str(dead_letter), "--file", "-", stdin=written(id))
    assert "Nothing changed" in same.out
    done = await tidings(
        "dead", "edit", str(dead_letter), "--file", "-", stdin=written(id, subject="New")
    )
    assert done.code == 0, done.err
    states = [row["state"] for row in await rig.dead_letters(2)]
    assert sorted(map(str, states)) == ["open", "superseded"]


async def test_edit_opens_the_editor_until_the_dead_letter_can_be_read(
    rig: DeadLetterRig, tidings: Tidings, tmp_path: Path
) -> None:
    (dead_letter,) = await rig.archived(written(subject="first"))
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\n"
        'if grep -q first "$1"; then sed -i "s/first//" "$1"; else sed -i \'s/"subject": ""/"subject": "mended"/\' "$1"; fi\n'
    )
    editor.chmod(0o755)
    done = await tidings("dead", "edit", str(dead_letter), stdin=b"y\n", EDITOR=str(editor))
    assert done.code == 0, done.err
    assert "subject" in done.err
    assert '-  "subject": "… 5 characters"' in done.out
    assert '+  "subject": "… 6 characters"' in done.out


@pytest.mark.parametrize("reveal", [False, True])
async def test_edit_quotes_whom_it_is_for_only_where_asked(
    rig: DeadLetterRig, tidings: Tidings, reveal: bool
) -> None:
    id = uuid4()
    (dead_letter,) = await rig.archived(written(id))
    command = ("dead", "edit", str(dead_letter), "--file", "-", *(["--reveal"] if reveal else []))
    done = await tidings(*command, stdin=written(id, recipient="jane@@example"))
    assert done.code == 1
    assert "is not an email address" in done.err
    assert ("jane@@example" in done.err) is reveal


async def test_a_dry_run_counts_and_changes_nothing(rig: DeadLetterRig, tidings: Tidings) -> None:
    dead_letters = await rig.archived(written(), written())
    shown = await tidings("replay", "--all", "--dry-run")
    assert shown.code == 0
    assert "2 dead letters would be replayed" in shown.out
    assert all(str(dead_letter) in shown.out for dead_letter in dead_letters)
    as_json = json.loads((await tidings("replay", "--all", "--dry-run", "--json", "-n", "1")).out)
    assert as_json["would_replay"] == 1
    assert {row["state"] for row in await rig.dead_letters(2)} == {"open"}


async def test_a_dry_run_shows_what_would_be_replayed_however_much_would_not(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        for number in range(11):
            await rig.publish_dead(b"{" * (number + 1), {})
        await rig.dead_letters(11)
        id = await rig.make_dead_letter()
        (good,) = [row["id"] for row in await rig.dead_letters(12) if row["notification_id"] == id]
    tried = await tidings("replay", "--all", "--dry-run")
    assert "1 dead letter would be replayed" in tried.out
    assert str(good) in tried.out.partition("would be replayed")[0]


async def test_who_is_asked_sees_the_dead_letters_that_would_go(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        for number in range(11):
            await rig.publish_dead(b"{" * (number + 1), {})
        await rig.dead_letters(11)
        id = await rig.make_dead_letter()
        (good,) = [row["id"] for row in await rig.dead_letters(12) if row["notification_id"] == id]
    ask = partial(in_a_terminal, 80, "replay", "--all", env=environment_of(rig), typed=b"n\n")
    code, text = await asyncio.to_thread(ask)
    assert code == 1
    assert str(good) in text
    assert text.count("open") == 1
    assert "11 dead letters can't be replayed" in text
    assert "Replay 1 dead letter?" in text


async def test_what_is_to_be_done_is_said_once_however_many_dead_letters_it_is_true_of(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        for number in range(3):
            await rig.publish_dead(b"{" * (number + 1), {})
        rows = await rig.dead_letters(3)
    done = await tidings("replay", "--all", "--yes")
    assert done.code == 1
    assert done.out.count("tidings dead edit") == 1
    assert "3  not replayed: malformed: edit each" in done.out
    assert all(f"{row['id']}: notification: is not valid JSON" in done.out for row in rows)
    assert done.out.count("malformed: edit each") == 1


async def test_a_replay_of_one_dead_letter_names_its_notification(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written(id := uuid4()))
    async with rig.working(ScriptedChannel()):
        done = await tidings("replay", str(dead_letter))
    assert f"`tidings show {id}`" in done.err


async def test_an_edit_that_gives_a_dead_letter_the_id_of_a_notification_names_it(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        await rig.publish_dead(json.dumps({**json.loads(written()), "id": "order-17"}).encode(), {})
        (row,) = await rig.dead_letters()
        given = f"id={(id := uuid4())}"
        async with rig.working(ScriptedChannel()):
            done = await tidings("dead", "edit", str(row["id"]), "--set", given, "--replay")
    assert done.code == 0, done.err
    assert f"the new one is {id}: tidings show {id}" in done.out


async def test_a_page_of_dead_letters_goes_on_where_the_last_one_ended(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    dead_letters = set(map(str, await rig.archived(*(written() for _ in range(5)))))
    seen: list[str] = []
    typed = ["dead", "list", "--channel", "email", "-n", "2", "--since", "24h"]
    for left in (3, 1, 0):
        page = await tidings(*typed)
        seen += [dead_letter for dead_letter in dead_letters if dead_letter in page.out]
        if not left:
            assert page.err == ""
            break
        (text,) = page.err.splitlines()
        command = text.split("`")[1]
        assert command.startswith("tidings dead list --channel email -n 2 --since 24h --cursor ")
        assert text.endswith("`tidings dead groups` counts them.")
        typed = command.split()[1:]
    assert sorted(seen) == sorted(dead_letters)
    unknown = await tidings(*typed[:-1], "deadbeef")
    assert (unknown.code, "no cursor of a list with these filters" in unknown.err) == (2, True)


async def test_replay_says_what_was_delivered_again(rig: DeadLetterRig, tidings: Tidings) -> None:
    await rig.archived(*(written() for _ in range(5)))
    unasked = await tidings("replay", "--all")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    async with rig.working(ScriptedChannel()):
        done = await tidings("replay", "--all", "--yes", "--rate", "100/s", "--json")
    summary = json.loads(done.out)
    assert done.code == 0, done.err
    assert (summary["replayed"], summary["delivered_again"], summary["failed_again"]) == (5, 5, 0)
    nothing = await tidings("replay", "--all", "--yes")
    assert (nothing.code, "Nothing to replay" in nothing.out) == (0, True)


async def test_replay_of_one_that_was_replayed_says_so_once(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written())
    async with rig.working(ScriptedChannel()):
        assert (await tidings("replay", str(dead_letter))).code == 0
    again = await tidings("replay", str(dead_letter))
    assert again.code == 0, again.err
    assert [line.split() for line in again.out.splitlines()] == [
        ["0", "replayed"],
        ["1", "not", "replayed:", "already", "replayed", "(--force", "replays", "them", "again)"],
    ]


async def test_replay_exits_with_1_where_dead_letters_failed_again_and_stopped(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(*(written() for _ in range(5)))
    async with rig.working(ScriptedChannel(script=lambda *_: Rejected("no"))):
        done = await tidings("replay", "--channel", "email", "--yes", "--canary", "1")
    assert done.code == 1
    assert "failed again" in done.out
    assert "4  not started" in done.out
    assert "Stopped: 1 of 1 failed again" in done.err


async def test_replay_says_what_it_left_to_a_person(rig: DeadLetterRig, tidings: Tidings) -> None:
    async with rig.archiving():
        await rig.make_dead_letter(
            outcome=Undeliverable(Reason.OUTCOME_UNKNOWN, Failure("outcome_unknown", "lost"))
        )
        await rig.make_dead_letter(
            outcome=Undeliverable(Reason.EXPIRED, Failure("expired", "late"))
        )
        await rig.publish_dead(b"{", {})
        await rig.dead_letters(3)
    done = await tidings("replay", "--all", "--yes", "--watch-timeout", "0")
    assert done.code == 1
    assert "1  not replayed: malformed" in done.out
    assert "not replayed\n" not in done.out
    assert "tidings dead edit" in done.out
    assert "1 skipped: they may have been delivered" in done.err
    assert "1 skipped: they would expire again" in done.err


async def test_who_replays_what_may_have_arrived_is_warned(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    """In the epoch that ended, and in every later one."""
    lost = Undeliverable(Reason.OUTCOME_UNKNOWN, Failure("outcome_unknown", "reply lost"))
    warning = "Warning: 1 of them may have been delivered before"
    async with rig.archiving(), rig.working(ScriptedChannel(script=lambda *_: Rejected("550"))):
        id = await rig.make_dead_letter(outcome=lost)
        await rig.make_dead_letter()
        dead_letters = [str(row["id"]) for row in await rig.dead_letters(2)]
        tried = await tidings("replay", *dead_letters, "--dry-run", "--json")
        assert json.loads(tried.out)["perhaps_delivered_count"] == 1
        done = await tidings("replay", *dead_letters, "--json")
        assert warning in done.err
        assert json.loads(done.out)["perhaps_delivered_count"] == 1
        await rig.dead_letters(4)
        (again,) = await rig.fetch(
            "SELECT id FROM dead_letters WHERE notification_id = $1 AND epoch = 1", id
        )
        await eventually(lambda: _settled(rig, id))
        mended = ("dead", "edit", str(again["id"]), "--set", "subject=Again", "--replay")
        edited = await tidings(*mended, "--json")
        assert warning in edited.err
        assert json.loads(edited.out)["replay"]["perhaps_delivered_count"] == 1


async def _settled(rig: DeadLetterRig, id: UUID) -> bool:
    return await rig.state(id) == "failed"


async def test_what_was_sent_and_is_forced_is_warned_of_too(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written())
    async with rig.working(ScriptedChannel()):
        first = await tidings("replay", str(dead_letter))
        assert (first.code, "Warning" in first.err) == (0, False)
        forced = await tidings("replay", str(dead_letter), "--force")
    assert "may have been delivered before" in forced.err


async def test_a_replay_without_a_broker_begins_nothing(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (dead_letter,) = await rig.archived(written())
    away = await tidings(
        "replay",
        str(dead_letter),
        TIDINGS_AMQP_URL="amqp://guest:guest@127.0.0.1:9/",
        TIDINGS_AMQP_TIMEOUT="1s",
    )
    assert away.code == 3
    assert "RabbitMQ" in away.err
    (row,) = await rig.dead_letters()
    assert row["state"] == "open"


async def test_a_replay_killed_in_the_middle_loses_nothing(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    """SIGKILL at full speed, then the scheduler and a second replay: each is delivered once."""
    await rig.archived(*(written() for _ in range(200)))
    async with forked.begun(
        "replay", "--all", "--yes", "--rate", "100/s", env=environment_of(rig)
    ) as replay:
        while not await rig.fetch("SELECT FROM dead_letters WHERE state <> 'open'"):
            assert not replay.has_ended
        replay.signal(signal.SIGKILL)
        assert await replay.ended() == -signal.SIGKILL
    await rig.fetch("UPDATE notifications SET dispatch_at = now() WHERE dispatch_at IS NOT NULL")
    channel = ScriptedChannel()
    async with rig.scheduling(), rig.working(channel):
        done = await tidings("replay", "--all", "--yes", "--json")
        assert done.code == 0, done.err
        assert 0 < json.loads(done.out)["replayed"] < 200
        ids = [UUID(str(row["id"])) for row in await rig.fetch("SELECT id FROM notifications")]
        for id in ids:
            await rig.reaches(id, "sent", within=30)
    assert len(channel.sent) == 200
    assert set(channel.sent.values()) == {1}


async def test_show_names_the_producer_and_list_finds_by_recipient_and_by_a_part_of_the_id(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    id = uuid4()
    async with rig.archiving():
        set_ = {"app_id": "shop", "message_id": "m-1", "correlation_id": "c\x1b[31m"}
        await rig.publish_dead(written(id, unknown=1, recipient="+1555"), {}, **set_)
        await rig.publish_dead(written(), {})
        await rig.dead_letters(2)
    shown = await tidings("dead", "show", str(id))
    assert "app_id shop" in shown.out
    assert "message_id m-1 · correlation_id c" in shown.out
    assert "\x1b[31m" not in shown.out
    as_json = json.loads((await tidings("dead", "show", str(id), "--json")).out)
    assert as_json["properties"] == set_
    for options in (("--to", "+1555"), ("--id", str(id)[:9]), ("--id", str(id))):
        found = await tidings("dead", "list", "--json", *options)
        assert [row["notification_id"] for row in json.loads(found.out)["data"]] == [str(id)], (
            options
        )
    none = json.loads((await tidings("dead", "list", "--json", "--to", "+1556")).out)
    assert none == {"data": [], "next_cursor": None}
    wrong = await tidings("dead", "list", "--id", "xyz")
    assert wrong.code == 2
    assert "is not an id" in wrong.err
    closed = await tidings("dead", "discard", "--to", "+1555", "--note", "a test", "--yes")
    assert "Discarded 1 of 1" in closed.out


async def test_the_story_of_what_never_became_a_notification_goes_up_to_its_dead_letter(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    id = uuid4()
    async with rig.archiving(), rig.working(ScriptedChannel()):
        await rig.publish(body=written(id, unknown=1, user_id="u1"))
        await rig.publish(body=b"{")
        dead_letters = await rig.dead_letters(2)
    (dead_letter,) = (
        dead_letter for dead_letter in dead_letters if dead_letter["notification_id"] == id
    )
    for prefix in (str(id), str(id)[:9]):
        shown = await tidings("show", prefix)
        assert shown.code == 0, shown.err
        assert "WITHOUT A NOTIFICATION" in shown.out
        assert "with routing key email.normal" in shown.out
        assert "unknown: is not a field of EmailNotification" in shown.out
        assert f"tidings dead show {dead_letter['id']}" in shown.out
        assert "ada@example.com" not in shown.out
    as_json = json.loads((await tidings("show", str(id), "--json")).out)
    assert (as_json["id"], as_json["state"]) == (str(id), None)
    assert [id["reason"] for id in as_json["dead_letters"]] == ["malformed"]
    (nameless,) = (
        dead_letter for dead_letter in dead_letters if dead_letter["notification_id"] is None
    )
    its_own = await tidings("show", str(nameless["id"])[:8])
    assert its_own.code == 0, its_own.err
    assert "WITHOUT A NOTIFICATION" in its_own.out
    assert f"tidings dead show {nameless['id']}" in its_own.out
    assert "None" not in its_own.out
    assert "no such notification" in (await tidings("show", str(uuid4()))).err


async def test_show_of_a_dead_letter_s_id_tells_its_notification_s_story(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    body = written()
    (archived,) = await rig.archived(body)
    id = json.loads(body)["id"]

    async def shown(dead_letter: str) -> str:
        output = await tidings("show", dead_letter[:8])
        assert output.code == 0, output.err
        assert id in output.out
        assert "WITHOUT A NOTIFICATION" not in output.out
        return output.out

    assert "FAILED" in await shown(str(archived))
    await tidings("dead", "edit", str(archived), "--set", "subject=Mended")
    (mended,) = json.loads((await tidings("dead", "list", "--json")).out)["data"]
    for dead_letter in (str(archived), mended["id"]):
        assert "FAILED" in await shown(dead_letter)
    async with rig.working(ScriptedChannel()):
        replayed = await tidings("replay", mended["id"])
    assert replayed.code == 0, replayed.err
    for dead_letter in (str(archived), mended["id"]):
        output = await shown(dead_letter)
        assert "SENT" in output
        assert f"replayed from dead letter {mended['id']}" in output


async def test_show_tells_of_a_stray_with_the_id_of_a_notification(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving(), rig.working(ScriptedChannel()):
        id = await rig.publish()
        await rig.reaches(id, "sent")
        await rig.publish(body=written(id, unknown=1))
        (dead_letter,) = await rig.dead_letters()
    shown = await tidings("show", str(id))
    assert "SENT" in shown.out
    assert "Another message with this id is a dead letter (malformed)" in shown.out
    assert f"tidings dead show {dead_letter['id']}" in shown.out


async def test_the_story_of_what_was_mended_tells_the_refusal_the_edit_and_the_replay(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    id = uuid4()
    async with rig.archiving(), rig.working(ScriptedChannel()):
        await rig.publish(body=written(id, max_retries="many"), app_id="shop-node")
        (dead_letter,) = await rig.dead_letters()
        mended = await tidings("dead", "edit", str(dead_letter["id"]), "--set", "max_retries=3")
        assert mended.code == 0, mended.err
        replayed = await tidings("replay", "--all", "--yes")
        assert replayed.code == 0, replayed.err
    shown = await tidings("show", str(id))
    assert "SENT" in shown.out
    assert "Another message" not in shown.out
    assert "accepted" not in shown.out
    history = [
        *("first read", "shop-node", "failed: dead letter: ", "max_retries", "archive"),
        *("· dead letter", "edited: max_retries", "cli "),
        *("queued: replayed from dead letter", "cli ", "attempt 1 of replay 1", "sent"),
    ]
    place = 0
    for line in history:
        assert line in shown.out[place:], (line, shown.out)
        place = shown.out.index(line, place)


async def test_the_story_names_the_fields_that_were_edited_and_not_their_values(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    body = written(subject="Hello")
    (dead_letter,) = await rig.archived(body)
    set_ = ("--set", "recipient=grace@example.com", "--set", 'entity={"type": "order", "id": "7"}')
    edited = await tidings("dead", "edit", str(dead_letter), *set_)
    assert edited.code == 0, edited.err
    shown = await tidings("show", str(json.loads(body)["id"]))
    assert f"dead letter {dead_letter} edited: entity.id, entity.type, recipient" in shown.out
    assert "grace@" not in shown.out


async def test_show_tells_where_an_id_was_published_again_with_other_content(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    id = uuid4()
    async with rig.working(ScriptedChannel()):
        await rig.publish(body=written(id))
        await rig.reaches(id, "sent")
        await rig.publish(body=written(id, subject="Another"))
        await eventually(lambda: _noted(rig, id))
    shown = await tidings("show", str(id))
    assert "· published again with other content by a producer" in shown.out
    assert "the other content is not sent" in shown.out
    assert "Its id was published again with other content: every notification needs" in shown.out


async def _noted(rig: DeadLetterRig, id: UUID) -> bool:
    return bool(await rig.fetch("SELECT FROM transitions WHERE notification_id = $1", id))


async def test_a_word_that_nobody_uses_is_told_where_nothing_matches(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(written(category="receipt", entity={"type": "order", "id": "7"}))
    for typed in (("list",), ("dead", "list"), ("dead", "groups"), ("replay", "--dry-run")):
        misspelt = await tidings(*typed, "--category", "reciept")
        assert misspelt.code == 0
        assert "did you mean 'receipt'?" in misspelt.err, typed
    entity = await tidings("dead", "list", "--entity", "oder:7")
    assert "did you mean 'order'?" in entity.err
    other = await tidings("dead", "list", "--entity", "order:8")
    assert "did you mean" not in other.err


async def test_a_list_of_notifications_tells_which_dead_letters_it_lacks(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        await rig.publish_dead(b"{", {})
        await rig.publish_dead(written(), {})
        await rig.make_dead_letter()
        await rig.dead_letters(3)
    every = await tidings("list")
    assert every.err == (
        "Not listed, because they never became notifications: "
        "1 malformed dead letter: `tidings dead list --reason malformed`; "
        "1 unroutable dead letter: `tidings dead list --reason unroutable`\n"
    )
    found, none = await tidings("list", "-c", "email"), await tidings("list", "--to", "nobody")
    assert (found.err, none.err) == ("", f"No matches.\n{every.err}")
    unknown = await tidings("show", str(uuid4()))
    assert "can't be read: `tidings dead list --reason malformed`" in unknown.err


async def test_groups_are_told_only_what_can_work_for_them(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        await rig.publish_dead(b"{", {})
        await rig.make_dead_letter(
            outcome=Undeliverable(Reason.EXPIRED, Failure("expired", "too late"))
        )
        await rig.dead_letters(2)
        unreplayable = await tidings("dead", "groups")
        await rig.make_dead_letter()
        await rig.dead_letters(3)
        every = await tidings("dead", "groups")
    assert "tidings replay" not in unreplayable.err
    assert "tidings dead edit --fingerprint GROUP --set FIELD=VALUE --replay" in unreplayable.err
    assert "tidings dead edit --fingerprint GROUP --set expires_at=… --replay" in unreplayable.err
    assert "Replay one group: `tidings replay --fingerprint GROUP" in every.err


async def test_dead_letters_refused_for_several_reasons_are_counted_together_too(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        await rig.make_dead_letter()
        await rig.publish_dead(b"{", {})
        dead_letters = [str(row["id"]) for row in await rig.dead_letters(2)]
        discarded = await tidings("dead", "discard", dead_letters[0], "--note", "test data")
    assert discarded.code == 0, discarded.err
    done = await tidings("replay", *dead_letters)
    assert "2  not replayed\n" in done.out
    assert "1  not replayed: discarded" in done.out


async def test_a_replay_in_waves_tells_what_became_of_each(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(*(written() for _ in range(5)))
    async with rig.working(ScriptedChannel()):
        words = await tidings("replay", "--all", "--yes", "--canary", "1,2")
        assert "Delivered in each wave: 1 of 1, 2 of 2.\n" in words.out
        again = await tidings("replay", "--all", "--yes", "--force", "--canary", "1", "--json")
    well = {"sent": 1, "delivered_again": 1, "failed_again": 0, "retrying": 0}
    assert json.loads(again.out)["waves"] == [well]


async def test_an_edit_that_sends_nothing_says_how_it_is_sent(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    dead_letters = [
        str(dead_letter) for dead_letter in await rig.archived(written(), written(), written())
    ]
    edited = await tidings("dead", "edit", dead_letters[0], "--set", "subject=One")
    (new,) = await rig.fetch(
        "SELECT id FROM dead_letters WHERE supersedes = $1", UUID(dead_letters[0])
    )
    assert edited.err == f"Replay it: `tidings replay {new['id']}`\n"
    two = await tidings("dead", "edit", *dead_letters[1:], "--set", "subject=Two")
    rows = await rig.fetch("SELECT id FROM dead_letters WHERE note = 'edited'")
    others = {str(row["id"]) for row in rows} - {str(new["id"])}
    assert (
        set(two.err.removeprefix("Replay them: `tidings replay ").rstrip("`\n").split()) == others
    )
    many = ("dead", "edit", "--channel", "email", "--set", "subject=Three", "--note", "x", "--yes")
    assert (await tidings(*many)).err.endswith("Replay them: the same command with `--replay`\n")
    assert "Replay" not in (await tidings(*many, "--dry-run")).err


async def test_no_editor_is_opened_for_what_is_no_text(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving():
        await rig.publish_dead(gzip.compress(written()), {}, content_encoding="gzip")
        (row,) = await rig.dead_letters()
    refused = await tidings("dead", "edit", str(row["id"]), EDITOR="false")
    assert (refused.code, "its body is not text" in refused.err) == (1, True)
    packed = bytes(row["body"])  # type: ignore[call-overload]
    mended = await tidings(
        "dead", "edit", str(row["id"]), "--file", "-", stdin=gzip.decompress(packed)
    )
    assert mended.code == 0, mended.err


async def test_what_is_aborted_says_so_on_a_line_of_its_own(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    ask = partial(in_a_terminal, 80, "replay", "--all", env=environment_of(rig), typed=b"\x04")
    code, text = await asyncio.to_thread(ask)
    assert code == 1
    assert "Replay 1 dead letter? [y/N]: \nAborted.\n" in text, text


async def test_show_offers_no_replay_of_a_dead_letter_whose_notification_was_sent(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with rig.archiving(), rig.working(ScriptedChannel()):
        id = await rig.publish()
        await rig.reaches(id, "sent")
        await rig.publish_dead(written(id), {})
        (row,) = await rig.dead_letters()
        shown = await tidings("dead", "show", str(row["id"]))
    assert f"Can't be replayed: its notification is sent: tidings show {id}\n" in shown.out
    assert "tidings replay" not in shown.out
    assert "tidings dead edit" not in shown.out
    assert f"tidings dead discard {row['id']}" in shown.out
