"""Whatever a command line, a file or a stream holds: a sentence and an exit code, never a traceback."""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.forked import tidings
from tests.support.processes import TIDINGS, environment

from tidings_events import CHANNELS

DEEP = "[" * 100_000
EMAIL = ("publish", "email", "--to", "a@example.com", "--subject", "s", "--body", "b")

WRONG: Sequence[tuple[tuple[str, ...], str]] = [
    (("list", "--since", "99999999d"), "longer ago than there are dates"),
    (("dead", "list", "--since", "99999999d"), "longer ago than there are dates"),
    (("stats", "--since", "0001-01-01"), "is not a time"),
    (("audit", "--since", "99999999d"), "longer ago than there are dates"),
    ((*EMAIL, "--at", "99999999d"), "further ahead than there are dates"),
    ((*EMAIL, "--data", DEEP), "nested too deeply"),
    ((*EMAIL, "--set", f"metadata={DEEP}"), "metadata"),
    (("publish", "--file", "{folder}"), "Is a directory"),
    (("publish", "--file", "{folder}/nothing"), "No such file"),
    (("publish", "--file", "{folder}/deep.json"), "nested too deeply"),
    (("publish", "--file", "{folder}/latin.json"), "is not JSON"),
    (("templates", "render", "welcome", "--data", DEEP), "nested too deeply"),
    (("templates", "render", "welcome", "--data-file", "{folder}"), "Is a directory"),
    (("templates", "list", "--root", "{folder}/nothing"), "there are no templates in"),
    (("settings", "--write", "{folder}/latin.json"), "can't be read"),
    (("settings", "--check", "{folder}/nothing"), "can't be read"),
    (("topology", "definitions", "--write", "{folder}"), "Is a directory"),
    (("topology", "definitions", "--check", "{folder}/latin.json"), "can't be read"),
    (("audit", "--journal", "{folder}"), "is a directory"),
    (("channels", "pause", "emial"), "did you mean 'email'"),
    (("show", "not-an-id"), "is not an id"),
    (("dead", "show", "not-an-id"), "is not an id"),
    (("dead", "edit", "not-an-id"), "is not an id"),
    (("replay", "not-an-id", "--yes"), "is not an id"),
    (("dead", "discard", "not-an-id", "--note", "x"), "is not an id"),
]


SAID: Sequence[tuple[tuple[str, ...], str]] = [
    (("dead", "discard", "deadbeef"), "Missing option '--note'."),
    (("cancel", "deadbeef"), "Missing option '--note'."),
    (
        ("cancel", "deadbeef", "--note", " "),
        "Invalid value for --note: it is empty: give a reason in a few words",
    ),
    (
        ("dead", "discard", "deadbeef", "--note", " "),
        "Invalid value for --note: it is empty: give a reason in a few words",
    ),
    (("dead", "discard", "--note", "x"), "give ids or filters"),
    (("dead", "edit", "--set", "user_id=7"), "give ids or filters"),
    (("replay",), "give ids, filters, or --all for every open dead letter"),
    (("requeue",), "give ids, filters, or --all"),
    (("publish",), f"give a channel ({', '.join(CHANNELS)}) or --file"),
    (
        ("dead", "list", "--since", "1h", "--max-age", "1h"),
        "give --since or --max-age, not both",
    ),
    (
        ("dead", "list", "--since", "10"),
        "Invalid value for --since: '10' is not a time: write how long ago, like 30m, 24h or 7d, a date, "
        "like 2026-11-22, or a date and time, like 2026-11-22T18:00:00+01:00",
    ),
    (
        (*EMAIL, "--at", "10"),
        "Invalid value for --at: '10' is not a time: write how long from now, like 10m or 2h, or a date and "
        "time, like 2026-12-24T18:00:00+01:00",
    ),
]


@pytest.mark.parametrize(("typed", "expected"), SAID, ids=lambda word: " ".join(word)[:50])
async def test_what_is_missing_is_not_said_to_be_invalid(
    typed: tuple[str, ...], expected: str, env: dict[str, str]
) -> None:
    failed = await tidings(*typed, env=env)
    assert (failed.code, failed.err.splitlines()[0]) == (2, f"Error: {expected}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep.json").write_text(DEEP)
    (tmp_path / "latin.json").write_bytes(b'{"subject": "Gr\xfc\xdfe"}')
    (tmp_path / "templates").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "expected"),
    WRONG,
    ids=lambda word: " ".join(word)[:50] if isinstance(word, tuple) else "",
)
async def test_what_can_t_be_meant_is_a_sentence_and_exit_code_2(
    typed: tuple[str, ...], expected: str, env: dict[str, str], folder: Path
) -> None:
    failed = await tidings(
        *(word.format(folder=folder) if "{folder}" in word else word for word in typed), env=env
    )
    assert "Traceback" not in failed.err
    assert expected in failed.err
    assert failed.err.startswith("Error: ")
    assert len(failed.err) < 3_000
    assert failed.code == 2, failed.err


@pytest.mark.parametrize(
    "typed", [("list", "--user", "\udcff"), ("dead", "list", "--user", "\udcff")], ids=" ".join
)
async def test_an_argument_that_is_no_text_is_a_sentence(
    typed: tuple[str, ...], env: dict[str, str]
) -> None:
    failed = await asyncio.to_thread(
        subprocess.run,
        [TIDINGS, *typed],
        env={**environment(), **env},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in failed.stderr
    assert failed.returncode in {0, 1, 2}


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}],
)
async def test_a_terminal_without_unicode_is_written_to_in_ascii(
    locale: dict[str, str], env: dict[str, str]
) -> None:
    for typed in (
        ("settings",),
        ("topology", "show"),
        ("replay", "--help"),
        ("channels", "history"),
    ):
        shown = await asyncio.to_thread(
            subprocess.run,
            [TIDINGS, *typed],
            env={**environment(), **env, **locale},
            capture_output=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.isascii()


async def test_a_standard_output_that_is_closed_or_full_is_an_error(env: dict[str, str]) -> None:
    for redirected, expected in ((">&-", "closed"), ("> /dev/full", "No space left")):
        for typed in ("settings", "settings --json", "topology definitions"):
            failed = await asyncio.to_thread(
                subprocess.run,
                ["sh", "-c", f"{TIDINGS} {typed} {redirected}"],
                env={**environment(), **env, "PATH": os.environ["PATH"]},
                capture_output=True,
                check=False,
            )
            assert failed.returncode == 1, (typed, redirected, failed)
            assert expected.encode() in failed.stderr
            assert b"Traceback" not in failed.stderr
            assert b"Exception ignored" not in failed.stderr


async def test_a_reader_that_has_seen_enough_ends_it_quietly(env: dict[str, str]) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", f"{TIDINGS} settings --json | head -c 10"],
        env={**environment(), **env, "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert (len(ended.stdout), ended.stderr) == (10, b"")
