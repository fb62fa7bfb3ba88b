"""Names are looked up without waiting for one another."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tests.support.hanging_names import TAIL, Resolver, hanging_names

from tidings.channels.network import lookups
from tidings.channels.network.lookups import MOST, OF_A_ZONE, Lookups, numeric, zone
from tidings.channels.network.system_resolver import SystemResolver

HANGS = f"www{TAIL}"


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    with hanging_names(monkeypatch) as made:
        yield made


async def eventually_hanging(resolver: Resolver, count: int) -> None:
    async with asyncio.timeout(5):
        while resolver.hanging < count:  # threads know no events
            await asyncio.sleep(0.005)


async def test_a_name_that_hangs_is_looked_up_once_for_all_and_delays_no_other(
    resolver: Resolver,
) -> None:
    names = Lookups()
    waiting = [asyncio.create_task(names.find(HANGS)) for _ in range(100)]
    await eventually_hanging(resolver, 1)

    async with asyncio.timeout(2):
        found = await names.find("localhost", family=socket.AF_INET)

    assert [numeric(each) for each in found] == ["127.0.0.1"]
    assert resolver.queries[HANGS] == 1
    resolver.let_go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in results} == {socket.gaierror}


async def test_many_names_of_a_domain_that_hangs_take_no_more_than_its_places(
    resolver: Resolver,
) -> None:
    names = Lookups()
    waiting = [asyncio.create_task(names.find(f"x{number}{TAIL}")) for number in range(3 * MOST)]
    await eventually_hanging(resolver, OF_A_ZONE)

    async with asyncio.timeout(2):
        await names.find("localhost")

    assert resolver.most == OF_A_ZONE
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_name_that_nobody_waits_for_any_more_is_not_looked_up(resolver: Resolver) -> None:
    names = Lookups()
    ahead = [asyncio.create_task(names.find(f"x{number}{TAIL}")) for number in range(OF_A_ZONE)]
    await eventually_hanging(resolver, OF_A_ZONE)
    behind = asyncio.create_task(names.find(HANGS))
    await asyncio.sleep(0)
    behind.cancel()

    resolver.let_go.set()
    await asyncio.gather(*ahead, behind, return_exceptions=True)
    await names.find("localhost")

    assert HANGS not in resolver.queries


async def test_who_gives_up_leaves_the_answer_to_the_others(resolver: Resolver) -> None:
    names = Lookups()
    first, second = (asyncio.create_task(names.find(HANGS)) for _ in range(2))
    await eventually_hanging(resolver, 1)

    first.cancel()
    resolver.let_go.set()

    with pytest.raises(socket.gaierror):
        await second
    assert first.cancelled()
    assert resolver.queries[HANGS] == 1


async def test_a_look_up_has_a_limit_and_its_place_is_free_again(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LIMIT", 0.02)
    names = Lookups()

    for _ in range(2 * OF_A_ZONE):
        with pytest.raises(TimeoutError):
            await names.find(HANGS)

    assert resolver.queries[HANGS] == 2 * OF_A_ZONE


async def test_domains_that_fall_silent_take_no_places_from_those_known_to_answer_any_more(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "SOON", 0.02)
    names = Lookups()
    await names.find("localhost")
    names._known["hangs.example"] = None
    waiting = asyncio.create_task(names.find(HANGS))
    await eventually_hanging(resolver, 1)
    await asyncio.sleep(0.05)

    assert list(names._known) == ["localhost"]
    resolver.let_go.set()
    await asyncio.gather(waiting, return_exceptions=True)
    assert list(names._known) == ["localhost"]


async def test_of_the_domains_known_to_answer_the_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "KNOWN", 2)
    monkeypatch.setattr(lookups, "_addresses", lambda _: [])
    names = Lookups()

    for name in ("a.example", "b.example", "www.a.example", "c.example"):
        await names.find(name)

    assert list(names._known) == ["a.example", "c.example"]


async def test_an_address_needs_no_look_up(resolver: Resolver) -> None:
    names = Lookups()

    assert [numeric(each) for each in await names.find("::1")] == ["::1"]
    assert resolver.queries["::1"] == 1


async def test_closing_ends_every_wait(resolver: Resolver) -> None:
    names = SystemResolver()
    waiting = asyncio.create_task(names.resolve(HANGS, 443, socket.AF_INET))
    await eventually_hanging(resolver, 1)

    await names.close()

    with pytest.raises(OSError, match="cancelled"):
        await waiting


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org.", "example.org"),
        ("hooks.shop.co.uk", "shop.co.uk"),
        ("Shop.CO.UK", "shop.co.uk"),
        ("a.io", "a.io"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_names_of_one_domain_share_its_places(host: str, domain: str) -> None:
    assert zone(host) == domain
