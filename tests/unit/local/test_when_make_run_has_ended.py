"""Whoever sourced the variables of `make run` is asked whether it still runs where its servers refuse."""

import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.forked import tidings

from tidings_local.make_run import advice

ASKED = "These are the servers of `make run`: is it still running?"


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture
def sourced(tmp_path: Path, refusing: int) -> dict[str, str]:
    """What `source .local/env` has set; its servers have ended."""
    variables = {
        "TIDINGS_AMQP_URL": f"amqp://tidings:secret@127.0.0.1:{refusing}/",
        "TIDINGS_DATABASE_URL": f"postgresql://tidings@127.0.0.1:{refusing}/tidings",
        "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "templates"),
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    (tmp_path / "env").write_text("".join(lines))
    return variables


@pytest.mark.parametrize(
    "typed",
    [
        ("list",),
        ("stats",),
        ("topology", "check"),
        ("publish", "sms", "--to", "+14155550123", "--body", "Hi"),
    ],
    ids=" ".join,
)
async def test_a_command_that_finds_nobody_asks_whether_it_still_runs(
    typed: tuple[str, ...], sourced: dict[str, str]
) -> None:
    done = await tidings(*typed, env={**sourced, "TIDINGS_AMQP_TIMEOUT": "1s"})
    assert done.code == 3
    *errors, question = done.err.splitlines()
    assert question == ASKED
    assert all(line.startswith("Error: ") for line in errors)
    assert "Connection refused" in done.err
    assert "111" not in done.err
    assert "secret" not in done.err


async def test_doctor_asks_so_too_and_sends_nobody_to_twilio_s_own_pages(
    sourced: dict[str, str], refusing: int
) -> None:
    twilio = {
        "TIDINGS_TWILIO_ACCOUNT_SID": f"AC{'0' * 32}",
        "TIDINGS_TWILIO_AUTH_TOKEN": "secret",
        "TIDINGS_TWILIO_BASE_URL": f"http://127.0.0.1:{refusing}",
        "TIDINGS_SMS_SENDER": "+15005550006",
        "TIDINGS_WHATSAPP_SENDER": "+15005550006",
    }
    done = await tidings("doctor", env={**sourced, **twilio})
    assert done.code == 1
    assert done.out.count("Twilio: the connection failed: Connection refused") == 1
    assert "status.twilio.com" not in done.out
    assert done.err.splitlines() == [ASKED]


async def test_publish_says_what_it_waits_for(sourced: dict[str, str], refusing: int) -> None:
    typed = ("publish", "sms", "--to", "+14155550123", "--body", "Hi")
    done = await tidings(*typed, env={**sourced, "TIDINGS_AMQP_TIMEOUT": "2s"})
    assert done.err.splitlines() == [
        f"Waiting for RabbitMQ at 127.0.0.1:{refusing} (timeout 2s) …",
        f"Error: no broker within 2s (amqp://127.0.0.1:{refusing}/: Connection refused)",
        ASKED,
    ]


def test_it_is_not_asked_of_servers_that_are_there_or_of_others(
    sourced: dict[str, str], tmp_path: Path
) -> None:
    assert advice(sourced) == ASKED
    assert advice({**sourced, "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "others")}) == ""
    assert advice({}) == ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"127.0.0.1:{server.getsockname()[1]}"
        urls = {
            "TIDINGS_AMQP_URL": f"amqp://{there}/",
            "TIDINGS_DATABASE_URL": f"postgresql://{there}/",
        }
        running = {**sourced, **urls}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in running.items()]
        (tmp_path / "env").write_text("".join(lines))
        assert advice(running) == ""


def test_addresses_of_a_run_before_are_told_to_be_old(
    sourced: dict[str, str], tmp_path: Path
) -> None:
    old = {**sourced, "TIDINGS_AMQP_URL": "amqp://tidings:secret@127.0.0.1:1/"}
    text = advice(old)
    assert text == f"`make run` has other addresses by now: `source {tmp_path / 'env'}` once more."
