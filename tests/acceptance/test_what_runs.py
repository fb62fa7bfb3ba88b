"""Operators see which processes run, what they serve, and what is missing."""

import json
import signal
from pathlib import Path
from typing import Any

from tests.support.forked import tidings
from tests.support.processes import running
from tests.support.worker_rig import eventually

from tidings.templates import copy_starter

Env = dict[str, str]


async def answer(env: Env, *arguments: str) -> Any:
    finished = await tidings(*arguments, "--json", env=env)
    assert finished.code in {0, 1}, finished.err
    return json.loads(finished.out)


async def listed(env: Env) -> list[dict[str, Any]]:
    return list((await answer(env, "ps"))["data"])


async def channel_state(env: Env) -> str:
    listed = await answer(env, "channels", "list")
    return str(next(it["state"] for it in listed["data"] if not it["provider"]))


async def findings(env: Env, subject: str) -> str:
    found = await answer(env, "doctor")
    return "\n".join(it["detail"] for it in found["findings"] if it["subject"] == subject)


async def test_a_worker_is_listed_while_it_runs_and_missed_when_it_does_not(
    env: Env, tmp_path: Path
) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    assert (await tidings("ps", env=env)).err.startswith("No processes are running.")
    assert await channel_state(env) == "no_worker"
    async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        await eventually(lambda: listed(env), within=10)
        [known] = await listed(env)
        assert (known["roles"], known["pid"], known["channels"], known["running"]) == (
            ["worker"],
            worker.process.pid,
            ["email", "in_app"],
            True,
        )
        assert await channel_state(env) == "delivering"
        missing = await findings(env, "Processes")
        assert "no scheduler runs" in missing
        assert "no archive runs" in missing
        assert "no worker serves" not in missing
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    assert await listed(env) == []
    assert await channel_state(env) == "no_worker"
    assert "no worker serves email" in await findings(env, "Processes")


async def test_whoever_changes_a_template_is_told_which_workers_hold_the_old_one(
    env: Env, tmp_path: Path
) -> None:
    root = Path(env["TIDINGS_TEMPLATES_ROOT"])
    copy_starter(root)
    assert (await tidings("topology", "apply", env=env)).code == 0
    async with running("worker", env=env, log=tmp_path / "worker.log") as worker:
        await eventually(lambda: listed(env), within=10)
        checked = await tidings("templates", "check", env=env)
        assert "use other templates" not in checked.out
        subject = root / "otp" / "default" / "subject.j2"
        subject.write_text("Your new code")
        checked = await tidings("templates", "check", env=env)
        assert f":{worker.process.pid}; restart them" in checked.out.replace("\n", " ")
        assert "use other templates" in await findings(env, "Templates")
