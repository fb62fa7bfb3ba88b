"""Webhooks stay out of the network they are sent from."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import SecretStr
from tests.contract.channels.rig import request_for
from tests.integration.channels.raw_server import RawServer, http, serving

from tidings.channels.network.public_addresses import MOST, CheckedResolver
from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import DeliveryError, Rejected, Unavailable
from tidings.delivery.ports import Content, SendRequest

TAKEN = http("204 No Content")


class NameServer(AbstractResolver):
    """Answers each question with the next of its answers, and the last for ever."""

    def __init__(self, *answers: list[str] | OSError | None) -> None:
        self._answers = list(answers)
        self.queries: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.queries.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=6, flags=0)
            for each in answer or []
        ]

    async def close(self) -> None:
        pass


def webhook(url: str, timeout: float = 3.0) -> SendRequest:
    fields = {"channel": "webhook", "recipient": url, "event_type": "a.b", "payload": {"a": 1}}
    return request_for(fields, Content(), timeout=timeout)


@asynccontextmanager
async def sending(
    resolver: AbstractResolver | None = None, *, allow_private: bool = False
) -> AsyncIterator[WebhookChannel]:
    secret = SecretStr("whsec_" + "c2VjcmV0" * 5)
    settings = WebhookSettings(secret=secret, allow_private=allow_private)
    channel = WebhookChannel(settings, resolver=resolver)
    try:
        yield channel
    finally:
        await channel.close()


async def refused(url: str, resolver: AbstractResolver | None = None) -> DeliveryError:
    async with sending(resolver) as channel:
        with pytest.raises(DeliveryError) as caught:
            await channel.send(webhook(url))
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",  # noqa: S104  # nothing listens on it here
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        # However an address may be written, what counts is where it leads.
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0",
        "127.0.0.1.",
        "0177.1",
        "0x7f.1",
        "[0:0:0:0:0:ffff:7f00:0001]",
    ],
)
async def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    async with serving(TAKEN) as server:
        error = await refused(f"http://{host}:{server.port}/")

    assert type(error) is Rejected
    assert server.heads == []


@pytest.mark.parametrize("name", ["localhost.", socket.gethostname(), "ip6-localhost"])
async def test_this_machine_is_not_reached_by_any_of_its_names(name: str) -> None:
    """Not every machine knows all of them."""
    async with serving(TAKEN) as server:
        error = await refused(f"http://{name}:{server.port}/")

    assert type(error) in {Rejected, Unavailable}
    assert server.heads == []


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[fd00::1]"),
        # The clouds' metadata, in every dress.
        *("169.254.169.254.", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662"),
        *("[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200"),
        *("[::ffff:10.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:a9fe:a9fe::]"),
    ],
)
async def test_private_addresses_are_refused_at_once(host: str) -> None:
    """At once: a timeout instead would tell which addresses are in use."""
    async with asyncio.timeout(1):
        error = await refused(f"http://{host}/")

    assert type(error) is Rejected


@pytest.mark.parametrize(
    "host", ["[:::]", "[1.2.3.4]", "[::1:]", "[1:2]", ".", "..", "a..b", f"{'a' * 64}.com", "[.]"]
)
async def test_what_is_no_host_is_refused_for_good(host: str) -> None:
    error = await refused(f"http://{host}/")

    assert type(error) is Rejected
    assert "its host is not a host name" in error.message


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fe80::1", "64:ff9b::7f00:1", "169.254.169.254"],
)
async def test_a_name_that_leads_inside_is_refused_and_not_told_where_to(address: str) -> None:
    async with serving(TAKEN) as server:
        error = await refused(f"http://example.org:{server.port}/", NameServer([address]))

    assert type(error) is Rejected
    assert "public" in error.message
    assert address not in str(error)
    assert "example.org" not in str(error)
    assert server.heads == []


async def test_a_name_that_begins_to_lead_inside_is_refused_from_then_on() -> None:
    """The address that was judged is the address connected to: there is no second look-up."""
    names = NameServer(OSError("no such name"), ["127.0.0.1"])
    async with serving(TAKEN) as server, sending(names) as channel:
        url = f"http://rebound.example.org:{server.port}/"
        with pytest.raises(Unavailable):
            await channel.send(webhook(url))
        with pytest.raises(Rejected):
            await channel.send(webhook(url))

    assert names.queries == ["rebound.example.org"] * 2
    assert server.heads == []


async def test_a_name_inside_is_reached_where_that_is_allowed() -> None:
    names = NameServer(["127.0.0.1"])
    async with serving(TAKEN) as server, sending(names, allow_private=True) as channel:
        await channel.send(webhook(f"http://inside.example.org:{server.port}/"))

    assert server.heads[0].startswith("POST / ")
    assert f"Host: inside.example.org:{server.port}" in server.heads[0]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_of_many_addresses_that_are_silent_a_few_are_tried() -> None:
    """A socket for each, at once."""
    silent = [f"127.0.1.{number}" for number in range(1, 21)]
    names, tried = NameServer(silent), 0
    with ExitStack() as stack:
        port = 0
        for address in silent:
            listener = stack.enter_context(socket.socket())
            listener.bind((address, port))
            port = listener.getsockname()[1]
            listener.listen(0)
            for _ in range(2):  # there is no room for another
                full = stack.enter_context(socket.socket())
                full.setblocking(False)
                full.connect_ex((address, port))
        async with sending(names, allow_private=True) as channel:
            before = _open_files()
            waiting = asyncio.create_task(
                channel.send(webhook(f"http://many.example.org:{port}/", 6.0))
            )
            while not waiting.done():
                await asyncio.sleep(0.05)
                tried = max(tried, _open_files() - before)
            with pytest.raises(Unavailable, match="no connection in time"):
                await waiting

    assert 1 < tried <= MOST


async def test_both_families_of_addresses_are_tried() -> None:
    names = NameServer([f"192.0.2.{number}" for number in range(9)])
    found = await names.resolve("both.example.org")
    found += [
        {**address, "host": "2001:db8::1", "family": socket.AF_INET6} for address in found[:1]
    ]
    careful = CheckedResolver(names, public_only=False)
    names.resolve = AsyncMock(return_value=found)  # type: ignore[method-assign]

    tried = await careful.resolve("both.example.org")

    assert [address["host"] for address in tried] == [
        "192.0.2.0",
        "2001:db8::1",
        "192.0.2.1",
        "192.0.2.2",
    ]


async def test_cookies_are_not_kept() -> None:
    cookie = http("204 No Content", b"", "Set-Cookie: tenant=7; Path=/")
    names = NameServer(["127.0.0.1"])
    async with serving(cookie) as server, sending(names, allow_private=True) as channel:
        for _ in range(2):
            await channel.send(webhook(f"http://receiver.example.org:{server.port}/"))

    assert len(server.heads) == 2
    assert not any("cookie" in head.lower() for head in server.heads)


@pytest.mark.parametrize(
    "answer", [OSError("no such name"), []], ids=["no such name", "no address"]
)
async def test_a_name_without_an_address_may_have_one_later(answer: list[str] | OSError) -> None:
    error = await refused("http://example.org/", NameServer(answer))

    assert type(error) is Unavailable
    assert "does not resolve" in error.message


@pytest.mark.parametrize("answer", [OSError("no such name"), []])
async def test_so_it_is_where_private_addresses_are_allowed(answer: list[str] | OSError) -> None:
    async with sending(NameServer(answer), allow_private=True) as channel:
        with pytest.raises(Unavailable):
            await channel.send(webhook("http://example.org/"))


async def test_a_name_server_that_is_silent_ends_in_time() -> None:
    async with sending(NameServer(None)) as channel:
        async with asyncio.timeout(1):
            with pytest.raises(Unavailable, match="in time"):
                await channel.send(webhook("http://example.org/", timeout=0.4))


@pytest.mark.parametrize("host", ["a..b", ".", "-", "x" * 300, "_.example.org..", "xn--0"])
async def test_a_host_that_is_none_is_an_error_of_ours_not_a_crash(host: str) -> None:
    error = await refused(f"http://{host}/", NameServer(OSError("no such name")))

    assert type(error) in {Rejected, Unavailable}


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
async def test_so_it_is_with_the_systems_own_resolver(host: str) -> None:
    assert type(await refused(f"http://{host}/")) in {Rejected, Unavailable}


async def test_a_connection_made_where_it_was_allowed_is_not_shared_with_others() -> None:
    """Two channels of one process, one of them trusted."""
    async with _keeping() as server, sending(allow_private=True) as trusted:
        await trusted.send(webhook(server.url))

        assert type(await refused(server.url)) is Rejected


@asynccontextmanager
async def _keeping() -> AsyncIterator[RawServer]:
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        yield server
