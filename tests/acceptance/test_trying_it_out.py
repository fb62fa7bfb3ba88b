"""What a newcomer types first: everything on one machine, with a tour of it."""

import asyncio
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr
from tests.support.processes import tidings
from tests.support.terminal import in_a_terminal

from tidings.ledger import PostgresLedger
from tidings.settings import LedgerSettings
from tidings_local.errors import LocalStackError
from tidings_local.laptop import Laptop
from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.twilio_replies import ReceivedText
from tidings_local.tour import PHONE, Tour, retried


async def test_the_tour_shows_delivery_retry_and_replay_and_leaves_nothing_running(
    server_directory: Path, mail_sink: MailSink, sms_sink: SmsSink
) -> None:
    """Whatever relay and account the shell names; in a narrow terminal, where no line is broken inside a word."""
    shell = {
        "TIDINGS_EMAIL_HOST": "127.0.0.1",
        "TIDINGS_EMAIL_PORT": str(mail_sink.port),
        "TIDINGS_TWILIO_ACCOUNT_SID": sms_sink.account_sid,
        "TIDINGS_TWILIO_AUTH_TOKEN": sms_sink.auth_token,
        "TIDINGS_TWILIO_BASE_URL": sms_sink.url,
    }
    up = ("up", "--once", "--data", str(server_directory / "data"))
    code, output = await asyncio.to_thread(in_a_terminal, 60, *up, env=shell)
    assert code == 0, output
    assert not mail_sink.mails
    assert not sms_sink.texts
    assert "ignored" in output
    assert output.count("✓") >= 5
    for seen in ("delivered", "in-app inbox", "retried", "dead-lettered", "attempt 1 of replay 1"):
        assert seen in output
    assert [line for line in output.splitlines() if len(line) > 60 and " " in line.strip()] == []
    environment = server_directory / "data" / "env"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert "export TIDINGS_AMQP_URL=" in environment.read_text()
    assert not [line for line in _command_lines() if str(server_directory / "data") in line]


async def test_a_tour_is_not_told_by_what_an_interrupted_one_has_left_behind(
    broker_url: str, database_url: str, tmp_path: Path
) -> None:
    """Its mail waits in a retry queue, and takes what the stand-in has to say once."""
    given = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_EMAIL_RETRY": "1s",
    }
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        settings = LedgerSettings(database_url=SecretStr(database_url))
        async with PostgresLedger(settings, actor="tour") as ledger:
            await retried(Tour(laptop, ledger.reports))
            _, what = await retried(Tour(laptop, ledger.reports))
    assert "it waited in tidings.email.retry.1s" in what


async def test_what_the_roles_said_last_stands_below_the_error_line_by_line(
    broker_url: str, database_url: str, tmp_path: Path
) -> None:
    shell = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_GRACE": "banana",
    }
    done = await tidings("up", "--once", "--data", str(tmp_path / "data"), env=shell)
    assert done.code == 1
    output = done.err.splitlines()
    assert output[0] == "Error: the roles ended at once:"
    assert output[1].startswith("  Error: TIDINGS_GRACE: 'banana' is not a length of time")


async def test_what_was_sent_is_still_there_after_a_restart(
    broker_url: str, database_url: str, tmp_path: Path
) -> None:
    given = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": database_url}
    text = ReceivedText(datetime.now(UTC), "SM1", "AC1", PHONE, PHONE, "", "Hello", "", "", "")
    async with Laptop(tmp_path, given) as laptop:
        laptop.sms.texts.add(text)
    async with Laptop(tmp_path, given) as laptop:
        assert laptop.sms.texts.numbered() == [(1, text)]
        async with aiohttp.ClientSession(laptop.outbox.url) as http, http.get("/texts/1") as page:
            assert "Hello" in await page.text()


@pytest.mark.parametrize(
    ("by", "expected"),
    [(signal.SIGKILL, "from outside, by SIGKILL"), (signal.SIGTERM, "with 0; the")],
)
async def test_roles_that_end_meanwhile_are_told_of(
    broker_url: str, database_url: str, tmp_path: Path, by: signal.Signals, expected: str
) -> None:
    given = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": database_url}
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        assert laptop._roles is not None
        laptop._roles.send_signal(by)
        with pytest.raises(LocalStackError, match=expected):
            await laptop.roles_end()


def _command_lines() -> list[str]:
    """Every process's command line, as far as we may read it."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return lines
