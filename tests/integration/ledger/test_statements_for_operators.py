"""The statements that docs/operations.md gives operators to paste do what it says of them, as they are written there."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.attempt import Attempt
from tidings.delivery.states import State

DOCUMENT = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
AGE = "UPDATE notifications SET accepted_at = now() - interval '91 days', finished_at = now() - interval '91 days' WHERE id = ANY($1)"
LETTER = """
INSERT INTO dead_letters (id, notification_id, state, reason, kind, message, fingerprint, first_failed_at, last_failed_at,
                          recipient, user_id, body, supersedes, buried_at, changed_at, headers)
VALUES ($1, $2, $3, 'rejected', 'rejected', 'no', 'f', now(), now(), $4, '7', $5, $6,
        now() - interval '91 days', now() - interval '91 days', '{"x": 1}')
"""


def statements(beginning: str) -> list[str]:
    """Those of the block that has this in it, without what is for psql alone."""
    (block,) = (one for one in BLOCKS if beginning in one)
    plain = re.sub(r"^(--|\\set).*$", "", block, flags=re.MULTILINE)
    return [one.strip() for one in plain.split(";\n") if one.strip()]


async def put(ledger: LedgerRig, state: State, **fields: Any) -> Attempt:
    attempt = attempt_of(**fields)
    await ledger.put(attempt, state)
    return attempt


async def letter(
    ledger: LedgerRig, of: Attempt, state: str, supersedes: UUID | None = None
) -> UUID:
    id_ = uuid4()
    to = of.notification.recipient
    await ledger.execute(LETTER, id_, of.id, state, to, of.body, supersedes)
    return id_


async def repeated(ledger: LedgerRig, statement: str) -> int:
    """Run it until it says `DELETE 0`; how often it did more."""
    times = 0
    async with ledger.database.connection() as connection:
        while await connection.execute(statement) != "DELETE 0":
            times += 1
            assert times < 10
    return times


async def ids(ledger: LedgerRig, table: str) -> set[UUID]:
    return {row["id"] for row in await ledger.fetch(f"SELECT id FROM {table}")}  # noqa: S608  # ours


async def test_what_is_deleted_by_age_is_what_has_ended_and_calls_for_nobody(
    ledger_alone: LedgerRig,
) -> None:
    ledger = ledger_alone
    young = await put(ledger, State.SENT)
    old = [await put(ledger, state) for state in (State.SENT, State.FAILED, State.DISCARDED)]
    under_way = [await put(ledger, state) for state in (State.RETRYING, State.SENDING)]
    awaited = await put(ledger, State.FAILED)
    kept = await letter(ledger, awaited, "buried")
    first = await letter(ledger, old[1], "superseded")
    second = await letter(ledger, old[1], "superseded", supersedes=first)
    await letter(ledger, old[1], "replayed", supersedes=second)
    await ledger.execute(AGE, [one.id for one in (*old, awaited)])
    await ledger.execute(
        "UPDATE notifications SET accepted_at = now() - interval '91 days' WHERE id = ANY($1)",
        [one.id for one in under_way],
    )
    await ledger.execute(
        "INSERT INTO transitions (notification_id, epoch, after, actor, reason) VALUES ($1, 0, 'sent', 'a', 'r')",
        old[0].id,
    )
    for statement in statements("WITH old AS"):
        await repeated(ledger, statement)
    assert await ids(ledger, "notifications") == {one.id for one in (young, awaited, *under_way)}
    assert await ids(ledger, "dead_letters") == {kept}
    assert await ids(ledger, "transitions") == set()


async def test_who_is_erased_is_nowhere_but_in_what_is_under_way(ledger_alone: LedgerRig) -> None:
    ledger, address = ledger_alone, "jane@example.com"
    hers = await put(ledger, State.FAILED, recipient=address, user_id="4711")
    copied = await put(ledger, State.SENT, recipient="bob@example.com", cc=[address])
    others = await put(ledger, State.SENT, recipient="ann@example.com")
    under_way = await put(ledger, State.RETRYING, recipient=address)
    closed = await letter(ledger, hers, "discarded")
    await ledger.execute(
        "INSERT INTO recipient_results VALUES ($1, 0, 1, $2, 'cc', 'sent', '', '', '')",
        copied.id,
        address,
    )
    for statement in statements("SET recipient = 'erased'"):
        async with ledger.database.connection() as connection:
            await connection.execute(statement.replace(":'address'", f"'{address}'"))
    erased = [await ledger.row(one.id) for one in (hers, copied)]
    assert {(row["recipient"], row["user_id"], row["body"]) for row in erased} == {
        ("erased", None, b"{}")
    }
    assert (await ledger.row(others.id))["body"] == others.body
    assert (await ledger.row(under_way.id))["recipient"] == address
    (row,) = await ledger.fetch(
        "SELECT recipient, user_id, body, headers FROM dead_letters WHERE id = $1", closed
    )
    assert list(row.values()) == ["erased", None, b"{}", "{}"]
    assert await told(ledger, address) == ["notifications"]


async def told(ledger: LedgerRig, address: str) -> Sequence[str]:
    """Tables in which an address still is."""
    found = []
    for table in ("notifications", "dead_letters", "recipient_results", "attempts", "transitions"):
        (row,) = await ledger.fetch(
            f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'",  # noqa: S608  # ours
            address,
        )
        if row["count"]:
            found.append(table)
    return found
