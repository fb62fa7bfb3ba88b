"""The mail sink, spoken to by the client that Tidings uses."""

import asyncio
import ssl

import aiosmtplib
import pytest
import trustme

from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.script import Behaviour

MAIL = (
    b"From: Shop <shop@example.com>\r\nTo: anna@example.com\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Hello\r\n.dots stay\r\n\xc3\xbc\r\n"
)


async def send(sink: MailSink, *recipients: str, mail: bytes = MAIL, timeout: float = 5) -> None:
    async with client(sink, timeout=timeout) as smtp:
        await smtp.sendmail("shop@example.com", list(recipients), mail)


def client(sink: MailSink, timeout: float = 5) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False, timeout=timeout)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_mail_is_kept_byte_for_byte(mail_sink: MailSink) -> None:
    await send(mail_sink, "anna@example.com", "b@example.com")
    mail = mail_sink.mails[0]
    assert mail.raw == MAIL
    assert (mail.sender, mail.recipients) == (
        "shop@example.com",
        ("anna@example.com", "b@example.com"),
    )
    assert (mail.subject, mail.text, mail.html) == ("Grüße", "Hello\n.dots stay\nü\n", None)
    assert (mail.tls, mail.user) == (False, None)


async def test_a_rejected_recipient_gets_550_every_time(mail_sink: MailSink) -> None:
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refusal:
            await send(mail_sink, "reject+1@example.com")
        assert refusal.value.recipients[0].code == 550
    assert len(mail_sink.mails) == 0


async def test_a_greylisted_recipient_gets_451_so_many_times(mail_sink: MailSink) -> None:
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refusal:
            await send(mail_sink, "greylist-2@example.com")
        assert refusal.value.recipients[0].code == 451
    await send(mail_sink, "greylist-2@example.com")
    assert len(mail_sink.mails) == 1


async def test_a_throttled_client_is_told_421_and_cut_off(mail_sink: MailSink) -> None:
    smtp = client(mail_sink)
    await smtp.connect()
    await smtp.mail("shop@example.com")
    with pytest.raises(aiosmtplib.SMTPResponseException) as reply:
        await smtp.rcpt("throttle@example.com")
    assert reply.value.code == 421
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await smtp.noop()
    await send(mail_sink, "throttle@example.com")


async def test_a_dropped_mail_was_taken_although_nobody_said_so(mail_sink: MailSink) -> None:
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(mail_sink, "drop-once@example.com")
    assert len(mail_sink.mails) == 1
    await send(mail_sink, "drop-once@example.com")
    assert len(mail_sink.mails) == 2


async def test_a_hanging_server_says_nothing_after_the_data(mail_sink: MailSink) -> None:
    with pytest.raises(aiosmtplib.SMTPReadTimeoutError):
        await send(mail_sink, "hang@example.com", timeout=0.3)
    assert len(mail_sink.mails) == 1


async def test_a_test_may_say_what_happens_to_any_recipient(mail_sink: MailSink) -> None:
    mail_sink.scripts.tell("anna@example.com", Behaviour.FAIL, times=1)
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(mail_sink, "anna@example.com")
    await send(mail_sink, "anna@example.com")


async def test_the_sink_ends_while_clients_are_connected() -> None:
    async with asyncio.timeout(5):
        async with MailSink() as sink:
            smtp = client(sink)
            await smtp.connect()
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await smtp.noop()


async def test_starttls_and_a_login_can_be_required(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with MailSink(
        tls=server_tls, require_starttls=True, username="tidings", password="secret"
    ) as sink:
        async with client(sink) as smtp:
            with pytest.raises(aiosmtplib.SMTPResponseException, match="STARTTLS"):
                await smtp.mail("shop@example.com")
            await smtp.starttls(tls_context=client_tls)
            with pytest.raises(aiosmtplib.SMTPResponseException, match="Log in first"):
                await smtp.mail("shop@example.com")
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await smtp.login("tidings", "wrong")
            await smtp.login("tidings", "secret")
            await smtp.sendmail("shop@example.com", ["anna@example.com"], MAIL)
        assert (sink.mails[0].tls, sink.mails[0].user) == (True, "tidings")


async def test_a_login_works_without_tls() -> None:
    async with MailSink(username="tidings", password="secret") as sink:
        async with client(sink) as smtp:
            await smtp.login("tidings", "secret")
            await smtp.sendmail("shop@example.com", ["anna@example.com"], MAIL)
        assert sink.mails[0].user == "tidings"


async def test_tls_can_start_with_the_first_byte(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with MailSink(tls=server_tls, implicit_tls=True) as sink:
        smtp = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=sink.port, use_tls=True, tls_context=client_tls
        )
        async with smtp:
            await smtp.sendmail("shop@example.com", ["anna@example.com"], MAIL)
        assert sink.mails[0].tls


async def test_names_in_any_script_are_taken(mail_sink: MailSink) -> None:
    async with client(mail_sink) as smtp:
        await smtp.sendmail(
            "shop@example.com", ["δοκιμή@παράδειγμα.δοκιμή"], MAIL, mail_options=["SMTPUTF8"]
        )
    assert mail_sink.mails[0].recipients == ("δοκιμή@παράδειγμα.δοκιμή",)
