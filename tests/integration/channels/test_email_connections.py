"""Connections to a relay are kept, shared fairly, and replaced before they do harm."""

import asyncio
import socket
from contextlib import ExitStack, suppress

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

from tidings.channels.email.connection import MailProgress
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.pool import Pool
from tidings.channels.email.relay import GREETINGS
from tidings.channels.email.relay import Relay as Reached
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.errors import (
    DeliveryError,
    OutcomeUnknown,
    OutOfService,
    Rejected,
    Unavailable,
)
from tidings.delivery.ports import Verdict

WIRE = Envelope("no-reply@example.com", "anna@example.org", (), override=False, international=False)
MAIL = Mail(WIRE, b"Subject: hello\r\n\r\nHello\r\n")
ONE_BY_ONE = tuple(each for each in EXTENSIONS if each != "PIPELINING")


async def _until_hung_up(relay: Relay) -> None:
    async with asyncio.timeout(5):
        while relay.connections:  # a server knows no events
            await asyncio.sleep(0.005)


async def test_one_connection_carries_many_mails() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        for _ in range(20):
            await channel.send(mail())

        assert relay.opened == 1
        assert len(relay.mails) == 20


async def test_mails_at_once_share_no_more_connections_than_are_allowed() -> None:
    async with Relay() as relay, channel_to(relay, connections=4) as channel:
        await asyncio.gather(*(channel.send(mail()) for _ in range(50)))

        assert relay.opened <= 4
        assert len(relay.mails) == 50


async def test_a_connection_is_renewed_after_so_many_mails_with_a_farewell() -> None:
    async with Relay() as relay:
        async with channel_to(relay, messages_per_connection=3) as channel:
            for _ in range(7):
                await channel.send(mail())

        assert relay.opened == 3
        assert relay.commands.count("QUIT") == 3


async def test_a_connection_that_the_relay_hung_up_on_is_replaced_unnoticed() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.hang_up()
        await _until_hung_up(relay)

        await channel.send(mail())

        assert relay.opened == 2


@pytest.mark.parametrize("farewell", [and_hang_up("421 4.4.2 idle too long"), drop])
async def test_a_kept_connection_found_dead_at_its_first_command_is_replaced_once(
    farewell: object,
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.once("MAIL", farewell)  # type: ignore[arg-type]  # a parameter is an object

        await channel.send(mail())

        assert relay.opened == 2
        assert len(relay.mails) == 2


async def test_a_fresh_connection_that_dies_at_once_is_not_tried_again() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("MAIL", and_hang_up("421 4.3.2 going down"))

        with pytest.raises(Unavailable, match=r"421 4\.3\.2"):
            await channel.send(mail())

        assert relay.opened == 1


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_a_kept_connection_lost_before_the_mail_is_out_is_replaced_once(step: str) -> None:
    async with Relay(extensions=ONE_BY_ONE) as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.once(step, drop)
        await channel.send(mail())
        relay.once(step, drop, drop)

        with pytest.raises(Unavailable, match="connection to the relay was lost"):
            await channel.send(mail())

        assert relay.opened == 3
        assert len(relay.mails) == 2


async def test_commands_go_together_to_a_relay_that_takes_them_so_and_singly_to_others() -> None:
    async def refuse_once_all_is_there(session: Session) -> None:
        with suppress(TimeoutError):
            ahead = await asyncio.wait_for(session.reader.readexactly(len(b"RCPT TO:")), 0.2)
            together.append(ahead)
        await session.say("451 4.3.0 not now")
        session.writer.close()

    together: list[bytes] = []
    for extensions in (EXTENSIONS, ONE_BY_ONE):
        async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
            relay.once("MAIL", refuse_once_all_is_there)
            with pytest.raises(Unavailable, match=r"451 4\.3\.0"):
                await channel.send(mail())

    assert together == [b"RCPT TO:"]


async def test_a_relay_left_waiting_for_a_refused_mail_gets_none() -> None:
    """RFC 2920, 3.1: DATA may be answered with 354 although nobody is left to be mailed."""
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", "550 5.1.1 unknown")
        relay.once("DATA", "354 go on", "354 go on")
        with pytest.raises(Rejected, match=r"550 5\.1\.1"):
            await channel.send(mail())
        relay.todo["DATA"].clear()

        await channel.send(mail())

        assert relay.opened == 2
        assert len(relay.mails) == 1
        async with asyncio.timeout(5):
            while relay.connections > 1:  # a server knows no events
                await asyncio.sleep(0.005)


async def test_a_relay_that_never_answers_the_rest_of_a_refused_mail_costs_one_more() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", "550 5.1.1 unknown")
        relay.once("DATA", fall_silent)
        with pytest.raises(Rejected):
            await channel.send(mail())
        with pytest.raises(Unavailable, match="in time"):
            await channel.send(mail(timeout=0.2))

        await channel.send(mail())

        assert relay.opened == 2


async def test_a_kept_connection_lost_after_the_payload_leaves_the_outcome_open() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.once("PAYLOAD", drop)

        with pytest.raises(OutcomeUnknown, match="lost"):
            await channel.send(mail())

        assert len(relay.mails) == 2
        assert relay.opened == 1


async def test_a_refused_recipient_costs_a_reset_and_no_connection() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", "550 5.1.1 unknown")
        with pytest.raises(Rejected):
            await channel.send(mail())

        await channel.send(mail())

        assert relay.opened == 1
        assert relay.commands.count("RSET") == 1
        assert relay.mails[0].recipients == ("anna@example.org",)


@pytest.mark.parametrize("step", ["MAIL", "PAYLOAD"])
async def test_a_refusal_that_ends_the_mail_itself_needs_no_reset(step: str) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once(step, "451 4.3.0 not now")
        with pytest.raises(Unavailable):
            await channel.send(mail())

        await channel.send(mail())

        assert relay.opened == 1
        assert "RSET" not in relay.commands


async def test_a_relay_that_refuses_to_reset_is_met_anew() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", "550 5.1.1 unknown")
        relay.once("RSET", "554 5.5.0 never")
        with pytest.raises(Rejected):
            await channel.send(mail())

        await channel.send(mail())

        assert relay.opened == 2


async def test_sends_take_their_turn_in_the_order_they_came() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        recipients = [f"anna{number}@example.org" for number in range(20)]

        await asyncio.gather(*(channel.send(mail(recipient=each)) for each in recipients))

        assert [taken.recipients[0] for taken in relay.mails] == recipients


async def test_a_send_that_gets_no_turn_in_time_says_so_and_sends_nothing() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("MAIL", fall_silent)
        holding = asyncio.create_task(channel.send(mail(timeout=30)))
        async with asyncio.timeout(5):
            while not relay.silent:  # a server knows no events
                await asyncio.sleep(0.005)

        with pytest.raises(OutOfService, match="no connection to the relay became free in time"):
            await channel.send(mail(timeout=0.1))

        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await channel.send(mail())
        assert len(relay.mails) == 1


async def test_a_connection_unused_for_long_is_replaced_before_it_is_used() -> None:
    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        pool = Pool(reached.open, size=1, mails=100, idle=0.0)

        await pool.carry(MAIL, MailProgress())
        await pool.carry(MAIL, MailProgress())
        await pool.close()

        assert relay.opened == 2
        assert relay.commands.count("QUIT") == 2


async def test_closing_takes_leave_of_the_relay() -> None:
    async with Relay() as relay:
        async with channel_to(relay, connections=3) as channel:
            await asyncio.gather(*(channel.send(mail()) for _ in range(30)))

        assert relay.commands.count("QUIT") == relay.opened


async def test_a_relay_that_ignores_the_farewell_does_not_hold_up_closing() -> None:
    async with Relay() as relay:
        relay.once("QUIT", fall_silent)
        async with asyncio.timeout(4), channel_to(relay) as channel:
            await channel.send(mail())

        await _until_hung_up(relay)


async def test_nothing_is_sent_after_closing() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.close()

        with pytest.raises(Unavailable, match="has been closed"):
            await channel.send(mail())

        assert relay.opened == 0


async def test_closing_during_a_send_lets_it_end_and_keeps_nothing() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("PAYLOAD", fall_silent)
        sending = asyncio.create_task(channel.send(mail(timeout=0.5)))
        async with asyncio.timeout(5):
            while not relay.silent:  # a server knows no events
                await asyncio.sleep(0.005)

        await channel.close()

        with pytest.raises(OutcomeUnknown):
            await sending
        await _until_hung_up(relay)


# Whoever opened a connection takes leave on it.


def slowly(reply: str) -> Action:
    """A reply that comes when the mail has been given up."""

    async def act(session: Session) -> None:
        await asyncio.sleep(0.4)
        await session.say(reply)

    return act


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("CONNECT", "220 relay.example ESMTP"),
        ("EHLO", "250 relay.example"),
        ("MAIL", "250 2.1.0 Ok"),
        ("RCPT", "250 2.1.5 Ok"),
    ],
)
@pytest.mark.parametrize("extensions", [EXTENSIONS, ONE_BY_ONE], ids=["piped", "one by one"])
async def test_a_mail_that_is_given_up_half_way_leaves_no_connection_without_a_farewell(
    extensions: tuple[str, ...], step: str, reply: str
) -> None:
    async with Relay(extensions=extensions) as relay:
        relay.once(step, slowly(reply))
        async with channel_to(relay) as channel:
            with pytest.raises(Unavailable):
                await channel.send(mail(timeout=0.1))

        assert relay.opened == 1
        assert relay.mails == []
        assert relay.commands[-1] == "QUIT"


async def test_nothing_is_said_to_a_relay_that_would_take_it_for_a_part_of_a_mail_given_up() -> (
    None
):
    async with Relay() as relay:
        relay.once("RCPT", slowly("250 2.1.5 Ok"))
        relay.once("DATA", "354 go on")
        async with channel_to(relay) as channel:
            with pytest.raises(Unavailable):
                await channel.send(mail(timeout=0.1))

        assert relay.mails == []
        assert relay.commands[-1] == "DATA"


async def test_a_mail_that_waits_for_its_connection_is_no_longer_delayed_by_one_given_up() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("CONNECT", fall_silent)
        with pytest.raises(Unavailable):
            await channel.send(mail(timeout=0.1))

        await channel.send(mail(timeout=0.5))

        assert relay.opened == 2


async def test_closing_while_a_connection_is_being_opened_takes_leave_on_it() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("CONNECT", slowly("220 relay.example ESMTP"))
        sending = asyncio.create_task(channel.send(mail()))
        async with asyncio.timeout(5):
            while not relay.connections:  # a server knows no events
                await asyncio.sleep(0.005)

        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await channel.close()

        assert relay.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("step", "reply"),
    [("CONNECT", "220 relay.example ESMTP"), ("MAIL", "250 2.1.0 Ok"), ("RCPT", "250 2.1.5 Ok")],
)
async def test_doctor_takes_leave_of_a_relay_that_it_has_no_more_time_for(
    step: str, reply: str
) -> None:
    async with Relay() as relay, channel_to(relay, send_timeout=0.1) as channel:
        relay.once(step, slowly(reply))

        findings = await channel.check()

        assert findings[-1].verdict is Verdict.FAULT
        assert relay.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("CONNECT", "554 5.7.1 no service for you"),
        ("EHLO", "550 5.7.1 no"),
        ("EHLO", "451 4.3.0 not now"),
    ],
)
async def test_a_relay_that_refuses_a_connection_politely_is_taken_leave_of(
    step: str, reply: str
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once(step, reply)
        relay.once("HELO", reply)

        with pytest.raises(DeliveryError):
            await channel.send(mail())

        assert relay.commands[-1] == "QUIT"


async def test_no_more_connections_than_a_small_backlog_holds_wait_for_their_greeting() -> None:
    most = waiting = 0

    async def greet_together(session: Session) -> None:
        nonlocal most, waiting
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.05)
        waiting -= 1
        await session.say("220 relay.example ESMTP")

    async with Relay() as relay, channel_to(relay, connections=20) as channel:
        relay.once("CONNECT", *[greet_together] * 20)
        await asyncio.gather(*(channel.send(mail()) for _ in range(20)))

        assert relay.opened == 20
    assert most == GREETINGS


async def test_a_relay_that_greets_late_on_purpose_is_not_waited_for_by_one_after_the_other() -> (
    None
):
    async with Relay() as relay, channel_to(relay, connections=6) as channel:
        relay.once("CONNECT", *[fall_silent] * GREETINGS)
        waiting = [asyncio.create_task(channel.send(mail(timeout=8))) for _ in range(GREETINGS)]
        async with asyncio.timeout(5):
            while relay.silent < GREETINGS:  # a server knows no events
                await asyncio.sleep(0.005)

        await channel.send(mail(timeout=3))

        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_relay_of_two_addresses_is_reached_though_the_first_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def addresses(_: object) -> list[tuple[object, ...]]:
        found = (("127.0.1.1", relay.port), ("127.0.0.1", relay.port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in found]

    monkeypatch.setattr("tidings.channels.network.lookups._addresses", addresses)
    async with Relay() as relay:
        with ExitStack() as stack:
            silent = stack.enter_context(socket.socket())
            silent.bind(("127.0.1.1", relay.port))
            silent.listen(0)
            for _ in range(2):  # there is no room for another
                full = stack.enter_context(socket.socket())
                full.setblocking(False)
                full.connect_ex(silent.getsockname())
            async with channel_to(relay, host="relay.example") as channel:
                await channel.send(mail(timeout=6.0))

        assert len(relay.mails) == 1
