"""Whatever a relay does to a mail is told rightly: taken, refused, unsent, or nobody knows."""

import asyncio
import base64
import os
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.channels.rigs.smtp_relay import (
    EXTENSIONS,
    Action,
    Relay,
    Session,
    and_hang_up,
    drop,
    fall_silent,
    never_end,
    stop_reading,
)
from tests.integration.channels.email_setup import RECIPIENT, channel_to, mail

from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from tidings.delivery.outcome import Sent

COPIES: dict[str, Any] = {"cc": ["bob@example.org"], "bcc": ["eve@example.net", "zoe@example.net"]}


async def test_a_mail_arrives_as_it_was_handed_over() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        sent = await channel.send(mail(text=".\n..dots\n.\n", **COPIES))

    [taken] = relay.mails
    assert taken.sender == "no-reply@tidings.example"
    assert taken.recipients == (RECIPIENT, *COPIES["cc"], *COPIES["bcc"])
    assert taken.payload.endswith(b"\r\n\r\n.\r\n..dots\r\n.\r\n")
    assert taken.parameters == f"SIZE={len(taken.payload)}"
    assert sent == Sent("smtp:127.0.0.1", "Q00001", "250")


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("250 2.0.0 Ok: queued as 4XyZ12abc", "4XyZ12abc"),
        ("250 OK id=1q2w3e-000abc-XY", "1q2w3e-000abc-XY"),
        ("250 2.0.0 3AM9c0de012345 Message accepted for delivery", "3AM9c0de012345"),
        ("250 Ok 0100018f2c3a4b5c-6d7e8f90-1a2b-000000", "0100018f2c3a4b5c-6d7e8f90-1a2b-000000"),
        ("250 2.6.0 <a.0@tidings.example> [InternalId=4711, Hostname=x] Queued mail", "4711"),
        ("250 thanks", ""),
    ],
)
async def test_the_relays_own_name_for_a_mail_is_kept(reply: str, reference: str) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("PAYLOAD", reply)

        assert (await channel.send(mail())).reference == reference


async def test_a_refused_recipient_is_rejected_whatever_becomes_of_the_copies() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", "550 5.1.1 unknown")

        with pytest.raises(Rejected) as caught:
            await channel.send(mail(**COPIES))

    assert caught.value.code == "550 5.1.1"
    assert relay.mails == []


@pytest.mark.parametrize(("own", "error"), [(True, Rejected), (False, Misconfigured)])
async def test_a_refused_sender_is_the_fault_of_whoever_named_it(
    own: bool, error: type[DeliveryError]
) -> None:
    fields: dict[str, Any] = {"from_address": "boss@elsewhere.example"} if own else {}
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("MAIL", "553 5.7.1 not yours")

        with pytest.raises(error):
            await channel.send(mail(**fields))

        await channel.send(mail(**fields))
        assert relay.mails[0].sender == fields.get("from_address", "no-reply@tidings.example")


async def test_an_international_address_asks_for_smtputf8_only_where_it_takes_it() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail(recipient="anna@bücher.example"))
        await channel.send(mail(recipient="jürgen@bücher.example"))

    ascii_domain, both = relay.mails
    assert ascii_domain.recipients == ("anna@xn--bcher-kva.example",)
    assert "SMTPUTF8" not in ascii_domain.parameters
    assert both.recipients == ("jürgen@xn--bcher-kva.example",)
    assert both.parameters.endswith("BODY=8BITMIME SMTPUTF8")


async def test_an_international_address_that_the_relay_can_not_take_is_rejected() -> None:
    offered = [each for each in EXTENSIONS if each != "SMTPUTF8"]
    async with Relay(extensions=offered) as relay, channel_to(relay) as channel:
        with pytest.raises(Rejected, match="SMTPUTF8"):
            await channel.send(mail(recipient="jürgen@example.org"))

        await channel.send(mail())
        assert relay.opened == 1


async def test_a_reply_to_beyond_ascii_rejects_no_mail_of_a_relay_without_smtputf8() -> None:
    offered = [each for each in EXTENSIONS if each != "SMTPUTF8"]
    async with Relay(extensions=offered) as relay, channel_to(relay) as channel:
        await channel.send(mail(reply_to="jürgen@example.org"))

    [taken] = relay.mails
    assert "SMTPUTF8" not in taken.parameters
    assert taken.payload.isascii()


async def test_a_mail_too_large_for_the_relay_is_rejected_before_it_is_sent() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("MAIL", "552 5.3.4 Message size exceeds fixed limit")

        with pytest.raises(Rejected, match="too large"):
            await channel.send(mail())


async def test_a_large_mail_half_taken_was_not_sent_and_never_will_be() -> None:
    """What is left to write must not leave after all, once we have said that it did not."""
    file = {"filename": "f", "content": base64.b64encode(os.urandom(7_000_000)).decode()}
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("DATA", stop_reading)

        with pytest.raises(Unavailable, match="did not reply in time"):
            await channel.send(mail(timeout=1.0, attachments=[file]))

        relay.thawed.set()
        late = await asyncio.wait_for(relay.late, 5)
        assert 0 < len(late) < 9_000_000
        assert not late.endswith(b"\r\n.\r\n")
        await channel.send(mail(attachments=[file]))


async def test_a_relay_that_hangs_up_while_taking_a_large_mail_has_not_got_it() -> None:
    async def read_some_and_drop(session: Session) -> None:
        await session.say("354 go on")
        await session.reader.readexactly(100_000)
        await drop(session)

    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("DATA", read_some_and_drop)

        with pytest.raises(Unavailable, match="lost"):
            await channel.send(mail(text="line\n" * 1_000_000))


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (drop, OutcomeUnknown),
        (fall_silent, OutcomeUnknown),
        (never_end, OutcomeUnknown),
        ("what?", OutcomeUnknown),
        ("354 go on", OutcomeUnknown),
        ("2", OutcomeUnknown),
        ("25", OutcomeUnknown),
        ("451 4.3.0 queue full", Unavailable),
        (and_hang_up("421 4.3.2 shutting down"), Unavailable),
        ("554 5.7.1 spam", Rejected),
    ],
)
async def test_after_the_final_dot_only_a_verdict_settles_the_outcome(
    action: Action, error: type[DeliveryError]
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("PAYLOAD", action)

        with pytest.raises(error) as caught:
            await channel.send(mail(timeout=0.5))

        assert type(caught.value) is error
        await channel.send(mail())


@pytest.mark.parametrize(
    ("extensions", "step", "action"),
    [
        *(
            (EXTENSIONS, step, action)
            for step in ("EHLO", "MAIL", "RCPT", "DATA")
            for action in (drop, fall_silent, never_end, "what?", "250-", "999 odd", "2")
        ),
        *((EXTENSIONS[1:], step, "what?") for step in ("MAIL", "RCPT", "DATA")),
    ],
)
async def test_before_the_final_dot_nothing_was_sent(
    extensions: Sequence[str], step: str, action: Action
) -> None:
    async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
        relay.once(step, action)

        with pytest.raises(Unavailable):
            await channel.send(mail(timeout=0.5))

        assert relay.mails == []
        await channel.send(mail())


async def test_a_reply_that_drips_is_bounded_by_the_whole_sends_time() -> None:
    async def drip(session: Session) -> None:
        while not session.writer.is_closing():
            session.writer.write(b"2")
            await session.writer.drain()
            await asyncio.sleep(0.02)

    began = time.monotonic()
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("RCPT", drip)

        with pytest.raises(Unavailable, match="in time"):
            await channel.send(mail(timeout=0.3))

        assert time.monotonic() - began < 1.0


@settings(deadline=None, max_examples=60)
@given(
    step=st.sampled_from(["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "PAYLOAD"]),
    reply=st.binary(max_size=60) | st.from_regex(rb"[2345][0-9]{2}[ -].{0,30}\r\n", fullmatch=True),
    extensions=st.sampled_from([EXTENSIONS, EXTENSIONS[1:]]),
)
async def test_every_possible_reply_ends_in_an_outcome(
    step: str, reply: bytes, extensions: Sequence[str]
) -> None:
    async def answer(session: Session) -> None:
        session.writer.write(reply)
        await session.writer.drain()
        session.writer.close()

    async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
        relay.once(step, answer)
        [outcome] = await asyncio.gather(channel.send(mail(timeout=2)), return_exceptions=True)

        if isinstance(outcome, Sent) and step != "PAYLOAD":  # once more, with one command at a time
            assert step in {"RCPT", "DATA"}
            assert re.match(rb"50[03]", reply)
        elif isinstance(outcome, Sent):
            assert re.match(rb"2\d\d", reply)
        else:
            assert isinstance(outcome, DeliveryError)
            assert (type(outcome) is OutcomeUnknown) <= (step == "PAYLOAD")
        await channel.send(mail())
