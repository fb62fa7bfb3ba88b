"""Webhooks against receivers that behave, and against those that don't."""

import asyncio
import dataclasses
import gzip
import json
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import trustme
from aiohttp import web
from pydantic import SecretStr
from standardwebhooks import Webhook
from tests.contract.channels.rig import request_for
from tests.integration.channels.raw_server import RawServer, http, serving

from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import (
    ConfigurationError,
    DeliveryError,
    OutcomeUnknown,
    Postponed,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.ports import Content, SendRequest, Verdict
from tidings.delivery.retry_policy import Guarantee
from tidings_events import parse

SECRET = "whsec_" + "c2VjcmV0" * 5
OLD_SECRET = "whsec_" + "b2xkIG9sZCBv" * 3
TAKEN = http("204 No Content")
PAYLOAD = {"invoice": "10042", "note": "Grüße ✓", "nested": {"list": [1, 2.5, None, True]}}


def webhook(
    url: str, *, timeout: float = 5.0, epoch: int = 0, number: int = 1, **fields: Any
) -> SendRequest:
    fields = {
        "channel": "webhook",
        "recipient": url,
        "event_type": "invoice.paid",
        "payload": PAYLOAD,
        **fields,
    }
    return request_for(fields, Content(), timeout=timeout, epoch=epoch, number=number)


@asynccontextmanager
async def sending(
    tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[WebhookChannel]:
    """A channel that may reach the servers of these tests."""
    given = {"secret": SecretStr(SECRET), "allow_private": True, **settings}
    channel = WebhookChannel(WebhookSettings(**given), tls=tls)
    try:
        yield channel
    finally:
        await channel.close()


async def failed(server: RawServer, *, timeout: float = 5.0, **settings: Any) -> DeliveryError:
    """What becomes of a webhook to this server."""
    async with sending(**settings) as channel:
        with pytest.raises(DeliveryError) as caught:
            await channel.send(webhook(server.url, timeout=timeout))
    return caught.value


def headers(server: RawServer, index: int = 0) -> dict[str, str]:
    """The headers of a request."""
    lines = server.heads[index].strip().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


class TestWhatIsPosted:
    async def test_receivers_can_verify_it(self) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(f"{server.url}/hooks?tenant=7"))

        event = Webhook(SECRET).verify(server.bodies[0], headers(server))
        assert event["type"] == "invoice.paid"
        assert event["data"] == PAYLOAD
        assert server.heads[0].startswith("POST /hooks?tenant=7 HTTP/1.1\r\n")

    async def test_while_a_secret_is_replaced_receivers_can_verify_with_either(self) -> None:
        both = SecretStr(f"{SECRET} {OLD_SECRET}")
        async with serving(TAKEN) as server, sending(secret=both) as channel:
            await channel.send(webhook(server.url))

        for secret in (SECRET, OLD_SECRET):
            assert Webhook(secret).verify(server.bodies[0], headers(server))

    async def test_it_says_what_it_is_and_who_sends_it(self) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(server.url))

        sent = headers(server)
        assert sent["content-type"] == "application/json"
        assert sent["user-agent"].startswith("Tidings/")
        assert sent["accept-encoding"] == "identity"
        assert "cookie" not in sent
        assert "traceparent" not in sent

    async def test_every_try_has_the_same_id_and_body_and_a_replay_another_id(self) -> None:
        first = webhook("http://127.0.0.1")
        async with serving(TAKEN) as server, sending() as channel:
            again = webhook(server.url, id=str(first.attempt.id), number=2)
            for request in (again, again):
                await channel.send(request)
            await channel.send(webhook(server.url, id=str(first.attempt.id), epoch=1))

        ids = [headers(server, index)["webhook-id"] for index in range(3)]
        assert ids[0] == ids[1] != ids[2]
        assert server.bodies[0] == server.bodies[1]

    async def test_the_time_of_the_event_has_an_offset(self) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(server.url))

        assert json.loads(server.bodies[0])["timestamp"].endswith("+00:00")

    @pytest.mark.parametrize(
        ("trace", "carried"),
        [("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True), ("ümlaut", False)],
    )
    async def test_the_trace_is_carried_on(self, trace: str, carried: bool) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            request = webhook(server.url)
            attempt = dataclasses.replace(request.attempt, traceparent=trace)
            await channel.send(dataclasses.replace(request, attempt=attempt))

        assert (headers(server).get("traceparent") == trace) is carried

    async def test_a_large_payload_arrives_whole(self) -> None:
        payload = {"data": "x" * 3_000_000}
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(server.url, payload=payload))

        assert json.loads(server.bodies[0])["data"] == payload

    async def test_proxies_of_the_environment_are_not_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(http("410 Gone")) as proxy, serving(TAKEN) as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            async with sending() as channel:
                await channel.send(webhook(server.url))

        assert proxy.heads == []

    @pytest.mark.parametrize(
        "target",
        [
            "/hook?sig=rX7AnN6H6BGSzb%2FXCC2w%3D",
            "/hook?email=smooth%40criminal",
            "/a%3Ab/c%2Fd",
            "/a/../b",
            "/foo%27bar",
            "/?next=https%3A%2F%2Fexample.com%2Fx",
            '/%7Euser/%e2%9c%93?q=a+b%20c&empty=&[x]={y}|z^`"<>',
            "//double//slashes/./",
            "/100%",
        ],
    )
    async def test_the_url_is_requested_byte_for_byte(self, target: str) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(f"{server.url}{target}"))

        assert server.heads[0].startswith(f"POST {target} HTTP/1.1\r\n")

    async def test_a_query_right_behind_the_host_gets_its_slash(self) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(f"{server.url}?a=%2F"))

        assert server.heads[0].startswith("POST /?a=%2F HTTP/1.1\r\n")

    async def test_an_empty_query_alone_is_left_out(self) -> None:
        async with serving(TAKEN) as server, sending() as channel:
            await channel.send(webhook(f"{server.url}/a?"))

        assert server.heads[0].startswith("POST /a HTTP/1.1\r\n")

    async def test_the_payload_is_posted_as_it_was_written(self) -> None:
        payload = (
            '{"total":123456789012345.123456,"rate":1.000000000000000005,"n":1E6,"price":1.50,'
            '"tiny":123e-10000000, "text":"caf\\u00e9\\/", "zero":-0.0}'
        )
        body = (
            f'{{"payload":{{"a":1}}, "id":"{uuid4()}","channel":"webhook","event_type":"a.b",'
            f' "payload" : {payload} ,"recipient":"%s"}}'
        )
        async with serving(TAKEN) as server, sending() as channel:
            written = (body % server.url).encode()
            request = webhook(server.url)
            attempt = dataclasses.replace(
                request.attempt, notification=parse(written), body=written
            )
            await channel.send(dataclasses.replace(request, attempt=attempt))

        assert server.bodies[0].endswith(f'"data":{payload}}}'.encode())
        assert Webhook(SECRET).verify(server.bodies[0], headers(server))


HELD = b"HTTP/1.1 204 No Content\r\n\r\n"
"""Taken, and the connection stays."""


class TestConnectionsThatAreKept:
    async def test_one_that_closes_in_that_moment_is_replaced_at_once(self) -> None:
        async with serving(HELD, then=(b"",)) as server, sending() as channel:
            await channel.send(webhook(server.url))
            sent = await channel.send(webhook(server.url))

        assert sent.code == "204"
        assert server.opened == 2
        assert headers(server, 1)["webhook-id"] == headers(server, 2)["webhook-id"]
        assert server.bodies[1] == server.bodies[2]

    async def test_one_that_closes_is_not_replaced_where_a_webhook_goes_out_at_most_once(
        self,
    ) -> None:
        """Its server may have read it, and fallen over it."""
        once = Guarantee.AT_MOST_ONCE
        async with (
            serving(HELD, then=(b"",)) as server,
            sending(guarantee=once) as channel,
        ):
            await channel.send(webhook(server.url))
            with pytest.raises(OutcomeUnknown):
                await channel.send(webhook(server.url))

        assert len(server.bodies) == 2
        assert server.opened == 1

    async def test_one_that_begins_to_answer_leaves_open_whether_it_arrived(self) -> None:
        async with serving(HELD, then=(b"HTTP/1.1 2",)) as server, sending() as channel:
            await channel.send(webhook(server.url))
            with pytest.raises(OutcomeUnknown):
                await channel.send(webhook(server.url))

        assert server.opened == 1

    async def test_one_that_closes_much_later_had_somebody_at_work(self) -> None:
        async with serving(HELD, then=(b"",), at_work=1.1) as server, sending() as channel:
            await channel.send(webhook(server.url))
            with pytest.raises(OutcomeUnknown):
                await channel.send(webhook(server.url))

        assert server.opened == 1

    async def test_a_new_one_that_closes_is_not_tried_twice(self) -> None:
        async with serving(b"") as server, sending() as channel:
            with pytest.raises(OutcomeUnknown):
                await channel.send(webhook(server.url))

        assert server.opened == 1

    async def test_the_second_try_is_the_last(self) -> None:
        async with serving(HELD, then=(b"",)) as server, sending() as channel:
            await channel.send(webhook(server.url))
            server.reply = b""
            with pytest.raises(OutcomeUnknown):
                await channel.send(webhook(server.url))

        assert server.opened == 2


class TestReceiversThatMisbehave:
    async def test_a_redirect_into_the_cloud_is_not_followed(self) -> None:
        target = "Location: http://169.254.169.254/latest/meta-data/"
        async with serving(http("301 Moved Permanently", b"", target)) as server:
            error = await failed(server)

        assert type(error) is Rejected
        assert "169.254" not in str(error)

    async def test_a_temporary_redirect_is_not_followed_either(self) -> None:
        async with serving(TAKEN) as elsewhere:
            moved = http("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/")
            async with serving(moved) as server:
                error = await failed(server)

        assert type(error) is Unavailable
        assert elsewhere.heads == []

    @pytest.mark.parametrize(
        ("status", "expected"),
        [("200 OK", None), ("500 Oops", Unavailable), ("410 Gone", Rejected)],
    )
    async def test_an_answer_that_never_ends_counts_by_its_status_and_is_hung_up_on(
        self, status: str, expected: type[DeliveryError] | None
    ) -> None:
        head = f"HTTP/1.1 {status}\r\n\r\n".encode()
        async with serving(head, again=b"more " * 2_000) as server:
            began = time.monotonic()
            if expected is None:
                async with sending(max_response=100_000) as channel:
                    assert (await channel.send(webhook(server.url))).code == "200"
            else:
                assert type(await failed(server, max_response=100_000)) is expected

        assert time.monotonic() - began < 3

    async def test_an_answer_that_dribbles_counts_by_its_status_when_time_is_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.channels.webhook.channel._BODY_WITHIN", 60.0)
        head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n"
        async with serving(head, again=b".", pause=0.02) as server, sending() as channel:
            began = time.monotonic()
            sent = await channel.send(webhook(server.url, timeout=1.5))  # it has to connect, too

        assert sent.code == "202"
        assert 1.4 < time.monotonic() - began < 30

    async def test_an_answer_that_dribbles_takes_little_longer_than_its_status(self) -> None:
        head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n"
        async with serving(head, again=b".", pause=0.02) as server, sending() as channel:
            began = time.monotonic()
            await channel.send(webhook(server.url, timeout=10))

        assert time.monotonic() - began < 3

    async def test_an_answer_cut_short_counts_by_its_status(self) -> None:
        async with serving(http("200 OK", b"half", length=4000)) as server, sending() as channel:
            assert (await channel.send(webhook(server.url))).code == "200"

    async def test_nothing_of_an_answer_need_be_read(self) -> None:
        reply = http("200 OK", b"x" * 100)
        async with serving(reply) as server, sending(max_response=0) as channel:
            assert (await channel.send(webhook(server.url))).code == "200"

    async def test_a_decompression_bomb_costs_no_memory(self) -> None:
        bomb = http("200 OK", gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")
        async with serving(bomb) as server, sending(max_response=1_000_000) as channel:
            tracemalloc.start()
            try:
                assert (await channel.send(webhook(server.url))).code == "200"
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()

        assert peak < 5_000_000

    async def test_an_answer_that_is_not_packed_as_it_says_counts_by_its_status(self) -> None:
        for encoding in ("gzip", "deflate", "br", "zstd"):
            bomb = http("200 OK", b"\x1f\x8b\x08\x00junk", f"Content-Encoding: {encoding}")
            async with serving(bomb) as server, sending() as channel:
                assert (await channel.send(webhook(server.url))).code == "200"

    async def test_headers_without_end_leave_open_whether_it_arrived(self) -> None:
        head = b"HTTP/1.1 200 OK\r\n"
        async with serving(head, again=b"X-More: " + b"x" * 1000 + b"\r\n") as server:
            assert type(await failed(server)) is OutcomeUnknown

    @pytest.mark.parametrize(
        "reply",
        [
            b"",
            b"HTTP",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x16\x03\x01\x02\x00",
            b"HTTP/1.1 -1 No\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-length\r\n",
            b"HTTP/9.9 200 OK\r\nbroken header\r\n\r\n",
        ],
    )
    async def test_what_is_no_answer_leaves_open_whether_it_arrived(self, reply: bytes) -> None:
        async with serving(reply) as server:
            error = await failed(server)

        assert type(error) is OutcomeUnknown

    async def test_an_answer_before_the_payload_was_read_counts(self) -> None:
        early = http("413 Content Too Large")
        async with serving(early, read_body=False) as server, sending() as channel:
            with pytest.raises(DeliveryError) as caught:
                await channel.send(webhook(server.url, payload={"data": "x" * 3_000_000}))

        # The server hangs up with most of the payload unread, which may overtake its answer.
        assert type(caught.value) in {Unavailable, OutcomeUnknown}

    async def test_a_silent_receiver_holds_up_no_other(self) -> None:
        silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        async with serving(TAKEN) as server, sending() as channel, silent:
            waiting = [
                asyncio.create_task(channel.send(webhook(f"http://127.0.0.1:{port}", timeout=1)))
                for _ in range(20)
            ]
            async with asyncio.timeout(0.9):
                await channel.send(webhook(server.url))
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)

        assert {type(each) for each in outcomes} == {OutcomeUnknown}

    async def test_one_that_fell_silent_is_not_asked_for_a_while_and_takes_no_places(self) -> None:
        silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with serving(TAKEN) as server, sending(circuit_failures=5) as channel, silent:
            for outcome in await asyncio.gather(
                *(channel.send(webhook(url, timeout=0.2)) for _ in range(5)), return_exceptions=True
            ):
                assert type(outcome) is OutcomeUnknown
            began = time.monotonic()
            outcomes = await asyncio.gather(
                *(channel.send(webhook(url, timeout=3)) for _ in range(20)), return_exceptions=True
            )
            await channel.send(webhook(server.url))

        assert time.monotonic() - began < 1
        assert {type(outcome) for outcome in outcomes} == {Postponed}

    async def test_a_webhook_whose_receiver_is_late_gives_its_place_away(self) -> None:
        gave_way = asyncio.Event()
        async with serving(http("204 No Content"), at_work=1.5, then=(TAKEN,)) as server:
            server.reply = HELD
            async with sending() as channel:
                await channel.send(webhook(server.url))
                late = dataclasses.replace(webhook(server.url), release_slot=gave_way.set)
                sent = asyncio.create_task(channel.send(late))
                async with asyncio.timeout(1.4):
                    await gave_way.wait()
                assert not sent.done()
                await sent

    async def test_a_receiver_that_is_busy_says_when_to_come_back(self) -> None:
        async with serving(http("503 Busy", b"", "Retry-After: 33")) as server:
            error = await failed(server)

        assert isinstance(error, Throttled)
        assert error.retry_after == 33


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass
    writer.close()


class TestTls:
    async def test_a_certificate_that_is_not_vouched_for_gets_nothing(self) -> None:
        async with _secure("127.0.0.1") as (server, url, _), sending() as channel:
            with pytest.raises(Unavailable, match="certificate"):
                await channel.send(webhook(url))

        assert server == []

    async def test_a_certificate_for_another_name_gets_nothing(self) -> None:
        async with _secure("example.org") as (server, url, tls), sending(tls) as channel:
            with pytest.raises(Unavailable, match="certificate"):
                await channel.send(webhook(url))

        assert server == []

    async def test_a_certificate_that_is_vouched_for_gets_it(self) -> None:
        async with _secure("127.0.0.1") as (server, url, tls), sending(tls) as channel:
            await channel.send(webhook(url))

        assert len(server) == 1


@asynccontextmanager
async def _secure(name: str) -> AsyncIterator[tuple[list[bytes], str, ssl.SSLContext]]:
    """An HTTPS server with a certificate for `name`: what it got, where it is, who vouches for it."""
    got: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response(status=204)

    authority, theirs, ours = trustme.CA(), *_contexts()
    authority.issue_cert(name).configure_cert(theirs)
    authority.configure_trust(ours)
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=theirs).start()
    try:
        yield got, f"https://127.0.0.1:{runner.addresses[0][1]}", ours
    finally:
        await runner.cleanup()


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()


class TestSettings:
    def test_without_a_secret_there_is_no_channel(self) -> None:
        with pytest.raises(ConfigurationError, match="TIDINGS_WEBHOOK_SECRET"):
            WebhookChannel(WebhookSettings())

    async def test_a_sound_configuration_is_found_sound(self) -> None:
        async with sending(allow_private=False) as channel:
            assert {each.verdict for each in await channel.check()} == {Verdict.OK}

    async def test_a_weak_secret_and_an_open_door_are_pointed_out(self) -> None:
        async with sending(secret=SecretStr("whsec_c2hvcnQ=")) as channel:
            found = await channel.check()

        assert [each.verdict for each in found] == [Verdict.WARNING, Verdict.WARNING]
        assert all(each.remedy for each in found)
        assert "c2hvcnQ" not in str(found)

    async def test_a_notification_of_another_channel_is_a_mistake_of_ours(self) -> None:
        other = request_for(
            {"channel": "sms", "recipient": "+14155552671", "body": "x"}, Content(), timeout=1
        )
        async with sending() as channel:
            with pytest.raises(TypeError, match="SmsNotification"):
                await channel.send(other)
