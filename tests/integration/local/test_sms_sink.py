"""The SMS sink, spoken to by Twilio's own client."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from tidings_local.sinks.script import Behaviour
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.webhook import WebhookSink

FROM, TO = "+14155550100", "+14155552671"
Call = Callable[..., Any]


@pytest.fixture
def twilio(sms_sink: SmsSink) -> Iterator[Client]:
    """Twilio's client, led to the sink."""
    http = TwilioHttpClient(timeout=5)
    client = Client(sms_sink.account_sid, sms_sink.auth_token, http_client=http)
    client.api.base_url = sms_sink.url
    yield client
    if http.session:
        http.session.close()


@pytest.fixture
def create(twilio: Client) -> Call:
    """Creates a message, on a thread, because the sink runs in the test's own loop."""
    return lambda **fields: asyncio.to_thread(twilio.messages.create, **{"to": TO, **fields})


async def test_a_text_is_kept_and_answered_as_twilio_does(sms_sink: SmsSink, create: Call) -> None:
    message = await create(from_=FROM, body="Grüße")
    text = sms_sink.texts[0]
    assert (text.to, text.sender, text.body, text.sid) == (TO, FROM, "Grüße", message.sid)
    assert (message.status, message.direction, message.num_segments) == (
        "queued",
        "outbound-api",
        "1",
    )
    assert message.date_created.utcoffset().total_seconds() == 0
    assert (message.error_code, message.from_, message.account_sid) == (
        None,
        FROM,
        sms_sink.account_sid,
    )


async def test_whatsapp_content_by_a_messaging_service_is_kept(
    sms_sink: SmsSink, create: Call
) -> None:
    message = await create(
        to=f"whatsapp:{TO}",
        messaging_service_sid="MG1",
        content_sid="HX1",
        content_variables='{"1": "Anna"}',
    )
    text = sms_sink.texts[0]
    assert (text.to, text.service, text.content_sid) == (f"whatsapp:{TO}", "MG1", "HX1")
    assert text.content_variables == '{"1": "Anna"}'
    assert (message.status, message.from_) == ("accepted", None)


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("+14155551211", 400, 21211),
        ("+14155551610", 400, 21610),
        ("whatsapp:+14155551614", 400, 21614),
        ("+14155550003", 401, 20003),
        ("+14155550500", 503, 20503),
    ],
)
async def test_some_numbers_are_always_refused(
    sms_sink: SmsSink, create: Call, number: str, status: int, code: int
) -> None:
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refusal:
            await create(to=number, from_=FROM, body="x")
        assert (refusal.value.status, refusal.value.code) == (status, code)
    assert len(sms_sink.texts) == 0


@pytest.mark.parametrize(
    ("number", "status"), [("+14155550503", 503), ("+14155550429", 429), ("+14155550410", 400)]
)
async def test_some_numbers_are_refused_once(
    sms_sink: SmsSink, create: Call, number: str, status: int
) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        await create(to=number, from_=FROM, body="x")
    assert refusal.value.status == status
    await create(to=number, from_=FROM, body="x")
    assert [text.to for text in sms_sink.texts] == [number]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"body": "x"}, 21603),
        ({"from_": FROM}, 21602),
        ({"from_": FROM, "body": "x", "to": ""}, 21604),
        ({"from_": FROM, "body": "x" * 1601}, 21617),
    ],
)
async def test_an_incomplete_message_is_refused_as_by_twilio(
    create: Call, fields: dict[str, str], code: int
) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        await create(**fields)
    assert (refusal.value.status, refusal.value.code) == (400, code)
    assert refusal.value.uri.endswith("/Messages.json")


async def test_strangers_are_refused(sms_sink: SmsSink, twilio: Client, create: Call) -> None:
    twilio.auth = (sms_sink.account_sid, "wrong")
    with pytest.raises(TwilioRestException) as refusal:
        await create(from_=FROM, body="x")
    assert (refusal.value.status, refusal.value.code) == (401, 20003)


async def test_a_dropped_text_was_taken_although_nobody_said_so(
    sms_sink: SmsSink, create: Call
) -> None:
    with pytest.raises(requests.ConnectionError):
        await create(to="+14155550444", from_=FROM, body="x")
    assert len(sms_sink.texts) == 1


async def test_a_silent_server_takes_the_text_and_ends_when_told(
    sms_sink: SmsSink, twilio: Client, create: Call
) -> None:
    sms_sink.scripts.tell(TO, Behaviour.HANG)
    twilio.http_client.timeout = 0.3
    with pytest.raises(requests.Timeout):
        await create(from_=FROM, body="x")
    assert len(sms_sink.texts) == 1


async def test_what_was_taken_can_be_read_back(
    twilio: Client, sms_sink: SmsSink, create: Call
) -> None:
    sids = [(await create(from_=FROM, body=str(n))).sid for n in range(3)]
    listed = await asyncio.to_thread(twilio.messages.list, limit=2)
    assert [message.sid for message in listed] == sids[:0:-1]
    fetched = await asyncio.to_thread(twilio.messages(sids[0]).fetch)
    assert (fetched.body, fetched.status) == ("0", "delivered")
    account = await asyncio.to_thread(twilio.api.v2010.accounts(sms_sink.account_sid).fetch)
    assert account.status == "active"


async def test_what_it_does_not_have_is_not_found(twilio: Client) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        await asyncio.to_thread(twilio.messages("SM0").fetch)
    assert (refusal.value.status, refusal.value.code) == (404, 20404)


async def test_receipts_are_reported_with_twilios_signature(
    sms_sink: SmsSink, webhook_sink: WebhookSink, create: Call
) -> None:
    url = f"{webhook_sink.url}/receipts?of=sms"
    message = await create(from_=FROM, body="x", status_callback=url)
    reports = await webhook_sink.requests.wait_for(2)
    validator = RequestValidator(sms_sink.auth_token)
    for report, status in zip(reports, ("sent", "delivered"), strict=True):
        form = dict(parse_qsl(report.body.decode()))
        assert (form["MessageSid"], form["MessageStatus"]) == (message.sid, status)
        assert validator.validate(url, form, report.headers["x-twilio-signature"])
