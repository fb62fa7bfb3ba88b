"""`tidings channels pause`, as an operator types it."""

import asyncio
import json
from datetime import datetime
from typing import Any

from tests.support.forked import tidings


async def email(env: dict[str, str]) -> dict[str, Any]:
    """How the channel fares."""
    listed = json.loads((await tidings("channels", "list", "--json", env=env)).out)
    (found,) = (
        condition
        for condition in listed["data"]
        if condition["channel"] == "email" and not condition["provider"]
    )
    return dict(found)


async def test_a_channel_that_is_paused_twice_is_paused_since_the_first_time(
    env: dict[str, str],
) -> None:
    await tidings("channels", "pause", "email", "--note", "moving", env=env)
    first = await email(env)
    await asyncio.sleep(0.01)
    again = await tidings("channels", "pause", "email", "--note", "moving, until 6:00", env=env)
    then = await email(env)
    assert again.out == "email was already paused; note added.\n"
    assert then["since"] == first["since"]
    assert then["reason"].endswith(": moving, until 6:00")
    await tidings("channels", "resume", "email", env=env)
    await tidings("channels", "pause", "email", env=env)
    assert datetime.fromisoformat((await email(env))["since"]) > datetime.fromisoformat(
        first["since"]
    )


async def test_a_second_pause_that_says_nothing_takes_no_reason_away(env: dict[str, str]) -> None:
    await tidings("channels", "pause", "email", "--note", "moving", env=env)
    again = await tidings("channels", "pause", "email", env=env)
    assert again.out == "email was already paused.\n"
    assert (await email(env))["reason"].endswith(": moving")
