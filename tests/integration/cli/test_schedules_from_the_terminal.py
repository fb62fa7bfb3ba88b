"""`tidings schedules` and `tidings dispatching` on a real ledger."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

from tests.support.forked import tidings

DAILY = ("--cron", "30 9 * * *", "--zone", "Europe/Berlin")
CONTENT = ("--subject", "Standup", "--body", "Now.")


async def test_a_schedule_is_created_shown_paused_resumed_run_and_deleted(
    env: dict[str, str],
) -> None:
    made = await tidings(
        *("schedules", "create", "standup", "email", "--to", "team@example.com"),
        *(*DAILY, *CONTENT),
        env=env,
    )
    assert (made.code, "Created standup" in made.out, made.out.count(" 09:30 ")) == (0, True, 5)
    listed, shown, table = await asyncio.gather(
        tidings("schedules", "list", "--json", env=env),
        tidings("schedules", "show", "standup", "--json", "--reveal", env=env),
        tidings("schedules", "show", "standup", env=env),
    )
    [row] = json.loads(listed.out)["data"]
    assert row["recipients"] == ["t…@example.com"]
    assert "content" not in row
    view = json.loads(shown.out)
    assert (view["recipients"], view["content"]["body"]) == (["team@example.com"], "Now.")
    assert len(view["next_times"]) == 5
    assert {datetime.fromisoformat(due).strftime("%H:%M") for due in view["next_times"]} == {
        "09:30"
    }
    assert "team@example.com" not in table.out
    paused = await tidings("schedules", "pause", "standup", "--note", "holidays", env=env)
    assert "standup is paused" in paused.out
    again = await tidings("schedules", "pause", "standup", env=env)
    assert (again.code, "it is paused" in again.err) == (1, True)
    resumed = await tidings("schedules", "resume", row["id"], env=env)
    assert "standup is active" in resumed.out
    sent = await tidings("schedules", "run", "standup", "--to", "jane@example.com", env=env)
    story = json.loads((await tidings("show", sent.out.strip(), "--json", env=env)).out)
    assert (story["state"], story["recipient"]) == ("queued", "j…@example.com")
    assert story["producer"] == "schedule standup"
    assert (await tidings("schedules", "delete", "standup", env=env)).out == "Deleted standup.\n"
    gone = await tidings("schedules", "show", "standup", env=env)
    assert (gone.code, "there is no schedule 'standup'" in gone.err) == (1, True)


async def test_a_template_is_sent_by_hand_with_recipients_and_data_of_each_run(
    env: dict[str, str], tmp_path: Path
) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps([{"recipient": "ada@example.com", "data": {"name": "Ada"}}]))
    made = await tidings(
        *("schedules", "create", "welcome", "email", "--template", "welcome", "--json"), env=env
    )
    assert (json.loads(made.out)["cron"], json.loads(made.out)["next_times"]) == (None, [])
    sent, nobody, wrong = await asyncio.gather(
        tidings(
            *("schedules", "run", "welcome", "--recipients", str(people)),
            *("--data", '{"code": 7}', "--json"),
            env=env,
        ),
        tidings("schedules", "run", "welcome", env=env),
        tidings("schedules", "run", "welcome", "--to", "nobody", env=env),
    )
    [id_] = json.loads(sent.out)["notification_ids"]
    story = json.loads((await tidings("show", id_, "--json", "--reveal", env=env)).out)
    assert story["body"]["data"] == {"code": 7, "name": "Ada"}
    assert (nobody.code, "--recipients" in nobody.err) == (2, True)
    assert (wrong.code, "recipients[0].recipient" in wrong.err) == (1, True)


async def test_what_is_wrong_with_a_schedule_is_said_by_option(env: dict[str, str]) -> None:
    who = ("schedules", "create", "report", "email", "--to", "a@example.com", *CONTENT)
    cron, zone, ends, name, content, dry = await asyncio.gather(
        tidings(*who, "--cron", "61 * * * *", env=env),
        tidings(*who, "--cron", "@daily", "--zone", "Berlin", env=env),
        tidings(*who, "--cron", "@daily", "--end", "2020-01-01", env=env),
        tidings(*who[:2], "Weekly Report", *who[3:], env=env),
        tidings("schedules", "create", "report", "email", "--body", "x", env=env),
        tidings(*who, *DAILY, "--dry-run", env=env),
    )
    assert (cron.code, "--cron" in cron.err, "(bad minute)" in cron.err) == (2, True, True)
    assert (zone.code, "--zone" in zone.err, "Europe/Berlin" in zone.err) == (2, True, True)
    assert (ends.code, "--end" in ends.err, "has passed" in ends.err) == (2, True, True)
    assert (name.code, "is not a name" in name.err) == (2, True)
    assert (content.code, "content.subject" in content.err) == (1, True)
    assert (dry.code, "Would create report." in dry.out) == (0, True)
    listed = json.loads((await tidings("schedules", "list", "--json", env=env)).out)
    assert listed == {"data": [], "next_cursor": None}


async def test_dispatching_is_paused_and_resumed_and_doctor_says_so(env: dict[str, str]) -> None:
    paused = await tidings("dispatching", "pause", "--note", "INC-812", env=env)
    assert paused.out == "Dispatching is paused.\n"
    again, shown, view, doctor = await asyncio.gather(
        tidings("dispatching", "pause", env=env),
        tidings("dispatching", "show", env=env),
        tidings("dispatching", "show", "--json", env=env),
        tidings("doctor", "--json", env=env),
    )
    assert "already paused" in again.out
    assert "INC-812" in shown.out
    data = json.loads(view.out)
    assert (data["paused"], data["running_count"], data["overdue_count"]) == (True, 0, 0)
    assert data["order"]["note"] == "INC-812"
    assert "tidings dispatching resume" in doctor.out
    assert "is resumed" in (await tidings("dispatching", "resume", env=env)).out
    assert "was not paused" in (await tidings("dispatching", "resume", env=env)).out
