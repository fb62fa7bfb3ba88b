"""`tidings dead` and `tidings replay`, as an operator runs them."""

import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.support import forked
from tests.support.broker_rig import ONE_TIER
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.processes import Finished

from tidings.delivery.errors import Rejected
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings.testing import ScriptedChannel

Tidings = Callable[..., Awaitable[Finished]]


@pytest.fixture
def tidings(rig: DeadLetterRig) -> Tidings:
    """Run a command in a process of its own, with the settings of the rig."""

    async def run(*arguments: str, stdin: bytes = b"", **variables: str) -> Finished:
        env = {**_environment(rig), "COLUMNS": "200", **variables}
        return await forked.tidings(*arguments, env=env, stdin=stdin)

    return run


async def test_list_shows_what_is_open_and_masks_who_it_was_for(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (letter,) = await rig.archived(written())
    table = await tidings("dead", "list", "--channel", "email", "--max-age", "24h")
    assert table.code == 0, table.err
    assert str(letter) in table.out
    assert "ada@example.com" not in table.out
    as_json = json.loads((await tidings("dead", "list", "--json", "--reveal")).out)
    assert [one["id"] for one in as_json] == [str(letter)]
    assert (as_json[0]["recipient"], as_json[0]["code"]) == ("ada@example.com", "550 5.1.1")
    nothing = await tidings("dead", "list", "--channel", "sms")
    assert (nothing.code, nothing.out) == (0, "")


async def test_groups_sum_up_and_say_what_to_do(rig: DeadLetterRig, tidings: Tidings) -> None:
    await rig.archived(*(written() for _ in range(3)))
    shown = await tidings("dead", "groups")
    assert "3" in shown.out
    assert "mailbox unavailable" in shown.out
    (group,) = json.loads((await tidings("dead", "groups", "--json")).out)
    assert group["letters"] == 3
    listed = await tidings("dead", "list", "--json", "--fingerprint", group["fingerprint"][:5])
    assert len(json.loads(listed.out)) == 3


async def test_show_tells_everything_but_the_message_unless_asked(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    body = written(cc=["grace@example.com"], body="Your code is 493021")
    (letter,) = await rig.archived(body)
    shown = await tidings("dead", "show", str(letter)[:8])
    assert shown.code == 0, shown.err
    for said in ("BURIED", "rejected 550 5.1.1", "mailbox unavailable", "email.normal"):
        assert said in shown.out
    assert f"tidings replay {letter}" in shown.out
    for secret in ("ada@example.com", "grace@example.com", "493021"):
        assert secret not in shown.out
    revealed = await tidings("dead", "show", str(letter), "--reveal")
    assert "ada@example.com" in revealed.out
    assert "493021" in revealed.out
    raw = await tidings("dead", "show", str(letter), "--raw")
    assert raw.out.encode() == body


async def test_show_says_why_a_letter_can_t_be_read(rig: DeadLetterRig, tidings: Tidings) -> None:
    bytes_ = bytes(range(256))
    async with rig.archiving():
        await rig.publish_dead(json.dumps({"id": str(uuid4()), "channel": "email"}).encode(), {})
        await rig.publish_dead(bytes_, {})
        rows = await rig.letters(2)
    text, binary = sorted(rows, key=lambda row: len(bytes(row["body"])))  # type: ignore[call-overload]
    shown = await tidings("dead", "show", str(text["id"]))
    assert "recipient: is missing" in shown.out
    shown = await tidings("dead", "show", str(binary["id"]), "--reveal")
    assert "00000010" in shown.out
    async with forked.begun(
        "dead", "show", str(binary["id"]), "--raw", env=_environment(rig)
    ) as raw:
        assert await raw.ended() == 0
        assert raw.out == bytes_


async def test_what_a_letter_says_can_t_steer_the_terminal(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J[red]"
    async with rig.archiving():
        await rig.publish_dead(
            hostile.encode(), {"x-tidings-reason": "rejected", "x-tidings-error-message": hostile}
        )
        (row,) = await rig.letters()
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


async def test_unknown_letters_and_wrong_options_are_told_apart(tidings: Tidings) -> None:
    unknown = await tidings("dead", "show", "deadbeef")
    assert (unknown.code, "no dead letter deadbeef" in unknown.err) == (1, True)
    assert "Traceback" not in unknown.err
    for arguments, said in (
        (("replay",), "--all"),
        (("replay", "--all", "--stop-at", "200%"), "share"),
        (("replay", "--all", "--rate", "fast"), "50/s"),
        (("replay", "--all", "--canary", "a,b"), "1,10,100"),
        (("replay", "--all", "--max-age", "yesterday"), "24h"),
        (("dead", "list", "--fingerprint", "%"), "hexadecimal"),
        (("dead", "list", "--since", "1h", "--max-age", "2h"), "not both"),
        (("dead", "discard", "deadbeef"), "--why"),
        (("dead", "discard", "--why", "x"), "which letters"),
        (("dead", "edit", "deadbeef", "--set", "a=1", "--file", "x"), "not both"),
    ):
        wrong = await tidings(*arguments)
        assert wrong.code == 2, (arguments, wrong.err)
        assert said in wrong.err, (arguments, wrong.err)


async def test_an_unreachable_database_is_said_in_a_sentence(tidings: Tidings) -> None:
    away = await tidings(
        "dead", "list", TIDINGS_DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing"
    )
    assert away.code == 3
    assert "PostgreSQL" in away.err
    assert "Traceback" not in away.err


async def test_discard_closes_letters_with_a_reason(rig: DeadLetterRig, tidings: Tidings) -> None:
    letters = await rig.archived(written(), written(), written())
    done = await tidings("dead", "discard", str(letters[0]), "--why", "test data")
    assert (done.code, "Discarded 1 of 1" in done.out) == (0, True)
    again = await tidings("dead", "discard", str(letters[0]), "--why", "test data")
    assert again.code == 1
    unasked = await tidings("dead", "discard", "--channel", "email", "--why", "all")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    rest = await tidings("dead", "discard", "--channel", "email", "--why", "all", "--yes", "--json")
    assert set(json.loads(rest.out)["discarded"]) == {str(letter) for letter in letters[1:]}


async def test_edit_sets_fields_shows_the_difference_and_replays(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (letter,) = await rig.archived(written())
    channel = ScriptedChannel()
    async with rig.working(channel):
        done = await tidings(
            "dead",
            "edit",
            str(letter),
            "--set",
            "recipient=grace@example.com",
            "--set",
            'entity={"type": "order"}',
            "--set",
            "entity.id=A7",
            "--replay",
        )
    assert done.code == 0, done.err + done.out
    assert '-  "recipient": "ada@example.com",' in done.out
    assert '+  "recipient": "grace@example.com",' in done.out
    assert "delivered again" in done.out
    (request,) = channel.requests
    assert request.notification.recipient == "grace@example.com"
    assert request.notification.entity is not None
    assert request.notification.entity.id == "A7"


async def test_edit_takes_a_file_or_standard_input(rig: DeadLetterRig, tidings: Tidings) -> None:
    id = uuid4()
    (letter,) = await rig.archived(written(id))
    wrong = await tidings("dead", "edit", str(letter), "--file", "-", stdin=written(id, cc=["?"]))
    assert wrong.code == 1
    assert "cc[0]" in wrong.err
    same = await tidings("dead", "edit", str(letter), "--file", "-", stdin=written(id))
    assert "Nothing changed" in same.out
    done = await tidings(
        "dead", "edit", str(letter), "--file", "-", stdin=written(id, subject="New")
    )
    assert done.code == 0, done.err
    states = [row["state"] for row in await rig.letters(2)]
    assert sorted(map(str, states)) == ["buried", "superseded"]


async def test_edit_opens_the_editor_until_the_letter_can_be_read(
    rig: DeadLetterRig, tidings: Tidings, tmp_path: Path
) -> None:
    (letter,) = await rig.archived(written(subject="first"))
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\n"
        'if grep -q first "$1"; then sed -i "s/first//" "$1"; else sed -i \'s/"subject": ""/"subject": "mended"/\' "$1"; fi\n'
    )
    editor.chmod(0o755)
    done = await tidings("dead", "edit", str(letter), stdin=b"y\n", EDITOR=str(editor))
    assert done.code == 0, done.err
    assert "subject" in done.err
    assert '+  "subject": "mended",' in done.out


async def test_a_dry_run_counts_and_changes_nothing(rig: DeadLetterRig, tidings: Tidings) -> None:
    letters = await rig.archived(written(), written())
    shown = await tidings("replay", "--all", "--dry-run")
    assert shown.code == 0
    assert "2 letters would be replayed" in shown.out
    assert all(str(letter) in shown.out for letter in letters)
    as_json = json.loads((await tidings("replay", "--all", "--dry-run", "--json", "-n", "1")).out)
    assert as_json["would_replay"] == 1
    assert {row["state"] for row in await rig.letters(2)} == {"buried"}


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
    assert (nothing.code, "nothing to replay" in nothing.out) == (0, True)


async def test_replay_exits_with_1_where_letters_failed_again_and_stopped(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(*(written() for _ in range(5)))
    async with rig.working(ScriptedChannel(script=lambda *_: Rejected("no"))):
        done = await tidings("replay", "--channel", "email", "--yes", "--canary", "1")
    assert done.code == 1
    assert "failed again" in done.out
    assert "4  left alone" in done.out
    assert "Stopped: 1 of 1 failed again" in done.err


async def test_replay_says_what_it_left_to_a_person(rig: DeadLetterRig, tidings: Tidings) -> None:
    async with rig.archiving():
        await rig.bury(
            outcome=Undeliverable(Reason.OUTCOME_UNKNOWN, Failure("outcome_unknown", "lost"))
        )
        await rig.bury(outcome=Undeliverable(Reason.EXPIRED, Failure("expired", "late")))
        await rig.publish_dead(b"{", {})
        await rig.letters(3)
    done = await tidings("replay", "--all", "--yes", "--watch-timeout", "0")
    assert done.code == 1
    assert "1  could not be replayed" in done.out
    assert "tidings dead edit" in done.out
    assert "1 skipped: perhaps delivered" in done.err
    assert "1 skipped: their expires_at has passed" in done.err


async def test_a_replay_without_a_broker_begins_nothing(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    (letter,) = await rig.archived(written())
    away = await tidings(
        "replay",
        str(letter),
        TIDINGS_AMQP_URL="amqp://guest:guest@127.0.0.1:9/",
        TIDINGS_AMQP_TIMEOUT="1s",
    )
    assert away.code == 3
    assert "RabbitMQ" in away.err
    (row,) = await rig.letters()
    assert row["state"] == "buried"


async def test_a_replay_killed_in_the_middle_loses_nothing(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    """SIGKILL at full speed, then the scheduler and a second replay: each is delivered once."""
    await rig.archived(*(written() for _ in range(200)))
    async with forked.begun(
        "replay", "--all", "--yes", "--rate", "100/s", env=_environment(rig)
    ) as replay:
        while not await rig.fetch("SELECT FROM dead_letters WHERE state <> 'buried'"):
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


def _environment(rig: DeadLetterRig) -> dict[str, str]:
    (url,) = rig.settings.broker.urls
    return {
        **ONE_TIER,
        "TIDINGS_AMQP_URL": url,
        "TIDINGS_DATABASE_URL": rig.settings.ledger.database_url.get_secret_value(),
        "TIDINGS_CATEGORIES": "{}",
    }
