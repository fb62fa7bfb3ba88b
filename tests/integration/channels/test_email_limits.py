"""What a relay says of a connection, or of how many there are, is nobody's failure: mails go on with another."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from tests.contract.channels.rigs.smtp_relay import (
    Action,
    Relay,
    Session,
    and_hang_up,
    drop,
    fall_silent,
)
from tests.integration.channels.email_setup import channel_to, mail

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.connection import MailProgress
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.pool import Growth, Pool
from tidings.channels.email.relay import Relay as Reached
from tidings.channels.email.replies import SmtpReply
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent

WIRE = Envelope("no-reply@example.com", "anna@example.org", (), override=False, international=False)
MAIL = Mail(WIRE, b"Subject: hello\r\n\r\nHello\r\n")


def _to(mails: int) -> list[str]:
    return [f"anna{number}@example.org" for number in range(mails)]


async def _send(
    channel: EmailChannel, recipients: Sequence[str], timeout: float = 10.0
) -> list[Sent | BaseException]:
    sends = (channel.send(mail(timeout, recipient=each)) for each in recipients)
    return await asyncio.gather(*sends, return_exceptions=True)


def _taken(relay: Relay) -> list[str]:
    return [taken.recipients[0] for taken in relay.mails]


def _at_the_mail_after(carried: int, action: Action, step: str = "MAIL") -> "_Limit":
    return _Limit(carried, action, step)


class _Limit:
    """Does something at a step of each mail that a connection carries beyond so many."""

    def __init__(self, carried: int, action: Action, step: str) -> None:
        self.carried, self.action, self.step = carried, action, step
        self.begun: Counter[Session] = Counter()

    def __call__(self, session: Session) -> None:
        self.begun[session] += 1
        if self.begun[session] > self.carried:
            session.plan[self.step] = self.action


# What one connection may carry.


@pytest.mark.parametrize(
    ("step", "action"),
    [
        ("MAIL", "452 4.5.3 Too many messages sent"),
        ("MAIL", "550 5.7.0 Too many messages in this session"),
        ("MAIL", "550 5.7.0 Denied"),
        ("MAIL", "451 4.3.0 Try again"),
        ("MAIL", and_hang_up("421 too many messages in this connection")),
        ("MAIL", drop),
        ("RCPT", and_hang_up("421 4.7.0 Error: too many errors")),
        ("RCPT", "452 4.5.3 Too many recipients this session"),
        ("DATA", and_hang_up("421 4.3.2 going down")),
        ("PAYLOAD", "452 4.5.3 Too many messages this session"),
    ],
)
async def test_a_limit_of_a_connection_renews_it_and_no_mail_fails(
    step: str, action: Action
) -> None:
    async with Relay() as relay, channel_to(relay, connections=2) as channel:
        relay.on_mail = _at_the_mail_after(5, action, step)

        outcomes = await _send(channel, _to(40))

        assert [outcome for outcome in outcomes if not isinstance(outcome, Sent)] == []
        assert sorted(_taken(relay)) == sorted(_to(40))
        assert relay.opened <= 10


async def test_a_relay_whose_fresh_connections_are_refused_as_well_limits_our_rate() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.on_mail = _at_the_mail_after(0, "452 4.5.3 Too many messages sent")

        with pytest.raises(Throttled):
            await channel.send(mail())

        assert relay.opened == 2


async def test_a_refusal_for_all_that_we_send_costs_no_connection() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.on_mail = _at_the_mail_after(0, "450 4.7.1 Error: too much mail from 127.0.0.1")

        with pytest.raises(Throttled):
            await channel.send(mail())

        assert relay.opened == 1


async def test_a_connection_is_renewed_after_a_few_refused_mails_in_a_row() -> None:
    def refuse_bad_ones(session: Session) -> None:
        errors[session] += 1
        session.plan["RCPT"] = "550 5.1.1 unknown"

    errors: Counter[Session] = Counter()
    async with Relay() as relay, channel_to(relay) as channel:
        relay.on_mail = refuse_bad_ones
        outcomes = await _send(channel, _to(20))
        relay.on_mail = lambda _: None
        for _ in range(10):
            await channel.send(mail())
            relay.once("RCPT", "550 5.1.1 unknown")
            with pytest.raises(Rejected):
                await channel.send(mail())

        assert {type(outcome) for outcome in outcomes} == {Rejected}
        assert max(errors.values()) == 4
        assert relay.opened == 6  # refusals among mails that are taken cost nothing


# How many connections there may be.


@pytest.mark.parametrize(
    "full",
    [
        and_hang_up("421 4.7.0 Error: too many connections from 127.0.0.1"),
        and_hang_up("421 Service not available"),
        drop,
    ],
    ids=["saying so", "saying something", "silently"],
)
async def test_where_a_relay_takes_fewer_connections_mails_wait_for_those_it_takes(
    full: Action,
) -> None:
    async with Relay() as relay, channel_to(relay, connections=10) as channel:
        relay.room, relay.full = 3, full

        async with asyncio.timeout(5):
            outcomes = await _send(channel, _to(500))

        assert [outcome for outcome in outcomes if not isinstance(outcome, Sent)] == []
        assert sorted(_taken(relay)) == sorted(_to(500))


async def test_a_connection_too_many_that_is_told_so_at_its_first_mail_is_given_up() -> None:
    """Exchange Online, 432 4.3.2."""

    def limit(session: Session) -> None:
        if relay.connections > 3:
            session.plan["MAIL"] = "432 4.3.2 Concurrent connections limit exceeded"

    async with Relay() as relay, channel_to(relay, connections=10) as channel:
        relay.on_mail = limit

        outcomes = await _send(channel, _to(100))

        assert [outcome for outcome in outcomes if not isinstance(outcome, Sent)] == []
        assert sorted(_taken(relay)) == sorted(_to(100))


@pytest.mark.parametrize("mails", [100_000, 2], ids=["kept for long", "renewed all the time"])
async def test_the_pool_grows_again_once_there_is_room(mails: int) -> None:
    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        pool = Pool(reached.open, size=4, mails=mails, room=0.05)
        relay.room = 1

        async def carry_on() -> None:
            while pool._growth.retired:
                await pool.carry(MAIL, MailProgress())

        await asyncio.gather(*(pool.carry(MAIL, MailProgress()) for _ in range(20)))
        assert pool._growth.retired == 3
        relay.room = None
        async with asyncio.timeout(5):
            await asyncio.gather(*(carry_on() for _ in range(8)))
        await pool.close()


@pytest.mark.parametrize("mails", [100_000, 2], ids=["kept for long", "renewed all the time"])
async def test_the_pool_grows_to_its_full_size_after_an_outage_that_left_no_connection(
    mails: int,
) -> None:
    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        pool = Pool(reached.open, size=10, mails=mails, room=0.05)
        most = 0

        async def carry_on() -> None:
            nonlocal most
            while pool._growth.retired or most < 10:
                await pool.carry(MAIL, MailProgress())
                most = max(most, relay.connections)

        async def at_once(mails: int) -> set[type]:
            carries = (pool.carry(MAIL, MailProgress()) for _ in range(mails))
            outcomes = await asyncio.gather(*carries, return_exceptions=True)
            return {type(outcome) for outcome in outcomes}

        assert await at_once(50) == {SmtpReply}
        async with relay.away():
            while await at_once(50) != {ConnectionRefusedError}:  # some may still close
                pass
            assert pool._growth.retired == 9
        async with asyncio.timeout(5):
            await asyncio.gather(*(carry_on() for _ in range(30)))
        await pool.close()


async def test_a_try_that_found_room_for_some_only_is_followed_by_a_try_with_one() -> None:
    turns: list[int] = []
    came = asyncio.Event()

    def give_turn() -> None:
        turns.append(growth.retired)
        came.set()

    async def given() -> int:
        await came.wait()
        given = len(turns)
        turns.clear()
        came.clear()
        return given

    growth = Growth(give_turn, room=0.01)
    for _ in range(9):
        growth.refused(1)
    assert await given() == 1
    growth.opened(2)
    assert await given() == 2
    growth.opened(3)
    growth.refused(3)
    assert await given() == 1
    growth.stop()


async def _leave_slowly(session: Session) -> None:
    await asyncio.sleep(0.02)
    await and_hang_up("221 2.0.0 Bye")(session)


@pytest.mark.parametrize("connections", [1, 3])
async def test_a_relay_that_takes_no_more_than_we_open_is_not_asked_for_one_more_at_a_renewal(
    connections: int,
) -> None:
    """A connection that takes leave counts until it is gone."""
    async with Relay() as relay:
        reached = Reached(EmailSettings(host="127.0.0.1", port=relay.port, tls="none"))
        pool = Pool(reached.open, size=connections, mails=5, room=30)
        relay.room, relay.full = connections, and_hang_up("421 4.7.0 Error: too many connections")
        relay.on_mail = lambda session: session.plan.update(QUIT=_leave_slowly)
        async with asyncio.timeout(10):
            await asyncio.gather(*(pool.carry(MAIL, MailProgress()) for _ in range(200)))
        assert pool._growth.retired == 0
        await pool.close()


@pytest.mark.parametrize("full", [and_hang_up("421 4.3.2 not now"), drop])
async def test_a_relay_that_takes_no_connection_at_all_is_down(full: Action) -> None:
    async with Relay() as relay, channel_to(relay, connections=10) as channel:
        relay.room, relay.full = 0, full

        outcomes = await _send(channel, _to(20))
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert relay.opened >= 20

        relay.room = None
        assert {type(outcome) for outcome in await _send(channel, _to(20))} == {Sent}


async def test_mails_turned_away_go_first_and_in_their_order() -> None:
    async def once_the_others_are_turned_away(session: Session) -> None:
        while channel._pool._growth.retired < 4:
            await asyncio.sleep(0.005)
        await session.say("250 2.0.0 Ok")

    async with Relay() as relay, channel_to(relay, connections=5) as channel:
        await channel.send(mail())
        relay.mails.clear()
        relay.room = 1
        relay.once("PAYLOAD", once_the_others_are_turned_away)

        await _send(channel, _to(30))

        assert _taken(relay) == _to(30)


@pytest.mark.parametrize(
    ("step", "address", "reply"),
    [
        ("RCPT", "concurrent@example.org", "450 4.1.1 <concurrent@example.org>: mailbox busy"),
        ("RCPT", "bea@example.org", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded"),
        (
            "PAYLOAD",
            "bea@example.org",
            "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        ),
        (
            "RCPT",
            "bea@example.org",
            "450 4.2.0 <bea@example.org>: Greylisted: too many connections",
        ),
        (
            "RCPT",
            "bea@example.org",
            "450 4.1.1 <bea@example.org>: Recipient address rejected: unverified address: host "
            "mx.example.org[192.0.2.1] said: 421 4.7.0 too many connections (in reply to HELO command)",
        ),
    ],
)
async def test_a_reply_about_one_recipient_takes_no_connection_from_the_others(
    step: str, address: str, reply: str
) -> None:
    async with Relay() as relay, channel_to(relay, connections=10) as channel:
        await _send(channel, _to(10))
        relay.on_mail = lambda session: session.plan.update({step: reply})

        [outcome] = await _send(channel, [address])

        assert type(outcome) is Deferred
        assert channel._pool._growth.retired == 0
        assert relay.connections == 10


# Commands that go together within one mail.


async def _discard(session: Session) -> None:
    """Throws away what has come behind a command, as a server does that empties its buffer."""
    buffer: bytearray = session.reader._buffer  # type: ignore[attr-defined]
    buffer.clear()
    await session.say("250 2.1.0 Ok")
    session.sender = "somebody"


def _in_one_reply(text: str) -> Action:
    async def act(session: Session) -> None:
        buffer: bytearray = session.reader._buffer  # type: ignore[attr-defined]
        behind = buffer.count(b"\n")
        buffer.clear()
        session.sender = "somebody"
        await session.say("250 2.1.0 Ok")
        for _ in range(behind):
            await session.say(text)

    return act


@pytest.mark.parametrize(
    "action",
    [
        _discard,
        _in_one_reply("503 5.5.1 Bad sequence of commands"),
        _in_one_reply("500 5.5.1 Pipelining not supported"),
        _in_one_reply("554 SMTP synchronization error"),
        _in_one_reply(
            "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining"
        ),
    ],
    ids=["discards", "503", "500", "554", "Postfix"],
)
async def test_a_relay_that_can_not_pipeline_is_found_out_and_nothing_is_lost_or_sent_twice(
    action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(session: Session) -> None:
        if session.reader._buffer:  # type: ignore[attr-defined]
            session.plan["MAIL"] = action

    monkeypatch.setattr("tidings.channels.email.connection._PIPELINED_TIMEOUT", 0.2)
    async with Relay() as relay, channel_to(relay, connections=2) as channel:
        relay.on_mail = cannot

        outcomes = await _send(channel, _to(30))

        assert [outcome for outcome in outcomes if not isinstance(outcome, Sent)] == []
        assert sorted(_taken(relay)) == sorted(_to(30))
        assert relay.opened <= 4


async def test_commands_still_go_together_after_a_refusal_that_quotes_an_address_with_that_word() -> (
    None
):
    address = "pipelining@pipelines.example"
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes[address] = f"550 5.1.1 <{address}>: unknown at pipelines.example"

        [outcome] = await _send(channel, [address])

        assert type(outcome) is Rejected
        assert channel._relay._pipelining.trusted
        assert relay.opened == 1


@pytest.mark.parametrize("behind", ["answers 503", "discards", "hangs up"])
async def test_nothing_is_said_behind_the_end_of_a_mail_before_its_reply(behind: str) -> None:
    """Haraka refuses what comes there, Courier throws it away, Dovecot's submission service dies."""

    async def take(session: Session) -> None:
        await asyncio.sleep(0.01)
        buffer: bytearray = session.reader._buffer  # type: ignore[attr-defined]
        early.append(bytes(buffer))
        await session.say("250 2.0.0 Ok")

    early: list[bytes] = []
    async with Relay() as relay, channel_to(relay, connections=2) as channel:
        relay.on_mail = lambda session: session.plan.update(PAYLOAD=take)

        outcomes = await _send(channel, _to(30))

        assert [outcome for outcome in outcomes if not isinstance(outcome, Sent)] == []
        assert set(early) == {b""}


async def test_a_relay_that_is_slow_to_answer_is_still_sent_commands_together_where_it_has_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slowly(session: Session) -> None:
        await asyncio.sleep(0.2)
        await session.say("250 2.1.5 Ok")
        session.recipients.append("anna@example.org")

    monkeypatch.setattr("tidings.channels.email.connection._PIPELINED_TIMEOUT", 0.1)
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail())
        relay.once("RCPT", slowly)
        await channel.send(mail())

        assert relay.opened == 1


# Taking leave, and what is said then.


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "PAYLOAD"])
async def test_leave_is_taken_after_a_refused_mail(step: str) -> None:
    async with Relay() as relay:
        async with channel_to(relay) as channel:
            relay.once(step, "550 5.7.1 not this one")
            with pytest.raises(DeliveryError):
                await channel.send(mail())

        assert relay.commands[-1] == "QUIT"


@pytest.mark.parametrize("large", [False, True])
async def test_the_words_of_a_421_are_kept(large: bool) -> None:
    async def leave(session: Session) -> None:
        session.writer.write(b"354 go on\r\n421 4.3.2 closing for repairs\r\n")
        await session.writer.drain()
        await fall_silent(session)

    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("DATA", leave)

        with pytest.raises(Unavailable, match="closing for repairs"):
            await channel.send(mail(text="line\n" * 30_000 if large else "short"))


@pytest.mark.parametrize(
    ("lhlo", "words"),
    [
        ("250 mail.example", r"LMTP.*TIDINGS_EMAIL_PORT"),
        ("502 5.5.1 Unknown command", "TIDINGS_EMAIL_HELO"),
    ],
)
async def test_a_port_for_local_delivery_is_called_that(lhlo: str, words: str) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        for verb, reply in (
            ("EHLO", "502 5.5.1 Unknown command"),
            ("HELO", "502 5.5.1 No"),
            ("LHLO", lhlo),
        ):
            relay.once(verb, reply)

        with pytest.raises(Misconfigured, match=words):
            await channel.send(mail())


# What is about us, and what about one recipient.


async def test_relaying_denied_for_one_recipient_is_its_own_result_once_another_was_taken() -> None:
    denied = "554 5.7.1 <x@nowhere.example>: Relay access denied"
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", denied)
        with pytest.raises(Misconfigured, match="TIDINGS_EMAIL_USERNAME"):
            await channel.send(mail())
        await channel.send(mail())
        relay.once("RCPT", denied)
        with pytest.raises(Rejected, match="does not relay mail to the recipient"):
            await channel.send(mail())


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("554 5.7.1 <vm[10.0.0.9]>: Client host rejected: Access denied", "refuses this machine"),
        ("504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", "our EHLO name"),
        ("553 5.7.1 Sender address rejected: not owned by user shop", "our sender"),
        ("554 5.7.1 Client host [10.0.0.9] blocked using zen.spamhaus.org", "refuses this machine"),
        ("554 5.7.1 Relay access denied", "does not relay mail"),
    ],
)
async def test_doctor_finds_what_a_relay_tells_only_at_the_recipient(
    reply: str, words: str
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", reply)

        *well, fault = await channel.check()

        assert fault.verdict == "fault"
        assert fault.subject == "email: sender"
        assert words in fault.detail
        assert [finding.verdict for finding in well if finding.subject == "email: sender"] == []
        assert [command for command in relay.commands if command.startswith("DATA")] == []
        assert relay.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    "reply", ["250 2.1.5 Ok", "550 5.1.1 no-reply takes no mail", "450 4.2.0 Greylisted"]
)
async def test_doctor_is_content_where_only_the_sender_s_own_mailbox_takes_no_mail(
    reply: str,
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", reply)

        found = await channel.check()

        assert {finding.verdict for finding in found} == {"ok"}
        rcpt, *others = relay.commands[2:]
        assert rcpt == "RCPT TO:<no-reply@tidings.example>"
        assert others == ([] if reply[0] in "45" else ["RSET"]) + ["QUIT"]
