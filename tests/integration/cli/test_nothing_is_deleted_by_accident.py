"""`tidings erase` and `tidings retention run` say what would go, and ask."""

import asyncpg
from tests.integration.cli.test_asking_what_happened import SENT, made
from tests.support.forked import tidings

from tidings.ledger.partitions import ONLY_ONE


async def test_what_a_person_does_not_confirm_stays(env: dict[str, str], database_url: str) -> None:
    await made(database_url, SENT)
    erasing = ("erase", "--recipient", "jane@example.com", "--note", "request 118")
    refused = await tidings(*erasing, env=env)
    assert refused.code == 1
    assert (
        "Erase 1 notification and 0 dead letters, addressed to j…@example.com permanently"
        in refused.err
    )
    refused = await tidings("retention", "run", env={**env, "TIDINGS_RETENTION": "90d"})
    assert refused.code == 1
    assert (
        "Finished notifications are kept for 90d. Delete 0 notifications permanently?"
        in refused.err
    )
    done = await tidings(*erasing, "--yes", env=env)
    assert done.out.startswith("Erased 1 notification and 0 dead letters")
    assert "person erased" in done.err
    assert (await tidings("retention", "run", "--yes", env=env)).code == 0
    assert (await tidings("retention", "run", "--yes", "--fast", env=env)).code == 0


async def test_a_fast_round_says_how_to_begin_while_a_scheduler_is_at_it(
    env: dict[str, str], database_url: str
) -> None:
    scheduler = await asyncpg.connect(database_url)
    assert await scheduler.fetchval(ONLY_ONE)
    for options, advised in (((), False), (("--fast",), True)):
        done = await tidings("retention", "run", "--yes", *options, env=env)
        assert done.code == 0
        assert "a scheduler is deleting right now" in done.out
        assert ("stop the schedulers" in done.out) is advised
    await scheduler.close()
