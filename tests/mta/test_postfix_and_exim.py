"""The part of `make test-mta` that `make test` runs: mail of every kind, and a server that is killed."""

import os

import pytest
from tests.mta.exim import Exim
from tests.mta.postfix import Postfix
from tests.mta.rig import Rig, people
from tests.support.worker_rig import eventually

GOOD = 150


@pytest.mark.parametrize("server", [Postfix, Exim], ids=lambda kind: kind.name, indirect=True)
async def test_real_servers_get_every_mail_that_they_take_though_they_are_killed(rig: Rig) -> None:
    rig.server.start()
    await rig.publish(*people("deferred", 20))
    refused = await rig.publish(*people("unknown", 5))
    good = await rig.publish(*people("good", GOOD))
    async with rig.working(TIDINGS_EMAIL_RETRY="1s 1s 1s 1s 1s", TIDINGS_EMAIL_RATE="100/s"):
        await rig.some_arrived(GOOD // 3)
        rig.server.kill()
        rig.server.start()
        await rig.sent(good, within=30)
        await rig.are(refused, "failed", within=30)
    assert await rig.reasons(refused) == {"rejected": 5}
    assert len(await rig.twice(good)) <= 10  # what ten connections had in hand
    assert rig.complaints(hung_up=False) == []


@pytest.mark.parametrize("server", [Postfix], ids=lambda kind: kind.name, indirect=True)
def test_a_postfix_killed_while_it_took_a_mail_starts_again(server: Postfix) -> None:
    server.start()
    server.kill()
    half = server.data / "queue/incoming/885205.177"
    half.touch(mode=0o600)
    os.chown(half, server.folder.uid("postfix"), -1)
    server.start()
    assert "bogus file name: incoming/885205.177" in server.log()


@pytest.mark.parametrize("server", [Postfix], ids=lambda kind: kind.name, indirect=True)
async def test_a_mail_to_many_reaches_each_of_them_once_whatever_becomes_of_others(
    rig: Rig,
) -> None:
    rig.server.start()
    recipient, *others = people("good", 61)
    id = await rig.publish_to_several(
        recipient, [*people("unknown", 25), *others[:25]], [*people("full", 10), *others[25:]]
    )
    async with rig.working(TIDINGS_EMAIL_RETRY="1s"):
        await rig.are([id], "sent", within=30)
    assert await rig.results(id) == {
        ("good", "sent"): 61,
        ("unknown", "refused"): 25,
        ("full", "given_up"): 10,
    }
    await eventually(lambda: rig.server.delivered()[id] >= 61)
    assert rig.server.delivered()[id] == 61
    assert rig.complaints() == []
