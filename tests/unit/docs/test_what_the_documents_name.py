"""Documents name only what exists: files, headings, variables, metrics, commands and their options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tidings.cli.main import app
from tidings.settings import ChannelSettings, Settings
from tidings.settings.variables import variables
from tidings.telemetry.metrics import Metrics
from tidings.telemetry.outbox_metrics import OutboxMetrics, RelayFigures

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "deploy/*.md", "schemas/*.md")
    for path in ROOT.glob(pattern)
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`]+)`", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"TIDINGS_[A-Z_]*[A-Z]")
OF_ANY_CHANNEL = re.compile(r"TIDINGS_<CHANNEL>_([A-Z_]+)")
METRIC = re.compile(r"\btidings_[a-z_]+[a-z]\b")
COMMAND = re.compile(r"(?<![\w/.])tidings ((?:[a-z]+(?:-[a-z]+)*\b ?)+)([^\n|;)]*)")
OPTION = re.compile(r"(?<!\S)--[a-z-]+")

BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
WIDEST = 100
"""Columns of a line in a block: beyond it a page scrolls sideways and a terminal wraps."""

ELSEWHERE = {
    "TIDINGS_EMAIL_BACKUP_HOST",  # of a fallback, whose name the operator chooses
    "TIDINGS_EMAIL_BACKUP_USERNAME",
    "TIDINGS_EMAIL_BACKUP_PASSWORD_FILE",
    "TIDINGS_SMS_IRELAND_BASE_URL",
    "TIDINGS_SMS_SECOND_ACCOUNT_SID",
    "TIDINGS_PUSH",  # the channel that docs/adding-a-channel.md makes up
    "TIDINGS_PUSH_URL",
    "TIDINGS_EMAIL_PASSWORD_FILE",  # as an example of every secret's
    "TIDINGS_MCP_API_KEY_FILE",
    "TIDINGS_SECRETS_DIR",
    "TIDINGS_TEST_AMQP_URL",
    "TIDINGS_TEST_WRITE_LOOKS",
    "TIDINGS_TEST_MANAGEMENT_URL",
    "TIDINGS_TEST_DATABASE_URL",
}
PACKAGES = {"tidings_events", "tidings_local"}
TABLES = {"tidings_outbox", "tidings_outbox_notify"}
FORMER = {
    "CHANGELOG.md": {
        "TIDINGS_ESCALATION",
        "TIDINGS_HELD_MIB",
        "tidings_parked_total",
        "tidings_channel_paused",
    },
}
"""Names of an earlier version that a document may give with their new ones."""


@pytest.fixture(params=DOCUMENTS, ids=NAMES)
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def code(document: Path) -> Iterator[str]:
    for match in CODE.finditer(document.read_text("utf-8")):
        yield (match[1] or match[2]).replace("\\\n", " ")


def headings(document: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", found.lower()).replace(" ", "-") for found in found}


def test_there_are_documents() -> None:
    assert {"README.md", "docs/operations.md", "CONTRIBUTING.md", "deploy/README.md"} <= set(NAMES)


def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for link in LINK.findall(document.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(link)
    assert dead == []


def test_variables_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    known = (
        {found.name for found in variables(Settings())}
        | ELSEWHERE
        | FORMER.get(document.name, set())
    )
    prefixes = {name[: name.index("_", 8)] for name in known if name.count("_") > 1}
    named = {found for found in VARIABLE.findall(text) if found not in prefixes}
    assert named - known == set()
    of_any = {found.strip("_").lower() for found in OF_ANY_CHANNEL.findall(text)}
    assert of_any - set(ChannelSettings.model_fields) == set()


def test_how_long_a_process_may_take_to_stop_is_told_alike_everywhere() -> None:
    grace = next(found.default for found in variables(Settings()) if found.name == "TIDINGS_GRACE")
    stated = {
        f"{seconds}s"
        for path in (*DOCUMENTS, ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "compose.yaml")
        for seconds in re.findall(r"TIDINGS_GRACE\W{0,4}(\d+) ?s", path.read_text("utf-8"))
    }
    assert stated == {grace}


def test_every_table_is_told_to_operators() -> None:
    stated = (ROOT / "docs" / "operations.md").read_text("utf-8")
    listed = stated[stated.index("its tables are") : stated.index("and a view `history`")]
    migrations = (ROOT / "service/tidings/ledger/migrations/versions").glob("*.py")
    text = "\n".join(path.read_text("utf-8") for path in migrations)
    gone = re.findall(r"DROP TABLE (\w+)|ALTER TABLE (\w+) RENAME TO", text)
    made = set(re.findall(r"CREATE TABLE (\w+)", text)) - {name for names in gone for name in names}
    assert {name for name in made - {"idempotency_keys"} if f"`{name}`" not in listed} == set()


def metrics_shown() -> str:
    """What a process with every role shows."""
    metrics = Metrics()
    metrics.waiting(0, 0)
    metrics.dispatching(0, 0, paused=False)
    metrics.partitions_end(0)
    OutboxMetrics(metrics.registry, lambda: RelayFigures(0, 0, 0, 0, 0, 0.0))
    return metrics.render().decode()


def test_metrics_exist(document: Path) -> None:
    shown = metrics_shown()
    named = {found for span in code(document) for found in METRIC.findall(span)}
    named -= PACKAGES | TABLES | FORMER.get(document.name, set())
    assert {found for found in named if f"# HELP {found} " not in shown} == set()


def test_every_alert_rule_is_in_the_runbook_and_names_a_heading_of_it() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "tidings.rules.yaml").read_text("utf-8")
    operations = ROOT / "docs" / "operations.md"
    symptoms = operations.read_text("utf-8").partition("| symptom |")[2].partition("\n\n")[0]
    alerts = re.split(r"- alert: ", rules)[1:]
    assert alerts
    for alert in alerts:
        assert f"`{alert.split()[0]}`" in symptoms
        heading = re.search(r'See \\?"([^"\\]+)\\?" in docs/operations\.md', alert)
        assert heading is not None, alert
        anchor = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
        assert anchor in headings(operations), heading[1]


def test_every_metric_is_told_to_operators() -> None:
    shown = re.findall(r"^# HELP (tidings_\w+) ", metrics_shown(), re.MULTILINE)
    stated = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert [
        found for found in shown if not found.endswith("_created") and f"`{found}" not in stated
    ] == []


def test_commands_and_their_options_exist(document: Path) -> None:
    wrong = []
    for span in code(document):
        for words, rest in COMMAND.findall(span):
            command, path = typer.main.get_command(app), "tidings"
            for word in words.split():
                below = getattr(command, "commands", {})
                if word not in below:
                    break
                command, path = below[word], f"{path} {word}"
            if path == "tidings":
                wrong.append(f"tidings {words}")
            wrong += [
                f"{path} {found}" for found in OPTION.findall(rest) if found not in options(command)
            ]
    assert wrong == []


def options(command: Any) -> set[str]:
    return {"--help", *(name for found in command.params for name in found.opts)}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_typed_is_wider_than_a_page(name: str) -> None:
    blocks = "\n".join(BLOCK.findall((ROOT / name).read_text()))
    assert [line for line in blocks.splitlines() if len(line) > WIDEST] == []


def test_assistants_are_told_of_every_document_as_the_readme_tells_it() -> None:
    text = (ROOT / "docs" / "llms.txt").read_text("utf-8")
    listed = re.findall(r"^- \[(.+)\]\((.+)\): (.+)$", text, re.M)
    readme = re.findall(
        r"^\| \[docs/.+\]\(docs/(.+)\) \| (.+) \|$", (ROOT / "README.md").read_text("utf-8"), re.M
    )
    assert sorted((name, what) for _, name, what in listed) == sorted(readme)
    assert {name for name, _ in readme} == {path.name for path in (ROOT / "docs").glob("*.md")}
    for title, name, _ in listed:
        assert f"# {title}\n" in (ROOT / "docs" / name).read_text("utf-8")
    assert re.match(r"# .+\n\n> .+\n\n", text)
    assert re.findall(r"^## (.+)$", text, re.M) == ["Docs", "Optional"]
