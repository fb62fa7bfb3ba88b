"""What becomes of mail that a real server refuses, and of the mail around it.

Part of `make test-mta`: every server that can be made to refuse something does it.
"""

import sys
from typing import Final

import pytest
from tests.mta.postfix import Postfix
from tests.mta.rig import Rig, people
from tests.mta.server import Manners, Row
from tests.mta.servers import every_refusal, every_server
from tests.support.processes import tidings

MANY: Final = 300
PROMPT: Final = 10.0
"""Seconds in which mail that nothing is wrong with has to be sent, on a busy machine too."""


@every_server(Row.DEFERRED)
async def test_deferred_recipients_delay_nobody_else_and_end_as_dead_letters(rig: Rig) -> None:
    rig.server.start()
    bad = await rig.publish(*people("deferred", 30), *people("full", 30))
    good = await rig.publish(*people("good", 60))
    async with rig.working():
        await rig.sent(good, within=PROMPT)
        urgent = await rig.publish("good+urgent@example.com", priority="urgent")
        await rig.sent(urgent, within=2)
        await rig.are(bad, "failed", within=30)
    assert await rig.reasons(bad) == {"exhausted": 60}
    assert set((await rig.attempts(bad)).values()) == {3}
    assert await rig.twice([*good, *urgent]) == []
    assert rig.complaints() == []


@every_server(Row.UNRELAYABLE)
async def test_unrelayable_recipients_become_dead_letters_alone(rig: Rig) -> None:
    rig.server.start()
    bad = await rig.publish(*people("elsewhere", 20, "example.net"))
    later = await rig.publish(*people("elsewhere", 20, "example.org"))  # where Postfix defers it
    good = await rig.publish(*people("good", 40))
    async with rig.working():
        await rig.sent(good, within=PROMPT)
        await rig.are(bad, "failed", within=PROMPT)
        await rig.are(later, "failed", within=30)
    assert await rig.reasons(bad) == {"rejected": 20}
    assert await rig.twice(good) == []
    assert rig.complaints() == []


@every_server(Row.DEFERRED)
async def test_a_run_of_refused_recipients_delays_nobody_behind_it(rig: Rig) -> None:
    rig.server.start()
    bad = await rig.publish(*people("unknown", 150))
    good = await rig.publish(*people("good", 20))
    async with rig.working():
        await rig.sent(good, within=PROMPT)
        await rig.are(bad, "failed", within=PROMPT)
    assert await rig.reasons(bad) == {"rejected": 150}
    assert await rig.twice(good) == []
    assert rig.complaints() == []


@pytest.mark.parametrize("server", [Postfix], ids=["postfix"], indirect=True)
async def test_an_urgent_mail_overtakes_thousands_that_are_put_off_and_refused(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.server.start()
    kinds = people("deferred", 1000), people("unknown", 1000), people("x", 1000, "example.net")
    bad = await rig.publish(
        *(notification for three in zip(*kinds, strict=True) for notification in three)
    )
    waits = []
    async with rig.working():
        await rig.some_refused(bad)
        for notification in people("good", 10):
            waits.append(
                await rig.sent(await rig.publish(notification, priority="urgent"), within=30)
            )
        done = await rig.fetch("SELECT count(*) FROM notifications WHERE state = 'failed'")
    with capsys.disabled():
        written = " ".join(f"{seconds:.2f}" for seconds in waits)
        sys.stdout.write(
            f" urgent mails sent after {written} s, {done[0]['count']} of 3000 others done "
        )
    assert max(waits) < 1


@every_server(Row.DEFERRED)
async def test_copies_that_are_refused_or_deferred_keep_nobody_from_getting_the_mail(
    rig: Rig,
) -> None:
    rig.server.start()
    good, *others = people("good", 10)
    id = await rig.publish_to_several(good, people("unknown", 25), [*others, *people("full", 9)])
    # Sendmail waits a second after each recipient that it refuses, from the third on.
    async with rig.working(TIDINGS_EMAIL_SEND_TIMEOUT="30s"):
        await rig.are([id], "sent", within=60)
    assert await rig.results(id) == {
        ("good", "sent"): 10,
        ("unknown", "refused"): 25,
        ("full", "given_up"): 9,
    }
    assert await rig.attempts([id]) == {id: 3}
    assert rig.server.delivered()[id] > 0
    assert rig.complaints() == []


@every_refusal()
async def test_a_server_that_refuses_us_costs_no_notification(rig: Rig, way: str) -> None:
    rig.server.start(Manners(refuses_us=way))
    ids = await rig.publish(*people("good", 30))
    looked = await tidings("doctor", env=rig.env)
    assert "✗ email" in looked.out, looked.out
    async with rig.working():
        await rig.some_refused(ids)
        rig.server.stop()
        rig.server.start()
        await rig.sent(ids, within=30)
    assert await rig.twice(ids) == []
    assert rig.complaints() == []


@every_server(Row.QUOTA)
async def test_a_quota_that_is_used_up_costs_no_notification(rig: Rig) -> None:
    rig.server.start(Manners(quota_reached=True))
    ids = await rig.publish(*people("good", 30))
    async with rig.working(TIDINGS_EMAIL_RETRY="1s 2s 2s 2s 2s 2s"):
        await rig.some_refused(ids)
        rig.server.stop()
        rig.server.start()
        await rig.sent(ids, within=30)
    assert await rig.twice(ids) == []
    assert rig.complaints() == []


@every_server(Row.FEW_CONNECTIONS)
async def test_fewer_connections_than_we_want_cost_no_attempt(rig: Rig) -> None:
    rig.server.start(Manners(connections=3))
    ids = await rig.publish(*people("good", MANY))
    async with rig.working(TIDINGS_EMAIL_CONNECTIONS="20"):
        await rig.sent(ids, within=30)
    assert await rig.twice(ids) == []
    assert set((await rig.attempts(ids)).values()) == {1}
    assert rig.complaints() == []


@every_server(Row.FEW_MAILS)
async def test_a_limit_of_mails_over_one_connection_costs_no_attempt(rig: Rig) -> None:
    rig.server.start(Manners(mails=7))
    ids = await rig.publish(*people("good", MANY))
    async with rig.working():
        await rig.sent(ids, within=30)
    assert await rig.twice(ids) == []
    assert set((await rig.attempts(ids)).values()) == {1}
    assert rig.complaints() == []
