"""The table of settings in a document is written from the code, and seen to be current."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidings.cli.main import app
from tidings.cli.settings_document import BEGIN, END

DOCUMENT = f"# Ours\n\nBefore.\n\n{BEGIN}\nstale\n{END}\n\nAfter.\n"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "operations.md"
    path.write_text(DOCUMENT)
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["settings", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_only_what_is_between_the_markers_is_replaced(document: Path) -> None:
    assert run("--write", str(document)) == (0, "")
    text = document.read_text()
    assert text.startswith(f"# Ours\n\nBefore.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "stale" not in text
    assert "| `TIDINGS_GRACE` | `45s` | Time to" in text


def test_a_table_is_current_once_it_was_written(document: Path) -> None:
    code, text = run("--check", str(document))
    assert code == 1
    assert "is not current: run `make schemas`" in text
    run("--write", str(document))
    assert run("--check", str(document)) == (0, "")


def test_what_is_set_here_changes_nothing_in_the_table(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--write", str(document))
    monkeypatch.setenv("TIDINGS_GRACE", "5s")
    assert run("--check", str(document)) == (0, "")


@pytest.mark.parametrize("text", ["", END, f"{END} {BEGIN}"])
def test_a_document_without_a_place_for_it_is_left_alone(document: Path, text: str) -> None:
    document.write_text(text)
    code, output = run("--write", str(document))
    assert code == 1
    assert f"write {BEGIN} and {END} into it" in output
    assert document.read_text() == text


def test_a_document_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, text = run("--check", str(tmp_path / "missing.md"))
    assert code == 2
    assert "can't be read" in text
