"""Rules of alerts at work: what they count, whom they tell, and that nothing is lost between processes and receivers."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.dead_letters.conftest import MakeRig
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written
from tests.support.paging import paging
from tests.support.worker_rig import eventually

from tidings.alerts import rule_alerting
from tidings.alerts.destinations import send
from tidings.alerts.rule_notice import rule_notice
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.orders import CircuitReport, SentThrough
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.operations import alert_rules, health
from tidings.operations.actor import Actor
from tidings.operations.alert_rules import (
    AlertRuleRequest,
    CreateAlertRuleRequest,
    EditAlertRuleRequest,
    Watch,
)
from tidings_local.sinks.mail import MailSink

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)  # Apprise loads a hundred services, some of them older than Python
JANE = Actor("cli", "jane@desk")


async def make_rule(
    rig: DeadLetterRig, name: str = "ops", tenant: str = "*", **terms: Any
) -> AlertRule:
    """A rule as the command makes it."""
    async with rig.backend() as backend:
        request = CreateAlertRuleRequest(name, RuleTerms(**terms), tenant)
        return (await alert_rules.create(backend, JANE, request)).rule


async def look(rig: DeadLetterRig, name: str = "ops") -> AlertRule:
    """A rule as it stands."""
    async with rig.backend() as backend:
        return (await alert_rules.show(backend, AlertRuleRequest(name))).rule


async def due_again(rig: DeadLetterRig) -> None:
    """The pause after an alert, or after one that failed, is over."""
    await rig.fetch("UPDATE alert_rules SET not_before = now() WHERE not_before IS NOT NULL")


async def test_a_rule_reports_what_it_watches_once_enough_came_and_links_to_the_group(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_CONSOLE_URL="https://tidings.example.com")
        await rig.archived(written(category="otp"))  # before there was a rule
        await make_rule(rig, url=pager.url, threshold=3, category="otp")
        async with rig.archiving(), rig.ledger() as ledger:
            for category in ("otp", "otp", "news"):
                await rig.make_dead_letter(written(category=category))
            await rig.dead_letters(4)
            await ledger.rollups.fold()  # counted is counted, folded or not
            await rig.make_dead_letter(written(category="otp"), outcome=rejected("full", "552"))
            await eventually(lambda: pager.alerts)
            await rig.make_dead_letter(written(category="otp"))
            await rig.make_dead_letter(written(category="otp"))
            await rig.dead_letters(7)
            await due_again(rig)  # two are not enough
            await rig.make_dead_letter(written(category="otp"), outcome=rejected("full", "552"))
            await eventually(lambda: len(pager.alerts) == 2)
    first, second = pager.alerts
    assert first["title"] == second["title"] == "Tidings: 3 dead letters"
    rows = await rig.fetch("SELECT DISTINCT fingerprint FROM dead_letters WHERE code = '552'")
    fingerprint = rows[0]["fingerprint"]
    assert f"1 × email rejected 552 [{fingerprint}]" in first["message"]
    assert "2 × email rejected 550 5.1.1" in first["message"]
    assert f"https://tidings.example.com/console/failures/{fingerprint}" in first["message"]
    assert "`tidings replay --fingerprint" in first["message"]
    assert "Rule ops: https://tidings.example.com/console/alerts/" in first["message"]


async def test_a_tenants_rule_sees_that_tenants_only_and_sends_as_that_tenant(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    await make_rule(rig, tenant="shop", to_channel="email", recipient="ops@shop.example")
    async with paging() as pager:
        await make_rule(rig, "all", url=pager.url, threshold=2)
        async with rig.archiving():
            await rig.make_dead_letter(written(tenant="bank"))
            await rig.make_dead_letter(written(tenant="shop"))
            body = await rig.next_in_lane("tidings.email.high")
            await eventually(lambda: pager.alerts)
            await rig.make_dead_letter(body, key="email.high")  # the alert fails itself
            await rig.dead_letters(3)
            await eventually(lambda: sent_by(rig, 2))
            await due_again(rig)
            await rig.make_dead_letter(written(tenant="shop"))
            again = json.loads(await rig.next_in_lane("tidings.email.high"))
    alert = json.loads(body)
    assert (alert["tenant"], alert["recipient"]) == ("shop", "ops@shop.example")
    assert alert["subject"] == again["subject"] == "Tidings: 1 dead letter"
    assert "1 dead letter of shop since" in alert["body"]
    assert [each["title"] for each in pager.alerts] == ["Tidings: 2 dead letters"]


async def test_two_processes_alert_once(make_rig: MakeRig) -> None:
    async with paging() as pager:
        rig = await make_rig()
        rules = [await make_rule(rig, f"rule {place}", url=pager.url) for place in range(4)]
        async with rig.archiving("one"), rig.archiving("two"):
            for _ in range(20):
                await rig.make_dead_letter()
            await rig.dead_letters(20)
            await eventually(lambda: len(pager.alerts) >= len(rules))
            await eventually(lambda: sent_by(rig, len(rules)))
    assert len(pager.alerts) == len(rules)


async def sent_by(rig: DeadLetterRig, rules: int) -> bool:
    rows = await rig.fetch("SELECT FROM alert_rules WHERE last_alert_at IS NOT NULL")
    return len(rows) == rules


async def test_what_a_process_took_and_did_not_live_to_send_is_sent_by_another(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig()
        rule = await make_rule(rig, url=pager.url)
        await rig.archived(written())
        async with rig.ledger("killed") as killed, rig.ledger("other") as other:
            report = await killed.rule_alerts.take(rule.id)
            assert report is not None
            assert report.reached is not None
            assert report.reached.count == 1
            assert await other.rule_alerts.take(rule.id) is None
        await rig.fetch("UPDATE alert_rules SET leased_until = now()")  # it did not come back
        async with rig.archiving():
            await eventually(lambda: pager.alerts)
    assert pager.alerts[0]["title"] == "Tidings: 1 dead letter"


async def test_a_receiver_that_refuses_is_shown_at_its_rule_until_it_takes_an_alert(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    async with paging() as pager:
        pager.status = 404
        rig = await make_rig()
        secret = pager.url.replace("/page", "/page?+X-Token=s3cret-token")
        await make_rule(rig, url=secret)
        async with rig.archiving():
            await rig.make_dead_letter()
            await eventually(lambda: failing(rig))
            broken = await look(rig)
            pager.status = 200
            await rig.make_dead_letter()
            await rig.dead_letters(2)
            await due_again(rig)
            await eventually(lambda: mended(rig))
        async with rig.backend() as backend:
            alerts = (await alert_rules.history(backend, AlertRuleRequest("ops"))).data
    assert broken.error is not None
    assert "404" in broken.error
    assert broken.last_alert_at is None
    assert [(each.state, each.alert.title) for each in alerts] == [
        ("sent", "Tidings: 2 dead letters"),
        ("failed", "Tidings: 1 dead letter"),
    ]
    assert "s3cret-token" not in caplog.text + str(alerts) + broken.error
    trail = await rig.fetch("SELECT actor, details::text FROM operator_actions")
    assert "json://127.0.0.1/…" in str(trail)
    assert "s3cret-token" not in str(trail)


async def failing(rig: DeadLetterRig) -> bool:
    return (await look(rig)).failing_since is not None


async def mended(rig: DeadLetterRig) -> bool:
    rule = await look(rig)
    return rule.last_alert_at is not None and rule.error is None


async def test_a_receiver_that_hangs_holds_up_neither_the_archive_nor_other_rules(
    make_rig: MakeRig,
) -> None:
    async with paging() as hanging, paging() as pager:
        hanging.patience.clear()
        rig = await make_rig()
        await make_rule(rig, "hangs", url=hanging.url)
        await make_rule(rig, "works", url=pager.url)
        async with rig.archiving():
            await rig.make_dead_letter()
            await eventually(lambda: pager.alerts)
            await rig.make_dead_letter()
            await rig.dead_letters(2)
        hanging.patience.set()
        rows = await rig.fetch("SELECT FROM alert_rules WHERE leased_until IS NOT NULL")
    assert rows == []  # the process that stopped left it to the next


async def test_providers_and_schedules_are_reported_once_until_they_recover(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_CONSOLE_URL="https://tidings.example.com")
        terms = {"watch": Watch.PROVIDERS, "lasting": 0, "all_clear": False}
        await make_rule(rig, "relay", url=pager.url, **terms)
        await make_rule(rig, "late", url=pager.url, watch=Watch.SCHEDULES, lasting=60)
        down = CircuitReport("email", "primary", Phase.OPEN, "454 no", datetime.now(UTC), 30.0)
        async with rig.ledger() as ledger:
            rules = {rule.name: rule.id for rule in await ledger.alert_rules.list(None, 9)}
            alerts = ledger.rule_alerts
            await ledger.controls.report_circuits("one", [down])
            async with rig.archiving():
                await eventually(lambda: pager.alerts)
                await eventually(lambda: known(rig, ["email primary"]))
            await due_again(rig)
            assert await alerts.take(rules["relay"]) is None
            await ledger.controls.report_circuits("one", [], [SENT])
            assert await alerts.take(rules["relay"]) is None
            await ledger.controls.report_circuits("one", [down])
            assert await alerts.take(rules["relay"]) is not None
            assert await alerts.take(rules["late"]) is None
            await rig.fetch(OVERDUE)
            report = await alerts.take(rules["late"])
            assert report is not None
            assert [each.name for each in report.standing] == ["standup"]
    (alert,) = pager.alerts
    assert alert["title"] == "Tidings: provider down (email primary)"
    assert "454 no" in alert["message"]
    assert "https://tidings.example.com/console/channels" in alert["message"]


SENT = SentThrough("email", "primary", 0.0)
OVERDUE = """
INSERT INTO schedules (id, tenant, name, cron, timezone, misfire, content, recipients, state, next_run_at, created_by)
VALUES (gen_random_uuid(), 'shop', 'standup', '* * * * *', 'UTC', 'skip', '{}', '[]', 'active', now() - interval '2 minutes', 'jane')
"""


async def known(rig: DeadLetterRig, names: list[str]) -> bool:
    rows = await rig.fetch("SELECT FROM alert_rules WHERE known = $1::text[]", names)
    return bool(rows)


async def test_mail_takes_an_alert_too(make_rig: MakeRig) -> None:
    async with MailSink() as sink:
        rig = await make_rig()
        url = f"mailto://127.0.0.1:{sink.port}?from=tidings@example.com&to=ops@example.com"
        await make_rule(rig, url=url)
        async with rig.archiving():
            await rig.make_dead_letter()
            await eventually(lambda: len(sink.mails))
    mail = sink.mails[0]
    assert mail.recipients == ("ops@example.com",)
    assert mail.subject == "Tidings: 1 dead letter"


async def test_a_test_sends_one_now_and_says_what_the_receiver_answered(make_rig: MakeRig) -> None:
    async with paging() as pager:
        rig = await make_rig()
        await make_rule(rig, url=pager.url)
        async with rig.backend() as backend:
            sent = await alert_rules.test(backend, JANE, AlertRuleRequest("ops"))
            pager.status = 500
            refused = await alert_rules.test(backend, JANE, AlertRuleRequest("ops"))
            rule = (await alert_rules.show(backend, AlertRuleRequest("ops"))).rule
    assert (sent.state, sent.alert.test, sent.alert.actor) == ("sent", True, "cli jane@desk")
    assert sent.alert.answer == "accepted"
    assert refused.alert.error is not None
    assert "500" in refused.alert.error
    assert pager.alerts[0]["title"] == "Tidings: test"
    assert "This is a test by cli jane@desk" in pager.alerts[0]["message"]
    assert rule.last_alert_at is None  # a test is no alert


LANE = "tidings.email.high"
LONG_AGO = "UPDATE queue_looks SET empty_at = now() - interval '11 minutes'"


async def test_a_queue_whose_messages_wait_too_long_is_reported_with_reminders_until_it_is_over(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes judge the rule: each alert comes once."""
    monkeypatch.setattr(rule_alerting, "EVERY", 0.1)
    monkeypatch.setattr(rule_alerting, "GATHER", 0.1)
    async with paging() as pager:
        rig = await make_rig()
        terms = {"watch": Watch.QUEUES, "channel": "email", "threshold": 2, "lasting": 600}
        await make_rule(rig, url=pager.url, **terms)
        async with rig.ledger() as ledger, rig.archiving("one"), rig.archiving("two"):
            ages = ledger.queue_ages
            await ages.saw({LANE: 0, "tidings.sms.high": 0, "tidings.dead": 0}, since=0.0)
            await rig.fetch(LONG_AGO)
            await ages.saw({LANE: 1, "tidings.sms.high": 9, "tidings.dead": 9}, since=0.0)
            (rule,) = await ledger.alert_rules.list(None, 9)
            assert await ledger.rule_alerts.take(rule.id) is None  # too few, or not of email
            await ages.saw({LANE: 1_200}, since=0.0)
            await eventually(lambda: pager.alerts)
            await eventually(lambda: known(rig, [LANE]))
            await due_again(rig)
            assert await ledger.rule_alerts.take(rule.id) is None  # told is told
            await rig.fetch("UPDATE alert_rules SET last_alert_at = now() - interval '4 hours'")
            await eventually(lambda: len(pager.alerts) == 2)
            await eventually(lambda: waits(rig))
            await ages.saw({LANE: 0}, since=0.0)
            await ages.saw({LANE: 1_300}, since=0.0)  # it flaps: full again, and soon old again
            await rig.fetch(LONG_AGO)
            await due_again(rig)
            assert await ledger.rule_alerts.take(rule.id) is None
            await ages.saw({LANE: 0}, since=0.0)
            await rig.fetch("UPDATE queue_depths SET seen_at = now() - interval '2 minutes'")
            assert await ledger.rule_alerts.take(rule.id) is None  # no scheduler looks
            await ages.saw({LANE: 0}, since=0.0)
            await eventually(lambda: len(pager.alerts) == 3)
            await eventually(lambda: known(rig, []))
            await ages.saw({LANE: 7}, since=0.0)
            await rig.fetch(LONG_AGO)
            await eventually(lambda: len(pager.alerts) == 4)  # after an all-clear, at once
    first, reminder, over, again = pager.alerts
    assert first["title"] == f"Tidings: queue waiting too long ({LANE})"
    assert f"{LANE} since " in first["message"]
    assert "1,200 messages" in first["message"]
    assert reminder["title"] == f"Tidings: still waiting too long ({LANE})"
    assert over["title"] == f"Tidings: no longer waiting too long ({LANE})"
    assert again["title"] == first["title"]
    types = [each["type"] for each in pager.alerts]
    assert types == ["failure", "failure", "success", "failure"]


async def waits(rig: DeadLetterRig) -> bool:
    rows = await rig.fetch("SELECT FROM alert_rules WHERE not_before > now()")
    return bool(rows)


async def test_a_provider_is_called_up_again_once_something_was_sent_through_it_and_not_before(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    rule = await make_rule(
        rig, to_channel="email", recipient="ops@example.com", watch=Watch.PROVIDERS
    )
    down = CircuitReport("email", "primary", Phase.OPEN, "454 no", datetime.now(UTC), 30.0)
    async with rig.ledger() as ledger:

        async def report(worker: str, *found: CircuitReport, sent: float | None = None) -> bool:
            """What a worker finds; whether the rule says now that the provider is up."""
            through = [] if sent is None else [replace(SENT, ago=sent)]
            await ledger.controls.report_circuits(worker, found, through)
            found_over = await ledger.rule_alerts.take(rule.id)
            await ledger.rule_alerts.release(rule.id)
            return found_over is not None and found_over.over == {"email primary"}

        await rig.fetch("UPDATE alert_rules SET known = '{email primary}'")
        assert not await report("one", down)
        await rig.fetch("UPDATE circuits SET seen_at = now() - interval '1 hour'")  # it is killed
        assert not await report("two")  # begins with a closed circuit
        assert not await report("one")  # enabled by an operator, or ended: nobody finds it down
        assert not await report("two", sent=5.0)  # before it was down
        assert not await report("two", replace(down, phase=Phase.DISABLED))
        assert not await report("three", down, sent=0.0)  # it flaps, not for five minutes yet
        assert not await report("two")
        assert not await report("three")
        assert await report("three", replace(down, phase=Phase.RAMPING), sent=0.0)
        await rig.fetch("DELETE FROM circuits")  # nobody found it down for a day
        assert not await report("four")
        assert await report("four", sent=1.0)


async def test_a_reminder_whose_process_is_killed_before_it_records_it_comes_once_more_and_no_more(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_alerting, "EVERY", 0.1)
    monkeypatch.setattr(rule_alerting, "GATHER", 0.1)
    async with paging() as pager:
        rig = await make_rig()
        rule = await make_rule(rig, url=pager.url, watch=Watch.SCHEDULES, lasting=60, remind=3_600)
        await rig.fetch(OVERDUE)
        await rig.fetch("UPDATE alert_rules SET known = '{standup}', last_alert_at = $1", LONG_PAST)
        async with rig.ledger("killed") as killed, rig.ledger("other") as other:
            report = await killed.rule_alerts.take(rule.id)
            assert report is not None
            sent = await send(rig.settings, "killed", rule, rule_notice(report))
            assert (sent.error, len(pager.alerts)) == (None, 1)
            assert await other.rule_alerts.take(rule.id) is None  # it may be at it still
            assert await other.rule_alerts.history(rule.id) == []
            await rig.fetch("UPDATE alert_rules SET leased_until = now()")  # it did not come back
            async with rig.archiving("one"), rig.archiving("two"):
                await eventually(lambda: len(pager.alerts) == 2)
                await eventually(lambda: waits(rig))
                await due_again(rig)
                assert await other.rule_alerts.take(rule.id) is None  # reminded is reminded
            recorded = await other.rule_alerts.history(rule.id)
    titles = {each["title"] for each in pager.alerts}
    assert titles == {"Tidings: still overdue (standup)"}
    assert [each.title for each in recorded] == [*titles]
    assert (await look(rig)).last_alert_at is not None


LONG_PAST = datetime(2026, 1, 1, tzinfo=UTC)


async def test_an_alert_of_a_rule_that_was_changed_meanwhile_is_not_counted_for_the_new_one(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig()
        rule = await make_rule(rig, url=pager.url, watch=Watch.QUEUES, lasting=0)
        async with rig.ledger() as ledger, rig.backend() as backend:
            await ledger.queue_ages.saw({LANE: 3}, since=0.0)
            report = await ledger.rule_alerts.take(rule.id)
            assert report is not None
            request = EditAlertRuleRequest("ops", {"watch": Watch.SCHEDULES, "lasting": 60})
            await alert_rules.edit(backend, JANE, request)
            result = await send(rig.settings, "test", rule, rule_notice(report))
            await ledger.rule_alerts.sent(report, result, actor="test")
            assert await ledger.rule_alerts.take(rule.id) is None  # no queue is over
            sent = await ledger.rule_alerts.history(rule.id)
    assert [each.title for each in sent] == [f"Tidings: queue waiting too long ({LANE})"]


async def test_who_edits_a_rule_that_was_changed_meanwhile_is_told_who_was_faster(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    rule = await make_rule(rig, to_channel="email", recipient="ops@example.com")
    async with rig.ledger() as ledger, rig.backend() as backend:
        by_mary = EditAlertRuleRequest("ops", {"threshold": 2}, based_on=rule.digest)
        await alert_rules.edit(backend, Actor("console", "mary"), by_mary)
        by_jane = EditAlertRuleRequest("ops", {"threshold": 3}, based_on=rule.digest)
        with pytest.raises(Refused, match="console mary changed the rule at"):
            await alert_rules.edit(backend, JANE, by_jane)
        with pytest.raises(
            Refused, match="console mary changed the rule at"
        ):  # between two statements
            await ledger.alert_rules.change(
                rule, "ops", RuleTerms(threshold=4), actor="cli jane", audited={}
            )
    assert (await look(rig)).terms.threshold == 2


OLD, NEW = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))


async def stored_url(rig: DeadLetterRig) -> str:
    return str((await rig.fetch("SELECT url FROM alert_rules"))[0]["url"])


async def with_keys(make_rig: MakeRig, *keys: str) -> DeadLetterRig:
    """The same database, as a process with these keys has it."""
    return await make_rig(TIDINGS_SEALING_KEYS=",".join(keys))


async def test_a_receivers_url_is_sealed_in_the_database_and_still_reached(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await with_keys(make_rig, OLD)
        rule = await make_rule(rig, url=pager.url)
        assert rule.terms.url == pager.url
        sealed = await stored_url(rig)
        assert sealed.startswith("sealed:")
        assert "127.0.0.1" not in sealed
        async with rig.backend() as backend:
            changes = EditAlertRuleRequest("ops", {"threshold": 1, "every": 60})
            changed = await alert_rules.edit(backend, JANE, changes)
            assert changed.destination == "json://127.0.0.1/…"
        async with rig.archiving():
            await rig.make_dead_letter()
            await eventually(lambda: pager.alerts)
    assert "127.0.0.1" not in await stored_url(rig)


async def sealing_findings(rig: DeadLetterRig) -> list[tuple[str, str, str]]:
    """What the doctor says of how URLs are stored."""
    found = await health._alerts(rig.settings, JANE)
    return [
        (each.verdict.value, each.detail, each.remedy)
        for each in found
        if "TIDINGS_SEALING_KEYS" in each.detail
    ]


async def test_a_new_key_takes_over_from_an_old_one_and_from_none(make_rig: MakeRig) -> None:
    async with paging() as pager:
        rig = await make_rig()
        await make_rule(rig, url=pager.url)
        assert await stored_url(rig) == pager.url
        async with rig.backend() as backend:
            with pytest.raises(Refused, match="TIDINGS_SEALING_KEYS is not set"):
                await alert_rules.reseal(backend, JANE)
        assert await sealing_findings(rig) == []  # without a key, it is as it should be
        for keys, stored in (((OLD,), "ops (not at all)"), ((NEW, OLD), "ops (with an older one)")):
            rig = await with_keys(make_rig, *keys)
            [(verdict, detail, remedy)] = await sealing_findings(rig)
            assert (verdict, detail.endswith(f"SEALING_KEYS: {stored}")) == ("warning", True)
            assert "`tidings alerts reseal`" in remedy
            async with rig.backend() as backend:
                done = await alert_rules.reseal(backend, JANE)
                assert (done.resealed_count, done.unopened_count) == (1, 0)
                assert (await alert_rules.reseal(backend, JANE)).resealed_count == 0
            assert await sealing_findings(rig) == []
        rig = await with_keys(make_rig, NEW)
        async with rig.backend() as backend:
            sent = await alert_rules.test(backend, JANE, AlertRuleRequest("ops"))
        assert (sent.state, len(pager.alerts)) == ("sent", 1)
        for keys in ((OLD,), ()):
            rig = await with_keys(make_rig, *keys)
            [(verdict, detail, _)] = await sealing_findings(rig)
            assert (verdict, "send nothing: ops" in detail) == (
                ("fault", True) if keys else ("ok", False)
            )  # a worker's host rightly has none
            async with rig.backend() as backend:
                shown = await alert_rules.show(backend, AlertRuleRequest("ops"))
                assert shown.destination == "a URL that is sealed with another key"
                sent = await alert_rules.test(backend, JANE, AlertRuleRequest("ops"))
                assert "TIDINGS_SEALING_KEYS" in str(sent.alert.error)
                with pytest.raises(InvalidRequest, match="give the URL again"):
                    await alert_rules.edit(
                        backend, JANE, EditAlertRuleRequest("ops", {"threshold": 2})
                    )
        async with (await with_keys(make_rig, OLD)).backend() as backend:
            assert (await alert_rules.reseal(backend, JANE)).unopened_count == 1
    trail = await rig.fetch("SELECT details::text FROM operator_actions")
    assert pager.url not in str(trail)
