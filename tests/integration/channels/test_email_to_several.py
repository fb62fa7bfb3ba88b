"""A mail to several: nobody gets it twice, and no copy keeps another, or the recipient, from getting it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from tests.contract.channels.rigs.smtp_relay import EXTENSIONS, Action, Relay, drop, fall_silent
from tests.integration.channels.email_setup import RECIPIENT, channel_to, mail
from tests.unit.channels.email_requests import read

from tidings.delivery.errors import Deferred, OutcomeUnknown, Rejected, Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import SendRequest
from tidings.delivery.recipients import RecipientResult, RecipientState, Role

UNKNOWN = "550 5.1.1 User unknown"
LATER = "450 4.2.0 Greylisted"
NO_PIPELINING = EXTENSIONS[1:]

S, D, R = RecipientState.SENT, RecipientState.DEFERRED, RecipientState.REFUSED


def copies(count: int, of: str = "copy") -> list[str]:
    return [f"{of}{number}@example.org" for number in range(count)]


def states(sent: Sent) -> dict[str, RecipientState]:
    return {result.address: result.state for result in sent.recipients}


def again(request: SendRequest, sent: Sent) -> SendRequest:
    """The next attempt, which knows what became of each."""
    return replace(request, recipients=sent.recipients)


def reached(relay: Relay) -> list[str]:
    """Everybody who got a mail, as often as they did."""
    return sorted(address for taken in relay.mails for address in taken.recipients)


@pytest.mark.parametrize("extensions", [EXTENSIONS, NO_PIPELINING])
async def test_each_copy_has_a_result_of_its_own(extensions: Sequence[str]) -> None:
    async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
        relay.mailboxes = {"bob@example.org": UNKNOWN, "eve@example.net": LATER}

        sent = await channel.send(
            mail(cc=["bob@example.org"], bcc=["eve@example.net", "zoe@example.net"])
        )

    assert reached(relay) == [RECIPIENT, "zoe@example.net"]
    assert (sent.code, sent.reference) == ("250", "Q00001")
    assert sent.recipients == (
        RecipientResult(RECIPIENT, Role.TO, S),
        RecipientResult(
            *("bob@example.org", Role.CC, R, "rejected", "550 5.1.1"),
            "the relay refuses the recipient (550 5.1.1 User unknown)",
        ),
        RecipientResult(
            *("eve@example.net", Role.BCC, D, "deferred", "450 4.2.0"),
            sent.recipients[2].message,
        ),
        RecipientResult("zoe@example.net", Role.BCC, S),
    )


async def test_a_mail_that_is_taken_alike_for_all_says_no_more_than_that() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        sent = await channel.send(mail(cc=copies(3)))

    assert sent == Sent("smtp:127.0.0.1", "Q00001", "250")
    assert len(relay.mails) == 1


@pytest.mark.parametrize("extensions", [EXTENSIONS, NO_PIPELINING])
async def test_a_copy_that_was_put_off_is_asked_again_alone(extensions: Sequence[str]) -> None:
    async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
        relay.mailboxes = {"bob@example.org": LATER, "eve@example.net": UNKNOWN}
        request = mail(cc=["bob@example.org"], bcc=["eve@example.net"])
        first = await channel.send(request)
        relay.mailboxes["bob@example.org"] = "250 2.1.5 Ok"

        second = await channel.send(again(request, first))

    assert [taken.recipients for taken in relay.mails] == [(RECIPIENT,), ("bob@example.org",)]
    assert states(second) == {"bob@example.org": S}
    first, other = (read(taken.payload) for taken in relay.mails)
    for name in ("To", "Cc", "Subject", "Message-ID"):
        assert first[name] == other[name]


async def test_a_copy_that_is_put_off_again_is_an_answer_and_no_failure() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes = {"bob@example.org": LATER}
        request = mail(cc=["bob@example.org"])
        first = await channel.send(request)

        second = await channel.send(again(request, first))
        assert states(second) == {"bob@example.org": D}
        await channel.send(mail())

    assert reached(relay) == [RECIPIENT, RECIPIENT]


async def test_an_attempt_for_copies_fails_as_any_other_where_the_relay_is_away() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes = {"bob@example.org": LATER}
        request = mail(cc=["bob@example.org"])
        first = await channel.send(request)
        relay.once("MAIL", *["451 4.3.0 Error: queue file write error"] * 3)

        with pytest.raises(Unavailable):
            await channel.send(again(request, first))


@pytest.mark.parametrize(("reply", "error"), [(UNKNOWN, Rejected), (LATER, Deferred)])
async def test_where_the_recipient_is_refused_nobody_gets_the_mail(
    reply: str, error: type[Exception]
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes = {RECIPIENT: reply}

        with pytest.raises(error):
            await channel.send(mail(cc=copies(20)))

        relay.mailboxes.clear()
        await channel.send(mail(cc=copies(20)))

    assert reached(relay) == sorted([RECIPIENT, *copies(20)])


@pytest.mark.parametrize("extensions", [EXTENSIONS, NO_PIPELINING])
@pytest.mark.parametrize("most_errors", [1, 3, 5, 20, 1_000])
async def test_twenty_invalid_copies_keep_nobody_from_getting_the_mail(
    extensions: Sequence[str], most_errors: int
) -> None:
    """Exchange hangs up at a connection's fifth error, Postfix at its twentieth."""
    good, bad = copies(6, "good"), copies(20, "bad")
    async with Relay(extensions=extensions) as relay, channel_to(relay) as channel:
        relay.most_errors = most_errors
        relay.mailboxes = dict.fromkeys(bad, UNKNOWN)

        sent = await channel.send(mail(cc=[*good[:2], *bad, *good[2:]]))

    assert reached(relay) == sorted([RECIPIENT, *good])
    assert [address for address, state in states(sent).items() if state is R] == bad


async def test_a_relay_is_never_named_many_invalid_addresses_in_a_row() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes = dict.fromkeys(copies(50), UNKNOWN)

        await channel.send(mail(cc=copies(50)))
        await channel.send(mail())

    assert in_a_row(relay.commands) <= 5


def in_a_row(commands: Iterable[str]) -> int:
    """The most addresses that were named to one connection since its beginning."""
    most = count = 0
    for command in commands:
        count = 0 if command.startswith("EHLO") else count + command.startswith("RCPT")
        most = max(most, count)
    return most


async def test_more_than_a_hundred_recipients_go_with_several_transactions() -> None:
    everybody = [RECIPIENT, *copies(50), *copies(50, "blind")]
    async with Relay() as relay, channel_to(relay) as channel:
        sent = await channel.send(mail(cc=copies(50), bcc=copies(50, "blind")))

    assert reached(relay) == sorted(everybody)
    assert [len(taken.recipients) for taken in relay.mails] == [100, 1]
    assert sent.recipients == ()


async def test_a_relay_that_takes_fewer_recipients_of_a_mail_gets_more_mails() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.most_recipients = 10

        sent = await channel.send(mail(cc=copies(24)))

    assert reached(relay) == sorted([RECIPIENT, *copies(24)])
    assert [len(taken.recipients) for taken in relay.mails] == [10, 10, 5]
    assert sent.recipients == ()


@pytest.mark.parametrize(
    ("step", "action", "kind"),
    [
        ("DATA", "451 4.3.0 not now", "unavailable"),
        ("PAYLOAD", drop, "outcome_unknown"),
        ("PAYLOAD", fall_silent, "outcome_unknown"),
        ("MAIL", fall_silent, "unavailable"),
    ],
)
async def test_trouble_with_the_second_transaction_concerns_those_it_is_for(
    step: str, action: object, kind: str
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.most_recipients = 3
        relay.on_mail = lambda session: (
            session.plan.update({step: action}) if relay.mails else None  # type: ignore[dict-item]  # an action
        )
        request = mail(timeout=1.0, cc=copies(4))

        sent = await channel.send(request)
        relay.on_mail = lambda _: None
        last = await channel.send(again(request, sent))

    results = {result.address: result for result in sent.recipients}
    deferred = [result for result in results.values() if result.state is D]
    assert [result.address for result in deferred] == copies(4)[2:]
    assert {result.kind for result in deferred} == {kind}
    assert set(states(last).values()) == {S}
    assert reached(relay).count(RECIPIENT) == 1


@pytest.mark.parametrize("error", [drop, fall_silent])
async def test_a_copy_that_was_refused_before_a_reply_was_lost_is_told_as_refused(
    error: Action,
) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.most_recipients = 3
        relay.mailboxes = {"copy2@example.org": UNKNOWN}
        relay.once("PAYLOAD", "250 2.0.0 Ok", error)

        sent = await channel.send(mail(timeout=1.0, cc=copies(4)))

    results = {result.address: (result.state, result.kind) for result in sent.recipients}
    assert results["copy2@example.org"] == (R, "rejected")
    assert results["copy3@example.org"] == (D, "outcome_unknown")


async def test_a_lost_reply_leaves_the_first_transaction_as_unknown_as_ever() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("PAYLOAD", drop)

        with pytest.raises(OutcomeUnknown):
            await channel.send(mail(cc=copies(3)))


JOERG = "jörg@example.org"


@pytest.mark.parametrize("field", ["cc", "bcc"])
async def test_a_copy_beyond_ascii_keeps_nobody_from_getting_the_mail(field: str) -> None:
    offered = [each for each in EXTENSIONS if each != "SMTPUTF8"]
    async with Relay(extensions=offered) as relay, channel_to(relay) as channel:
        sent = await channel.send(mail(**{field: ["bob@example.org", JOERG]}))

    [taken] = relay.mails
    assert taken.recipients == (RECIPIENT, "bob@example.org")
    assert taken.payload.isascii()
    assert states(sent)[JOERG] is R
    assert "SMTPUTF8" in sent.recipients[-1].message


async def test_a_copy_beyond_ascii_gets_a_mail_apart_that_takes_smtputf8() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        sent = await channel.send(mail(cc=["bob@example.org", JOERG]))

    plain, international = relay.mails
    assert (plain.recipients, international.recipients) == (
        (RECIPIENT, "bob@example.org"),
        (JOERG,),
    )
    assert "SMTPUTF8" not in plain.parameters
    assert international.parameters.endswith("SMTPUTF8")
    assert sent.recipients == ()
    [bob, joerg] = read(plain.payload)["Cc"].groups
    assert bob.addresses[0].addr_spec == "bob@example.org"
    assert (joerg.display_name, joerg.addresses) == (JOERG, ())
    assert f"Cc: bob@example.org,\r\n {JOERG}\r\n".encode() in international.payload


async def test_a_recipient_beyond_ascii_takes_smtputf8_for_all_as_ever() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        await channel.send(mail(recipient=JOERG, cc=["bob@example.org"]))

    [taken] = relay.mails
    assert taken.recipients == (JOERG, "bob@example.org")


async def test_nobody_left_to_ask_for_is_sent() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        request = mail()
        has_it = RecipientResult(RECIPIENT, Role.TO, S)

        sent = await channel.send(replace(request, recipients=(has_it,)))

    assert relay.opened == 0
    assert sent.recipients == ()


async def test_what_the_relay_says_of_a_copy_names_nobody() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes = {"robert@example.org": "550 5.1.1 <robert@example.org>: robert who?"}

        sent = await channel.send(mail(cc=["robert@example.org"]))

    assert "robert" not in sent.recipients[1].message
