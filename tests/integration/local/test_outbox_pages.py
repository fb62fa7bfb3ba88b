"""The pages that show what would have gone out."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage

import aiohttp
import pytest

from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.outbox import Outbox
from tidings_local.sinks.received_mail import ReceivedMail
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.twilio_replies import ReceivedText
from tidings_local.sinks.webhook import ReceivedRequest, WebhookSink

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TEXT = ReceivedText(NOW, "SM1", "AC1", "+14155552671", "+14155550100", "", "Grüße", "", "", "")
HOOK = ReceivedRequest(
    NOW, "POST", "/orders", {"webhook-id": "msg_7"}, b'{"order": 7, "x": "\xff"}'
)


def mail(subject: str = "Grüße", html: str | None = "<p>Hello</p>") -> ReceivedMail:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", subject
    message.set_content("Hello, text")
    if html is not None:
        message.add_alternative(html, subtype="html")
        message.add_attachment(b"123", maintype="application", subtype="pdf", filename="bill.pdf")
    return raw(bytes(message))


def raw(content: bytes) -> ReceivedMail:
    return ReceivedMail(NOW, "a@example.com", ("b@example.com",), content, tls=False, user=None)


@pytest.fixture
async def http(
    mail_sink: MailSink, sms_sink: SmsSink, webhook_sink: WebhookSink
) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        Outbox(mail_sink, sms_sink, webhook_sink) as outbox,
        aiohttp.ClientSession(outbox.url) as session,
    ):
        yield session


async def read(http: aiohttp.ClientSession, path: str) -> str:
    async with http.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.text(errors="replace")


async def test_an_empty_outbox_says_so(http: aiohttp.ClientSession) -> None:
    assert "Nothing has come yet" in await read(http, "/")


async def test_everything_is_listed_and_leads_to_its_page(
    http: aiohttp.ClientSession, mail_sink: MailSink, sms_sink: SmsSink, webhook_sink: WebhookSink
) -> None:
    mail_sink.mails.add(mail())
    sms_sink.texts.add(TEXT)
    webhook_sink.requests.add(HOOK)
    everything = await read(http, "/")
    for path, words in {
        "/mails/1": ["Grüße", "b@example.com", "Hello, text", "bill.pdf", "application/pdf"],
        "/texts/1": ["+14155552671", "Grüße", "SM1"],
        "/webhooks/1": ["POST /orders", "msg_7", "&#34;order&#34;: 7"],
    }.items():
        assert f'href="{path}"' in everything
        page = await read(http, path)
        assert [word for word in words if word not in page] == []
    assert "/texts/1" not in await read(http, "/?kind=mail")


async def test_the_page_learns_that_something_came(
    http: aiohttp.ClientSession, sms_sink: SmsSink
) -> None:
    assert await read(http, "/api/received") == '{"received": 0}'
    sms_sink.texts.add(TEXT)
    assert await read(http, "/api/received") == '{"received": 1}'
    assert 'data-received="1"' in await read(http, "/")
    assert "/api/received" in await read(http, "/live.js")
    assert "body" in await read(http, "/style.css")


async def test_what_a_mail_says_can_do_nothing_to_the_page(
    http: aiohttp.ClientSession, mail_sink: MailSink
) -> None:
    script = "<script>alert(1)</script>"
    mail_sink.mails.add(mail(subject=script, html=script))
    for path in ("/", "/mails/1"):
        assert script not in await read(http, path)
    assert '<iframe sandbox src="/mails/1/html"' in await read(http, "/mails/1")
    async with http.get("/mails/1/html") as response:
        assert script in await response.text()
        assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    async with http.get("/mails/1") as response:
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]


async def test_scripts_read_json(
    http: aiohttp.ClientSession, mail_sink: MailSink, sms_sink: SmsSink, webhook_sink: WebhookSink
) -> None:
    mail_sink.mails.add(mail())
    sms_sink.texts.add(TEXT)
    webhook_sink.requests.add(HOOK)
    async with http.get("/api/mails") as response:
        [listed] = await response.json()
    async with http.get("/api/mails/1") as response:
        assert await response.json() == listed
    assert (listed["subject"], listed["text"], listed["html"]) == (
        "Grüße",
        "Hello, text\n",
        "<p>Hello</p>\n",
    )
    assert listed["attachments"] == [{"name": "bill.pdf", "type": "application/pdf", "size": 3}]
    async with http.get("/api/texts/1") as response:
        assert (await response.json())["body"] == "Grüße"
    async with http.get("/api/webhooks/1") as response:
        assert (await response.json())["body"] == '{"order": 7, "x": "�"}'


async def test_the_source_of_a_mail_is_its_bytes(
    http: aiohttp.ClientSession, mail_sink: MailSink
) -> None:
    mail_sink.mails.add(raw(b"Subject: \xff\r\n\r\n\xfe\x00"))
    async with http.get("/mails/1/source") as response:
        assert response.content_type == "text/plain"
        assert await response.read() == b"Subject: \xff\r\n\r\n\xfe\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b"Subject: =?unknown?q?=41?=\r\n\r\nx",
        b"Subject: =?utf-8?b?%%%?=\r\n\r\nx",
        b"Subject: a\r\n b\r\nTo: \r\nDate: when?\r\n\r\nx",
        b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n%",
        b"Content-Type: multipart/mixed\r\n\r\nno parts",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x--",
        b"Content-Type: text/html\r\n\r\n<b>only html",
    ],
)
async def test_no_mail_is_too_broken_to_be_shown(
    http: aiohttp.ClientSession, mail_sink: MailSink, content: bytes
) -> None:
    mail_sink.mails.add(raw(content))
    for path in ("/", "/mails/1", "/mails/1/html", "/mails/1/source", "/api/mails"):
        await read(http, path)


@pytest.mark.parametrize("path", ["/mails/7", "/texts/7", "/api/webhooks/7", "/mails/x", "/pages"])
async def test_what_is_not_there_is_not_found(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        assert response.status == 404


async def test_other_names_for_this_address_are_refused(http: aiohttp.ClientSession) -> None:
    async with http.get("/", headers={"Host": "rebound.example.com"}) as response:
        assert response.status == 403
