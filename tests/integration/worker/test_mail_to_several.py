"""From the lane to the relay and back: who gets a mail to several, how often, and what is told of it."""

from collections import Counter

from tests.contract.channels.rigs.smtp_relay import Relay
from tests.integration.channels.email_setup import channel_to
from tests.support.worker_rig import Rig, eventually

ADA, BOB, EVE, ZOE = (f"{name}@example.com" for name in ("ada", "bob", "eve", "zoe"))
LATER, UNKNOWN, OK = "450 4.2.0 Greylisted", "550 5.1.1 User unknown", "250 2.1.5 Ok"


def reached(relay: Relay) -> Counter[str]:
    return Counter(address for taken in relay.mails for address in taken.recipients)


async def test_everybody_who_can_be_reached_gets_the_mail_once_and_who_can_not_is_named(
    rig: Rig,
) -> None:
    async with Relay() as relay, channel_to(relay) as channel, rig.archiving():
        relay.mailboxes = {BOB: LATER, EVE: UNKNOWN}
        async with rig.working(channel):
            id = await rig.publish(recipient=ADA, cc=[BOB, EVE], bcc=[ZOE])
            await rig.reaches(id, "retrying")
            relay.mailboxes[BOB] = OK
            await rig.reaches(id, "sent")
            await eventually(lambda: rig.fetch("SELECT FROM dead_letters"))

    assert reached(relay) == {ADA: 1, BOB: 1, ZOE: 1}
    assert len({taken.payload.split(b"Message-ID: ")[1][:40] for taken in relay.mails}) == 1
    results = await rig.fetch("SELECT address, role, state, attempt FROM recipient_results")
    assert {tuple(row.values()) for row in results} == {
        (ADA, "to", "sent", 1),
        (BOB, "cc", "sent", 2),
        (EVE, "cc", "refused", 1),
        (ZOE, "bcc", "sent", 1),
    }
    [dead_letter] = await rig.fetch("SELECT reason, code, message FROM dead_letters")
    assert tuple(dead_letter.values())[:2] == ("copies_refused", "550 5.1.1")
    assert "sent; 1 of 3 copies refused" in str(dead_letter["message"])


async def test_a_copy_that_is_always_put_off_is_given_up_and_the_recipient_has_one_mail(
    rig: Rig,
) -> None:
    async with Relay() as relay, channel_to(relay) as channel, rig.archiving():
        relay.mailboxes = {BOB: LATER}
        async with rig.working(channel):
            id = await rig.publish(recipient=ADA, cc=[BOB], max_retries=1)
            await rig.reaches(id, "sent")
            await eventually(lambda: rig.fetch("SELECT FROM dead_letters"))

    assert reached(relay) == {ADA: 1}
    assert relay.commands.count(f"RCPT TO:<{BOB}>") == 2
    [row] = await rig.fetch("SELECT state, code FROM recipient_results WHERE role = 'cc'")
    assert tuple(row.values()) == ("given_up", "450 4.2.0")
