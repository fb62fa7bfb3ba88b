"""Whoever edits a dead letter is told what is wrong with the editor, and nothing of the dead letter is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from tidings.cli import dead_edit
from tidings.cli.editor import edit_text
from tidings.delivery.errors import Refused
from tidings.operations.dead_letters.field_changes import FieldChange


def test_an_editor_that_is_missing_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "nosucheditor --wait")
    with pytest.raises(Refused) as refused:
        edit_text("{}", "dead-letter.json")
    assert str(refused.value) == (
        "can't start the editor nosucheditor --wait (No such file or directory): "
        "set EDITOR to another one, or use --set or --file"
    )


def test_an_editor_that_gives_up_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(Refused, match="editor false exited with code 1: nothing was"):
        edit_text("{}", "dead-letter.json")


def test_signals_do_afterwards_what_they_did_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "true")
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    assert edit_text("{}", "dead-letter.json") == "{}"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_nothing_of_the_dead_letter(
    tmp_path: Path, number: signal.Signals
) -> None:
    opened = tmp_path / "opened"
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {opened}\nexec sleep 60\n")
    editor.chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    # Heeded even where these tests run under nohup.
    heed = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)"
    edit = "from tidings.cli.editor import edit_text; edit_text('secret', 'dead-letter.json')"
    program = f"{heed}; {edit}"
    env = {**os.environ, "VISUAL": str(editor), "TMPDIR": str(place)}
    with subprocess.Popen([sys.executable, "-c", program], env=env) as process:
        until = time.monotonic() + 30
        while not opened.exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert list(place.glob("tidings-*/dead-letter.json"))
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert not list(place.iterdir())


def test_a_body_without_fields_has_to_be_written_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        dead_edit._edited(b"[]", FieldChange(("subject=Hi",)), None, reveal=False)
    assert "replace the whole body with --file" in " ".join(capsys.readouterr().err.split())
