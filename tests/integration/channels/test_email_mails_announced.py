"""Where many wait and the relay is quick, a mail is announced with the end of the one before it; what goes
wrong with either costs the other nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
from tests.contract.channels.rigs.smtp_relay import (
    EXTENSIONS,
    Action,
    Relay,
    Session,
    and_hang_up,
    drop,
    fall_silent,
)
from tests.integration.channels.email_setup import channel_to, mail

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.connection import Connection, Progress, Stale
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.pool import Pool
from tidings.channels.email.relay import Relay as Reached
from tidings.delivery.errors import DeliveryError, OutcomeUnknown
from tidings.delivery.outcome import Sent
from tidings.settings import EmailSettings

ONE_BY_ONE = tuple(each for each in EXTENSIONS if each != "PIPELINING")


@asynccontextmanager
async def _warm(
    extensions: Sequence[str] = EXTENSIONS, **settings: Any
) -> AsyncIterator[tuple[Relay, EmailChannel]]:
    """A relay, and a channel whose one connection has seen it take a mail quickly."""
    async with Relay(extensions=extensions) as relay, channel_to(relay, **settings) as channel:
        await channel.send(mail())
        relay.mails.clear()
        relay.commands.clear()
        yield relay, channel


def _to(mails: int) -> list[str]:
    return [f"anna{number}@example.org" for number in range(mails)]


async def _send(
    channel: EmailChannel, recipients: Sequence[str], timeout: float = 5.0
) -> list[Sent | BaseException]:
    sends = (channel.send(mail(timeout, recipient=each)) for each in recipients)
    return await asyncio.gather(*sends, return_exceptions=True)


def _taken(relay: Relay) -> list[str]:
    return [taken.recipients[0] for taken in relay.mails]


def _listening(heard: list[bytes]) -> Action:
    """Hears what has come with the end of a mail before it says that it took it."""

    async def act(session: Session) -> None:
        with suppress(TimeoutError):
            heard.append(await asyncio.wait_for(session.reader.readexactly(5), 0.2))
        session.writer.close()

    return act


@pytest.mark.parametrize(
    ("mails", "extensions", "pipelining", "together"),
    [
        pytest.param(3, EXTENSIONS, True, [b"MAIL "], id="many wait"),
        pytest.param(2, EXTENSIONS, True, [], id="no more wait than there are connections"),
        pytest.param(3, ONE_BY_ONE, True, [], id="the relay does not offer it"),
        pytest.param(3, EXTENSIONS, False, [], id="we are told not to"),
    ],
)
async def test_the_next_mail_is_announced_where_more_wait_than_there_are_connections(
    mails: int, extensions: tuple[str, ...], pipelining: bool, together: list[bytes]
) -> None:
    heard: list[bytes] = []
    async with _warm(extensions, pipelining=pipelining) as (relay, channel):
        relay.once("PAYLOAD", _listening(heard))

        first, *others = await _send(channel, _to(mails))

        assert heard == together
        assert isinstance(first, OutcomeUnknown)
        assert all(isinstance(other, Sent) for other in others)


async def test_announced_mails_go_out_in_the_order_asked_each_once_and_each_told_its_own_reply() -> (
    None
):
    async with Relay() as relay, channel_to(relay, connections=2) as channel:
        told = await _send(channel, _to(60))

        assert sorted(_taken(relay)) == sorted(_to(60))
        assert relay.opened == 2
        position = {who: number for number, who in enumerate(_taken(relay), start=1)}
        references = [one.reference for one in told if isinstance(one, Sent)]
        assert references == [f"Q{position[who]:05}" for who in _to(60)]


async def test_a_connection_carries_no_more_announced_mails_than_any() -> None:
    async with Relay() as relay, channel_to(relay, messages_per_connection=4) as channel:
        await _send(channel, _to(20))

        assert relay.opened == 5
        assert _taken(relay) == _to(20)


async def test_a_mail_is_announced_behind_one_whose_payload_is_large() -> None:
    heard: list[bytes] = []
    async with _warm() as (relay, channel):
        relay.once("PAYLOAD", _listening(heard))
        large = asyncio.create_task(channel.send(mail(text="words " * 50_000)))
        await _send(channel, _to(5))

        with pytest.raises(OutcomeUnknown):
            await large
        assert heard == [b"MAIL "]


async def test_nothing_is_announced_to_a_relay_that_was_slow_to_take_the_last_mail() -> None:
    async def slowly(session: Session) -> None:
        await asyncio.sleep(0.4)
        await session.say("250 2.0.0 Ok")

    heard: list[bytes] = []
    async with _warm() as (relay, channel):
        relay.once("PAYLOAD", slowly)
        await channel.send(mail())
        relay.once("PAYLOAD", _listening(heard))

        await _send(channel, _to(5))

        assert heard == []


async def test_a_mail_that_the_relay_would_not_take_is_not_announced_and_is_the_only_one_refused() -> (
    None
):
    without = tuple(each for each in EXTENSIONS if each != "SMTPUTF8")
    recipients = [*_to(3), "é@example.org", *_to(8)[3:]]
    async with _warm(without) as (relay, channel):
        told = await _send(channel, recipients)

        assert [number for number, one in enumerate(told) if isinstance(one, DeliveryError)] == [3]
        assert _taken(relay) == _to(8)
        assert relay.opened == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "PAYLOAD"])
async def test_a_mail_refused_among_announced_ones_is_the_only_one(step: str) -> None:
    async with _warm() as (relay, channel):
        _at_mail(relay, 4, step, "550 5.7.1 not this one")

        told = await _send(channel, _to(12))

        assert [number for number, one in enumerate(told) if isinstance(one, DeliveryError)] == [3]
        assert [one for one in told if not isinstance(one, Sent | DeliveryError)] == []
        assert _taken(relay) == [who for who in _to(12) if who != "anna3@example.org"]


@pytest.mark.parametrize(
    "farewell", [drop, and_hang_up("421 4.7.0 too many mails")], ids=["silently", "saying so"]
)
async def test_an_announced_mail_whose_connection_ends_is_carried_by_another(
    farewell: Action,
) -> None:
    async with _warm() as (relay, channel):
        _at_mail(relay, 4, "MAIL", farewell)

        told = await _send(channel, _to(12))

        assert all(isinstance(one, Sent) for one in told)
        assert _taken(relay) == _to(12)
        assert relay.opened == 2


async def test_a_mail_announced_behind_one_that_is_lost_is_carried_by_another_connection() -> None:
    async with _warm() as (relay, channel):
        _at_mail(relay, 4, "PAYLOAD", drop)

        told = await _send(channel, _to(12))

        assert [number for number, one in enumerate(told) if isinstance(one, OutcomeUnknown)] == [3]
        assert sorted(_taken(relay)) == sorted(_to(12))  # the relay has what it did not answer to
        assert relay.opened == 2


async def test_a_mail_announced_behind_one_that_takes_too_long_is_carried_by_another_connection() -> (
    None
):
    async with _warm() as (relay, channel):
        relay.once("PAYLOAD", fall_silent)
        first = asyncio.create_task(channel.send(mail(0.3)))
        told = await _send(channel, _to(5))

        with pytest.raises(OutcomeUnknown):
            await first
        assert all(isinstance(one, Sent) for one in told)
        assert _taken(relay)[-5:] == _to(5)
        assert relay.opened == 2


async def test_a_mail_announced_behind_one_that_does_not_end_goes_first_with_another_connection() -> (
    None
):
    async with Relay() as relay, channel_to(relay, connections=2) as channel:
        await _send(channel, _to(2))
        relay.mails.clear()
        relay.once("PAYLOAD", fall_silent)

        told = await _send(channel, _to(20), timeout=4.0)

        unsure = [number for number, one in enumerate(told) if isinstance(one, OutcomeUnknown)]
        assert len(unsure) == 1
        assert [one for one in told if not isinstance(one, Sent | OutcomeUnknown)] == []
        assert sorted(_taken(relay)) == sorted(_to(20))


async def test_a_relay_that_does_not_read_on_behind_a_mail_costs_one_and_is_told_of_none_ahead_again() -> (
    None
):
    heard: list[bytes] = []
    async with Relay() as relay, channel_to(relay, connections=3) as channel:
        await _send(channel, _to(3))
        relay.mails.clear()
        _at_mail(relay, 1, "PAYLOAD", fall_silent)

        told = await _send(channel, _to(30), timeout=3.0)
        relay.once("PAYLOAD", *(_listening(heard) for _ in range(3)))
        await _send(channel, _to(30))

        assert [type(one) for one in told if not isinstance(one, Sent)] == [OutcomeUnknown]
        assert sorted(_taken(relay)[:30]) == sorted(_to(30))
        assert heard == []


async def test_a_mail_given_up_before_it_is_announced_is_not() -> None:
    heard: list[bytes] = []
    async with _warm() as (relay, channel):
        hold = asyncio.Event()
        _at_mail(relay, 1, "DATA", _go_on(hold, heard))
        first = asyncio.create_task(channel.send(mail()))
        given_up = asyncio.create_task(channel.send(mail(recipient="bert@example.org")))
        others = asyncio.create_task(_send(channel, _to(4)))
        await _until("DATA", relay)

        given_up.cancel()
        await asyncio.wait([given_up])
        hold.set()

        with pytest.raises(OutcomeUnknown):
            await first
        assert all(isinstance(one, Sent) for one in await others)
        assert b"anna0@example.org" in heard[0]
        assert b"bert@example.org" not in heard[0]


@pytest.mark.parametrize("waiting", [1, 5], ids=["not announced", "announced"])
async def test_a_mail_given_up_in_the_moment_of_its_turn_leaves_it_to_the_next(
    waiting: int,
) -> None:
    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        pool = Pool(reached.open, size=1, mails=100)
        await pool.carry(_mail("warm@example.org"), Progress())

        async def first() -> None:
            await pool.carry(_mail("first@example.org"), Progress())
            second.cancel()  # its turn has come, and it doesn't know yet

        before = asyncio.create_task(first())
        await asyncio.sleep(0)
        second = asyncio.create_task(pool.carry(_mail("second@example.org"), Progress()))
        others = [asyncio.create_task(pool.carry(_mail(who), Progress())) for who in _to(waiting)]
        async with asyncio.timeout(5):
            await asyncio.gather(before, *others)
            await pool.carry(_mail("last@example.org"), Progress())
        await pool.close()

        assert second.cancelled()
        assert _taken(relay)[1:] == ["first@example.org", *_to(waiting), "last@example.org"]


async def test_an_announced_mail_that_is_given_up_takes_its_connection_with_it_and_no_other() -> (
    None
):
    async with _warm() as (relay, channel):
        hold = asyncio.Event()
        relay.once("PAYLOAD", _once(hold))
        first = asyncio.create_task(channel.send(mail()))
        announced = asyncio.create_task(channel.send(mail(recipient="bert@example.org")))
        others = asyncio.create_task(_send(channel, _to(4)))
        async with asyncio.timeout(5):
            while not relay.mails:  # a server knows no events
                await asyncio.sleep(0.005)

        announced.cancel()
        await asyncio.wait([announced])
        hold.set()

        assert isinstance(await first, Sent)
        assert all(isinstance(one, Sent) for one in await others)
        assert _taken(relay) == ["anna@example.org", *_to(4)]
        assert relay.opened == 2


async def test_closing_lets_nothing_begin_that_was_announced() -> None:
    async with _warm() as (relay, channel):
        hold = asyncio.Event()
        relay.once("PAYLOAD", _once(hold))
        sends = asyncio.create_task(_send(channel, _to(5)))
        async with asyncio.timeout(5):
            while not relay.mails:  # a server knows no events
                await asyncio.sleep(0.005)

        await channel.close()
        hold.set()
        first, *others = await sends

        assert isinstance(first, Sent)
        assert [str(one) for one in others if "has been closed" not in str(one)] == []
        assert _taken(relay) == _to(1)


async def test_nothing_is_announced_once_the_channel_closes() -> None:
    heard: list[bytes] = []
    async with _warm() as (relay, channel):
        hold = asyncio.Event()
        _at_mail(relay, 1, "DATA", _go_on(hold, heard))
        sends = asyncio.create_task(_send(channel, _to(5)))
        await _until("DATA", relay)

        await channel.close()
        hold.set()
        first, *_ = await sends

        assert isinstance(first, OutcomeUnknown)
        assert heard == []


async def test_a_connection_that_announced_one_mail_carries_no_other() -> None:
    def nobody(_: Connection) -> None:
        return None

    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        connection = await reached.open(Progress())
        await connection.carry(_mail("warm@example.org"), Progress(), nobody)
        announced = _mail("announced@example.org")
        await connection.carry(_mail("first@example.org"), Progress(), lambda _: announced)

        with pytest.raises(Stale):
            await connection.carry(_mail("other@example.org"), Progress(), nobody)

        connection.abort()
        assert _taken(relay) == ["warm@example.org", "first@example.org"]


def _at_mail(relay: Relay, number: int, step: str, action: Action) -> None:
    """What the relay does at a step of the so manyth mail that is begun."""
    begun = count(1)

    def plan(session: Session) -> None:
        if next(begun) == number:
            session.plan[step] = action

    relay.on_mail = plan


def _once(hold: asyncio.Event) -> Action:
    """Says that the mail is taken, once it may."""

    async def act(session: Session) -> None:
        await hold.wait()
        await session.say("250 2.0.0 Ok")

    return act


def _go_on(hold: asyncio.Event, heard: list[bytes]) -> Action:
    """Asks for the payload, once it may, hears what comes with its end, and hangs up."""

    async def act(session: Session) -> None:
        await hold.wait()
        await session.say("354 go on")
        await session.reader.readuntil(b"\r\n.\r\n")
        with suppress(TimeoutError):
            heard.append(await asyncio.wait_for(session.reader.read(1000), 0.2))
        session.writer.close()

    return act


async def _until(verb: str, relay: Relay) -> None:
    async with asyncio.timeout(5):
        while not any(command.startswith(verb) for command in relay.commands):
            await asyncio.sleep(0.005)  # a server knows no events


def _mail(recipient: str) -> Mail:
    wire = Envelope("no-reply@example.com", recipient, (), override=False, international=False)
    return Mail(wire, b"Subject: hello\r\n\r\nHello\r\n")
