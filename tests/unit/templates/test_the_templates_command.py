import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tidings.cli.templates import app


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "words"
    for path, text in {
        "welcome/default/subject.j2": "Welcome, {{ name }}",
        "welcome/default/text.j2": "Hello [b]{{ name }}[/b] :smile:",
        "welcome/default/html.j2": "<p>{{ name }}</p>",
        "welcome/default/sms.j2": "Hi {{ name }}",
        "welcome/pt/sms.j2": "Oi, {{ name }}",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.setenv("TIDINGS_TEMPLATES_ROOT", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("command", ["list", "check", "render", "init"])
def test_help_has_an_example(command):
    result = run(command, "--help")

    assert result.exit_code == 0
    assert "Example: tidings templates" in result.stdout


@pytest.mark.usefixtures("root")
def test_list_shows_locales_parts_and_variables():
    result = run("list")

    assert result.exit_code == 0
    for word in ("welcome", "default, pt", "html, sms, subject, text", "name"):
        assert word in result.stdout


@pytest.mark.usefixtures("root")
def test_list_as_json():
    (info,) = json.loads(run("list", "--json").stdout)["data"]

    assert info["name"] == "welcome"
    assert info["variables"] == ["name"]
    assert info["problems"][0]["level"] == "warning"


def test_list_of_nothing_says_how_to_start(tmp_path: Path):
    result = run("list", "--root", str(tmp_path))

    assert result.exit_code == 0
    assert "tidings templates init" in result.stdout


@pytest.mark.usefixtures("root")
def test_check_passes_with_warnings_unless_strict():
    assert run("check").exit_code == 0
    result = run("check", "--strict")
    assert result.exit_code == 1
    assert "warning welcome/pt: lacks html.j2" in result.stdout


def test_check_fails_on_errors_and_names_file_and_line(root: Path):
    (root / "welcome/default/text.j2").write_text("\n{{ name | nope }}")

    result = run("check")

    assert result.exit_code == 1
    assert "error welcome/default/text.j2, line 2: No filter named 'nope'" in result.stdout
    assert json.loads(run("check", "--json").stdout)[0]["line"] == 2


def test_check_of_a_sound_folder_says_so(tmp_path: Path):
    run("init", str(tmp_path / "new"))

    result = run("check", "--root", str(tmp_path / "new"))

    assert result.exit_code == 0
    assert "3 templates, no problems" in result.stdout


@pytest.mark.usefixtures("root")
def test_render_shows_every_part_as_it_is():
    result = run("render", "welcome", "--data", '{"name": "Ana"}', "--locale", "pt_BR")

    assert result.exit_code == 0
    assert "Welcome, Ana" in result.stdout
    assert "Hello [b]Ana[/b] :smile:" in result.stdout
    assert "sms (pt)" in result.stdout
    assert "Oi, Ana" in result.stdout


@pytest.mark.usefixtures("root")
def test_render_of_one_part_is_that_part_alone():
    result = run("render", "welcome", "--data", '{"name": "A & B"}', "--part", "html")

    assert result.stdout == "<p>A &amp; B</p>\n"


def test_render_takes_data_from_a_file_or_standard_input(root: Path):
    (root.parent / "data.json").write_text('{"name": "Ana"}')

    from_file = run("render", "welcome", "--data-file", str(root.parent / "data.json"), "--json")
    from_stdin = run("render", "welcome", "--data-file", "-", "--json", stdin='{"name": "Ana"}')

    assert json.loads(from_file.stdout) == json.loads(from_stdin.stdout)
    assert json.loads(from_file.stdout)["parts"]["sms"] == {"locale": "default", "text": "Hi Ana"}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["welcome"], 1, 'variable "name" is missing'),
        (["welcom"], 1, 'mean "welcome"'),
        (["welcome", "--part", "fax"], 1, "fax.j2"),
        (["welcome", "--locale", "??"], 1, "language tag"),
        (["welcome", "--data", "{"], 2, "is not JSON"),
        (["welcome", "--data", "[1]"], 2, "JSON object"),
        (["welcome", "--data", "[" * 100_000], 2, "is not JSON"),
        (["welcome", "--data-file", "/nowhere.json"], 2, "No such file"),
        (["welcome", "--data", "{}", "--data-file", "-"], 2, "not both"),
        (["welcome", "--root", "/nowhere"], 2, "there are no templates in"),
        ([], 2, "Missing argument"),
    ],
)
def test_render_says_what_is_wrong_and_exits_with_its_code(arguments, code, words):
    result = run("render", *arguments)

    assert result.exit_code == code
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_init_copies_and_does_not_replace(tmp_path: Path):
    first = run("init", str(tmp_path / "new"))
    again = run("init", str(tmp_path / "new"))
    forced = run("init", str(tmp_path / "new"), "--force")

    assert [first.exit_code, again.exit_code, forced.exit_code] == [0, 1, 0]
    assert "--force" in again.stderr
    assert (tmp_path / "new/otp/default/sms.j2").is_file()


def test_init_where_nothing_can_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")

    result = run("init", str(tmp_path / "file/below"))

    assert result.exit_code == 2
    assert "can't write" in result.stderr
