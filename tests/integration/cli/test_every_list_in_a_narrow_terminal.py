"""Every command that lists something is whole at any width, as it is typed: nothing cut, nothing past the edge."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aio_pika
import pytest
import typer.main
from tests.integration.cli.test_asking_what_happened import RETRY, SENT, email, made
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written
from tests.support.forked import tidings
from tests.support.terminal import in_a_terminal

from tidings.cli.main import app
from tidings.delivery.jobs import JobKind, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.notifications.accepting import Submission
from tidings.ledger.operators.processes import Process
from tidings.operations.actor import Actor
from tidings.operations.jobs import control
from tidings.settings import Settings

WIDTHS: Final = (60, 80, 120)
WHOLE: Final = re.compile(r"`[^`]+`|\S+")
ID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
PASSING: Final = re.compile(r"\b(\d+ms|\d+(\.\d)?[sm]( \d+s)?(\s+ago)?|now)\b")
"""Ages, which change their words while one command runs after another: `940ms`, `1.2s`; `(now)`, `(1s ago)`, on two lines or on one."""
WHY: Final = (
    "the relay refuses the recipient; see https://docs.example.com/refusals/no-such-mailbox, "
    "mend it with `tidings dead edit ID --set recipient=…`, and tell its owner"
)
WEEKLY: Final = (
    *("--cron", "30 9 * * MON-FRI", "--zone", "America/Argentina/Buenos_Aires"),
    *("--to", "team@example.com", "--subject", "Report", "--body", "All is well."),
)
OF_MAIL: Final = (
    *("--channel", "email", "--category", "one-time-passwords", "--count", "1000"),
    *("--to-channel", "email", "--to", "operators@a-department.of-a-subsidiary.example.com"),
)
SCOPES: Final = ("--tenant", "a-subsidiary", "--scope", "send", "--scope", "operate")
LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "list": (),
    "stats": (),
    "ps": (),
    "requeue": ("--all", "--dry-run"),
    "replay": ("--all", "--dry-run"),
    "audit": (),
    "settings": (),
    "retention show": (),
    "alerts list": (),
    "jobs list": (),
    "keys list": (),
    "sessions list": (),
    "outbox list": (),
    "outbox retry": ("--dry-run",),
    "schedules list": (),
    "channels list": (),
    "channels history": (),
    "dead list": (),
    "dead groups": (),
    "topology show": (),
    "templates list": (),
}
NO_LISTS: Final = {
    "alerts create",
    "alerts disable",
    "alerts edit",
    "alerts enable",
    "alerts history",  # its rule is an argument; every width of its table is tried beside the others'
    "alerts reseal",
    "alerts test",
    "inbox show",  # its user is an argument; every width of its table is tried beside the others'
    "inbox token",
    "cancel",
    "dead discard",
    "dead edit",
    "dead note",
    "dead owner",
    "dead show",
    "dispatching show",
    "doctor",
    "erase",
    "jobs cancel",
    "jobs items",
    "jobs pause",
    "jobs preview",
    "jobs resume",
    "jobs show",
    "jobs start",
    "jobs watch",
    "keys create",
    "keys revoke",
    "migrate",
    "outbox mark-failed",
    "outbox mark-pending",
    "outbox status",
    "overview",
    "publish",
    "reschedule",
    "resend",
    "retention run",
    "schedules create",
    "schedules pause",
    "schedules resume",
    "schedules run",
    "schedules show",
    "sessions end",
    "show",
    "templates check",
    "templates render",
    "topology check",
    "topology prune",
    "who",
}
"""They tell a story or sentences, which have tests of their own."""

ROWS: Final = {"list": ID, "outbox list": ID, "dead list": ID, "dead groups": re.compile("email")}
"""What each line of a file has, but for the headings."""

SESSION: Final = """
INSERT INTO console_sessions (hash, id, name, tenant, scopes, test, expires_at)
VALUES ('\\x00', gen_random_uuid(), 'jane of the-warehouse-of-a-subsidiary', 'a-subsidiary', '{admin,operate,read,reveal}', false, now() + '12h')
"""
Env = dict[str, str]


def reporting(command: Any, path: str = "") -> set[str]:
    """The commands that answer: each of them can do so as JSON."""
    if below := getattr(command, "commands", None):
        return {
            found for name in below for found in reporting(below[name], f"{path} {name}".lstrip())
        }
    return {path} if any(found.name == "as_json" for found in command.params) else set()


def test_every_command_that_reports_is_known_here() -> None:
    assert reporting(typer.main.get_command(app)) == {*LISTS, *NO_LISTS}


@pytest.fixture
async def stocked(
    env: Env, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Env]:
    """An environment with something in every list."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for outcome in (RETRY, SENT):
        await made(database_url, outcome)
    async with await aio_pika.connect(env["TIDINGS_AMQP_URL"]) as connection:
        broker = await connection.channel()
        async with DeadLetterRig(Settings(), tmp_path, broker) as rig, rig.declared():
            long = written(recipient="somebody@a-department.of-a-subsidiary.example.com")
            async with rig.archiving():
                for body in (written(), long):
                    await rig.make_dead_letter(body, outcome=rejected(WHY))
                await rig.dead_letters(2)
        async with rig.ledger() as ledger:
            await ledger.processes.say(
                Process(
                    "worker a",
                    ("archive", "scheduler", "worker"),
                    "tidings-worker-7d9c5b6f4-x2x9q.notifications",
                    1_234_567,
                    "0.2.0",
                    ("email", "sms", "whatsapp", "webhook"),
                    "",
                    {"*": 2_592_000.0},
                )
            )
            entry = email()
            await ledger.accepting.store([Submission(entry, None)], outbox=True)
            await ledger.outbox_entries.not_published([entry.id], WHY)
            async with ledger.database.connection() as database:
                # else its message is missed once it has waited for 20 seconds, which is no list
                await database.execute("UPDATE notifications SET updated_at = now() + '1h'")
                await database.execute(SESSION)
        async with rig.backend() as backend:
            plan, jane = Plan(rate=0.5, canary=(1, 10)), Actor("cli", "jane@desk")
            wanted = DeadLetterFilter(channel="email")
            job = await control.look(backend, jane, JobKind.REPLAY, wanted, plan=plan)
            await control.start(backend, jane, job.id)
        for command in (
            ("channels", "pause", "email", "--note", WHY),
            ("templates", "init", str(tmp_path / "templates")),
            ("schedules", "create", "report-of-every-week", "email", *WEEKLY),
            ("alerts", "create", "one-time passwords of a subsidiary", *OF_MAIL),
            ("keys", "create", "--name", "the-warehouse-of-a-subsidiary", *SCOPES),
        ):
            assert (await tidings(*command, env=env)).code == 0
        yield env


async def printed(env: Env, command: str, columns: int | None = None) -> str:
    width = {} if columns is None else {"COLUMNS": str(columns)}
    done = await tidings(*command.split(), *LISTS[command], env={**env, **width})
    assert "Traceback" not in done.err
    assert done.out, done.err
    return done.out


def words(text: str) -> set[str]:
    """Those that are the same a second later."""
    lasting = PASSING.sub("", text)
    return {word for word in lasting.split() if not re.search(r"\d", word)} | set(ID.findall(text))


def past_the_edge(text: str, columns: int) -> list[str]:
    """Lines that are too long, but for what is one word or command and so must not be broken."""
    too_long = [line.strip() for line in text.splitlines() if len(line) > columns]
    return [line for line in too_long if not WHOLE.fullmatch(line)]


async def test_nothing_is_lost_and_nothing_runs_past_the_edge(
    stocked: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for command in LISTS:
        everything, *narrow = await asyncio.gather(
            *(printed(stocked, command, width) for width in (None, *WIDTHS))
        )
        for width, text in zip(WIDTHS, narrow, strict=True):
            assert past_the_edge(text, width) == [], command
            assert words(everything) - words(text) == set(), (command, width)
        if row := ROWS.get(command):
            lines = everything.splitlines()[1:]
            assert [line for line in lines if not row.search(line)] == [], command


async def test_a_terminal_is_as_wide_as_it_is(stocked: Env) -> None:
    for command in ("list", "dead list", "settings"):
        code, text = await asyncio.to_thread(in_a_terminal, 60, *command.split(), env=stocked)
        assert code == 0
        assert past_the_edge(text, 60) == [], command
    lines = text.splitlines()
    [place] = [place for place, line in enumerate(lines) if line.startswith("TIDINGS_LOG_LEVEL")]
    assert lines[place].startswith("TIDINGS_LOG_LEVEL = ")
    assert lines[place + 1].startswith("    `debug`, ")
