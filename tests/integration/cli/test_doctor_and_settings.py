"""`tidings doctor` finds each fault and says what to do; `tidings settings` tells every variable."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.conftest import execute
from tests.support.forked import tidings
from tests.support.smtp_sink import SmtpSink

from tidings_local.management import Management


async def findings(env: dict[str, str], code: int) -> list[dict[str, Any]]:
    """What doctor finds, its exit code asserted."""
    done = await tidings("doctor", "--json", env=env)
    assert done.code == code, done.out + done.err
    view = json.loads(done.out)
    assert view["healthy"] == (code == 0)
    found: list[dict[str, Any]] = view["findings"]
    for finding in found:
        assert finding["remedy"] or finding["verdict"] == "ok", finding
    return found


def about(found: list[dict[str, Any]], subject: str, verdict: str) -> list[dict[str, Any]]:
    return [
        finding
        for finding in found
        if finding["subject"].startswith(subject) and finding["verdict"] == verdict
    ]


async def test_a_stack_in_order_has_no_fault(env: dict[str, str], tmp_path: Path) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    templates = tmp_path / "templates" / "welcome" / "default"
    templates.mkdir(parents=True)
    (templates / "subject.j2").write_text("Welcome")
    (templates / "text.j2").write_text("Hello {{ name }}")
    async with SmtpSink() as sink:
        mail = {
            "TIDINGS_EMAIL_HOST": "127.0.0.1",
            "TIDINGS_EMAIL_PORT": str(sink.port),
            "TIDINGS_EMAIL_TLS": "none",
            "TIDINGS_EMAIL_SENDER": "no-reply@example.com",
        }
        found = await findings({**env, **mail}, 0)
        words = await tidings("doctor", env={**env, **mail})
    assert about(found, "RabbitMQ: permissions", "ok")
    assert about(found, "RabbitMQ: topology", "ok")
    assert about(found, "PostgreSQL: migrations", "ok")
    assert about(found, "PostgreSQL: clock", "ok")
    assert about(found, "email", "ok")
    assert about(found, "Templates", "ok")
    (nobody, *_) = about(found, "RabbitMQ: consumers", "warning")
    assert "tidings.email.urgent" in nobody["detail"]
    assert "tidings worker --channel email" in nobody["remedy"]
    assert "No faults" in words.out
    assert "Traceback" not in words.err


async def test_every_provider_of_a_channel_is_tried(env: dict[str, str]) -> None:
    async with SmtpSink() as sink:
        mail = {
            "TIDINGS_EMAIL_HOST": "127.0.0.1",
            "TIDINGS_EMAIL_PORT": str(sink.port),
            "TIDINGS_EMAIL_TLS": "none",
            "TIDINGS_EMAIL_SENDER": "no-reply@example.com",
            "TIDINGS_EMAIL_FALLBACKS": "backup",
            "TIDINGS_EMAIL_BACKUP_HOST": "127.0.0.1",
            "TIDINGS_EMAIL_BACKUP_PORT": "1",
        }
        found = await findings({**env, **mail}, 1)
    assert about(found, "email: relay", "ok")
    (fault,) = about(found, "email", "fault")
    assert fault["subject"] == "email: relay (backup)"
    assert "TIDINGS_EMAIL_BACKUP_HOST" in fault["remedy"]


async def test_nothing_that_answers_is_a_fault_each_with_its_remedy(away: dict[str, str]) -> None:
    found = await findings({**away, "TIDINGS_AMQP_TIMEOUT": "1s"}, 1)
    (broker,) = about(found, "RabbitMQ", "fault")
    (database,) = about(found, "PostgreSQL", "fault")
    assert "TIDINGS_AMQP_URL" in broker["remedy"]
    assert "TIDINGS_DATABASE_URL" in database["remedy"]
    assert "hunter2" not in json.dumps(found)


async def test_each_of_several_brokers_is_tried(env: dict[str, str]) -> None:
    urls = f"{env['TIDINGS_AMQP_URL']},amqp://127.0.0.1:1"
    found = await findings({**env, "TIDINGS_AMQP_URL": urls, "TIDINGS_AMQP_TIMEOUT": "5s"}, 1)
    assert [finding["subject"] for finding in about(found, "RabbitMQ", "fault")] == ["RabbitMQ"]
    assert about(found, "RabbitMQ: version", "ok")


async def test_a_wrong_password_and_a_missing_virtual_host_are_told_apart(
    env: dict[str, str],
) -> None:
    url = env["TIDINGS_AMQP_URL"]
    address = url.rpartition("@")[2]
    wrong = {**env, "TIDINGS_AMQP_URL": f"amqp://tidings:wrong@{address}"}
    lost = {**env, "TIDINGS_AMQP_URL": f"{url}-nowhere"}
    (refused,) = about(await findings(wrong, 1), "RabbitMQ", "fault")
    assert "the user and the password" in refused["remedy"]
    (missing,) = about(await findings(lost, 1), "RabbitMQ", "fault")
    assert "rabbitmqctl add_vhost" in missing["remedy"]


async def test_a_user_without_permissions_is_told_which_to_give(
    env: dict[str, str], management: Management
) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    await management.create_user("weak", "secret")
    await management.allow("weak", configure="", write="", read=".*")
    address = env["TIDINGS_AMQP_URL"].rpartition("@")[2]
    found = await findings({**env, "TIDINGS_AMQP_URL": f"amqp://weak:secret@{address}"}, 1)
    (topology, *_) = about(found, "RabbitMQ: topology", "fault")
    assert "rabbitmqctl set_permissions" in topology["remedy"]
    assert about(found, "RabbitMQ: permissions", "fault")


async def test_a_user_who_may_only_use_names_of_tidings_is_enough(
    env: dict[str, str], management: Management
) -> None:
    """The permissions that doctor's remedy names are the ones it needs, no more."""
    await management.create_user("narrow", "secret")
    own = r"^tidings\."
    await management.allow("narrow", configure=own, write=own, read=own)
    address = env["TIDINGS_AMQP_URL"].rpartition("@")[2]
    narrow = {**env, "TIDINGS_AMQP_URL": f"amqp://narrow:secret@{address}"}
    assert (await tidings("topology", "apply", env=narrow)).code == 0
    found = await findings(narrow, 0)
    assert about(found, "RabbitMQ: permissions", "ok")


async def test_missing_tables_and_privileges_are_told(
    env: dict[str, str], empty_database_url: str
) -> None:
    found = await findings({**env, "TIDINGS_DATABASE_URL": empty_database_url}, 1)
    (migrations,) = about(found, "PostgreSQL: migrations", "fault")
    assert migrations["remedy"] == "run `tidings migrate`"


async def test_a_user_who_may_not_write_is_told_what_to_grant(
    env: dict[str, str], database_url: str
) -> None:
    name = f"reader_{secrets.token_hex(6)}"
    await execute(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        await execute(database_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        weak = urlsplit(database_url)
        netloc = f"{name}:secret@{weak.netloc.rpartition('@')[2]}"
        url = urlunsplit(weak._replace(netloc=netloc))
        found = await findings({**env, "TIDINGS_DATABASE_URL": url}, 1)
    finally:
        await execute(database_url, f"DROP OWNED BY {name}; DROP ROLE {name}")
    (privileges,) = about(found, "PostgreSQL: privileges", "fault")
    assert "notifications" in privileges["detail"]
    assert "GRANT SELECT, INSERT, UPDATE ON notifications" in privileges["remedy"]
    batches = "GRANT SELECT, INSERT, UPDATE, DELETE ON alert_rules, sent_alerts, outbox_batches"
    assert batches in privileges["remedy"]


async def test_what_is_due_and_not_published_points_at_the_scheduler(
    env: dict[str, str], database_url: str
) -> None:
    await execute(
        database_url,
        "INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body,"
        " accepted_at, dispatch_at) VALUES (gen_random_uuid(), 'sms', 'low', 'x', '+14155550123', 'scheduled',"
        " 0, 0, '{}', now(), now() - interval '2 minutes')",
    )
    found = await findings(env, 0)
    (outbox,) = about(found, "PostgreSQL: outbox", "warning")
    assert "tidings scheduler" in outbox["remedy"]


async def test_a_template_with_a_fault_is_named(env: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "templates" / "welcome" / "default"
    broken.mkdir(parents=True)
    (broken / "text.j2").write_text("Hello {{ name")
    found = await findings(env, 1)
    assert "welcome/default/text.j2" in about(found, "Templates", "fault")[0]["detail"]


async def test_a_wrong_setting_is_one_finding(env: dict[str, str]) -> None:
    found = await findings({**env, "TIDINGS_EMAIL_PORT": "many"}, 1)
    (wrong,) = found
    assert "TIDINGS_EMAIL_PORT" in wrong["detail"]


async def test_settings_tell_every_variable_and_no_secret(away: dict[str, str]) -> None:
    secret = {**away, "TIDINGS_EMAIL_PASSWORD": "hunter2", "TIDINGS_SMS_RATE": "5/s"}
    words, as_json, changed, markdown = await asyncio.gather(
        tidings("settings", env=secret),
        tidings("settings", "--json", env=secret),
        tidings("settings", "--changed", "--json", env=secret),
        tidings("settings", "--markdown", env=secret),
    )
    text = words.out + as_json.out + changed.out + markdown.out
    assert "hunter2" not in text
    output = {finding["name"]: finding for finding in json.loads(as_json.out)}
    assert output["TIDINGS_AMQP_TIMEOUT"]["default"] == "15s"
    assert output["TIDINGS_SMS_RATE"]["value"] == "5/s"
    assert {finding["name"] for finding in json.loads(changed.out)} == set(secret)
    assert "TIDINGS_SMS_RATE" in words.out
    assert "| `TIDINGS_AMQP_TIMEOUT` | `15s` | Timeout of one RabbitMQ operation" in markdown.out


async def test_settings_begin_and_end_with_a_line_that_says_something() -> None:
    for typed in (("settings",), ("settings", "--changed")):
        output = await tidings(*typed, env={"TIDINGS_EMAIL_RATE": "5/s"})
        assert output.out.splitlines()[0].endswith("."), typed
        assert output.out.splitlines()[-1].strip(), typed
    assert "\n\n" in (await tidings("settings", env={})).out


async def test_settings_name_the_variable_that_is_wrong() -> None:
    refused = await tidings("settings", env={"TIDINGS_EMAIL_RATE": "fast"})
    assert refused.code == 2
    assert "TIDINGS_EMAIL_RATE" in refused.err


@pytest.mark.parametrize("arguments", [("--version",), ("-h",), ("topology", "-h")], ids=" ".join)
async def test_asking_for_help_needs_nothing(arguments: tuple[str, ...]) -> None:
    helped = await tidings(*arguments, env={})
    assert (helped.code, helped.err) == (0, "")
    assert helped.out
