"""`tidings publish`: from flags, from a file, from standard input."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.forked import tidings

from tidings.cli.options import actor
from tidings.templates import copy_starter
from tidings_events import parse
from tidings_local.management import Management

HELLO = ("publish", "email", "--to", "jane@example.com", "--subject", "Hi", "--body", "there")


@pytest.fixture
async def ready(env: dict[str, str]) -> dict[str, str]:
    """An environment whose broker has the topology."""
    assert (await tidings("topology", "apply", env=env)).code == 0
    return env


async def waiting(management: Management, queue: str, count: int = 1) -> list[dict[str, Any]]:
    return [json.loads(row["payload"]) for row in await management.peek(queue, count)]


async def test_flags_become_a_notification_and_its_id_is_printed(
    ready: dict[str, str], management: Management
) -> None:
    done = await tidings(
        *HELLO,
        *("--priority", "high", "--category", "receipt", "--user", "u1"),
        *("--entity", "order:10042", "--key", "k1", "--max-retries", "2", "--expires", "2h"),
        *("--set", 'headers={"X-Shop": "7"}', "--set", 'cc=["joe@example.com"]'),
        env=ready,
    )
    assert (done.code, done.err) == (0, "")
    (body,) = await waiting(management, "tidings.email.high")
    assert UUID(done.out.strip()) == UUID(body["id"])
    assert body["entity"] == {"type": "order", "id": "10042"}
    assert (body["user_id"], body["idempotency_key"], body["max_retries"]) == ("u1", "k1", 2)
    assert body["headers"] == {"X-Shop": "7"}
    ahead = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1.9) < ahead < timedelta(hours=2.1)
    parse(json.dumps(body).encode())


async def test_a_rehearsal_says_how_many_would_be_published_and_publishes_none(
    ready: dict[str, str], management: Management, tmp_path: Path
) -> None:
    email = {"channel": "email", "recipient": "jane@example.com", "subject": "s", "body": "b"}
    file = tmp_path / "several.json"
    file.write_text(json.dumps([email, email, {**email, "priority": "high"}]))
    done = await tidings("publish", "--file", str(file), "--dry-run", env=ready)
    expected = "3 notifications would be published: 2 with email.normal, 1 with email.high"
    assert (done.code, done.out.strip(), done.err) == (0, expected, "")
    checked = await tidings(*HELLO, "--dry-run", "--json", env=ready)
    assert json.loads(checked.out)["routing_key"] == "email.normal"
    wrong = await tidings(*HELLO, "--to", "nobody", "--dry-run", env=ready)
    assert (wrong.code, "recipient" in wrong.err) == (2, True)
    assert set((await management.depths()).values()) == {0}


async def test_a_message_from_the_terminal_names_who_published_it(
    ready: dict[str, str], management: Management
) -> None:
    assert (await tidings(*HELLO, env=ready)).code == 0
    (message,) = await management.peek("tidings.email.normal")
    assert message["properties"]["app_id"] == str(actor())


async def test_a_template_with_data_and_a_given_id_and_time(
    ready: dict[str, str], management: Management
) -> None:
    id_ = str(uuid4())
    done = await tidings(
        *("publish", "sms", "--to", "+14155550123", "--template", "code", "--locale", "de"),
        *("--data", '{"code": "4711"}', "--id", id_, "--at", "10m", "--json"),
        env=ready,
    )
    assert json.loads(done.out) == {"id": id_, "routing_key": "sms.normal"}
    (body,) = await waiting(management, "tidings.sms.normal")
    assert (body["template"], body["data"]) == ("code", {"code": "4711"})
    assert body["scheduled_at"]


async def test_a_file_may_hold_one_or_a_list_or_one_a_line(
    ready: dict[str, str], management: Management, tmp_path: Path
) -> None:
    sms = {"channel": "sms", "recipient": "+14155550123", "body": "Hi"}
    (tmp_path / "one.json").write_text(json.dumps(sms))
    (tmp_path / "list.json").write_text(json.dumps([sms, sms]))
    lines = "\n".join([json.dumps(sms), "", json.dumps(sms), json.dumps(sms)]).encode()
    single, several, piped = await asyncio.gather(
        tidings("publish", "--file", str(tmp_path / "one.json"), "--json", env=ready),
        tidings("publish", "--file", str(tmp_path / "list.json"), env=ready),
        tidings("publish", "--file", "-", env=ready, stdin=lines),
    )
    assert len(json.loads(single.out)) == 1
    ids = [json.loads(single.out)[0]["id"], *several.out.split(), *piped.out.split()]
    published = await waiting(management, "tidings.sms.normal", 10)
    assert sorted(ids) == sorted(body["id"] for body in published)
    assert len(ids) == 6


async def test_what_breaks_the_contract_is_told_field_by_field_and_nothing_is_published(
    ready: dict[str, str], management: Management, tmp_path: Path
) -> None:
    good = {"channel": "sms", "recipient": "+14155550123", "body": "Hi"}
    bad = {"channel": "sms", "recipient": "0800", "bdy": "Hi"}
    (tmp_path / "mixed.json").write_text(json.dumps([good, bad, {"channel": "pigeon"}, 7]))
    done = await tidings("publish", "--file", str(tmp_path / "mixed.json"), env=ready)
    assert (done.code, done.out) == (2, "")
    text = " ".join(done.err.split())
    assert "mixed.json, number 2: recipient" in text
    assert "did you mean `body`?" in text
    assert "number 3: channel: 'pigeon' is unknown; known are email" in text
    assert "number 4: " in text
    assert await waiting(management, "tidings.sms.normal") == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "give a channel"),
        (("pigeon", "--to", "x"), "'pigeon' is unknown"),
        (("emial", "--to", "x"), "did you mean 'email'"),
        (("email", "--file", "x.json"), "not both"),
        (("--file", "/nowhere/x.json"), "No such file"),
        (("sms", "--to", "+14155550123", "--body", "x", "--data", "["), "is not JSON"),
        (("sms", "--to", "+14155550123", "--body", "x", "--data", "[]"), "JSON object"),
        (("sms", "--to", "+14155550123", "--body", "x", "--entity", "order"), "order:10042"),
        (("sms", "--to", "+14155550123", "--body", "x", "--at", "soon"), "is not a time"),
        (("sms", "--to", "+14155550123", "--body", "x", "--at", "2020-01-01T00:00:00Z"), "passed"),
        (("sms", "--to", "+14155550123", "--body", "x", "--set", "x"), "FIELD=VALUE"),
        (("sms", "--to", "+14155550123"), "body"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_a_command_line_that_makes_no_notification_is_refused_with_exit_code_2(
    arguments: tuple[str, ...], expected: str
) -> None:
    refused = await tidings("publish", *arguments, env={})
    assert refused.code == 2, refused.err
    assert refused.out == ""
    assert expected in " ".join(refused.err.replace("│", " ").split())


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1}\n{', b"[]"])
async def test_a_file_that_holds_no_notification_is_refused(text: bytes) -> None:
    refused = await tidings("publish", "--file", "-", env={}, stdin=text)
    assert refused.code == 2
    assert "Error: " in refused.err
    assert "Traceback" not in refused.err


async def test_without_the_topology_it_is_unroutable_and_says_so(env: dict[str, str]) -> None:
    failed = await tidings(*HELLO, env=env)
    assert (failed.code, failed.out) == (1, "")
    assert "Error: " in failed.err


@pytest.fixture
def with_templates(ready: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The starter's templates, as a worker here would have them, and sms switched on."""
    copy_starter(tmp_path / "templates")
    return {
        **ready,
        "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "templates"),
        "TIDINGS_TWILIO_ACCOUNT_SID": f"AC{'0' * 32}",
        "TIDINGS_TWILIO_AUTH_TOKEN": "0" * 32,
        "TIDINGS_SMS_SENDER": "+15005550006",
    }


TEXT = ("publish", "sms", "--to", "+14155550123", "--template")


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("otpp", "--data", '{"code": "493027"}'), 'Did you mean "otp"'),
        (("otp", "--data", '{"kode": "493027"}'), 'variable "code" is missing from data'),
        (("welcome",), "none of default has sms.j2"),
    ],
    ids=["a misspelt template", "a missing variable", "a template of mails"],
)
async def test_what_no_worker_could_write_is_published_with_a_warning(
    with_templates: dict[str, str], management: Management, words: tuple[str, ...], warned: str
) -> None:
    done = await tidings(*TEXT, *words, env=with_templates)
    (body,) = await waiting(management, "tidings.sms.normal")
    assert (done.code, done.out.strip()) == (0, body["id"])
    assert done.err.startswith("Warning: with the local templates it will become a dead letter: ")
    assert warned in done.err
    assert done.err.count("\n") == 1


async def test_what_can_be_written_and_what_cannot_be_told_here_is_published_without_a_warning(
    with_templates: dict[str, str], tmp_path: Path
) -> None:
    good = await tidings(*TEXT, "otp", "--data", '{"code": "493027"}', env=with_templates)
    assert (good.code, good.err) == (0, "")
    elsewhere = {**with_templates, "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "nowhere")}
    unseen = await tidings(*TEXT, "otpp", env=elsewhere)
    assert (unseen.code, unseen.err) == (0, "")
    off = {name: value for name, value in with_templates.items() if "SMS" not in name}
    assert (await tidings(*TEXT, "otpp", env=off)).err == ""


async def test_the_templates_in_the_help_s_examples_exist(tmp_path: Path) -> None:
    output = (await tidings("publish", "--help", env={})).out
    named = re.findall(r"--template ([a-z]+)", output)
    copy_starter(tmp_path)
    assert named
    assert {row for row in named if not (tmp_path / row).is_dir()} == set()
