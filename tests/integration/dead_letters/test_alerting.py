"""Operators are told of dead letters: at once, then once in a while, and never in circles."""

import json
from datetime import UTC, datetime

import pytest
from tests.integration.dead_letters.conftest import MakeRig
from tests.support.dead_letter_rig import rejected, written
from tests.support.paging import paging
from tests.support.worker_rig import eventually

from tidings.delivery.circuit import Phase
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.orders import CircuitReport
from tidings.ledger import PostgresLedger

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)  # Apprise loads a hundred services, some of them older than Python


async def test_the_first_dead_letter_tells_at_once_and_the_next_wait_their_turn(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="6s")
        async with rig.archiving():
            await rig.make_dead_letter(outcome=rejected("no such user ada@example.com"))
            await eventually(lambda: pager.alerts)
            for _ in range(20):
                await rig.make_dead_letter(outcome=rejected("over quota", "552"))
            await rig.dead_letters(21)
            await eventually(lambda: len(pager.alerts) == 2, within=20)
    first, second = pager.alerts
    assert first["title"] == "Tidings: 1 dead letter"
    assert "email rejected 550 5.1.1" in first["message"]
    assert "ada@example.com" not in first["message"]
    assert "20 dead letters since" in second["message"]
    assert "20 × email rejected 552" in second["message"]


async def test_a_provider_that_is_down_is_told_of_once_whoever_finds_it(make_rig: MakeRig) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="1s")
        found = CircuitReport(
            "email", "primary", Phase.OPEN, "454 no", datetime.now(UTC), probe_in=30.0
        )
        async with PostgresLedger(rig.settings.ledger, actor="test") as ledger, rig.archiving():
            for worker in ("one", "two", "one"):
                await ledger.controls.report_circuits(worker, [found])
            await eventually(lambda: pager.alerts)
            await rig.make_dead_letter()  # goes its own pace
            await eventually(lambda: len(pager.alerts) == 2)
            await ledger.controls.report_circuits("one", [])
            await ledger.controls.report_circuits("two", [])
            await ledger.controls.report_circuits("one", [found])
            await eventually(lambda: len(pager.alerts) == 3)
    titles = ["Tidings: provider down (email)", "Tidings: 1 dead letter"]
    assert [alert["title"] for alert in pager.alerts] == [*titles, titles[0]]
    assert "email primary since" in pager.alerts[0]["message"]
    assert "454 no" in pager.alerts[0]["message"]


async def test_two_archives_tell_once(make_rig: MakeRig) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="1h")
        async with rig.archiving("one"), rig.archiving("two"):
            for _ in range(50):
                await rig.make_dead_letter()
            await rig.dead_letters(50)
            await eventually(lambda: pager.alerts)
        (row,) = await rig.fetch("SELECT * FROM alerts")
    assert len(pager.alerts) == 1
    count = int(pager.alerts[0]["title"].split()[1])
    assert count + int(str(row["pending"])) == 50


async def test_a_service_that_refuses_is_tried_again_with_all_alerts_pending(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        pager.status = 500
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="2s")
        async with rig.archiving():
            await rig.make_dead_letter()
            await eventually(lambda: pager.alerts)
            pager.status = 200
            await rig.make_dead_letter()
            await eventually(lambda: "2 dead letters" in pager.alerts[-1]["title"], within=20)


async def test_a_service_that_hangs_never_holds_up_the_archive(make_rig: MakeRig) -> None:
    async with paging() as pager:
        pager.patience.clear()
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url)
        async with rig.archiving():
            await rig.make_dead_letter()
            await rig.dead_letters(1)
            for _ in range(20):
                await rig.make_dead_letter()
            await rig.dead_letters(21)
        pager.patience.set()


async def test_what_operators_were_being_told_when_the_archive_stopped_is_told_by_the_next_one(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        pager.patience.clear()
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="3s")

        async def being_told() -> bool:
            rows = await rig.fetch("SELECT FROM alerts WHERE leased_until > now()")
            return bool(rows)

        async with rig.archiving("one"):
            await rig.make_dead_letter()
            await eventually(being_told)
        (row,) = await rig.fetch("SELECT pending FROM alerts")
        assert row["pending"] == 1
        pager.patience.set()
        await eventually(lambda: pager.alerts)  # the thread of the first still gets through
        async with rig.archiving("two"):
            await eventually(lambda: len(pager.alerts) == 2, within=20)
    assert {alert["title"] for alert in pager.alerts} == {"Tidings: 1 dead letter"}


async def test_our_own_channel_carries_the_message_and_its_failure_tells_nobody(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(
        TIDINGS_ALERT_CHANNEL="email",
        TIDINGS_ALERT_RECIPIENT="operators@example.com",
        TIDINGS_ALERT_EVERY="1s",
    )
    async with rig.archiving():
        await rig.make_dead_letter()
        body = await rig.next_in_lane("tidings.email.high")
        written_ = json.loads(body)
        assert written_["recipient"] == "operators@example.com"
        assert written_["category"] == "operations"
        assert "1 dead letter" in written_["subject"]
        await rig.make_dead_letter(body, key="email.high")  # and that one fails as well
        await rig.dead_letters(2)
        await rig.make_dead_letter(
            written(category="operations")
        )  # somebody else's category of that name
        alert = json.loads(await rig.next_in_lane("tidings.email.high"))
        assert "1 dead letter" in alert["subject"]
    (row,) = await rig.fetch("SELECT * FROM alerts")
    assert row["pending"] == 0


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"TIDINGS_ALERT_URL": "carrier-pigeon://loft"}, "TIDINGS_ALERT_URL"),
        ({"TIDINGS_ALERT_CHANNEL": "email"}, "TIDINGS_ALERT_RECIPIENT"),
        (
            {"TIDINGS_ALERT_CHANNEL": "sms", "TIDINGS_ALERT_RECIPIENT": "ops"},
            "recipient",
        ),
        (
            {"TIDINGS_ALERT_CHANNEL": "pigeon", "TIDINGS_ALERT_RECIPIENT": "ops"},
            "channel",
        ),
    ],
)
async def test_an_alert_that_can_t_be_is_refused_at_the_start(
    make_rig: MakeRig, variables: dict[str, str], text: str
) -> None:
    rig = await make_rig(**variables)
    with pytest.raises(ConfigurationError, match=text):
        async with rig.archiving():
            pass


@pytest.mark.parametrize(
    ("channel", "recipient", "lane"),
    [
        ("sms", "+41791234567", "tidings.sms.high"),
        ("whatsapp", "+41791234567", "tidings.whatsapp.high"),
        ("webhook", "https://ops.example.com/hook", "tidings.webhook.high"),
    ],
)
async def test_every_channel_can_carry_the_message(
    make_rig: MakeRig, channel: str, recipient: str, lane: str
) -> None:
    rig = await make_rig(TIDINGS_ALERT_CHANNEL=channel, TIDINGS_ALERT_RECIPIENT=recipient)
    async with rig.archiving():
        await rig.make_dead_letter()
        assert b"1 dead letter" in await rig.next_in_lane(lane)


async def test_what_a_process_took_and_did_not_live_to_send_is_sent_by_another(
    make_rig: MakeRig,
) -> None:
    async with paging() as pager:
        rig = await make_rig(TIDINGS_ALERT_URL=pager.url, TIDINGS_ALERT_EVERY="1s")
        async with rig.ledger("killed") as killed:
            await killed.dead_letters.alerts.note(3)
            taken = await killed.dead_letters.alerts.take(1)
            assert taken is not None
            assert await killed.dead_letters.alerts.take(1) is None
        await rig.fetch("UPDATE alerts SET leased_until = now()")  # it did not come back
        async with rig.archiving():
            await eventually(lambda: pager.alerts)
    assert pager.alerts[0]["title"] == "Tidings: 3 dead letters"
