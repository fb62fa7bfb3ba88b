"""SMS and WhatsApp against a server that speaks Twilio's API, and against some that don't."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from pydantic import SecretStr
from tests.contract.channels.rig import request_for
from tests.integration.channels.raw_server import http, serving

from tidings.channels.sms.channel import SmsChannel
from tidings.channels.sms.settings import SmsSettings
from tidings.channels.twilio.settings import TwilioSettings
from tidings.channels.whatsapp.channel import WhatsAppChannel
from tidings.channels.whatsapp.settings import WhatsAppSettings
from tidings.delivery.errors import (
    ConfigurationError,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.ports import Content, Finding, SendRequest, Verdict

ACCOUNT = "AC00000000000000000000000000000000"
SERVICE = "MG00000000000000000000000000000000"
CONTENT = "HX0123456789abcdef0123456789abcdef"
TO, FROM = "+14155552671", "+14155550100"
CREATED = http("201 Created", b'{"sid": "SM1", "status": "queued", "error_code": null}')


def account(url: str, **settings: Any) -> TwilioSettings:
    given = {"auth_token": SecretStr("token"), "base_url": url, **settings}
    return TwilioSettings(account_sid=ACCOUNT, **given)


def text_message(*, timeout: float = 5.0, **fields: Any) -> SendRequest:
    fields = {"channel": "sms", "recipient": TO, "body": "Hello", **fields}
    return request_for(fields, Content(text="Hello ✓"), timeout=timeout)


@asynccontextmanager
async def sms(
    url: str, twilio: TwilioSettings | None = None, **settings: Any
) -> AsyncIterator[SmsChannel]:
    channel = SmsChannel(SmsSettings(**{"sender": FROM, **settings}), twilio or account(url))
    try:
        yield channel
    finally:
        await channel.close()


async def posted(request: SendRequest, **settings: Any) -> dict[str, str]:
    """The form that a text message becomes."""
    async with serving(CREATED) as server, sms(server.url, **settings) as channel:
        await channel.send(request)
    return form(server.bodies[0])


def form(body: bytes) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(body.decode(), strict_parsing=True).items()}


async def whatsapped(content: Content = Content(text="Hello"), **fields: Any) -> dict[str, str]:  # noqa: B008  # frozen
    """The form that a WhatsApp message becomes."""
    settings = WhatsAppSettings(**fields.pop("settings", {"sender": FROM}))
    request = request_for({"channel": "whatsapp", "recipient": TO, **fields}, content, timeout=5)
    async with serving(CREATED) as server:
        channel = WhatsAppChannel(settings, account(server.url))
        await channel.send(request)
        await channel.close()
    return form(server.bodies[0])


async def failed(reply: bytes, **fields: Any) -> DeliveryError:
    """What becomes of a text message that is answered so."""
    async with serving(reply) as server, sms(server.url) as channel:
        with pytest.raises(DeliveryError) as caught:
            await channel.send(text_message(**fields))
    assert len(server.heads) == 1
    return caught.value


class TestWhatIsAsked:
    async def test_a_text_message_comes_from_the_configured_number(self) -> None:
        assert await posted(text_message()) == {"To": TO, "From": FROM, "Body": "Hello ✓"}

    async def test_a_messaging_service_chooses_the_sender_where_one_is_set(self) -> None:
        form = await posted(text_message(), messaging_service_sid=SERVICE)

        assert form["MessagingServiceSid"] == SERVICE
        assert "From" not in form

    async def test_a_sender_that_the_notification_names_counts_for_more(self) -> None:
        form = await posted(text_message(sender="Acme"), messaging_service_sid=SERVICE)

        assert form["From"] == "Acme"
        assert "MessagingServiceSid" not in form

    async def test_receipts_are_asked_for_where_a_url_is_set(self) -> None:
        async with serving(CREATED) as server:
            settings = account(server.url, status_callback="https://example.org/receipts")
            async with sms(server.url, settings) as channel:
                await channel.send(text_message())

        assert form(server.bodies[0])["StatusCallback"] == "https://example.org/receipts"

    async def test_the_message_is_created_in_the_account_with_its_token(self) -> None:
        async with serving(CREATED) as server, sms(server.url) as channel:
            await channel.send(text_message())

        first, *_ = server.heads[0].split("\r\n")
        assert first == f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1"
        assert basic(ACCOUNT, "token") in server.heads[0]

    async def test_an_api_key_is_used_where_one_is_set(self) -> None:
        async with serving(CREATED) as server:
            settings = account(server.url, api_key="SK1", api_secret=SecretStr("secret"))
            async with sms(server.url, settings) as channel:
                await channel.send(text_message())

        assert basic("SK1", "secret") in server.heads[0]
        assert f"/Accounts/{ACCOUNT}/" in server.heads[0]

    async def test_a_base_url_may_have_a_path(self) -> None:
        async with serving(CREATED) as server, sms(f"{server.url}/twilio/") as channel:
            await channel.send(text_message())

        assert server.heads[0].startswith("POST /twilio/2010-04-01/Accounts/")

    async def test_the_environment_of_twilios_client_and_proxies_change_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TWILIO_EDGE", "dublin")
        monkeypatch.setenv("TWILIO_REGION", "ie1")
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", "ACother")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        async with serving(CREATED) as server, sms(server.url) as channel:
            await channel.send(text_message())

        assert basic(ACCOUNT, "token") in server.heads[0]

    async def test_whatsapp_addresses_are_marked_as_such(self) -> None:
        assert await whatsapped(body="Hello") == {
            "To": f"whatsapp:{TO}",
            "From": f"whatsapp:{FROM}",
            "Body": "Hello",
        }

    async def test_a_sender_already_marked_is_not_marked_twice(self) -> None:
        form = await whatsapped(body="Hello", settings={"sender": f"whatsapp:{FROM}"})

        assert form["From"] == f"whatsapp:{FROM}"

    async def test_whatsapp_may_leave_the_sender_to_a_messaging_service(self) -> None:
        form = await whatsapped(body="Hello", settings={"messaging_service_sid": SERVICE})

        assert form["MessagingServiceSid"] == SERVICE
        assert "From" not in form

    async def test_whatsapp_content_is_named_with_its_variables(self) -> None:
        form = await whatsapped(
            Content(), content_sid=CONTENT, content_variables={"1": "Änne", "2": '"10042"'}
        )

        assert form["ContentSid"] == CONTENT
        assert json.loads(form["ContentVariables"]) == {"1": "Änne", "2": '"10042"'}
        assert "Body" not in form

    async def test_content_without_variables_has_none(self) -> None:
        assert "ContentVariables" not in await whatsapped(Content(), content_sid=CONTENT)


def basic(username: str, password: str) -> str:
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return f"Authorization: Basic {token}\r\n"


class TestWhatIsAnswered:
    async def test_the_sid_is_kept(self) -> None:
        async with serving(CREATED) as server, sms(server.url) as channel:
            sent = await channel.send(text_message())

        assert (sent.provider, sent.reference, sent.code) == ("twilio", "SM1", "201")

    @pytest.mark.parametrize(
        "reply",
        [
            http("201 Created"),
            http("201 Created", b"{}"),
            http("201 Created", b'{"sid": null, "status": "queued"}'),
            http("201 Created", b'{"sid": "SM1", "status": {"a": 1}}'),
            http("201 Created", b'{"sid": "SM1", "date_created": 17}'),
            http("201 Created", b'{"sid": "SM1", "date_sent": "Mon, 99 Jan 2024 99:99:99"}'),
            http("201 Created", b'["SM1"]'),
            http("201 Created", b'"SM1"'),
            http("201 Created", b"null"),
            http("201 Created", b"<html>Welcome to the hotel's wireless network</html>"),
            http("200 OK", b"\xff\xfe\x00"),
            http("201 Created", b"[" * 200_000),
            http("201 Created", b'{"sid": "SM1"', length=4_000),
            http("201 Created", b'{"sid": "SM1", "body": "' + b"a" * 300_000 + b'"}'),
            http("201 Created", b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"),
            b"HTTP/1.1 201 Created\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: many\r\n\r\n{}",
            b"HTTP/1.1 two-hundred-and-one\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
            b"220 smtp.example.org ESMTP\r\n",
            b"\x00" * 64,
            b"",
        ],
        ids=lambda reply: repr(reply[:12] + reply[-24:]),
    )
    async def test_an_answer_that_is_none_leaves_open_whether_it_was_sent(
        self, reply: bytes
    ) -> None:
        error = await failed(reply)

        assert type(error) is OutcomeUnknown
        assert TO not in str(error)

    @pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Timeout"])
    async def test_a_server_error_leaves_open_whether_it_was_sent(self, status: str) -> None:
        assert type(await failed(http(status, b"<html>oops</html>"))) is OutcomeUnknown

    async def test_a_message_created_as_failed_is_told_by_its_code(self) -> None:
        body = json.dumps({"sid": "SM1", "status": "failed", "error_code": 21610}).encode()

        error = await failed(http("201 Created", body))

        assert type(error) is Rejected
        assert error.code == "21610"

    async def test_retry_after_may_be_a_date(self) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

        error = await failed(http("429 Too Many", b"", f"Retry-After: {later}"))

        assert isinstance(error, Throttled)
        assert error.retry_after == pytest.approx(60, abs=3)

    async def test_an_error_may_be_a_problem_document(self) -> None:
        """RFC 9457, which Twilio's newer services answer with."""
        problem = {
            "type": "https://www.twilio.com/docs/api/errors/21211",
            "title": f"{TO} is not valid",
            "status": 200,
            "code": 21211,
            "detail": TO,
        }

        error = await failed(http("400 Bad Request", json.dumps(problem).encode()))

        assert type(error) is Rejected
        assert error.code == "21211"
        assert TO not in str(error)

    async def test_a_wrong_sender_of_the_notifications_own_does_not_rest_the_channel(self) -> None:
        reply = http("400 Bad Request", b'{"code": 21660, "message": "no", "status": 400}')

        assert type(await failed(reply)) is Misconfigured
        assert type(await failed(reply, sender="+14155550111")) is Rejected

    async def test_a_redirect_is_not_followed(self) -> None:
        async with serving(CREATED) as elsewhere:
            moved = http("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/")

            error = await failed(moved)

        assert type(error) is Misconfigured
        assert str(elsewhere.port) not in str(error)
        assert elsewhere.heads == []


class TestWhenTwilioIsNotThere:
    async def test_a_refused_connection_sent_nothing(self, unused_tcp_port: int) -> None:
        async with sms(f"http://127.0.0.1:{unused_tcp_port}") as channel:
            with pytest.raises(Unavailable, match="refused"):
                await channel.send(text_message())

    async def test_a_name_that_does_not_resolve_sent_nothing(self) -> None:
        async with sms("http://twilio.invalid") as channel:
            with pytest.raises(Unavailable):
                await channel.send(text_message(timeout=5))

    async def test_a_server_without_tls_is_not_talked_to_in_the_clear(self) -> None:
        async with serving(CREATED) as server, sms(f"https://127.0.0.1:{server.port}") as channel:
            with pytest.raises(Unavailable):
                await channel.send(text_message(timeout=1))

        assert server.bodies == []

    async def test_a_reply_that_dribbles_ends_in_time(self) -> None:
        dribble = b"HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n"
        async with serving(dribble, again=b" ", pause=0.02) as server, sms(server.url) as channel:
            began = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                await channel.send(text_message(timeout=0.5))

        assert time.monotonic() - began < 1

    async def test_after_closing_nothing_is_sent(self) -> None:
        async with serving(CREATED) as server:
            async with sms(server.url) as channel:
                await channel.send(text_message())

            with pytest.raises(Unavailable, match="closed"):
                await channel.send(text_message())

        assert len(server.heads) == 1


async def test_connections_are_kept_for_the_next_message() -> None:
    """With a server that keeps connections, as Twilio's do."""
    seen = set()

    async def create(request: web.Request) -> web.Response:
        seen.add(id(request.transport))
        return web.json_response({"sid": "SM1", "status": "queued"}, status=201)

    app = web.Application()
    app.router.add_post("/{path:.*}", create)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with sms(f"http://{host}:{port}") as channel:
            for _ in range(5):
                await channel.send(text_message())
    finally:
        await runner.cleanup()

    assert len(seen) == 1


class TestChecking:
    async def findings(self, reply: bytes, **settings: Any) -> tuple[list[Finding], str]:
        async with (
            serving(reply) as server,
            sms(server.url, account(server.url, **settings)) as channel,
        ):
            return list(await channel.check()), server.heads[0]

    async def test_the_account_is_asked_for(self) -> None:
        found, request = await self.findings(http("200 OK", b'{"status": "active"}'))

        assert request.startswith(f"GET /2010-04-01/Accounts/{ACCOUNT}.json ")
        assert [each.verdict for each in found] == [Verdict.OK, Verdict.OK]
        assert FROM in found[1].detail

    async def test_a_key_that_may_not_read_the_account_is_tried_on_messages(self) -> None:
        reply = http("200 OK", b'{"messages": [], "page": 0}')

        found, request = await self.findings(reply, api_key="SK1", api_secret=SecretStr("secret"))

        assert request.startswith(f"GET /2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=1 ")
        assert found[0].verdict is Verdict.OK

    @pytest.mark.parametrize(
        ("reply", "remedy"),
        [
            (http("200 OK", b'{"status": "suspended"}'), "console"),
            (http("401 Unauthorized", b'{"code": 20003, "message": ""}'), "ACCOUNT_SID"),
            (http("404 Not Found"), "ACCOUNT_SID"),
            (http("500 Oops"), "check the network"),
            (http("302 Found", b"", "Location: https://example.org/"), "BASE_URL"),
            (http("200 OK", b"<html>"), "BASE_URL"),
            (http("200 OK", b"{}"), "BASE_URL"),
            (b"garbage\r\n\r\n", "BASE_URL"),
            (b"", "BASE_URL"),
        ],
    )
    async def test_a_fault_comes_with_what_to_do(self, reply: bytes, remedy: str) -> None:
        found, _ = await self.findings(reply)

        assert found[0].verdict is Verdict.FAULT
        assert remedy in found[0].remedy
        assert "sent" not in found[0].detail


class TestSettings:
    @pytest.mark.parametrize(
        ("twilio", "error"),
        [
            ({"account_sid": ""}, "TIDINGS_TWILIO_ACCOUNT_SID"),
            ({"auth_token": SecretStr("")}, "TIDINGS_TWILIO_AUTH_TOKEN"),
            ({"api_key": "SK1"}, "TIDINGS_TWILIO_API_SECRET"),
            ({"api_secret": SecretStr("s")}, "TIDINGS_TWILIO_API_KEY"),
            ({"base_url": "api.twilio.com"}, "TIDINGS_TWILIO_BASE_URL"),
            ({"base_url": "ftp://api.twilio.com"}, "TIDINGS_TWILIO_BASE_URL"),
            ({"base_url": "https://"}, "TIDINGS_TWILIO_BASE_URL"),
        ],
    )
    def test_what_is_missing_is_named(self, twilio: dict[str, Any], error: str) -> None:
        given = {"account_sid": ACCOUNT, "auth_token": SecretStr("token"), **twilio}

        with pytest.raises(ConfigurationError, match=error):
            SmsChannel(SmsSettings(sender=FROM), TwilioSettings(**given))

    def test_sms_needs_somebody_to_come_from(self) -> None:
        with pytest.raises(ConfigurationError, match="TIDINGS_SMS_SENDER"):
            SmsChannel(SmsSettings(), account("http://127.0.0.1"))

    def test_whatsapp_needs_somebody_to_come_from(self) -> None:
        with pytest.raises(ConfigurationError, match="TIDINGS_WHATSAPP_SENDER"):
            WhatsAppChannel(WhatsAppSettings(), account("http://127.0.0.1"))

    async def test_a_notification_of_another_channel_is_a_mistake_of_ours(self) -> None:
        other = request_for(
            {"channel": "whatsapp", "recipient": TO, "body": "x"}, Content(text="x"), timeout=1
        )
        async with sms("http://127.0.0.1:9") as channel:
            with pytest.raises(TypeError, match="WhatsAppNotification"):
                await channel.send(other)
