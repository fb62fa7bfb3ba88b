"""Random operations on inboxes, over several processes that are killed: no badge differs from the list, and nothing is lost.

By hand, for longer, or with a protection taken out (tests/chaos/mutants.py):

    INBOX_TEST="operations=200000 seed=7 mutant=counted-by-deltas" pytest -s -n 0 --timeout 0 THIS_FILE
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import structlog
from tests.support.inbox_comparison import HEADS, STORED, behind, differences, heads
from tests.support.inbox_facts import Facts, Owner
from tests.support.inbox_followers import (
    AskingFollower,
    Follower,
    Net,
    SocketFollower,
    StreamFollower,
)
from tests.support.inbox_installation import InboxInstallation, installed
from tests.support.inbox_operations import Operations

log = structlog.get_logger(__name__)

HOW: Final = dict(word.split("=") for word in os.environ.get("INBOX_TEST", "").split())
COUNT: Final = int(HOW.get("operations", "1500"))
SEED: Final = int(HOW.get("seed", random.SystemRandom().getrandbits(32)))
PLAYERS: Final = 12
OWNERS: Final = [Owner(tenant, user) for tenant in ("default", "acme") for user in ("ada", "bob")]
KINDS: Final = (SocketFollower, SocketFollower, StreamFollower, AskingFollower)
QUIET_WITHIN: Final = 60.0
"""Seconds until everything is delivered, has woken and has expired, and every client knows of it."""
RARE: Final = max(1.0, 10_000 / COUNT)
"""How much more often what happens a few times in ten thousand operations happens in fewer."""
WEIGHTS: Final = {
    "deliver": 35.0,
    "redeliver": 4.0,
    "burst": 0.05 * RARE,
    "change_silently": 3.0,
    "mark": 25.0,
    "mark_all": 5.0,
    "list_": 9.0,
    "count": 5.0,
    "spy": 3.0,
    "nap": 2.0,
    "purge": 1.0,
    "erase": 0.05 * RARE,
    "kill_api": 0.06 * RARE,
    "kill_worker": 0.04 * RARE,
    "kill_scheduler": 0.02 * RARE,
    "cut_hints": 0.1 * RARE,
}


@pytest.mark.timeout(400)
async def test_no_badge_differs_from_the_list_and_nothing_is_lost(
    broker_url: str, database_url: str, tmp_path: Path
) -> None:
    log.info("random operations", seed=SEED, operations=COUNT)
    async with (
        installed(broker_url, database_url, tmp_path, mutant=HOW.get("mutant")) as installation,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        net = Net(session, installation.addresses, Facts(), random.Random(SEED))
        followers = [
            kind(net, owner, f"{kind.__name__} {place}")
            for owner in OWNERS
            for place, kind in enumerate(KINDS)
        ]
        operations = Operations(SEED, net, installation, OWNERS, followers, WEIGHTS)
        following = [asyncio.create_task(follower.run()) for follower in followers]
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_raise(following))
                began = time.monotonic()
                await operations.play(COUNT, PLAYERS)
                took = time.monotonic() - began
                await _quiet(installation, followers)
                watching.cancel()
        except BaseException as failure:
            failure.add_note(f"seed {SEED}, {operations.done} operations: {operations.by_kind}")
            raise
        finally:
            for task in following:
                task.cancel()
            await asyncio.wait(following)
        rows = await installation.database.fetch(STORED)
        wrong = list(differences(rows, followers, operations))
        assert not wrong, f"{len(wrong)} differences: {wrong[:5]}"
        log.info(
            "all clients have what is stored",
            seconds=round(took),
            quiet_after=round(time.monotonic() - began - took),
            operations=operations.by_kind,
            kills=installation.kills,
            badges=sum(it.copy.frames for it in followers),
            looks=net.facts.looks,
            connections=sum(it.connections for it in followers),
            resets=sum(it.resets for it in followers),
            purged=len(installation.purged),
        )
        assert all(it.copy.frames and it.resets for it in followers), "a client saw nothing"


async def _raise(following: Sequence[asyncio.Task[None]]) -> None:
    """What is wrong with a client, as soon as it is."""
    done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _quiet(installation: InboxInstallation, followers: Sequence[Follower]) -> None:
    """Everything has happened, and every client knows of it, though of the last change no hint told."""
    await installation.back()
    deadline = time.monotonic() + QUIET_WITHIN
    while not await installation.settled():
        assert time.monotonic() < deadline, "deliveries, snoozes or expiries do not come to an end"
        await asyncio.sleep(0.1)
    for owner in OWNERS:
        await installation.change_silently(owner)
    while late := behind(followers, heads(await installation.database.fetch(HEADS))):
        assert time.monotonic() < deadline, f"never told of the last changes: {late}"
        await asyncio.sleep(0.1)
