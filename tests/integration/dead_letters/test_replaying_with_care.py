"""What a replay would do is told before it does it, and what it did is told where it is stopped."""

import json
import signal
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.support import forked
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written


async def one_of_each(rig: DeadLetterRig) -> list[UUID]:
    """Dead letters that are replayed, and one for each reason why others are not."""
    twice, gone = uuid4(), uuid4()
    dead_letters = await rig.archived(
        *(written() for _ in range(3)),
        written(twice, subject="one"),
        written(twice, subject="two"),
        written(gone),
        written(),
        written(),
    )
    await rig.fetch("UPDATE notifications SET state = 'cancelled' WHERE id = $1", gone)
    for state, dead_letter in (("replayed", dead_letters[6]), ("discarded", dead_letters[7])):
        await rig.fetch("UPDATE dead_letters SET state = $1 WHERE id = $2", state, dead_letter)
    async with rig.archiving():
        await rig.publish_dead(b'{"id": 5}', {})
        rows = await rig.dead_letters(9)
    return [UUID(str(row["id"])) for row in rows]


@pytest.fixture
async def dead_letters(rig: DeadLetterRig) -> list[UUID]:
    return await one_of_each(rig)


async def test_a_dry_run_says_how_many_are_refused_and_why_as_the_replay_then_does(
    rig: DeadLetterRig, tidings: Tidings, dead_letters: list[UUID]
) -> None:
    ids = [str(dead_letter) for dead_letter in dead_letters]
    before = await rig.fetch("SELECT id, state, changed_at FROM dead_letters ORDER BY id")
    dry = json.loads((await tidings("replay", *ids, "--dry-run", "--json")).out)
    words = await tidings("replay", *ids, "--dry-run")
    assert await rig.fetch("SELECT id, state, changed_at FROM dead_letters ORDER BY id") == before
    assert await rig.fetch("SELECT FROM notifications WHERE epoch > 0") == []
    real = json.loads((await tidings("replay", *ids, "--watch-timeout", "0", "--json")).out)
    assert dry["would_replay"] == real["replayed"] == 4
    assert dry["refused_by_reason"] == real["refused_by_reason"]
    assert dry["refused_by_reason"] == dict.fromkeys(
        ("already_replayed", "discarded", "malformed", "ended", "other_content"), 1
    )
    assert "4 dead letters would be replayed" in words.out
    assert "1  not replayed: malformed" in words.out
    assert "1  not replayed: their notification has finished in another way" in words.out
    assert words.code == 0


async def test_a_dry_run_across_batches_counts_a_notification_once(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidings.ledger.dead_letters.policies import Policies
    from tidings.ledger.dead_letters.search import DeadLetterFilter
    from tidings.operations.dead_letters import pacing
    from tidings.operations.dead_letters.dry_run import dry_run

    monkeypatch.setattr(pacing, "AT_ONCE", 1)
    id = uuid4()
    await rig.archived(written(id, subject="one"), written(id, subject="two"))
    async with rig.ledger() as ledger:
        selection = await ledger.dead_letters.search.select(DeadLetterFilter())
        expires_at = Policies(rig.settings).expires_at
        done = await dry_run(ledger, selection.dead_letters, expires_at, force=False)
    assert (done.replayed, len(done.not_replayed)) == (1, 1)


async def test_a_replay_that_is_interrupted_tells_what_it_did_and_how_to_go_on(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(*(written() for _ in range(30)))
    env = {**environment_of(rig), "COLUMNS": "60"}
    arguments = ("replay", "--all", "--yes", "--rate", "5/s")
    async with rig.working(ScriptedChannel()), forked.begun(*arguments, env=env) as replay:
        while not await rig.fetch("SELECT FROM dead_letters WHERE state = 'replayed'"):
            assert not replay.has_ended, replay.err
        replay.signal(signal.SIGINT)
        assert await replay.ended() == 130
        out, err = replay.out.decode(), replay.err.decode()
    (row,) = await rig.fetch("SELECT count(*) AS n FROM dead_letters WHERE state = 'open'")
    assert f"{row['n']:>8}  not started" in out
    assert f"{30 - int(str(row['n'])):>8}  replayed" in out
    assert "tidings replay --all --yes --rate 5/s" in err
    assert await rig.fetch("SELECT FROM dead_letters WHERE state = 'replaying'") == []


async def test_an_interrupted_wait_for_what_becomes_of_it_tells_what_is_known(
    rig: DeadLetterRig,
) -> None:
    """Nobody works: it would wait for a minute."""
    await rig.archived(written())
    async with forked.begun(
        "replay", "--all", "--yes", "--json", env=environment_of(rig)
    ) as replay:
        while not await rig.fetch("SELECT FROM dead_letters WHERE state <> 'open'"):
            assert not replay.has_ended, replay.err
        replay.signal(signal.SIGINT)
        assert await replay.ended() == 130
        output = json.loads(replay.out)
    assert (output["replayed"], output["in_progress"], output["stopped"]) == (1, 1, "interrupted")
