"""A relay that fails at random and sends given up at random: nobody gets another's mail, nobody gets one twice,
and what the relay has taken is never said to be unsent."""

import asyncio
import random
import re
from collections import Counter

import pytest
from tests.contract.channels.rigs.smtp_relay import (
    Action,
    Relay,
    Session,
    Taken,
    and_hang_up,
    drop,
    fall_silent,
)
from tests.integration.channels.email_setup import channel_to, mail

from tidings.channels.email.channel import EmailChannel
from tidings.delivery.errors import DeliveryError, OutcomeUnknown
from tidings.delivery.outcome import Sent

MAILS = 40
LARGE = "words " * 30_000
REFUSALS: tuple[Action, ...] = ("550 5.7.1 no", "451 4.3.0 not now", drop)
FAULTS: dict[str, tuple[Action, ...]] = {
    "MAIL": (*REFUSALS, and_hang_up("421 4.3.2 leaving"), "354 what?"),
    "RCPT": REFUSALS,
    "DATA": (*REFUSALS, "250 what?"),
    "PAYLOAD": (*REFUSALS, fall_silent),
}
NUMBER = re.compile(rb"^number (\d+)", re.MULTILINE)


@pytest.mark.parametrize("seed", range(12))
async def test_every_mail_meets_its_own_fate_and_no_other(seed: int) -> None:
    chance = random.Random(seed)  # no secret: the same faults for the same seed
    settings = {
        "connections": chance.choice([1, 2, 3]),
        "messages_per_connection": chance.choice([1, 3, 7, 500]),
    }
    async with Relay() as relay, channel_to(relay, **settings) as channel:
        relay.on_mail = lambda session: _misbehave(session, chance)
        sends = [asyncio.create_task(_send(channel, number, chance)) for number in range(MAILS)]
        for _ in range(8):
            await asyncio.sleep(chance.random() * 0.01)
            chance.choice(sends).cancel()
        async with asyncio.timeout(20):
            fates = await asyncio.gather(*sends, return_exceptions=True)

        taken = Counter(map(_number_of, relay.mails))
        accepted = {number for number, fate in enumerate(fates) if isinstance(fate, Sent)}
        unsent = {number for number, fate in enumerate(fates) if _is_unsent(fate)}
        assert {taken[number] for number in accepted} <= {1}
        assert not unsent & taken.keys()
        assert max(taken.values(), default=0) <= 1
        relay.on_mail = lambda _: None
        after = [asyncio.create_task(_send(channel, 99, chance)) for _ in range(4)]
        async with asyncio.timeout(10):  # whatever happened, everybody's turn came back
            assert all(isinstance(outcome, Sent) for outcome in await asyncio.gather(*after))


async def _send(channel: EmailChannel, number: int, chance: random.Random) -> Sent:
    text = f"number {number}\n" + (LARGE if chance.random() < 0.15 else "")
    copies = {"cc": [f"copy{number}@example.org"]} if chance.random() < 0.3 else {}
    timeout = chance.choice([0.3, 5.0]) if number < MAILS else 5.0
    return await channel.send(
        mail(timeout, text=text, recipient=f"anna{number}@example.org", **copies)
    )


def _misbehave(session: Session, chance: random.Random) -> None:
    """At every third mail, one of its steps goes wrong."""
    if chance.random() < 1 / 3:
        step = chance.choice(list(FAULTS))
        session.plan[step] = chance.choice(FAULTS[step])


def _number_of(taken: Taken) -> int:
    """Which mail it is, whole, and in its own envelope."""
    found = NUMBER.findall(taken.payload)
    assert len(found) == 1
    assert b"RCPT TO:" not in taken.payload
    assert taken.recipients[0] == f"anna{int(found[0])}@example.org"
    return int(found[0])


def _is_unsent(fate: object) -> bool:
    return isinstance(fate, DeliveryError) and not isinstance(fate, OutcomeUnknown)
