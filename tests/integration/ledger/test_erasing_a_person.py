"""`tidings erase`: nothing of a person is left in what has ended, and its history says who erased it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.attempts import attempt_of
from tests.support.inbox_rig import KeptHints, message_of
from tests.support.ledger_rig import BOUNCE, LedgerRig, record_of, request_of, settings_of

from tidings.delivery.errors import InvalidRequest, LedgerRefused, Refused
from tidings.delivery.jobs import JobKind
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger, erasure, retention
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.erasure import Erased
from tidings.ledger.operators.processes import Process
from tidings.ledger.operators.rule_rows import RuleTerms
from tidings.ledger.schedules.erasing import ScheduleErasures
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.erasure import EraseRequest, ErasureView, erase
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobEdit
from tidings.operations.retention import prepare, preview, run, show
from tidings.settings import Settings

JANE, BOB = "jane@example.com", "bob@example.com"
ACTOR = Actor("cli", "ada@desk")
DEAD_LETTER = """
INSERT INTO dead_letters (id, notification_id, state, reason, kind, message, fingerprint, recipient, user_id,
                          first_failed_at, last_failed_at, headers, body)
VALUES (gen_random_uuid(), $1, $2, 'rejected', 'rejected', '', 'f', 'jane@example.com', 'j', now(), now(), '{"to": "jane@example.com"}',
        'to jane@example.com')
"""
LEFT = """
SELECT count(*) AS n FROM (
    SELECT n::text AS row FROM notifications n UNION ALL SELECT d::text FROM dead_letters d UNION ALL
    SELECT t::text FROM transitions t UNION ALL SELECT r::text FROM recipient_results r) AS rows
 WHERE row LIKE '%jane@%' OR row LIKE '%' || encode('jane@', 'hex') || '%'
"""


@pytest.fixture
async def backend(database_url: str) -> AsyncIterator[Backend]:
    async with PostgresLedger(settings_of(database_url), actor=str(ACTOR)) as ledger:
        yield Backend(Settings(), ledger)


@pytest.fixture
def rig(backend: Backend) -> LedgerRig:
    return LedgerRig(backend.ledger.database)


async def put(rig: LedgerRig, state: State, recipient: str, **fields: object) -> UUID:
    attempt = attempt_of(recipient=recipient, **fields)
    await rig.put(attempt, state)
    return attempt.id


def request(recipient: str | None = JANE, **fields: object) -> EraseRequest:
    return EraseRequest(**{"recipient": recipient, "user": None, "note": "request 118", **fields})  # type: ignore[arg-type]


async def test_a_person_is_erased_from_what_has_ended(backend: Backend, rig: LedgerRig) -> None:
    sent = await put(rig, State.SENT, JANE, user_id="j")
    copied = await put(rig, State.SENT, BOB, cc=[JANE])
    other = await put(rig, State.SENT, BOB)
    failed = attempt_of(recipient=JANE)
    await rig.claimed(failed, "t")
    await rig.records.record([record_of(failed, "t", BOUNCE)])
    await rig.execute(DEAD_LETTER, failed.id, "open")
    quoting = DEAD_LETTER.replace(
        "'rejected', ''", f"'malformed', 'recipient: \"{JANE}\" is no address'"
    )
    await rig.execute(quoting, None, "discarded")
    await rig.execute(
        "INSERT INTO recipient_results VALUES ($1, 0, 1, $2, 'cc', 'refused', 'rejected', '', '')",
        copied,
        JANE,
    )
    masked = ["b…@example.com", "j…@example.com"]
    view = ErasureView(3, 2, 1, 0, 0, masked, dry_run=True)
    assert await erase(backend, ACTOR, request(note=None, dry_run=True)) == view
    assert await erase(backend, ACTOR, request()) == replace(view, dry_run=False)
    assert await rig.fetch(LEFT) == [{"n": 0}]
    assert await rig.history(sent) == [("sent", "sent", "erased: request 118")]
    assert await rig.state(failed.id) is State.DISCARDED
    assert (await rig.row(other))["recipient"] == BOB
    assert (await rig.row(other))["subject"] == "Hello"
    assert (await rig.row(sent))["subject"] is None
    for again in (JANE, "erased"):
        assert (await erase(backend, ACTOR, request(again))).notifications == 0


async def test_a_person_is_erased_from_inboxes_and_open_clients_are_told(
    database_url: str,
) -> None:
    hints = KeptHints()
    async with PostgresLedger(settings_of(database_url), actor=str(ACTOR)) as ledger:
        backend = Backend(Settings(), ledger, inbox_hints=hints)
        rig = LedgerRig(ledger.database)
        about = await put(rig, State.SENT, BOB, body=f"{JANE} wrote to you")
        messages = [
            message_of("jane@EXAMPLE.com", title="hers"),
            message_of("jane@EXAMPLE.com", title="hers as well"),
            message_of("jane@EXAMPLE.com", "acme", title="hers at acme"),
            message_of("bob", title="about her", id=about),
            message_of("bob", title="about others"),
        ]
        async with ledger.inbox_deliveries() as inbox:
            for message in messages:
                await inbox.deliver(message, 10.0)
        theirs = request("jane@EXAMPLE.com", tenant="default")
        found = await erase(backend, ACTOR, replace(theirs, dry_run=True))
        assert (found.inbox_messages, hints.changes) == (3, [])

        assert (await erase(backend, ACTOR, theirs)).inbox_messages == 3

        left = await rig.fetch(
            "SELECT title FROM inbox_messages WHERE title IS NOT NULL ORDER BY title"
        )
        assert [row["title"] for row in left] == ["about others", "hers at acme"]
        assert sorted(hints.changes) == [
            ("default", "bob", 3),
            ("default", "jane@EXAMPLE.com", 4),
        ]
        by_user = request(None, user="jane@EXAMPLE.com")
        assert (await erase(backend, ACTOR, by_user)).inbox_messages == 1
        assert (await erase(backend, ACTOR, by_user)).inbox_messages == 0


SCHEDULE = """
INSERT INTO schedules (id, tenant, name, cron, timezone, misfire, content, recipients, state, next_run_at, created_by)
VALUES (gen_random_uuid(), $1, $2, '0 9 * * *', 'UTC', 'skip', $3::jsonb, $4::jsonb, 'active', now() + interval '1 day', 'ada')
"""


async def put_schedule(rig: LedgerRig, name: str, *recipients: object, **content: object) -> None:
    tenant = content.pop("tenant", "default")
    fields = {"channel": "email", "subject": "Hello", **content}
    await rig.execute(SCHEDULE, tenant, name, json.dumps(fields), json.dumps(recipients))


async def schedules(rig: LedgerRig) -> dict[str, tuple[str, list[object]]]:
    rows = await rig.fetch("SELECT name, state, recipients FROM schedules")
    return {row["name"]: (row["state"], json.loads(row["recipients"])) for row in rows}


async def test_a_person_is_taken_out_of_schedules(backend: Backend, rig: LedgerRig) -> None:
    hers = {"recipient": "jane@EXAMPLE.com", "data": {"name": "Jane"}}
    naming = {"recipient": BOB, "data": {"boss": JANE}}
    await put_schedule(rig, "both", BOB, hers, "ajane@example.com")
    await put_schedule(rig, "hers", JANE)
    await put_schedule(rig, "named", BOB, naming)
    await put_schedule(rig, "others", BOB)
    await put_schedule(rig, "shop", JANE, BOB, tenant="shop")
    assert (await erase(backend, ACTOR, request(dry_run=True))).schedules == 4
    assert (await erase(backend, ACTOR, request(tenant="shop"))).schedules == 1
    assert (await erase(backend, ACTOR, request())).schedules == 3
    assert await schedules(rig) == {
        "both": ("active", [BOB, "ajane@example.com"]),
        "hers": ("deleted", []),
        "named": ("active", [BOB]),
        "others": ("active", [BOB]),
        "shop": ("active", [BOB]),
    }
    trail = await rig.fetch(
        "SELECT action, note, details FROM operator_actions WHERE details ? 'schedule' ORDER BY id"
    )
    assert [row["action"] for row in trail].count("delete schedule") == 1
    assert {row["note"] for row in trail} == {"request 118"}
    assert all("jane" not in row["details"] for row in trail)
    assert (await erase(backend, ACTOR, request())).schedules == 0


async def test_what_a_schedule_sent_while_the_person_was_looked_for_is_erased(
    backend: Backend, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_out = ScheduleErasures.erase

    async def run_before(*arguments: Any, **words: Any) -> int:
        await put(rig, State.SENT, JANE)
        return await taken_out(*arguments, **words)

    await put_schedule(rig, "news", JANE, BOB)
    monkeypatch.setattr(ScheduleErasures, "erase", run_before)
    view = await erase(backend, ACTOR, request())
    assert (view.schedules, view.notifications) == (1, 1)
    assert await rig.fetch(LEFT) == [{"n": 0}]


async def test_a_user_is_taken_out_of_schedules(backend: Backend, rig: LedgerRig) -> None:
    await put_schedule(
        rig, "s", {"recipient": BOB, "user_id": "j"}, {"recipient": JANE, "user_id": "jo"}
    )
    assert (await erase(backend, ACTOR, request(None, user="j"))).schedules == 1
    assert await schedules(rig) == {"s": ("active", [{"recipient": JANE, "user_id": "jo"}])}


async def test_nothing_is_erased_while_the_content_of_a_schedule_names_the_person(
    backend: Backend, rig: LedgerRig
) -> None:
    sent = await put(rig, State.SENT, JANE)
    await put_schedule(rig, "news", BOB, cc=[JANE])
    with pytest.raises(Refused, match=r"'news'.*tidings schedules delete"):
        await erase(backend, ACTOR, request())
    assert (await rig.row(sent))["recipient"] == JANE


async def test_of_one_tenant_only_what_is_its_own_is_erased(
    backend: Backend, rig: LedgerRig
) -> None:
    for tenant in ("acme", "shop"):
        failed = await put(rig, State.FAILED, JANE, user_id="j", tenant=tenant, idempotency_key="k")
        await rig.execute(
            DEAD_LETTER.replace("(id,", "(tenant, id,").replace("(gen", f"('{tenant}', gen"),
            failed,
            "discarded",
        )
    for whose in ({}, {"recipient": None, "user": "j"}):
        view = await erase(backend, ACTOR, request(**whose, tenant="unknown"))
        assert (view.notifications, view.dead_letters) == (0, 0)
    view = await erase(backend, ACTOR, request(tenant="acme"))
    assert (view.notifications, view.dead_letters, view.discarded) == (1, 1, 0)
    for table in ("notifications", "dead_letters"):
        left = await rig.fetch(f"SELECT tenant FROM {table} WHERE recipient = $1", JANE)  # noqa: S608
        assert left == [{"tenant": "shop"}]
    view = await erase(backend, ACTOR, request(recipient=None, user="j", tenant="shop"))
    assert (view.notifications, view.dead_letters) == (1, 1)


async def test_of_dead_letters_without_a_tenant_only_those_of_its_notifications_are_erased(
    backend: Backend, rig: LedgerRig
) -> None:
    without = DEAD_LETTER.replace("(id,", "(tenant, id,").replace("(gen", "(NULL, gen")
    await rig.execute(without, await put(rig, State.FAILED, JANE, tenant="acme"), "open")
    for notification in (await put(rig, State.FAILED, JANE, tenant="shop"), None):
        await rig.execute(without, notification, "discarded")
    view = await erase(backend, ACTOR, request(tenant="acme"))
    assert (view.dead_letters, view.discarded, view.without_tenant) == (1, 1, 2)
    view = await erase(backend, ACTOR, request())
    assert (view.notifications, view.dead_letters, view.without_tenant) == (1, 2, 0)


async def test_those_whose_addresses_end_alike_are_left_alone(
    backend: Backend, rig: LedgerRig
) -> None:
    dan = await put(rig, State.SENT, "dan@example.com", cc=["susan@example.com"])
    failed = await put(rig, State.FAILED, "susan@example.com")
    await rig.execute(DEAD_LETTER.replace("jane", "susan"), failed, "open")
    view = await erase(backend, ACTOR, request("an@example.com"))
    assert (view.notifications, view.dead_letters) == (0, 0)
    assert (await rig.row(dan))["recipient"] == "dan@example.com"


async def test_an_address_is_found_however_json_writes_it(backend: Backend, rig: LedgerRig) -> None:
    attempt = attempt_of(recipient=BOB, cc=["jürgen@example.com"])
    body = json.dumps(json.loads(attempt.body))  # as most producers write it
    await rig.put(replace(attempt, body=body.encode()), State.SENT)
    assert (await erase(backend, ACTOR, request("jürgen@EXAMPLE.com"))).notifications == 1


async def test_an_erasure_that_was_cut_off_is_finished_by_the_next(
    backend: Backend, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = await put(rig, State.FAILED, JANE)
    await rig.execute(DEAD_LETTER.replace("jane", "her.other.address"), failed, "open")
    monkeypatch.setattr(erasure, "ERASE", "SELECT 1 / 0, $1::uuid[], $2::text, $3::text")
    with pytest.raises(LedgerRefused):
        await erase(backend, ACTOR, request())
    monkeypatch.undo()
    view = await erase(backend, ACTOR, request())
    assert (view.notifications, view.dead_letters) == (1, 0)
    assert await rig.fetch("SELECT recipient, state FROM dead_letters") == [
        {"recipient": "erased", "state": "discarded"}
    ]


async def test_a_replay_that_begins_meanwhile_is_counted_as_unfinished(
    backend: Backend, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, replayed = await put(rig, State.SENT, JANE), await put(rig, State.FAILED, JANE)
    erasing = backend.ledger.erasures.erase

    async def beginning_a_replay(*arguments: Any, **named: Any) -> Erased:
        await rig.execute(
            "UPDATE notifications SET state = 'queued', finished_at = NULL WHERE id = $1", replayed
        )
        return await erasing(*arguments, **named)

    monkeypatch.setattr(backend.ledger.erasures, "erase", beginning_a_replay)
    view = await erase(backend, ACTOR, request())
    assert (view.notifications, view.unfinished) == (1, 1)
    assert (await rig.row(gone))["recipient"] == "erased"


async def test_idempotency_keys_that_name_a_person_go_with_them(
    backend: Backend, rig: LedgerRig
) -> None:
    hers = [
        attempt_of(recipient=JANE, idempotency_key=f"welcome:{JANE}", tenant=tenant)
        for tenant in (None, "acme")
    ]
    other = attempt_of(recipient=BOB, idempotency_key="welcome:bob")
    for attempt in (*hers, other):
        await rig.claim(request_of(attempt))
    await rig.execute("UPDATE notifications SET state = 'sent', finished_at = now()")
    assert (await erase(backend, ACTOR, request())).keys == 2
    assert await rig.fetch("SELECT key FROM idempotency_holders") == [{"key": "welcome:bob"}]


async def test_who_erased_how_much_and_why_is_kept_without_whom(
    backend: Backend, rig: LedgerRig
) -> None:
    await put(rig, State.SENT, JANE)
    await erase(backend, ACTOR, request())
    began, ended = await rig.fetch("SELECT * FROM operator_actions ORDER BY id")
    assert (ended["actor"], ended["action"], ended["note"]) == (
        str(ACTOR),
        "erase",
        "request 118",
    )
    assert '"notifications": 1' in ended["details"]
    assert JANE not in str([began, ended])


async def test_a_user_is_erased_by_the_id_that_a_producer_gave_them(
    backend: Backend, rig: LedgerRig
) -> None:
    await put(rig, State.SENT, JANE, user_id="j")
    view = await erase(backend, ACTOR, request(None, user="j"))
    assert view.notifications == 1
    assert await rig.fetch(LEFT) == [{"n": 0}]


async def test_what_is_unfinished_is_named_and_nothing_is_erased(
    backend: Backend, rig: LedgerRig
) -> None:
    await put(rig, State.SENT, JANE)
    waiting = await put(rig, State.RETRYING, JANE)
    with pytest.raises(Refused, match=f"{waiting} is unfinished: .*tidings cancel"):
        await erase(backend, ACTOR, request())
    assert (await rig.fetch(LEFT))[0]["n"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": None},
        {"recipient": " ", "note": None, "dry_run": True},
        {"recipient": None, "user": ""},
        {"user": "j"},
        {"note": " "},
        {"note": f"{JANE.upper()} asked"},
        {"recipient": None, "user": "4711", "note": "user 4711 asked"},
    ],
)
async def test_a_request_names_one_person_and_a_reason_that_does_not(
    backend: Backend, wrong: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest):
        await erase(backend, ACTOR, request(**wrong))  # type: ignore[arg-type]


async def test_retention_is_shown_counted_and_run_by_hand(backend: Backend, rig: LedgerRig) -> None:
    sent = await put(rig, State.SENT, JANE, id=uuid4())
    await rig.execute(
        "UPDATE notifications SET accepted_at = now() - interval '40 days', finished_at = now() - interval '40 days',"
        " updated_at = now() - interval '40 days'"
        " WHERE id = $1",
        sent,
    )
    view = await show(backend)
    assert view.period == 30 * 86_400
    assert [partition.since is None for partition in view.partitions] == [False, False, False, True]
    assert all(partition.size > 0 for partition in view.partitions)
    partition, inboxes = await preview(backend)
    assert (inboxes.name, inboxes.stored, inboxes.deleted) == ("inbox_messages", 0, 0)
    assert (view.inbox_read, view.inbox_unread) == (30 * 86_400, 90 * 86_400)
    assert (partition.name, partition.stored, partition.deleted) == ("notifications_default", 1, 1)
    await backend.ledger.processes.say(scheduler(keeping=365 * 86_400.0))
    with pytest.raises(
        Refused, match=r"web-1:7 keeps .* for 365d, but this command would keep them for 30d"
    ):
        await run(backend, ACTOR)
    await rig.execute("DELETE FROM processes")
    await backend.ledger.processes.say(scheduler(keeping=30 * 86_400.0))
    assert await prepare(backend) == ("for 30d", [partition, inboxes])
    assert [step.deleted for step in await run(backend, ACTOR)] == [1, 0, 0]
    began, ended = await rig.fetch("SELECT * FROM operator_actions ORDER BY id")
    assert (began["actor"], began["action"]) == (str(ACTOR), "retention run")
    assert '{"*": 2592000.0}' in began["details"]
    assert '"deleted": 1' in ended["details"]


def scheduler(keeping: float) -> Process:
    return Process("s", ["scheduler"], "web-1", 7, "1.0", [], "", {"*": keeping})


async def test_a_fast_round_of_retention_makes_no_pauses(
    backend: Backend, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []

    async def pause(_: float, share: float) -> None:
        shares.append(share)

    await put(rig, State.SENT, BOB)
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    monkeypatch.setattr(retention, "pause", pause)
    await run(backend, ACTOR)
    assert set(shares) == {retention.USUAL.rows}
    shares.clear()
    await run(backend, ACTOR, fast=True)
    assert set(shares) == {1.0}


@pytest.mark.parametrize(
    ("terms", "who"),
    [
        (RuleTerms(to_channel="email", recipient="jane@EXAMPLE.com"), {}),
        (RuleTerms(url="mailto://ops:pw@relay.example.org?to=jane%40example.com"), {}),
        (RuleTerms(url="mailto://jane:pw@example.com"), {}),
        (RuleTerms(to_channel="in_app", recipient="4711"), {"recipient": None, "user": "4711"}),
    ],
)
async def test_nobody_is_erased_to_whom_alerts_of_operators_go(
    backend: Backend, rig: LedgerRig, terms: RuleTerms, who: dict[str, object]
) -> None:
    await put(rig, State.SENT, JANE, user_id="4711")
    rules = backend.ledger.alert_rules
    rule = await rules.create("shop", "relay", terms, actor="cli bob", audited={})
    other = RuleTerms(to_channel="email", recipient=f"not-{JANE}")
    await rules.create("shop", "other", other, actor="cli bob", audited={})
    dry = await erase(backend, ACTOR, request(dry_run=True, **who))
    assert (dry.notifications, dry.alert_rules) == (1, ("relay",))
    with pytest.raises(Refused, match="alerts of the rule 'relay' go to them"):
        await erase(backend, ACTOR, request(**who))
    assert (await erase(backend, ACTOR, request(tenant="bank", **who))).notifications == 0
    await rules.delete(rule, actor="cli bob", note="", audited={})
    done = await erase(backend, ACTOR, request(**who))
    assert (done.notifications, done.alert_rules) == (1, ())


async def test_nobody_is_erased_of_whom_an_edit_would_write(
    backend: Backend, rig: LedgerRig
) -> None:
    await put(rig, State.SENT, JANE)
    change = FieldChange.of({"recipient": JANE})
    looked = [
        await control.look(
            *(backend, Actor("cli", "bob"), JobKind.EDIT, DeadLetterFilter()),
            note="moved",
            edit=JobEdit(it),
        )
        for it in (change, FieldChange.of({"recipient": f"not-{JANE}"}))
    ]
    dry = await erase(backend, ACTOR, request(dry_run=True))
    assert (dry.notifications, dry.jobs) == (1, (looked[0].id,))
    with pytest.raises(Refused, match="an edit of dead letters names them"):
        await erase(backend, ACTOR, request())
    await control.forget(backend, Actor("cli", "bob"), looked[0].id)
    assert (await erase(backend, ACTOR, request())).notifications == 1
    async with backend.ledger.database.connection() as connection:
        stored = await connection.fetch("SELECT change FROM jobs ORDER BY id")
    assert [row["change"] is None for row in stored] == [True, False]
