"""Every table is whole at any width: nothing is cut or left out, nothing runs past the edge, and each value
keeps its heading. A table that is added later has to be shown here."""

import ast
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

import tidings.cli
from tidings.broker.topology.inspection import Depth
from tidings.broker.topology.layout import topology_of
from tidings.cli import (
    alerts,
    audit,
    channels,
    dead_letter_views,
    inbox,
    job_views,
    keys,
    listing,
    outbox,
    outbox_tables,
    overview,
    ps,
    requeue,
    retention,
    schedules,
    sessions,
    statistics,
    templates,
    topology,
)
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import SafeConsole
from tidings.delivery.jobs import JobKind, JobState
from tidings.delivery.orders import WHOLE_CHANNEL, Order, Verb
from tidings.delivery.outcome import Reason
from tidings.delivery.schedule import Misfire
from tidings.delivery.states import State
from tidings.ledger.dead_letters.groups import DeadLetterGroup
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.ledger.dead_letters.trends import Trend
from tidings.ledger.inbox.messages import StoredMessage
from tidings.ledger.notifications.details import NotificationSummary
from tidings.ledger.notifications.requeue import Stranded
from tidings.ledger.operators.audit import JournalFindings
from tidings.ledger.operators.backlog import Backlog, OpenDeadLetters
from tidings.ledger.operators.console_sessions import ConsoleSession
from tidings.ledger.operators.processes import KnownProcess
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.rule_alerts import SentAlert
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.ledger.operators.statistics import Rates, Statistics
from tidings.ledger.schedules.rows import Schedule, ScheduleState
from tidings.operations.alert_rules import AlertRuleView, SentAlertView
from tidings.operations.attention import Attention, AttentionLevel, Concern
from tidings.operations.audit import AuditView
from tidings.operations.channels import DELIVERING, ChannelStatus
from tidings.operations.dead_letters.lookup import DeadLetterGroupView
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.inbox.support import SupportMessageView
from tidings.operations.jobs.views import JobItemView, JobView
from tidings.operations.keys import ApiKey, KeyView
from tidings.operations.notifications import ListedView
from tidings.operations.outbox import EnteredNotification, EntryStatus
from tidings.operations.producer_outbox import ProducerOutboxView
from tidings.operations.retention import PartitionPreview, RetainedPartition
from tidings.operations.schedules import ScheduleView
from tidings.operations.sessions import SessionView
from tidings.settings import Settings
from tidings.templates import Level, Problem, TemplateInfo
from tidings_events.outbox.inspection import FailedRows, WaitingLane

NOW: Final = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
ID: Final = UUID("1600b796-ea13-5b3a-aeb8-28fe46668aa3")
WHY: Final = (
    "TemplateNotFound template “welcom”: there is no such template in /var/lib/tidings/templates-of-the-shop; "
    "see `tidings templates list`, and https://docs.example.com/templates/which-there-are"
)
WIDTHS: Final = (40, 60, 80, 100, 120, 150, 200)
WORD: Final = re.compile(r"`[^`]+`|\S+")


@pytest.fixture(autouse=True)
def no_width_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is as wide as its lines unless COLUMNS, which a test runner may set, says otherwise."""
    monkeypatch.delenv("COLUMNS", raising=False)


def notification(**fields: Any) -> NotificationSummary:
    known: dict[str, Any] = {
        "id": ID,
        "channel": "whatsapp",
        "priority": "urgent",
        "recipient": "somebody@a-department.of-a-subsidiary.example.com",
        "state": State.FAILED,
        "attempt": 12,
        "accepted_at": NOW - timedelta(hours=23),
        "reason": "outcome_unknown",
        "failure_code": "550 5.1.1",
        "failure_message": WHY,
    }
    return NotificationSummary(
        **{**dict.fromkeys(NotificationSummary.__dataclass_fields__), **known, **fields}
    )


def dead_letter() -> StoredDeadLetter:
    row = dict.fromkeys(StoredDeadLetter.__slots__)
    del row["failure"]
    given = {
        "id": ID,
        "state": "superseded",
        "reason": "outcome_unknown",
        "kind": "rejected",
        "code": "550 5.1.1",
        "message": WHY,
        "provider": "smtp:relay",
        "fingerprint": "3e6c7556e063",
        "channel": "whatsapp",
        "priority": "urgent",
        "recipient": "somebody@a-department.of-a-subsidiary.example.com",
        "dead_lettered_at": NOW - timedelta(hours=23),
        "attempts": 7,
        "headers": "{}",
        "properties": "{}",
        "routing_key": "whatsapp.urgent",
    }
    return StoredDeadLetter.of({**row, **given})


def group() -> DeadLetterGroup:
    return DeadLetterGroup(
        fingerprint="3e6c7556e063",
        dead_letters=1_234_567,
        channel="whatsapp",
        reason=Reason.OUTCOME_UNKNOWN,
        kind="rejected",
        code="550 5.1.1",
        message=WHY,
        first_at=NOW - timedelta(hours=23),
        last_at=NOW - timedelta(minutes=59),
        example=ID,
        trend=Trend(NOW - timedelta(hours=24), 3_600, (0,) * 20 + (1, 5, 40, 12_300)),
    )


SCHEDULE: Final = ScheduleView(
    Schedule(
        id=ID,
        tenant="a-customer",
        name="report-of-every-week",
        cron="30 9 * * MON-FRI",
        timezone="America/Argentina/Buenos_Aires",
        starts_at=None,
        ends_at=None,
        max_runs=None,
        misfire=Misfire.SKIP,
        content={"channel": "email"},
        recipients=("ada@example.com",) * 1_000,
        state=ScheduleState.ACTIVE,
        next_run_at=NOW,
        runs=1_234_567,
        skipped=0,
        last_run_at=NOW,
        last_run={"error": WHY},
        created_by="cli somebody@desk.example.com",
        created_at=NOW,
        updated_at=NOW,
    ),
    (),
)
JOB: Final = JobView(
    id=ID,
    kind=JobKind.REPLAY,
    tenant=None,
    state=JobState.CANCELLED,
    reason=WHY,
    selection={},
    note=None,
    actor="cli somebody@desk.example.com",
    seen_at=NOW,
    items=1_234_567,
    skipped_outcome_unknown=0,
    skipped_too_late=0,
    perhaps_delivered_before=0,
    done=1_234_567,
    results={"replayed": 1_234_567},
    outcomes=Outcomes(delivered=1_234_567),
    waves=(),
    rate=None,
    canary=(),
    stop_at=None,
    watch=60.0,
    force=False,
    started_at=NOW,
    changed_at=NOW,
    changed_by="cli somebody@desk.example.com",
    ended_at=None,
    running_in=None,
)
ITEM: Final = JobItemView(1_234_567, ID, ID, "no_such_dead_letter", "suppressed", WHY)
PROCESS: Final = KnownProcess(
    actor="worker a",
    roles=("archive", "scheduler", "worker"),
    host="tidings-worker-7d9c5b6f4-x2x9q.notifications.svc.cluster.local",
    pid=1_234_567,
    version="0.2.0",
    channels=("email", "sms", "whatsapp", "webhook"),
    templates="",
    retention=None,
    since=NOW,
    seen_at=NOW,
    running=False,
)
CONDITION: Final = ChannelStatus(
    "whatsapp", "their-primary-account", DELIVERING, NOW, WHY, workers=1, serving=2
)
ORDER: Final = Order(
    1, "whatsapp", "their-primary-account", Verb.ENABLE, "cli somebody@desk.example.com", WHY, NOW
)
OUTCOMES: Final = dict.fromkeys(("sent", "retry_later", "rejected", "suppressed"), 1_234_567)
RATES: Final = Rates(1_234_567, 1_999_999, 999, 1_000, 3, 2, 0.203, 824.0, 9e6, OUTCOMES)
COUNTS: Final = dict.fromkeys(State, 1_234_567)
KNOWN: Final = Statistics(
    Window(NOW, NOW, 60),
    None,
    RATES,
    {"whatsapp": RATES, "sms": Rates()},
    (),
    {},
    {"email": {"smtp:a-relay-with-a-long-name.example.com": RATES, "smtp:two.example": Rates()}},
)
TEMPLATE: Final = TemplateInfo(
    "order-shipped",
    ("default", "de", "de-AT", "fr", "pt-BR"),
    ("html", "sms", "subject", "text", "whatsapp"),
    ("customer.first_name", "order.currency", "order.lines", "tracking.carrier", "tracking.url"),
    (Problem(Level.ERROR, "order-shipped/de/text.j2", "is empty"),),
)
EMPTY: Final = replace(TEMPLATE, name="otp", variables=(), problems=())
KEY: Final = ApiKey(
    prefix="tk_live_4bF9xQ2m",
    name="the-warehouse-of-a-subsidiary",
    tenant="a-subsidiary",
    scopes=("send", "read", "operate", "reveal", "admin"),
    test=False,
    created_at=NOW - timedelta(days=90),
    created_by="cli somebody@desk.example.com",
    expires_at=NOW - timedelta(days=1),
    last_used_at=None,
    revoked_at=None,
    revoked_by=None,
)
OUTBOX: Final = ProducerOutboxView(
    1_234_567,
    90_061.0,
    [WaitingLane("whatsapp.urgent", 1_234_567, 1_234, 90_061.0)],
    [FailedRows(WHY, 1_234_567, ID, 90_061.0)],
)
ENTRY: Final = EnteredNotification(
    id=ID,
    status=EntryStatus.RETRYING,
    tenant="a-customer",
    channel="whatsapp",
    user_id="user-4711",
    reason="RabbitMQ was away",
    entered_at=NOW - timedelta(hours=23),
    tries=1_234,
    last_error=WHY,
    published_at=None,
    decided_by=None,
    note=None,
)
JOURNAL: Final = JournalFindings(COUNTS, 0, ())
SOUND: Final = AuditView(COUNTS, None, JOURNAL, ())

MESSAGE: Final = StoredMessage(
    **{
        **dict.fromkeys(StoredMessage.__dataclass_fields__),
        "id": UUID(int=7),
        "type": "comment.mentioned",
        "severity": "warning",
        "created_at": NOW,
    }  # type: ignore[arg-type]  # all others are None
)

RULE: Final = AlertRule(
    id=ID,
    tenant="shop",
    name="one-time passwords that fail",
    enabled=True,
    terms=RuleTerms(category="otp", threshold=1_000_000, url="slack://T1/B2/token"),
    created_by="cli jane@desk",
    created_at=NOW,
    updated_by="cli jane@desk",
    updated_at=NOW,
    not_before=NOW,
    last_alert_at=NOW,
    error=WHY,
    failing_since=NOW,
)
ALERT: Final = SentAlert(
    ID, ID, NOW, True, "console jane", "Tidings: test", "Nothing is wrong.", "", WHY, 0.2
)

SESSION: Final = ConsoleSession(
    id=ID,
    name="the-warehouse-of-a-subsidiary tk_live_4bF9xQ2m",
    tenant="shop",
    scopes=("admin", "operate", "read", "reveal"),
    test=True,
    api_key="tk_live_4bF9xQ2m",
    created_at=NOW,
    last_used_at=NOW,
    expires_at=NOW,
)
ATTENTION: Final = Attention(AttentionLevel.WARNING, Concern.CHANNEL, "email", WHY)

TABLES: Final[dict[Callable[..., Rows], Callable[[], Rows]]] = {
    outbox._lanes: lambda: outbox._lanes(OUTBOX),
    outbox._failed: lambda: outbox._failed(OUTBOX),
    schedules.table: lambda: schedules.table([SCHEDULE]),
    job_views.job_table: lambda: job_views.job_table([JOB, replace(JOB, reason=None)], NOW),
    job_views.item_table: lambda: job_views.item_table([ITEM, replace(ITEM, detail=None)]),
    alerts._table: lambda: alerts._table([AlertRuleView(RULE)] * 2, NOW),
    sessions._table: lambda: sessions._table([SessionView(SESSION)], NOW),
    overview.attention_table: lambda: overview.attention_table([ATTENTION]),
    alerts._history: lambda: alerts._history([SentAlertView(ALERT)], NOW),
    ps._table: lambda: ps._table([PROCESS, replace(PROCESS, host="vm", running=True)]),
    listing.table: lambda: listing.table(
        [ListedView(notification(), ""), ListedView(notification(state=State.SENT), "")],
        NOW,
    ),
    dead_letter_views.dead_letters_table: lambda: dead_letter_views.dead_letters_table(
        [DeadLetterView.of(dead_letter(), reveal=True)], NOW
    ),
    dead_letter_views.groups_table: lambda: dead_letter_views.groups_table(
        (DeadLetterGroupView(group()),) * 2, NOW
    ),
    channels.table: lambda: channels.table([CONDITION, replace(CONDITION, provider="")]),
    channels._history_table: lambda: channels._history_table(
        [ORDER, replace(ORDER, provider=WHOLE_CHANNEL)]
    ),
    topology._exchanges: lambda: topology._exchanges(topology_of(Settings())),
    topology._queues: lambda: topology._queues(topology_of(Settings())),
    templates._table: lambda: templates._table([TEMPLATE, EMPTY]),
    statistics._rates: lambda: statistics._rates(KNOWN),
    statistics._providers: lambda: statistics._providers(KNOWN),
    statistics._outcomes: lambda: statistics._outcomes(KNOWN),
    statistics._open_dead_letters: lambda: statistics._open_dead_letters(
        Backlog(0, 0, None, {("whatsapp", "outcome_unknown"): OpenDeadLetters(1_234_567, 9e7)})
    ),
    statistics._busy: lambda: statistics._busy(
        [
            Depth("tidings.whatsapp.urgent", "urgent whatsapp waiting to be sent", 1_234_567, 300),
            Depth("tidings.whatsapp.retry.16m", "whatsapp to be tried again in 16m", None, None),
        ],
        {"tidings.whatsapp.urgent": 400_000.0},
    ),
    requeue._table: lambda: requeue._table([Stranded(ID, 0, 1, State.RETRYING, "whatsapp")]),
    retention._places: lambda: retention._places(
        [
            RetainedPartition(
                "notifications_20261116", NOW.date(), NOW.date(), 7_000_000_000, NOW.date()
            ),
            RetainedPartition("notifications_default", None, None, 1_000_000, None),
        ]
    ),
    retention._preview: lambda: retention._preview(
        [PartitionPreview("notifications_20261116", 5_000_000, 4_999_000, dropped=True)]
    ),
    audit._states: lambda: audit._states(SOUND),
    outbox_tables.table: lambda: outbox_tables.table([ENTRY, replace(ENTRY, last_error=None)]),
    keys._table: lambda: keys._table([KeyView(KEY), KeyView(replace(KEY, revoked_at=NOW))]),
    inbox._table: lambda: inbox._table(
        [SupportMessageView(MESSAGE), SupportMessageView(replace(MESSAGE, read_at=NOW))], NOW
    ),
}
NAMES: Final = [f"{made.__module__.rpartition('.')[2]}.{made.__name__}" for made in TABLES]


def printed(table: Rows, width: int | None) -> list[str]:
    paper = io.StringIO()
    console = SafeConsole(file=paper)
    if width is not None:
        console.width = width
    console.print(table)
    return paper.getvalue().splitlines()


def words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


def modules() -> Iterator[Any]:
    for found in pkgutil.iter_modules(tidings.cli.__path__):
        yield importlib.import_module(f"tidings.cli.{found.name}")


@dataclass(frozen=True)
class Laid:
    """A table as it was printed, and which of its headings stand above."""

    table: Rows
    lines: list[str]

    @property
    def above(self) -> list[str]:
        """The headings in the first line, which are the first few of all."""
        first, every = self.lines[0].split(), [*self.table.names, self.table.reason]
        known = [every[:count] for count in range(len(every), 0, -1)]
        return next(names for names in known if " ".join(names).split() == first)

    def stands_below_its_heading(self, name: str, value: str) -> bool:
        start = self.lines[0].index(name)
        if name in self.table.right:
            end = start + len(name)
            return any(line[:end].endswith(value) for line in self.lines[1:])
        return any(line[start:].startswith(value) for line in self.lines[1:])

    def stands_behind_its_heading(self, name: str, value: str) -> bool:
        return " ".join(f"{name} {value}".split()) in " ".join(" ".join(self.lines).split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", TABLES.values(), ids=NAMES)
def test_nothing_is_cut_and_nothing_runs_past_the_edge(
    made: Callable[[], Rows], width: int
) -> None:
    table = made()
    lines = printed(table, width)
    too_long = [line.strip() for line in lines if len(line) > width]
    assert [line for line in too_long if not WORD.fullmatch(line)] == []
    assert words(printed(table, None)) - words(lines) == set()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", TABLES.values(), ids=NAMES)
def test_each_value_keeps_its_heading(made: Callable[[], Rows], width: int) -> None:
    table = made()
    laid = Laid(table, printed(table, width))
    for row in table.rows:
        for name, value in zip(table.names, row.cells, strict=True):
            if name in laid.above:
                assert laid.stands_below_its_heading(name, value.plain) or len(laid.above) == 1
            elif value.plain:
                assert laid.stands_behind_its_heading(name, value.plain)
        if row.why and table.reason not in laid.above:
            assert laid.stands_behind_its_heading(table.reason, row.why)


@pytest.mark.parametrize("made", TABLES.values(), ids=NAMES)
def test_in_a_file_each_row_is_one_line(made: Callable[[], Rows]) -> None:
    table = made()
    lines = printed(table, None)
    assert len(lines) == 1 + len(table.rows)
    for row, line in zip(table.rows, lines[1:], strict=True):
        shown = [value.plain for value in row.cells] + [row.why]
        assert line.split() == " ".join(shown).split()


def test_every_table_is_shown_here() -> None:
    made = {
        function
        for module in modules()
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and inspect.signature(function).return_annotation is Rows
    }
    assert made == set(TABLES)


@pytest.mark.parametrize("module", [Path(node.__file__).stem for node in modules()])
def test_no_table_is_laid_out_in_another_way(module: str) -> None:
    """`timeline` and `help` lay out a story and a help; they have their own tests."""
    path = Path(tidings.cli.__path__[0], f"{module}.py")
    tree = ast.parse(path.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"rich.table", "rich.columns", "rich.panel"} or module in {
        "timeline",
        "help",
    }
    tables = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rows"
    ]
    returned = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and isinstance(function.returns, ast.Name)
        and function.returns.id == "Rows"
        for node in ast.walk(function)
        if node in tables
    ]
    assert returned == tables, "a function that is annotated to return Rows makes each table"


def test_a_sentence_stands_in_its_row_where_there_it_takes_no_more_lines() -> None:
    table = Rows(("ID",), [Row([cell("7")], "it is one that takes forty-nine columns of them")])
    assert printed(table, 60)[1].startswith("7   it is one that")
    assert printed(table, 40)[1:] == ["7   it is one that takes forty-nine", "    columns of them"]
    assert printed(table, 30)[1:] == ["7", "  Why it is one that takes", "    forty-nine columns of them"]  # fmt: skip


def test_values_beneath_a_row_share_their_lines() -> None:
    row = Row([cell("a" * 30), cell("email"), cell(""), cell("3")], "refused")
    table = Rows(("ID", "Channel", "Key", "Tries"), [row])
    assert printed(table, 30)[1:] == ["a" * 30, "  Channel email · Tries 3", "  Why refused"]
    assert printed(table, 44)[1:] == ["a" * 30 + "  email", "  Tries 3 · Why refused"]


def test_numbers_end_below_each_other() -> None:
    table = Rows(("Queue", "Messages"), [Row([cell("a"), cell("12,345")]), Row([cell("b"), cell("7")])], right=("Messages",))  # fmt: skip
    assert printed(table, 80) == ["Queue  Messages", "a        12,345", "b             7"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert printed(Rows(("state", "notifications"), []), 80) == ["state  notifications"]
