"""Every field that somebody else fills is printed harmlessly, and nobody is given away unasked."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.dead_letters.conftest import Tidings
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written

FORGED, PADDED = "FORGED       SENT", "PADDED       SENT"
LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
HOSTILE = (
    "4711\x1b]0;title\x07\x1b[2K\x1b[1A\x9b2J\u202e[red]x[/nothing]"
    + "".join(f"{end}{FORGED}" for end in (*LINE_ENDS, "\r\n", "\n\t"))
    + f"{' ' * 70}{PADDED}"
)
STEERING = {"\x1b", "\x07", "\x9b", "\u202e"}
SECRET = "+14155559876"


TEXTS = """
SELECT column_name FROM information_schema.columns c
 WHERE table_schema = 'public' AND data_type = 'text' AND table_name = $1
   AND column_name NOT IN ('state', 'before', 'after', 'channel', 'priority', 'phase', 'verb')
   AND (table_name, column_name) <> ('dead_letters', 'reason')
   AND NOT EXISTS (SELECT FROM information_schema.constraint_column_usage u
                     JOIN information_schema.check_constraints USING (constraint_schema, constraint_name)
                    WHERE u.table_name = c.table_name AND u.column_name = c.column_name)
"""
"""Every column of a table that holds text, but words that Tidings itself chooses."""


@pytest.fixture
async def hostile(rig: DeadLetterRig, tmp_path: Path) -> list[str]:
    """Ids of a notification and of dead letters in whose every text are escapes."""
    headers: dict[str, object] = {"x-hostile": HOSTILE, HOSTILE[:40]: "1"}
    body = written(body=HOSTILE, metadata={"hostile": HOSTILE})
    async with rig.archiving():
        await rig.make_dead_letter(body, outcome=rejected(HOSTILE, HOSTILE[:20]), headers=headers)
        await rig.publish_dead(HOSTILE.encode(), headers)
        rows = await rig.dead_letters(2)
    for table in (
        "notifications",
        "dead_letters",
        "transitions",
        "attempts",
        "provider_attempts",
        "channel_orders",
    ):
        for column in await rig.fetch(TEXTS, table):
            await rig.fetch(f"UPDATE {table} SET {column['column_name']} = $1", HOSTILE)  # noqa: S608  # names of the catalogue
    await rig.fetch(
        "UPDATE dead_letters SET properties = jsonb_build_object('app_id', $1::text, 'user_id', $1::text, "
        "'type', $1::text, 'timestamp', $1::text, 'correlation_id', $1::text)",
        HOSTILE,
    )
    await rig.fetch(
        "INSERT INTO channel_orders (channel, provider, verb, actor, note) VALUES ('email', '', 'pause', $1, $1)",
        HOSTILE,
    )
    await rig.fetch(
        "INSERT INTO circuits (channel, provider, worker, phase, reason, since, probe_at, seen_at) "
        "VALUES ('email', $1, $1, 'open', $1, now(), now(), now())",
        HOSTILE,
    )
    await rig.fetch(
        "INSERT INTO processes (actor, roles, host, pid, version, channels, templates) "
        "VALUES ($1, ARRAY[$1], $1, 1, $1, ARRAY[$1], $1)",
        HOSTILE,
    )
    (notification,) = await rig.fetch("SELECT id FROM notifications")
    return [str(notification["id"]), *(str(row["id"]) for row in rows)]


async def test_no_field_of_any_command_steers_the_terminal(
    rig: DeadLetterRig, tidings: Tidings, hostile: list[str], tmp_path: Path
) -> None:
    notification, *dead_letters = hostile
    odd_file = str(tmp_path / HOSTILE.replace("/", "")[:150])
    shows: list[tuple[str, ...]] = [
        ("list",),
        ("show", notification),
        ("dead", "list"),
        ("dead", "groups"),
        *(("dead", "show", dead_letter) for dead_letter in dead_letters),
        ("show", dead_letters[1]),
        ("ps",),
        ("doctor",),
        ("audit",),
        ("topology", "check"),
        ("replay", *dead_letters, "--dry-run"),
        ("dead", "edit", *dead_letters, "--set", f"user_id={HOSTILE}x", "--dry-run"),
        ("channels", "list"),
        ("channels", "history"),
        ("stats",),
    ]
    refuses: list[tuple[str, ...]] = [
        ("dead", "show", HOSTILE),
        ("publish", "--file", odd_file),
        ("templates", "list", "--root", odd_file),
        ("audit", "--journal", odd_file),
        ("channels", "pause", HOSTILE),
        ("list", "--state", HOSTILE),
        (HOSTILE,),
    ]
    revealed = [
        ("show", notification, "--reveal"),
        *(("dead", "show", dead_letter, "--reveal") for dead_letter in dead_letters),
    ]

    async def shown(typed: tuple[str, ...]) -> str:
        shown = await tidings(*typed, COLUMNS="60")
        output = shown.out + shown.err
        assert "Traceback" not in output, (typed, output[-2000:])
        assert not STEERING & set(output), typed
        for line in output.splitlines():
            assert not line.startswith((FORGED, PADDED)), (typed, line)
            assert "--reveal" in typed or not line.lstrip().startswith(FORGED), (typed, line)
        if "--json" in typed:
            json.loads(shown.out)
        return output.replace("\n", "")

    as_json = [(*typed, "--json") for typed in shows]
    for some in batched([*shows, *as_json, *revealed, *refuses], 6):
        await asyncio.gather(*map(shown, some))
    for typed in (*shows[:2], *shows[3:7], *refuses):
        assert "1b]0;title" in await shown(typed), typed


def batched(every: list[tuple[str, ...]], size: int) -> Iterator[list[tuple[str, ...]]]:
    for at in range(0, len(every), size):
        yield every[at : at + size]


async def test_arguments_that_a_library_puts_into_headers_are_not_shown_unless_asked(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    """As Celery does with its tasks: `argsrepr` holds whoever it is for and what is said."""
    headers: dict[str, object] = {"task": "send_sms", "argsrepr": f"('{SECRET}', 'code 493021')"}
    async with rig.archiving():
        await rig.publish_dead(json.dumps([[SECRET, "code 493021"], {}, {}]).encode(), headers)
        await rig.publish_dead(
            json.dumps({"id": str(uuid4()), "channel": "sms", "recipient": SECRET + "x"}).encode(),
            {},
        )
        rows = await rig.dead_letters(2)
    dead_letters = [str(row["id"]) for row in rows]
    hidden = [
        *(("dead", "show", dead_letter) for dead_letter in dead_letters),
        ("dead", "list"),
        ("dead", "groups"),
        ("replay", *dead_letters, "--dry-run"),
    ]
    for shown in await asyncio.gather(
        *(tidings(*typed, *more) for typed in hidden for more in ((), ("--json",)))
    ):
        assert shown.code == 0, shown
        for secret in (SECRET, "493021"):
            assert secret not in shown.out + shown.err
    (task,) = (str(row["id"]) for row in rows if row["headers"] != "{}")
    veiled = await tidings("dead", "show", task)
    assert '"argsrepr": "…' in veiled.out
    revealed = await tidings("dead", "show", task, "--reveal")
    assert SECRET in revealed.out
