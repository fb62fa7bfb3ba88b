"""One of everything that the console shows, as hostile as whoever makes it can be."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid4

from tests.support.attempts import attempt_of
from tests.support.console_rig import ConsoleRig
from tests.support.ledger_rig import LedgerRig
from tests.support.stored_dead_letters import store_dead_letter

from tidings.console.page import ConsolePage
from tidings.delivery.states import State

EVIL: Final = (
    "\"'><img src=//evil.example/x onerror=alert(1)><script>alert(2)</script></textarea></title>"
    "<svg onload=alert(3)>{{ 7 * 7 }}\u202egnp.exe\u2066"
)
"""Breaks out of attributes, elements and lines where anything lets it."""
EVIL_NAME: Final = EVIL.partition("\u202e")[0][:64]
"""What a name or an id can be of it: no control characters."""
FORMULA: Final = '=HYPERLINK("//evil.example","x")'
UNKNOWN: Final = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"

Ids = Mapping[str, str]
"""Of each thing, by how the addresses of its pages begin."""


async def make_everything(console: ConsoleRig, tenant: str, *, test: bool = False) -> Ids:
    """One of everything, of a tenant or of its tests.

    Args:
        console: Where.
        tenant: Its tenant.
        test: Whether all of it is tests.
    """
    api, key = console.api, await console.api.key(tenant=tenant, test=test)
    marked: dict[str, Any] = {"tenant": tenant, **({"test": True} if test else {})}
    notification = await _failed_notification(console, marked)
    group = uuid4().hex
    dead_letter = await store_dead_letter(
        api, group, tenant, message=EVIL, test=test, subject=EVIL, body=EVIL, html=EVIL,
        user_id=EVIL, template=EVIL, action_url="javascript:alert(4)", headers={EVIL: EVIL},
        metadata={EVIL: [EVIL, "\x00", {"a": EVIL}]},
    )  # fmt: skip
    await _odd_bodies(console, group, tenant, test=test)
    await api.execute("UPDATE dead_letters SET category = $2 WHERE fingerprint = $1", group, EVIL)
    await api.ask("PUT", f"/v1/dead-letters/{dead_letter}/note", key, json={"note": EVIL})
    schedule = await api.ask(
        "POST", "/v1/schedules", key,
        json={
            "name": f"s-{uuid4().hex[:8]}",
            "content": {"channel": "email", "subject": EVIL, "body": EVIL},
            "recipients": ["ada@example.com"],
            "cron": "0 9 * * *",
        },
    )  # fmt: skip
    assert schedule.status == 201, schedule.data
    job = await api.ask(
        "POST", "/v1/jobs", key, json={"kind": "discard", "ids": [str(dead_letter)], "note": EVIL}
    )
    assert job.status == 201, job.data
    person = await console.person(tenant=tenant, test=test, name=f"<b>{tenant}</b>"[:64])
    [session] = await api.fetch(
        "SELECT id, api_key FROM console_sessions WHERE name LIKE $1 AND test = $2 "
        "ORDER BY created_at DESC LIMIT 1",
        f"<b>{tenant}%", test,
    )  # fmt: skip
    assert (await person.get("/")).status == 200
    return {
        "/notifications/": str(notification),
        "/failures/dead-letters/": str(dead_letter),
        "/failures/": group,
        "/jobs/": str(job.data["id"]),
        "/schedules/": str(schedule.data["id"]),
        "/sessions/": str(session["id"]),
        "/keys/": session["api_key"],
    }


def address(page: ConsolePage, ids: Ids) -> str:
    """Where a page is, about one of these things if it is about one."""
    for beginning, id_ in ids.items():
        if page.path.startswith(f"{beginning}{{"):
            return re.sub(r"\{[^}]*\}", id_, page.path, count=1)
    return re.sub(r"\{[^}]*\}", UNKNOWN, page.path)


def is_about(page: ConsolePage, ids: Ids) -> bool:
    """Whether a page is about one of these things."""
    return any(page.path.startswith(f"{beginning}{{") for beginning in ids)


async def _failed_notification(console: ConsoleRig, marked: Mapping[str, Any]) -> UUID:
    rig = LedgerRig(console.api.backend.ledger.database)
    attempt = attempt_of(subject=EVIL, body=EVIL, html=EVIL, user_id=EVIL_NAME, **marked)
    await rig.put(attempt, State.FAILED)
    await console.api.execute(
        "UPDATE attempts SET message = $2, provider = $2, code = $2 WHERE notification_id = $1",
        attempt.id, EVIL,
    )  # fmt: skip
    return attempt.id


async def _odd_bodies(console: ConsoleRig, group: str, tenant: str, *, test: bool) -> None:
    """Dead letters whose bodies are no notifications: anybody may have published them."""
    for body in (b"\x00\xff<script>alert(5)</script>", b'{"a":' * 20_000, b"<b>x</b>" * 130_000):
        id_ = await store_dead_letter(console.api, group, tenant, message=EVIL, test=test)
        await console.api.execute("UPDATE dead_letters SET body = $2 WHERE id = $1", id_, body)
