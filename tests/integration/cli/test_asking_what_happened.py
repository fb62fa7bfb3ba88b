"""`tidings show | list | stats | cancel` on a real ledger and broker."""

import asyncio
import json
import re
import signal
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.support.attempts import body_of, read_in_its_lane
from tests.support.forked import begun, tidings
from tests.support.worker_rig import eventually

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import Failure, Outcome, Reason, RetryLater, Sent, Undeliverable
from tidings.delivery.ports import ClaimRequest, Record
from tidings.ledger import PostgresLedger
from tidings.settings import LedgerSettings

GREYLISTED = Failure("unavailable", "greylisted", "smtp:mx.example.com", "451 4.7.1")
RETRY = RetryLater(GREYLISTED, Delay(60), 2)
SENT = Sent("smtp:mx.example.com", "4XyZ", "250")
REJECTED = Undeliverable(Reason.REJECTED, Failure("rejected", "no such user", "smtp", "550"))


def email(number: int = 1, id_: UUID | None = None, *, test: bool = False) -> Attempt:
    body = {
        **({"test": True} if test else {}),
        "id": str(id_ or uuid4()),
        "channel": "email",
        "recipient": "jane@example.com",
        "subject": "Hi",
        "body": "there",
    }
    first_seen = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    headers = {"x-tidings-attempt": number, "x-tidings-first-seen": first_seen}
    return read_in_its_lane(Message(json.dumps(body).encode(), "email.high", headers))


async def made(url: str, *outcomes: Outcome, test: bool = False) -> UUID:
    """A notification that has come to these outcomes, one after the other."""
    id_ = uuid4()
    async with PostgresLedger(
        LedgerSettings(database_url=url), actor="worker test:1:abc"
    ) as ledger:
        for number, outcome in enumerate(outcomes, start=1):
            attempt = email(number, id_, test=test)
            await ledger.claim(ClaimRequest(attempt, "worker test:1:abc/lane/1", 30, None))
            now = datetime.now(UTC) - timedelta(milliseconds=3)
            await ledger.record(
                Record(attempt, "worker test:1:abc/lane/1", outcome, now, duration=0.003)
            )
    return id_


async def test_show_tells_the_story_in_words_and_in_json(
    env: dict[str, str], database_url: str
) -> None:
    id_ = await made(database_url, RETRY, SENT)
    shown, as_json, revealed = await asyncio.gather(
        tidings("show", str(id_)[:13], env=env),
        tidings("show", str(id_), "--json", env=env),
        tidings("show", str(id_), "--json", "--reveal", env=env),
    )
    assert (shown.code, shown.err) == (0, "")
    assert "greylisted" in shown.out
    assert "✓ attempt 2 → sent" in shown.out
    assert "jane@example.com" not in shown.out + as_json.out
    story = json.loads(as_json.out)
    assert (story["id"], story["state"]) == (str(id_), "sent")
    assert [row["code"] for row in story["attempts"]] == ["451 4.7.1", "250"]
    assert json.loads(revealed.out)["body"]["body"] == "there"


async def test_show_names_the_producer_as_its_message_did(
    env: dict[str, str], database_url: str
) -> None:
    id_ = await claimed(database_url, app_id="shop-node", user_id="shop")
    nobody = await claimed(database_url)
    named, unnamed, as_json = await asyncio.gather(
        tidings("show", str(id_), env=env),
        tidings("show", str(nobody), env=env),
        tidings("show", str(id_), "--json", env=env),
    )
    assert re.search(r"first read\s+(by )?shop-node \(user shop\) *\n", named.out), named.out
    assert re.search(r"first read\s+(by )?producer *\n", unnamed.out), unnamed.out
    assert json.loads(as_json.out)["producer"] == "shop-node (user shop)"


async def claimed(url: str, *, tenant: str | None = None, **further: str) -> UUID:
    """A notification that a worker has just read, with these AMQP properties."""
    id_ = uuid4()
    body = body_of(id=str(id_), tenant=tenant)
    arrival = read_in_its_lane(Message(body, "email.normal", further=further or None))
    async with PostgresLedger(
        LedgerSettings(database_url=url), actor="worker test:1:abc"
    ) as ledger:
        await ledger.claim(ClaimRequest(arrival, "worker test:1:abc/lane/1", 30, None))
    return id_


async def test_what_is_asked_of_one_tenant_is_told_of_that_one_alone(
    env: dict[str, str], database_url: str
) -> None:
    id_ = await claimed(database_url, tenant="acme")
    await claimed(database_url)
    await made(database_url, SENT)
    shown, listed, counted, due, misspelt, wrong = await asyncio.gather(
        tidings("show", str(id_), env=env),
        tidings("list", "--tenant", "acme", "--json", env=env),
        tidings("stats", "--tenant", "acme", "--json", env=env),
        tidings("requeue", "--tenant", "acme", "--dry-run", env=env),
        tidings("dead", "list", "--tenant", "acmee", env=env),
        tidings("dead", "discard", "--tenant", "Acme", "--note", "no use", "--yes", env=env),
    )
    assert re.search(r"Tenant +acme\n", shown.out), shown.out
    assert [(entry["id"], entry["tenant"]) for entry in json.loads(listed.out)["data"]] == [
        (str(id_), "acme")
    ]
    assert json.loads(counted.out)["total"]["finished"] == 0
    assert "Nothing to requeue." in due.out
    assert "Nothing recent has the tenant 'acmee' (did you mean 'acme'?)" in misspelt.err
    assert wrong.code == 2
    assert "'Acme': a tenant is lower-case letters" in wrong.err


async def test_show_of_what_is_not_there_says_so_and_exits_with_1(env: dict[str, str]) -> None:
    unknown, garbage = await asyncio.gather(
        tidings("show", str(uuid4()), env=env), tidings("show", "order-1", env=env)
    )
    assert (unknown.code, unknown.out) == (1, "")
    assert "no such notification" in unknown.err
    assert garbage.code == 2
    assert "its first 4 or more hex digits" in garbage.err
    assert "`tidings dead list --reason malformed`" in garbage.err


async def test_show_of_what_no_worker_has_read_says_what_may_hold_it_up(
    env: dict[str, str],
) -> None:
    bare = await tidings("show", str(uuid4()), env=env)
    assert "lanes are missing" in bare.err
    assert (await tidings("topology", "apply", env=env)).code == 0
    empty = await tidings("show", str(uuid4()), env=env)
    assert "no message waits in a lane" in empty.err
    assert (await tidings("channels", "pause", "email", env=env)).code == 0
    hello = ("email", "--to", "a@example.com", "--subject", "s", "--body", "b")
    published = await tidings("publish", *hello, env=env)
    for command in (("show",), ("cancel", "--note", "wrong customer")):
        output = await tidings(*command, published.out.strip(), env=env)
        assert (output.code, output.out) == (1, "")
        assert "no such notification" in output.err
        assert re.search(r"email was paused (\S+ ago|now) \(cli [^:;]+\);", output.err), output.err
        assert "1 message waits: 1 in tidings.email.normal" in output.err


async def test_list_finds_what_matches_newest_first(env: dict[str, str], database_url: str) -> None:
    first = await made(database_url, SENT)
    failed = await made(database_url, REJECTED)
    every, some, newest, table = await asyncio.gather(
        tidings("list", "--json", env=env),
        tidings("list", "--state", "failed", "--to", "jane@example.com", "--json", env=env),
        tidings("list", "--since", "1h", "--limit", "1", "--json", env=env),
        tidings("list", "--limit", "1", env=env),
    )
    assert ids(every.out) == [str(failed), str(first)]
    assert {row["recipient"] for row in json.loads(every.out)["data"]} == {"j…@example.com"}
    assert ids(some.out) == ids(newest.out) == [str(failed)]
    assert str(failed) in table.out
    assert "rejected · 550 · no such user" in table.out
    for given, found in (
        (("--state", "failed", "--state", "sent", "--channel", "email"), [failed, first]),
        (("--recipient", "nobody@example.com", "--recipient", "jane@example.com"), [failed, first]),
        (("--error-class", "rejected", "--provider", "smtp", "--provider", "sms"), [failed]),
        (("--priority", "low", "--priority", "high", "--subject", "hI"), [failed, first]),
        (("--subject", "no such subject"), []),
        (("--template", "welcome"), []),
        (("--overdue",), []),
        (("--user-id", "u1", "--entity", "order", "--entity", "task:7"), []),
    ):
        chosen = await tidings("list", *given, "--json", env=env)
        assert ids(chosen.out) == [str(id_) for id_ in found], given
    cursor = json.loads(newest.out)["next_cursor"]
    assert f"`tidings list --limit 1 --cursor {cursor}`" in table.err
    older, other = await asyncio.gather(
        tidings("list", "--since", "2h", "--cursor", cursor, "--json", env=env),
        tidings("list", "--channel", "sms", "--cursor", cursor, env=env),
    )
    assert ids(older.out) == [str(first)]
    assert (other.code, "no cursor of a list with these filters" in other.err) == (2, True)


def ids(listed: str) -> list[str]:
    """Of a list in JSON."""
    return [row["id"] for row in json.loads(listed)["data"]]


async def test_list_of_nothing_is_empty_and_well(env: dict[str, str]) -> None:
    words, as_json = await asyncio.gather(
        tidings("list", "--channel", "sms", env=env),
        tidings("list", "--channel", "sms", "--json", env=env),
    )
    assert (words.code, words.out, words.err) == (0, "", "No matches.\n")
    assert json.loads(as_json.out) == {"data": [], "next_cursor": None, "searched_since": None}
    for command, expected in (
        (("list",), "No notifications yet.\n"),
        (("dead", "list"), "No open dead letters.\n"),
        (("dead", "groups"), "No open dead letters.\n"),
        (("dead", "list", "--state", "all"), "No matches.\n"),
    ):
        empty = await tidings(*command, env=env)
        assert (empty.code, empty.out, empty.err) == (0, "", expected), command


@pytest.mark.parametrize("option", ["--since", "--until"])
async def test_a_time_that_is_none_is_refused(option: str) -> None:
    refused = await tidings("list", option, "yesterday", env={})
    assert refused.code == 2
    assert "how long ago" in refused.err


async def test_stats_count_notifications_and_what_waits_in_every_queue(
    env: dict[str, str], database_url: str
) -> None:
    await made(database_url, RETRY, SENT)
    await made(database_url, REJECTED)
    assert (await tidings("topology", "apply", env=env)).code == 0
    for _ in range(2):
        published = await tidings(
            "publish", "email", "--to", "a@example.com", "--subject", "s", "--body", "b", env=env
        )
        assert published.code == 0
    as_json, words = await asyncio.gather(
        tidings("stats", "--since", "1h", "--json", env=env), tidings("stats", env=env)
    )
    output = json.loads(as_json.out)
    assert output["channels"]["email"]["outcomes"] == {
        "rejected": 1,
        "retry_later": 1,
        "sent": 1,
    }
    assert output["channels"]["email"]["success_rate"] == 0.5
    assert output["total"]["retry_rate"] == 0.5
    assert sum(bucket["attempt_count"] for bucket in output["buckets"]) == 3
    assert output["error_classes"] == {"unavailable": 1, "rejected": 1}
    depths = {row["queue"]: row["message_count"] for row in output["queues"]}
    assert depths["tidings.email.normal"] == 2
    assert depths["tidings.dead"] == 0
    assert words.code == 0
    assert "50 %" in words.out
    assert "Sent: share of finished. Retried: share of attempted." in words.out
    assert "p50, p95, p99: time from accepted, or due, to sent; without replays" in words.out
    assert "tidings.email.normal" in words.out


async def test_stats_are_watched_until_interrupted(env: dict[str, str], database_url: str) -> None:
    await made(database_url, SENT)
    async with begun("stats", "--watch", "--every", "300ms", env=env) as watching:
        await eventually(lambda: watching.out.count(b"100 %") >= 2, within=30)
        watching.signal(signal.SIGINT)
        assert await watching.ended() == 130
        assert b"Traceback" not in watching.err


async def test_stats_tell_what_one_server_knows_where_the_other_is_away(
    env: dict[str, str], away: dict[str, str], database_url: str
) -> None:
    await made(database_url, SENT)
    broker_away, ledger_away = await asyncio.gather(
        tidings("stats", env={**env, "TIDINGS_AMQP_URL": away["TIDINGS_AMQP_URL"]}),
        tidings(
            "stats",
            "--json",
            env={**env, "TIDINGS_DATABASE_URL": away["TIDINGS_DATABASE_URL"]},
        ),
    )
    assert (broker_away.code, ledger_away.code) == (3, 3)
    assert "100 %" in broker_away.out
    assert broker_away.err.startswith("Error: RabbitMQ is unavailable")
    output = json.loads(ledger_away.out)
    assert output["channels"] is None
    assert {row["message_count"] for row in output["queues"]} == {None}
    assert "PostgreSQL" in output["server_errors"][0]
    assert "hunter2" not in broker_away.err + ledger_away.err + ledger_away.out


async def test_cancel_calls_off_what_waits_and_keeps_who_and_why(
    env: dict[str, str], database_url: str
) -> None:
    waiting, sent = await made(database_url, RETRY), await made(database_url, SENT)
    done = await tidings("cancel", str(waiting), "--note", "wrong customer", env=env)
    again, late, silent = await asyncio.gather(
        tidings("cancel", str(waiting), "--note", "x", env=env),
        tidings("cancel", str(sent), "--note", "x", env=env),
        tidings("cancel", str(sent), "--note", " ", env=env),
    )
    assert done.code == 0
    assert "it was retrying" in done.out
    assert (again.code, late.code, silent.code) == (1, 1, 2)
    assert "cancelled already" in again.err
    assert "has ended as sent" in late.err
    story = json.loads((await tidings("show", str(waiting), "--json", env=env)).out)
    assert story["state"] == "cancelled"
    assert story["history"][-1]["reason"] == "wrong customer"
    assert story["history"][-1]["actor"].startswith("cli ")


@pytest.mark.parametrize(
    "command",
    [
        ("show", "0192f0c1"),
        ("list",),
        ("cancel", "0192f0c1", "--note", "x"),
        ("migrate",),
        ("topology", "check"),
        ("topology", "apply"),
        ("topology", "prune"),
        ("publish", "sms", "--to", "+14155550123", "--body", "Hi"),
    ],
    ids=" ".join,
)
async def test_a_server_that_is_away_is_one_sentence_and_exit_code_3(
    command: tuple[str, ...], away: dict[str, str]
) -> None:
    failed = await tidings(*command, env={**away, "TIDINGS_AMQP_TIMEOUT": "1s"})
    assert failed.code == 3, failed.err
    assert failed.out == ""
    assert "Traceback" not in failed.err
    assert "hunter2" not in failed.err
    assert failed.err.startswith("Error: ")
    assert "127.0.0.1:1" in failed.err


async def test_a_database_without_tables_is_told_what_to_run(
    env: dict[str, str], empty_database_url: str
) -> None:
    bare = {**env, "TIDINGS_DATABASE_URL": empty_database_url}
    failed = await tidings("list", env=bare)
    assert failed.code == 2
    assert "tidings doctor" in failed.err or "tidings migrate" in failed.err
    made_, again = await tidings("migrate", env=bare), await tidings("migrate", "--json", env=bare)
    assert "from version none" in made_.out
    assert json.loads(again.out)["before"] == json.loads(again.out)["needed"]
    assert (await tidings("list", env=bare)).code == 0


async def test_tests_are_listed_and_counted_only_if_asked_for(
    env: dict[str, str], database_url: str
) -> None:
    live, test = await made(database_url, SENT), await made(database_url, SENT, test=True)
    for options, id_ in (((), live), (("--test",), test)):
        listed = await tidings("list", "--json", *options, env=env)
        assert [each["id"] for each in json.loads(listed.out)["data"]] == [str(id_)]
        counted = await tidings("stats", "--json", *options, env=env)
        assert json.loads(counted.out)["total"]["outcomes"] == {"sent": 1}
    shown = await tidings("show", str(test), env=env)
    assert re.search(r"Test +yes", shown.out)
    assert "Test" not in (await tidings("show", str(live), env=env)).out
