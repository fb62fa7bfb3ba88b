"""`tidings alerts`: a rule's life by commands, what they print and how they end."""

import json

from tests.integration.dead_letters.conftest import Tidings
from tests.support.dead_letter_rig import DeadLetterRig
from tests.support.paging import paging

from tidings.operations import health
from tidings.operations.actor import Actor


async def test_a_rule_of_queues_by_commands(tidings: Tidings) -> None:
    made = await tidings(
        *("alerts", "create", "backlog", "--watch", "queues", "--queue", "tidings.email.high"),
        *("--count", "100", "--window", "0s", "--remind", "0s", "--no-all-clear"),
        *("--to-channel", "email", "--to", "ops@example.com"),
    )
    assert "backlog: 100 messages in a queue: queue tidings.email.high" in made.out, made.err
    edited = await tidings("alerts", "edit", "backlog", "--without", "queue", "--all-clear")
    assert "backlog: 100 messages in a queue, to email" in edited.out
    (rule,) = json.loads((await tidings("alerts", "list", "--json")).out)["data"]
    assert (rule["remind_seconds"], rule["all_clear"], rule["queue"]) == (0, True, None)
    resealed = await tidings("alerts", "reseal")
    assert (resealed.code, "TIDINGS_SEALING_KEYS is not set" in resealed.err) == (1, True)


async def test_a_rules_life_by_commands(tidings: Tidings, rig: DeadLetterRig) -> None:
    async with paging() as pager:
        made = await tidings(
            *("alerts", "create", "otp", "--category", "otp", "--count", "10", "--url", "-"),
            stdin=f"{pager.url}?+X-Token=s3cret\n".encode(),
        )
        assert made.code == 0, made.err
        assert "otp: 10 dead letters in 5m: category otp, to json://127.0.0.1/…" in made.out
        sent = await tidings("alerts", "test", "otp")
        assert (sent.code, "accepted" in sent.out) == (0, True)
        pager.status = 410
        refused = await tidings("alerts", "test", "otp")
        assert (refused.code, "error=410" in refused.out) == (1, True)
    edited = await tidings(
        *("alerts", "edit", "otp", "--without", "category", "--channel", "email", "--every", "1h")
    )
    assert "otp: 10 dead letters in 5m: channel email" in edited.out
    history = json.loads((await tidings("alerts", "history", "otp", "--json")).out)
    assert [each["state"] for each in history["data"]] == ["failed", "sent"]
    await rig.fetch("UPDATE alert_rules SET error = 'error=410.', failing_since = now()")
    listed = await tidings("alerts", "list")
    assert "error=410." in listed.out
    found = await health._alerts(rig.settings, Actor("cli", "jane@desk"))
    assert [finding.detail.partition(" since ")[0] for finding in found] == [
        "rule otp has not reached its receiver"
    ]
    assert "disabled" in (await tidings("alerts", "disable", "otp")).out
    assert await health._alerts(rig.settings, Actor("cli", "jane@desk")) == []
    assert "Deleted otp." in (await tidings("alerts", "delete", "otp")).out
    gone = await tidings("alerts", "test", "otp")
    assert gone.code == 1
    assert "there is no rule 'otp'" in gone.err
    for finished in (made, sent, refused, edited, listed):
        assert "s3cret" not in finished.out + finished.err
