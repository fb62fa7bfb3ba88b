"""A failing seed is worth something only if it fails again, on any machine, and can be read."""

import os
import random
import subprocess
import sys

import pytest
from tests.simulation.__main__ import main
from tests.simulation.run import simulate


def traces(hash_seed: str) -> str:
    """The hashes of some seeds' traces, in a process of their own."""
    command = [sys.executable, "-m", "tests.simulation", "--traces", "--count", "40"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TIDINGS_EMAIL_RETRY": "7d"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=100
    ).stdout


def test_in_processes_that_hash_differently_the_traces_are_the_same() -> None:
    first, other = traces("1"), traces("2")
    assert first == other
    assert len(set(first.split()[1::2])) == 40, "and each seed has its own"


def test_playing_leaves_the_dice_of_others_alone_and_is_not_moved_by_them() -> None:
    random.seed(1)
    first, after = simulate(7), random.random()
    random.seed(1)
    assert after == random.random()
    assert simulate(7).fingerprint == first.fingerprint


def test_one_seed_is_told_with_all_that_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--logs"]) == 0
    output = capsys.readouterr().out
    for piece in (
        "provider: 00001 attempt 1",
        "sending → sent",
        "log info: attempt",
        "nothing is wrong",
    ):
        assert piece in output
    assert simulate(1).fingerprint in output, "what is logged is no part of it"
