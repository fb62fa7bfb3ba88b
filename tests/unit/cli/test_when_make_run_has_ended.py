"""Whoever sourced the variables of `make run` is asked whether it still runs where its servers refuse."""

import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.forked import tidings

from tidings.cli.make_run import advice

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
    assert done.err.splitlines()[-1] == ASKED
    assert "secret" not in done.err


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
    told = advice(old)
    assert told == f"`make run` has other addresses by now: `source {tmp_path / 'env'}` once more."
