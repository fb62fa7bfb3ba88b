"""`make run` takes from the shell how to work, and nothing that leads to anybody."""

import stat
from pathlib import Path

import pytest

from tidings.settings import Settings
from tidings.settings.variables import variables
from tidings_local.errors import LocalStackError
from tidings_local.inherited import inherited
from tidings_local.laptop import Laptop
from tidings_local.last_run import LastRun
from tidings_local.package_managers import STACK
from tidings_local.packages import Program, needed_servers

ELSEWHERE = {
    "TIDINGS_EMAIL_HOST": "smtp.example.com",
    "TIDINGS_EMAIL_USERNAME": "shop",
    "TIDINGS_EMAIL_PASSWORD": "secret",
    "TIDINGS_EMAIL_PASSWORD_FILE": "/run/secrets/relay",
    "TIDINGS_EMAIL_FALLBACKS": "backup",
    "TIDINGS_EMAIL_BACKUP_HOST": "smtp.example.net",
    "TIDINGS_TWILIO_ACCOUNT_SID": "AC0",
    "TIDINGS_TWILIO_AUTH_TOKEN": "token",
    "TIDINGS_SMS_SENDER": "+14155550100",
    "TIDINGS_ALERT_URLS": "slack://token",
    "TIDINGS_SECRETS_DIR": "/run/secrets",
}
TUNING = {
    "TIDINGS_EMAIL_RETRY": "1s 2s",
    "TIDINGS_EMAIL_CONCURRENCY": "5",
    "TIDINGS_LOG_LEVEL": "debug",
    "TIDINGS_AMQP_URL": "amqp://guest@localhost:5672",
    "TIDINGS_DATABASE_URL": "postgresql://tidings@127.0.0.1:5432/tidings",
}


def test_no_relay_account_or_operator_of_the_shell_is_used() -> None:
    found = inherited({**ELSEWHERE, **TUNING, "HOME": "/root"})
    assert found.taken == TUNING
    assert set(found.ignored) == set(ELSEWHERE)


def test_whatever_is_called_a_host_a_sender_or_an_account_is_never_taken() -> None:
    every = {variable.name: "x" for variable in variables(Settings()) if "URL" not in variable.name}
    leading = ("HOST", "PORT", "SENDER", "TOKEN", "SID", "SECRET", "PASSWORD", "KEY", "FALLBACKS")
    taken = inherited(every).taken
    assert {name for name in taken if name.endswith(leading)} == {
        "TIDINGS_HTTP_HOST",
        "TIDINGS_HTTP_PORT",
    }


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("TIDINGS_AMQP_URL", "amqps://shop:secret@rabbit.example.com/prod"),
        ("TIDINGS_AMQP_URL", "amqp://localhost:5672,amqp://rabbit.example.com"),
        ("TIDINGS_DATABASE_URL", "postgresql://shop:secret@db.example.com/tidings"),
        ("TIDINGS_DATABASE_URL", "postgresql://shop@localhost:5432,db.example.com:5432/tidings"),
        ("TIDINGS_DATABASE_URL", "postgresql:///tidings?host=db.example.com"),
    ],
)
def test_servers_of_another_machine_are_refused_without_telling_their_password(
    name: str, url: str
) -> None:
    with pytest.raises(LocalStackError, match=f"{name} leads to .*example.com") as refused:
        inherited({name: url})
    assert "secret" not in str(refused.value)


async def test_what_leads_to_it_is_readable_by_its_user_alone_whatever_an_older_file_was(
    tmp_path: Path,
) -> None:
    file = tmp_path / "env"
    file.touch()
    file.chmod(0o644)
    async with Laptop(tmp_path, TUNING) as laptop:
        assert laptop.environment_file == file
        assert "TIDINGS_AMQP_URL" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_what_a_terminal_has_sourced_stays_true_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    async with Laptop(tmp_path, TUNING) as laptop:
        before, pages = laptop.environment, (laptop.outbox.url, laptop.webhooks.url)
    async with Laptop(tmp_path, TUNING) as laptop:
        assert laptop.environment == before
        assert (laptop.outbox.url, laptop.webhooks.url) == pages
    assert stat.S_IMODE((tmp_path / "laptop" / "identity.json").stat().st_mode) == 0o600


async def test_a_port_that_somebody_else_has_by_now_is_another_one(tmp_path: Path) -> None:
    async with Laptop(tmp_path, TUNING) as first, Laptop(tmp_path, TUNING) as second:
        assert first.mail.port != second.mail.port
        assert first.outbox.url != second.outbox.url


async def test_a_terminal_that_has_sourced_it_may_start_it_again(tmp_path: Path) -> None:
    """None of its variables leads to a relay of anybody's; which servers and how to work stays as it was."""
    async with Laptop(tmp_path, TUNING) as laptop:
        sourced = laptop.environment
    async with Laptop(tmp_path, sourced) as again:
        assert again.ignored == ()
        assert again.environment == sourced


def test_servers_of_its_own_that_a_terminal_has_sourced_are_started_not_looked_for(
    tmp_path: Path,
) -> None:
    own = {"TIDINGS_AMQP_URL": "amqp://tidings@127.0.0.1:20001"}
    LastRun(tmp_path).remember(own)
    assert needed_servers(LastRun(tmp_path).others(own)) == list(STACK)
    brought = LastRun(tmp_path).others({"TIDINGS_AMQP_URL": "amqp://tidings@127.0.0.1:5672"})
    assert needed_servers(brought) == [Program.POSTGRESQL]
